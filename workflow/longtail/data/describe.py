"""``python -m longtail describe``: the catalogue file of a person's own images, written out of what lies there.

No image is opened. What cannot be told from folders and labels is what suits most photographs, and stands there to be
changed (docs/own-images.md).
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from longtail.data.folders import list_folder
from longtail.data.longtail import largest_head
from longtail.data.parquet import ParquetSource
from longtail.data.places import expanded, files_below
from longtail.data.rows import Expected, note
from longtail.errors import LongtailError

SIZE = 64
"""Pixels of a side that photographs are brought to."""

PAGE = """\
images:                             # decoded once
  name: {name}
  title: {title}
  source: {source}
  parts: {{train: {images}}}
  classes: {classes}
  image_size: {size}
  channels: 3                       # 1 for grey images
  normalization: {{mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}}    # ImageNet's, for photographs
  backbone: {{name: resnet18, stem: imagenet}}    # resnet32 with the stem cifar for images of 32 pixels
  precision: mixed                  # bfloat16 where the hardware has it; or float32
  resources: {{threads: 4, mem_mb: 8000, gpu: 1}}    # a machine without a GPU trains on the CPU
datasets:
  {cuts[0]:<34}# the long tail as it is: ratio {ratio}
    construction: list
    pool: [train]
    held_out: {held_out:<22}# the last images of each class are tested on, and never trained on
    settings: {batch:<22}# in place of the methods' own, which is 128 for most
"""

CUT = """\
  {cuts[1]:<34}# a long tail that is cut out of them: any ratio from {cut} to {head}
    title: {cut_title}
    construction: shuffled-longtail
    pool: [train]
    held_out: {held_out}
    head_class_rows: {head:<15}# images of the first class; the last one has as many less as the ratio says
    settings: {batch}
"""


def describe(place: str, root: str, held_out: int | None = None, cut: int | None = None) -> str:
    """The catalogue file for a folder of class folders, or for Parquet files.

    Args:
        place: the folder, file or pattern of files.
        root: folder of raw data, from which paths start in the catalogue.
        held_out: images of each class to test on; None for ten, or half of the smallest class.
        cut: also describe a long tail of this ratio that is cut out of the images.

    Raises:
        LongtailError: if there are no images of two classes, a class has none to train on, or no long tail of that
            ratio can be cut.
    """
    path = expanded(place)
    labels, source = _in_folders(path, root) if path.is_dir() else _in_parquet(place, root)
    counts = np.bincount(labels)
    if len(counts) < 2 or not counts.all():
        raise LongtailError(f"{place} has images of {np.count_nonzero(counts)} classes; two at least are wanted.")
    held = held_out or max(1, min(10, int(counts.min()) // 2))
    left = counts - held
    if left.min() < 1:
        raise LongtailError(
            f"The smallest class of {place} has {counts.min():,} images, so {held:,} of each class cannot be held out "
            f"to test on. Say --held-out {max(1, int(counts.min()) // 2)}, or less."
        )
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "mine"
    title = re.sub(r"[\W_]+", " ", path.stem).strip().capitalize() or "Mine"
    facts: dict[str, Any] = {
        "name": _text(name),
        "title": _text(title),
        "cut_title": f"{title}-LT",
        "cuts": [f"{_text(name)}:", f"{name}-lt:"],
        "source": _flow(source | {"resize": SIZE, "crop": SIZE}),
        "images": len(labels),
        "classes": len(counts),
        "size": SIZE,
        "ratio": max(1, round(left.max() / left.min())),
        "held_out": held,
        "batch": f"{{batch_size: {128 if left.sum() >= 12_800 else 32}}}",
    }
    if cut is None:
        return PAGE.format(**facts)
    head = largest_head(left, cut, "shuffled-longtail")
    if head is None:
        raise LongtailError(
            f"No long tail of ratio {cut} can be cut out of {place}: classes stand in order, and the first has "
            f"{left[0]:,} images, the last {left[-1]:,}. Take another ratio, or leave --ratio out."
        )
    return (PAGE + CUT).format(**facts, head=head, cut=cut)


def _in_folders(path: Path, root: str) -> tuple[Sequence[int], dict[str, Any]]:
    try:
        listing = list_folder(path)
    except OSError as error:
        raise LongtailError(f"Cannot list the images of {path}: {error.strerror} ({error.filename}).") from error
    if remark := listing.remark():
        note(f"{path}: {remark}")
    empty = [name for name, size in listing.sizes.items() if not size]
    if empty or not listing.images:
        what = f"no image in the class folders {', '.join(empty[:5])}" if empty else "no folder of images"
        raise LongtailError(f"There is {what} of {path}. Images lie in one folder per class.")
    return [label for _, label in listing.images], {"kind": "imagefolder", "folders": {"train": _below(path, root)}}


def _in_parquet(place: str, root: str) -> tuple[Sequence[int], dict[str, Any]]:
    paths = files_below(".", place, "")
    try:
        rows = sum(pq.read_metadata(path).num_rows for path in paths)
    except (OSError, pa.ArrowException) as error:
        raise LongtailError(
            f"{place} is neither a folder of class folders nor a Parquet file ({error}). Name one of them."
        ) from error
    expected = Expected(place, 0, {"train": rows})
    labels, _ = ParquetSource(files={"train": place}, expected=expected, root=".").labels("train")
    if not labels or min(labels) < 0:
        raise LongtailError(
            f"The labels of {place} do not count from 0 on: the smallest is {min(labels, default=None)}."
        )
    return labels, {"kind": "parquet", "files": {"train": _below(expanded(place), root)}}


def _below(path: Path, root: str) -> str:
    """A path as the catalogue names it: from the folder of raw data, or from the root of the disk."""
    folder = expanded(root).absolute()
    return str(path.absolute().relative_to(folder) if path.absolute().is_relative_to(folder) else path.absolute())


def _flow(value: Any) -> str:
    """Plain data in YAML on one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_flow(item)}' for key, item in value.items())}}}"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(value: str) -> str:
    """A text in YAML: as it is, unless that would be a number, a truth value or something with a structure."""
    plain = re.fullmatch(r"[A-Za-z][\w ./-]*", value) and yaml.safe_load(value) == value
    return value if plain else json.dumps(value, ensure_ascii=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m longtail describe``."""
    parser.add_argument(
        "place", metavar="PLACE", help="a folder with one folder per class, or Parquet files (a pattern)"
    )
    parser.add_argument("--data-root", default="data", metavar="FOLDER", help="the configuration's data_root (data)")
    parser.add_argument(
        "--held-out", type=int, metavar="N", help="images of each class to test on (10, or half a class)"
    )
    parser.add_argument("--ratio", type=int, metavar="R", help="describe a long tail of this ratio that is cut, too")


def run(arguments: argparse.Namespace) -> None:
    """Print the catalogue file."""
    for name in ("held_out", "ratio"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise LongtailError(f"--{name.replace('_', '-')} is a whole number above 0, not {value}.")
    print(describe(arguments.place, arguments.data_root, arguments.held_out, arguments.ratio), end="")
