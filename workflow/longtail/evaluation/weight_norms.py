"""How long the weights of a classifier are, class by class (ICCL Fig. 2): a class with longer ones is preferred."""

from __future__ import annotations

import numpy as np

from longtail.errors import LongtailError


def weight_norms(weights: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|w_k| of every class, and the place of the class among all from the largest to the smallest.

    Args:
        weights: of a classifier, (K, d).
        sizes: training images of each class, (K,); of classes of one size the first comes first.

    Returns:
        Norms, (K,) float64, and places from 1, (K,) int64.

    Raises:
        LongtailError: if there are not as many sizes as weights, or a class without one.
    """
    if len(sizes) != len(weights) or not np.all(sizes > 0):
        raise LongtailError(
            f"The split knows the training images of {np.count_nonzero(sizes)} classes, but the classifier has weights "
            f"of {len(weights)}. Weights can only be sorted by the sizes of all their classes: embed a split that has "
            "rows of each."
        )
    places = np.empty(len(sizes), dtype=np.int64)
    places[np.argsort(-np.asarray(sizes), kind="stable")] = np.arange(1, len(sizes) + 1)
    return np.linalg.norm(weights.astype(np.float64), axis=1), places
