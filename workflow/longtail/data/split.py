"""Which rows of a dataset are trained on and clustered (``train``), chosen by (``val``) or only tested on (``test``).

A split is a table of rows, one per image, sorted by class; the images stay in the store. The train split is cut from a
pool of parts, taken one after the other (STL-10: train, then test). The others are all of their parts; where a set has
no part to test on, the last rows of every class are held out of the pool instead, whatever the ratio. Their classes
carry the size and the group of the same class in the train split, since that is what many, medium and few mean on a
balanced test set.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from os import PathLike
from typing import Any

import numpy as np
import pyarrow as pa

from longtail.data.keys import check_keys, is_count
from longtail.data.longtail import (
    among_last,
    called,
    class_sizes,
    first_rows,
    largest_head,
    require_enough,
    shot_groups,
    shuffled_rows,
)
from longtail.data.rows import listed
from longtail.errors import LongtailError, unknown
from longtail.files import read_json, read_table, write_table
from longtail.splits import CONSTRUCTIONS, LONG_TAILS, SPLITS, parts_of, require_apart


@dataclass(frozen=True)
class SplitSpec:
    """One cut of one image set, as in the catalogue.

    Attributes:
        dataset: its name.
        ratio: imbalance ratio; for ``list`` the ratio that the list has, or None.
        construction: one of :data:`longtail.splits.CONSTRUCTIONS`.
        pool: parts that the train split is cut from, in order.
        test: parts of the test split; None where there is none.
        head_class_rows: images of the largest class; None for ``list``.
        classes: number of classes K.
        shots: classes that are many, medium and few; None for 3 : 4 : 3.
        val: parts of the validation split; None where there is none.
        held_out: rows of each class, the last ones of the pool, that form the test split; None where parts do, or
            nothing does.
    """

    dataset: str
    ratio: float | None
    construction: str
    pool: Sequence[str]
    test: Sequence[str] | None
    head_class_rows: int | None
    classes: int
    shots: Sequence[int] | None = None
    val: Sequence[str] | None = None
    held_out: int | None = None

    @classmethod
    def from_json(cls, text: str) -> SplitSpec:
        """Parse the ``--spec`` of the split command.

        Raises:
            LongtailError: if the text is no JSON object, or a key is missing, unknown or has a value of the wrong kind.
        """
        spec = read_json(text, "--spec")
        known = [field.name for field in fields(cls)]
        required = [key for key in known if key not in ("shots", "test", "head_class_rows", "val", "held_out")]
        check_keys("the specification of a split", spec, known, required)
        spec = {"test": None, "head_class_rows": None, **spec}
        name, rows, ratio = spec["dataset"], spec["head_class_rows"], spec["ratio"]
        if spec["construction"] not in CONSTRUCTIONS:
            raise unknown(f"construction of {name}", spec["construction"], CONSTRUCTIONS)
        if not is_count(spec["classes"]):
            raise LongtailError(f"classes of {name} is {spec['classes']!r}; it must be a positive integer.")
        cut = spec["construction"] in LONG_TAILS
        if cut and not is_count(rows):
            raise LongtailError(f"head_class_rows of {name} is {rows!r}; a long-tailed cut needs a positive integer.")
        if isinstance(ratio, bool) or not (isinstance(ratio, int | float) or (ratio is None and not cut)):
            raise LongtailError(f"ratio of {name} is {ratio!r}; it must be a number.")
        if not spec["pool"] or not _names(spec["pool"]):
            raise LongtailError(f"pool of {name} is {spec['pool']!r}; it must list at least one part.")
        for key in ("val", "test"):
            parts = spec.get(key)
            if parts is not None and not (parts and _names(parts)):
                raise LongtailError(f"{key} of {name} is {parts!r}; it must be null or list at least one part.")
        held_out = spec.get("held_out")
        if held_out is not None and not is_count(held_out):
            raise LongtailError(f"held_out of {name} is {held_out!r}; it must be null or a positive integer.")
        shots = spec.get("shots")
        if shots is not None and not (isinstance(shots, list) and all(type(number) is int for number in shots)):
            raise LongtailError(f"shots of {name} is {shots!r}; it must be null or three counts of classes.")
        found = cls(**spec)
        require_apart(name, found)
        return found

    def parts(self, split: str) -> Sequence[str]:
        """The parts that ``split`` takes rows from."""
        return parts_of(self.dataset, self, split)


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


def make_split(spec: SplitSpec, split: str, labels: Mapping[str, np.ndarray], names: Sequence[str] = ()) -> pa.Table:
    """The rows of one split.

    Args:
        spec: how the dataset is cut.
        split: one of :data:`longtail.splits.SPLITS`.
        labels: int64 labels of each part in source order. The other splits of a ``list`` construction need those of
            the pool too, for its class sizes.
        names: of the classes, for messages; empty where only their numbers are known.

    Returns:
        Table with ``row``, ``part``, ``source_row``, ``label``, ``class_size`` and ``shot``, sorted by class, and
        within a class in source order unless the construction shuffles; ``class_size`` and ``shot`` are those of the
        class in the train split.

    Raises:
        LongtailError: if labels are missing or out of range, or a class has too few rows.
    """
    parts = spec.parts(split)
    sizes = _train_sizes(spec, labels, names)
    pooled, part_of, row_of = _pool(spec, split, labels, names)
    if split == "train":
        available = np.bincount(pooled, minlength=spec.classes)
        require_enough(available, sizes, names, _way_out(spec, available))
        chosen = (shuffled_rows if spec.construction == "shuffled-longtail" else first_rows)(pooled, sizes)
    else:
        chosen = np.argsort(pooled, kind="stable")
    classes = pooled[chosen]
    taken_from = np.asarray(parts)[part_of[chosen]]
    shots = shot_groups(sizes, spec.shots)
    return pa.table(
        {
            "row": pa.array(np.arange(len(chosen)), pa.int64()),
            "part": pa.array(taken_from.tolist(), pa.string()),
            "source_row": pa.array(row_of[chosen], pa.int64()),
            "label": pa.array(classes, pa.int64()),
            "class_size": pa.array(sizes[classes], pa.int64()),
            "shot": pa.array(shots[classes].tolist(), pa.string()),
        }
    )


def _way_out(spec: SplitSpec, available: np.ndarray) -> str:
    """What can be done where classes have fewer rows than a long tail takes: the largest head that there can be."""
    if spec.construction not in LONG_TAILS or spec.head_class_rows is None or spec.ratio is None:
        return ""
    head = largest_head(available, spec.ratio, spec.construction, spec.head_class_rows)
    if head is None:
        return f"Lower the ratio{' or held_out' * bool(spec.held_out)}, or add images: no head_class_rows would do."
    or_less = ", or lower held_out" * bool(spec.held_out)
    return f"Lower head_class_rows to {head:,}, the most that is there at ratio {spec.ratio:g}{or_less}."


def _train_sizes(spec: SplitSpec, labels: Mapping[str, np.ndarray], names: Sequence[str] = ()) -> np.ndarray:
    """Rows of each class in the train split, (K,)."""
    if spec.construction in LONG_TAILS:
        assert spec.head_class_rows is not None
        assert spec.ratio is not None
        return class_sizes(spec.head_class_rows, spec.classes, spec.ratio, spec.construction)
    pooled, _, _ = _pool(spec, "train", labels, names)
    sizes = np.bincount(pooled, minlength=spec.classes).astype(np.int64)
    if not sizes.all():
        empty = listed(called(int(k), names) for k in np.flatnonzero(sizes == 0))
        besides = f" besides the {spec.held_out:,} that are held out: lower held_out" if spec.held_out else ""
        raise LongtailError(f"{spec.dataset} has no image of {empty} in the pool {list(spec.pool)}{besides}.")
    ratio = sizes.max() / sizes.min()
    if spec.ratio is not None and abs(ratio - spec.ratio) > 0.5:
        raise LongtailError(
            f"{spec.dataset} keeps every row of its list, whose imbalance ratio is {ratio:g} ({sizes.max():,} to "
            f"{sizes.min():,} images), so ratio {spec.ratio:g} cannot be made of it. Ask for ratio {round(ratio)}."
        )
    return sizes


def _pool(
    spec: SplitSpec, split: str, labels: Mapping[str, np.ndarray], names: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of all rows that a split may take, with the position of each row's part and its row in that part."""
    parts = spec.parts(split)
    for part in parts:
        if part not in labels:
            raise LongtailError(
                f"The split of {spec.dataset} needs the labels of part {part!r}: add --labels {part}=PATH."
            )
        values = labels[part]
        outside = np.flatnonzero((values < 0) | (values >= spec.classes))
        if len(outside):
            raise LongtailError(
                f"Row {outside[0]} of part {part!r} of {spec.dataset} has label {values[outside[0]]}, but there are "
                f"{spec.classes} classes. The labels belong to another image set, or the store must be rebuilt."
            )
    lengths = [len(labels[part]) for part in parts]
    pooled = np.concatenate([labels[part] for part in parts])
    part_of = np.repeat(np.arange(len(parts)), lengths)
    row_of = np.concatenate([np.arange(length) for length in lengths])
    if spec.held_out is None or split == "val":
        return pooled, part_of, row_of
    held = among_last(pooled, spec.held_out, spec.classes, names)
    chosen = held if split == "test" else ~held
    return pooled[chosen], part_of[chosen], row_of[chosen]


