"""The one exception that is meant for the person at the keyboard."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LongtailError(Exception):
    """Something the user can act on: the message names the thing, the place and the way out.

    ``python -m longtail`` prints it without a traceback and exits with status 1.
    """


def unknown(kind: str, name: object, known: Iterable[str]) -> LongtailError:
    """The error for a name that does not exist, with what was probably meant.

    Args:
        kind: what the name should have named, e.g. ``"method"``.
        name: the name as given.
        known: the names that exist.
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return LongtailError(f"There is no {kind} {name!r}.{hint} Known: {', '.join(names) or 'none'}.")
