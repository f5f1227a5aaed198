"""What YAML can say and a study cannot use: it must go into JSON, command lines and names of files as it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from longtail.errors import LongtailError

MOST_VALUES = 500_000
"""More than any document has. Aliases can make a few lines of YAML larger than any memory, or endless."""

DEEPEST = 40
LONGEST_NUMBER = 10**15


def require_plain(document: Any, source: object) -> None:
    """Check that a document is plain: mappings with names as keys, lists, text, booleans, null and numbers.

    Args:
        document: what a YAML reader made of a file.
        source: what to call it in messages.

    Raises:
        LongtailError: naming the place, for a date, a NaN, a control character, a number of more than fifteen digits or
            anything else that JSON, a command line or the name of a file cannot hold; for a document that is endless.
    """
    _require(document, "", source, [0])


def _require(value: Any, place: str, source: object, seen: list[int]) -> None:
    seen[0] += 1
    if seen[0] > MOST_VALUES or place.count(".") + place.count("[") > DEEPEST:
        raise LongtailError(
            f"{source}: {place[:100]}... has too many values, or values too deep within each other. "
            "Does an alias (*name) stand within what it repeats? Write the values out."
        )
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise LongtailError(f"{source}: {place or 'the document'}: the key {key!r} is no text. Quote it.")
            _require_text(key, place, source)
            _require(item, f"{place}.{key}".lstrip("."), source, seen)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _require(item, f"{place}[{index}]", source, seen)
    elif isinstance(value, str):
        _require_text(value, place, source)
    elif isinstance(value, int | float):
        if not math.isfinite(value) or abs(value) > LONGEST_NUMBER:
            raise LongtailError(f"{source}: {place}: {value} is no number to compute with. Write one that is finite.")
    elif value is not None:
        raise LongtailError(
            f"{source}: {place}: {value!r} ({type(value).__name__}) is neither text nor a number. "
            "Quote it if text is meant."
        )


def _require_text(text: str, place: str, source: object) -> None:
    wrong = next((c for c in text if (ord(c) < 32 and c not in "\n\t") or 0xD800 <= ord(c) < 0xE000), None)
    if wrong is not None:
        raise LongtailError(
            f"{source}: {place or 'the document'}: the character {wrong!r} of {text[:60]!r} is no text."
        )
