"""What can be said of a set's raw data before any job: which files they are, and whether they are as they should be.

Both take what ``study`` knows of a set, the specification that the jobs are given (``store`` for images, ``tokenize``
for texts), and cost no more than a look at folders and at the first and last bytes of files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longtail.data import sources
from longtail.data.sources import ImageSet
from longtail.data.text_sets import TextSet


def inputs(spec: Mapping[str, Any], part: str) -> list[Path]:
    """The files that a part of a set is read from, and the folders of images. None is opened; they need not exist.

    Args:
        spec: of an image set (:class:`~longtail.data.sources.ImageSet`) or a text set
            (:class:`~longtail.data.text_sets.TextSet`).
        part: ``train`` or ``test``.

    Raises:
        LongtailError: if the specification is wrong, or its paths cannot be told.
    """
    if "texts" in spec:
        return TextSet.from_json(json.dumps(spec)).inputs(part)
    return sources.inputs(ImageSet.from_json(json.dumps(spec)), part)


def check(spec: Mapping[str, Any], part: str) -> None:
    """Raise what reading a part of a set would, as far as it can be known without decoding.

    Args:
        spec: as above.
        part: ``train`` or ``test``.

    Raises:
        LongtailError: if a file is missing, unreadable, or does not hold what is said of it.
    """
    if "texts" in spec:
        TextSet.from_json(json.dumps(spec)).check(part)
    else:
        sources.check(ImageSet.from_json(json.dumps(spec)), part)


def labels(spec: Mapping[str, Any], part: str) -> tuple[list[int], list[str]] | None:
    """The labels of a part of an image set in source order, and the names of its classes, if they are known.

    Args:
        spec: of an image set.
        part: ``train``, ``val`` or ``test``.

    Returns:
        None where only decoding would tell.

    Raises:
        LongtailError: as :func:`check`.
    """
    source = sources.open_source(ImageSet.from_json(json.dumps(spec)))
    return source.labels(part) if hasattr(source, "labels") else None


def site(spec: Mapping[str, Any], part: str) -> str | None:
    """The site that a part of a set has to be downloaded from; None if it is here, or is not downloaded at all.

    Args:
        spec: as above.
        part: ``train`` or ``test``.

    Raises:
        LongtailError: if the specification is wrong, or there is no such part.
    """
    if "texts" in spec:
        return None
    source = sources.open_source(ImageSet.from_json(json.dumps(spec)))
    return source.site(part) if hasattr(source, "site") else None
