"""The long-tailed protocol: how many images each class keeps, which ones, and which classes are many, medium and few.

Source: ConMix Sec. 5.1.1 and MiniClustering Sec. 4.1 (exponential decay, ratio of largest to smallest class); what the
papers leave open is read off the official code (LZX-001/ConMix): classes in label order, rounding down, the first
rows of each class in source order. There is no seed: every method and every seed of it sees the same images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from longtail.errors import LongtailError

SHOTS = ("many", "medium", "few")


def class_sizes(head_class_rows: int, classes: int, ratio: float) -> np.ndarray:
    """Images per class, n_k = floor(n_max mu^k) with mu = (1 / ratio)^(1 / (K - 1)).

    The last class is floor(n_max / ratio), which the power misses by a rounding error at some ratios.

    Args:
        head_class_rows: n_max, images of class 0.
        classes: K, at least 2.
        ratio: imbalance ratio, largest class over smallest; 1 is balanced.

    Returns:
        int64 array (K,), not increasing.

    Raises:
        LongtailError: for a ratio below 1 or one that leaves the last class empty.
    """
    if classes < 2:
        raise LongtailError(f"A long-tailed split needs at least 2 classes, not {classes}.")
    if not math.isfinite(ratio) or ratio < 1:
        raise LongtailError(
            f"The imbalance ratio is largest over smallest class and at least 1 (balanced), not {ratio}."
        )
    last = math.floor(head_class_rows / ratio)
    if last < 1:
        raise LongtailError(
            f"At ratio {ratio:g} a head class of {head_class_rows} images leaves the last class empty; "
            f"the ratio can be at most {head_class_rows}."
        )
    decay = (1 / ratio) ** (1 / (classes - 1))
    sizes = np.floor(head_class_rows * np.power(decay, np.arange(classes, dtype=np.float64))).astype(np.int64)
    sizes[-1] = last
    return sizes


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
    available = np.bincount(labels, minlength=len(sizes))
    if len(available) > len(sizes):
        raise LongtailError(f"The pool has labels up to {len(available) - 1}, but there are {len(sizes)} classes.")
    short = np.flatnonzero(available < sizes)
    if len(short):
        k = int(short[0])
        raise LongtailError(
            f"Class {k} has {available[k]:,} images, but {sizes[k]:,} are wanted of it ({len(short)} of {len(sizes)} "
            f"classes are too small). Set head_class_rows to what the pool has, or add parts to the pool."
        )
    by_class = np.argsort(labels, kind="stable")
    ends = np.cumsum(available)
    return np.concatenate(
        [by_class[end - count : end - count + size] for end, count, size in zip(ends, available, sizes, strict=True)]
    )


def shot_groups(sizes: np.ndarray, shots: Sequence[int] | None = None) -> np.ndarray:
    """Many, medium or few for every class.

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
