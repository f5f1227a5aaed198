"""What a phase's specification must look like before a job works with it: the data of ARCHITECTURE.md, type by type."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from longtail.errors import LongtailError

COUNT = "a whole number from 0 on"
NUMBERS = "a list of finite numbers"
SHAPE: Mapping[str, Any] = {
    "identity": str,
    "data": {"classes": COUNT},
    "backbone": {"name": str},
    "precision": str,
    "lineage": [
        {
            "objective": str,
            "implementation": str,
            "start": str,
            "first_epoch": COUNT,
            "last_epoch": COUNT,
            "clock": COUNT,
            "settings": {},
        }
    ],
    "seed": COUNT,
}
"""Types by key; a mapping may have more keys, and a list has at least one item, all of one shape."""

OF_IMAGES: Mapping[str, Any] = {
    "data": {"image_size": COUNT, "channels": COUNT, "test_transform": dict},
    "backbone": {"stem": str},
    "lineage": [{"settings": {"normalization": {"mean": NUMBERS, "std": NUMBERS}}}],
}
OF_TEXTS: Mapping[str, Any] = {"data": {"max_tokens": COUNT}}
"""What is there besides, depending on what the networks read: data with ``max_tokens`` are texts."""


def require_spec(spec: Mapping[str, Any]) -> None:
    """Check a specification.

    Raises:
        LongtailError: naming the place, if a part is missing or of the wrong type, a size in pixels is none, the epochs
            of a stretch are out of order, a normalisation is not one of the images' channels, or the identity, which
            is part of the names of files, is no plain name.
    """
    _require(spec, SHAPE, "")
    texts = "max_tokens" in spec["data"]
    _require(spec, OF_TEXTS if texts else OF_IMAGES, "")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", spec["identity"]):
        raise _error("identity", spec["identity"], "a name of letters, digits, - and _")
    for index, stretch in enumerate(spec["lineage"]):
        if not stretch["first_epoch"] < stretch["last_epoch"] <= stretch["clock"]:
            epochs = {key: stretch[key] for key in ("first_epoch", "last_epoch", "clock")}
            raise _error(f"lineage[{index}]", epochs, "first_epoch < last_epoch <= clock")
    if not texts:
        _require_images(spec)


def _require_images(spec: Mapping[str, Any]) -> None:
    if not 0 < spec["data"]["image_size"] <= 16_384 or spec["data"]["channels"] not in (1, 3):
        raise _error("data", spec["data"], "an image_size from 1 to 16384 and 1 or 3 channels")
    for key, value in spec["data"]["test_transform"].items():
        place = f"data.test_transform.{key}"
        if key in ("interpolation", "final_interpolation"):
            _require(value, str, place)
        elif value is not None and not (type(value) is int and 0 < value <= 16_384):
            raise _error(place, value, "null or a number of pixels up to 16384")
    for index, stretch in enumerate(spec["lineage"]):
        lengths = {len(values) for values in stretch["settings"]["normalization"].values()}
        if lengths != {spec["data"]["channels"]}:
            place = f"lineage[{index}].settings.normalization"
            raise _error(place, stretch["settings"]["normalization"], "mean and std, one number per channel")


def _require(value: Any, shape: Any, place: str) -> None:
    if isinstance(shape, Mapping):
        if not isinstance(value, Mapping):
            raise _error(place, value, "a mapping")
        for key, inner in shape.items():
            if key not in value:
                raise LongtailError(f"The specification lacks {f'{place}.{key}'.lstrip('.')}. {WAY_OUT}")
            _require(value[key], inner, f"{place}.{key}".lstrip("."))
    elif isinstance(shape, list):
        if not isinstance(value, list) or not value:
            raise _error(place, value, "a list that is not empty")
        for index, item in enumerate(value):
            _require(item, shape[0], f"{place}[{index}]")
    elif shape is COUNT:
        if type(value) is not int or not 0 <= value < 2**31:
            raise _error(place, value, COUNT)
    elif shape is NUMBERS:
        if not isinstance(value, list) or not all(_is_number(item) for item in value):
            raise _error(place, value, NUMBERS)
    elif not isinstance(value, shape):
        raise _error(place, value, {str: "text", dict: "a mapping"}[shape])
    elif shape is str and not value.isprintable():
        raise _error(place, value, "text that can be printed")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


WAY_OUT = "A phase as data is described in ARCHITECTURE.md; the workflow writes it from the catalogue."


def _error(place: str, value: Any, meant: str) -> LongtailError:
    return LongtailError(
        f"The specification has {place or 'the value'} {str(value)[:200]!r}; {meant} is meant. {WAY_OUT}"
    )