def _read_labels(path: str | PathLike[str]) -> np.ndarray:
    column = read_table(path, ["label"]).column("label")
    if column.null_count or not pa.types.is_integer(column.type):
        raise LongtailError(
            f"Column 'label' of {path} is {column.type} with {column.null_count} nulls, not whole integers."
        )
    return column.to_numpy().astype(np.int64)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m longtail job split``."""
    parser.add_argument(
        "--spec",
        required=True,
        metavar="JSON",
        help="dataset, ratio, construction, pool, val, test, held_out, head_class_rows, classes and shots",
    )
    parser.add_argument("--split", required=True, choices=SPLITS)
    parser.add_argument(
        "--labels",
        required=True,
        nargs="+",
        action="extend",
        metavar="PART=PATH",
        help="labels.parquet of each part",
    )
    parser.add_argument("--out", required=True, metavar="PARQUET", help="the table to write")


def run(arguments: argparse.Namespace) -> None:
    """Write one split."""
    spec = SplitSpec.from_json(arguments.spec)
    labels = {}
    for pair in arguments.labels:
        part, equals, path = pair.partition("=")
        if not equals or not part or not path:
            raise LongtailError(f"--labels takes PART=PATH, not {pair!r}.")
        labels[part] = _read_labels(path)
    table = make_split(spec, arguments.split, labels)
    facts = {field.name: getattr(spec, field.name) for field in fields(spec)}
    write_table(arguments.out, table, split=arguments.split, **facts)
