"""The long-tailed protocol: how many images each class keeps, which ones, and which classes are many, medium and few.

Two constructions (``longtail.splits``), classes in label order and sizes rounded down in both. Neither depends on a
training's seed: every method and every seed of it sees the same images.

* ``longtail``: the first rows of each class in source order. Source: ConMix Sec. 5.1.1 and MiniClustering Sec. 4.1
  (exponential decay, ratio of largest to smallest class); what the papers leave open is read off LZX-001/ConMix.
* ``shuffled-longtail``: rows drawn once and for all. Source: LDAM (NeurIPS 2019) and the recognition papers after it,
  which do not say how; the draw is read off kaidic/LDAM-DRW, and dvlab-research/ResCom and others repeat it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from longtail import splits
from longtail.data.rows import listed
from longtail.errors import LongtailError

SHOTS = ("many", "medium", "few")


def class_sizes(head_class_rows: int, classes: int, ratio: float, construction: str = "longtail") -> np.ndarray:
    """Images per class, int64 (K,): :func:`longtail.splits.class_sizes` as an array."""
    return np.array(splits.class_sizes(head_class_rows, classes, ratio, construction), dtype=np.int64)


def first_rows(labels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The first ``sizes[k]`` rows of every class k.

    Args:
        labels: int64 (N,), classes of the pool in source order.
        sizes: int64 (K,), rows wanted of each class.

    Returns:
        int64 array of rows of the pool, sorted by (class, source order).

    Raises:
        LongtailError: if a class has fewer rows than wanted, or there are labels beyond K.
    """
    return _first(_rows_by_class(labels, len(sizes)), sizes)


def shuffled_rows(labels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """``sizes[k]`` rows of every class k, drawn as the recognition papers draw them.

    NumPy's legacy generator, seeded once with 0, shuffles the rows of class after class; the first ``sizes[k]`` are
    kept. How many that are does not move the generator, so the draws of different ratios are nested.

    Args:
        labels: int64 (N,), classes of the pool in source order.
        sizes: int64 (K,), rows wanted of each class.

    Returns:
        int64 array of rows of the pool, sorted by class; rows of a class are in shuffled order.

    Raises:
        LongtailError: if a class has fewer rows than wanted, or there are labels beyond K.
    """
    generator = np.random.RandomState(0)  # whose draws NumPy promises to leave as they are
    by_class = _rows_by_class(labels, len(sizes))
    for rows in by_class:
        generator.shuffle(rows)
    return _first(by_class, sizes)


def among_last(labels: np.ndarray, count: int, classes: int, names: Sequence[str] = ()) -> np.ndarray:
    """Which rows are among the last ``count`` of their class, and so held out of a pool for testing.

    Args:
        labels: int64 (N,), classes of the pool in source order.
        count: rows of each class, at least 1.
        classes: K.
        names: of the classes, for messages; empty where only their numbers are known.

    Returns:
        bool array (N,).

    Raises:
        LongtailError: if classes have fewer rows, or there are labels beyond K.
    """
    held = np.zeros(len(labels), dtype=bool)
    by_class = _rows_by_class(labels, classes)
    short = [k for k, rows in enumerate(by_class) if len(rows) < count]
    if short:
        counts = listed(f"{called(k, names)} has {len(by_class[k]):,}" for k in short)
        raise LongtailError(
            f"{len(short)} of {classes} classes have fewer images than the {count:,} that are held out of each class: "
            f"{counts}. Lower held_out, or leave these classes out."
        )
    for rows in by_class:
        held[rows[-count:]] = True
    return held


def called(label: int, names: Sequence[str] = ()) -> str:
    """What messages call a class: by its name, too, where that is known."""
    return f"class {label} ({names[label]})" if label < len(names) else f"class {label}"


def _rows_by_class(labels: np.ndarray, classes: int) -> list[np.ndarray]:
    """All rows of each class in source order."""
    available = np.bincount(labels, minlength=classes)
    if len(available) > classes:
        raise LongtailError(f"The pool has labels up to {len(available) - 1}, but there are {classes} classes.")
    return np.split(np.argsort(labels, kind="stable"), np.cumsum(available)[:-1])


def _first(by_class: Sequence[np.ndarray], sizes: np.ndarray) -> np.ndarray:
    """The first ``sizes[k]`` of the rows of every class k, checked to be there."""
    require_enough(np.array([len(rows) for rows in by_class]), sizes)
    return np.concatenate([rows[:size] for rows, size in zip(by_class, sizes, strict=True)])


def require_enough(available: np.ndarray, sizes: np.ndarray, names: Sequence[str] = (), hint: str = "") -> None:
    """Check that there are as many rows of each class as are wanted.

    Args:
        available: int64 (K,).
        sizes: int64 (K,), what is wanted.
        names: of the classes, for the message; empty where only their numbers are known.
        hint: what can be done about it.

    Raises:
        LongtailError: naming the classes that have fewer.
    """
    short = np.flatnonzero(available < sizes).tolist()
    if short:
        counts = listed(f"{called(k, names)} has {available[k]:,} of {sizes[k]:,}" for k in short)
        way_out = hint or "Set head_class_rows to what the pool has, or add parts to the pool."
        raise LongtailError(
            f"{len(short)} of {len(sizes)} classes have fewer images than are wanted of them: {counts}. {way_out}"
        )


def largest_head(available: np.ndarray, ratio: float, construction: str, most: int | None = None) -> int | None:
    """The most images of the first class with which a long tail can be cut.

    Args:
        available: int64 (K,), images of each class.
        ratio: imbalance ratio, at least 1.
        construction: one of :data:`longtail.splits.LONG_TAILS`.
        most: that are wanted of the first class; None for all there are.

    Returns:
        None if there is no such long tail of that ratio.
    """
    for head in range(min(int(available[0]), most or int(available[0])), math.ceil(ratio) - 1, -1):
        with suppress(LongtailError):  # of a head so small that nothing is left of the last class
            if (available >= class_sizes(head, len(available), ratio, construction)).all():
                return head
    return None


def shot_groups(sizes: np.ndarray, shots: Sequence[int] | None = None) -> np.ndarray:
    """Many, medium or few for every class by its place among the classes, as the split table has it.

    Args:
        sizes: int64 (K,), images of each class in the training split.
        shots: how many classes are many, medium and few, by decreasing size, ties in label order; when None, the shares
            3 : 4 : 3 of ConMix Table 10 (its ten classes are split so), many and few rounded to the nearest.

    Returns:
        Array (K,) of strings.

    Raises:
        LongtailError: if ``shots`` does not add up to K.
    """
    classes = len(sizes)
    if shots is None:
        outer = (3 * classes + 5) // 10
        shots = (outer, classes - 2 * outer, outer)
    if len(shots) != 3 or min(shots) < 0 or sum(shots) != classes:
        raise LongtailError(f"shots must be three counts of classes that add up to {classes}, not {list(shots)}.")
    groups = np.empty(classes, dtype="<U6")
    groups[np.argsort(-np.asarray(sizes), kind="stable")] = np.repeat(SHOTS, shots)
    return groups
