"""The one exception that is meant for the person at the keyboard."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LongtailError(Exception):
    """Something the user can act on: the message names the thing, the place and the way out.

    ``python -m longtail`` prints it without a traceback and exits with status 1.
    """


def closest(name: object, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known name that was probably meant, whatever its case; None if none is near.

    Args:
        name: the name as given.
        known: the names that exist.
        cutoff: how near one has to be, from 0 (all are) to 1 (only the name itself is).
    """
    by_text = {one.casefold(): one for one in sorted(known, reverse=True)}
    found = difflib.get_close_matches(str(name).casefold(), sorted(by_text), n=1, cutoff=cutoff)
    return by_text[found[0]] if found else None


def unknown(kind: str, name: object, known: Iterable[str]) -> LongtailError:
    """The error for a name that does not exist, with what was probably meant.

    Args:
        kind: what the name should have named, e.g. ``"method"``.
        name: the name as given.
        known: the names that exist.
    """
    names = sorted(known)
    close = closest(name, names)
    hint = f" Did you mean {close!r}?" if close else ""
    return LongtailError(f"There is no {kind} {name!r}.{hint} Known: {', '.join(names) or 'none'}.")
