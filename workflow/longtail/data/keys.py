"""What keys and counts of a specification are held to, by errors that show the place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from longtail.errors import LongtailError, unknown


def check_keys(what: str, mapping: Mapping[str, Any], known: Sequence[str], required: Sequence[str]) -> None:
    """Raise if ``mapping`` has a key that is not ``known``, or lacks a ``required`` one."""
    for key in mapping:
        if key not in known:
            raise unknown(f"key in {what}", key, known)
    missing = [key for key in required if key not in mapping]
    if missing:
        raise LongtailError(f"{what[0].upper()}{what[1:]} lacks {', '.join(missing)}: {dict(mapping)!r}.")


def is_count(value: object, most: int = 2**31 - 1) -> bool:
    """Whether ``value`` is a positive integer (``True`` is not) up to ``most``."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most
