"""What a document must look like, type by type, before anything works with it. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from longtail.errors import LongtailError

COUNT = "a whole number from 0 on"
NUMBERS = "a list of finite numbers"
WAY_OUT = "A phase as data is described in ARCHITECTURE.md; the workflow writes it from the catalogue."


def require(value: Any, shape: Any, place: str) -> None:
    """Check a specification, or a part of one.

    Args:
        value: what JSON gave.
        shape: :data:`COUNT`, :data:`NUMBERS`, a type, shapes by key of a mapping, which may have more keys, or a list
            of one shape, which all items of a list have; it has at least one.
        place: where in the specification the value stands; empty for all of it.

    Raises:
        LongtailError: naming the place, if a part is missing or of the wrong type.
    """
    if isinstance(shape, Mapping):
        if not isinstance(value, Mapping):
            raise wrong(place, value, "a mapping")
        for key, inner in shape.items():
            if key not in value:
                raise LongtailError(f"The specification lacks {f'{place}.{key}'.lstrip('.')}. {WAY_OUT}")
            require(value[key], inner, f"{place}.{key}".lstrip("."))
    elif isinstance(shape, list):
        if not isinstance(value, list) or not value:
            raise wrong(place, value, "a list that is not empty")
        for index, item in enumerate(value):
            require(item, shape[0], f"{place}[{index}]")
    elif shape is COUNT:
        if type(value) is not int or not 0 <= value < 2**31:
            raise wrong(place, value, COUNT)
    elif shape is NUMBERS:
        if not isinstance(value, list) or not all(_is_number(item) for item in value):
            raise wrong(place, value, NUMBERS)
    elif not isinstance(value, shape):
        raise wrong(place, value, {str: "text", dict: "a mapping"}[shape])
    elif shape is str and not value.isprintable():
        raise wrong(place, value, "text that can be printed")


def wrong(place: str, value: Any, meant: str) -> LongtailError:
    """The error of a specification that has ``value`` at ``place`` and should have what is ``meant``."""
    return LongtailError(
        f"The specification has {place or 'the value'} {str(value)[:200]!r}; {meant} is meant. {WAY_OUT}"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
