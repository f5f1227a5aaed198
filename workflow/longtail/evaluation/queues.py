"""What the kinds of queues of ResCom's Figure 3 hold of each class."""

from __future__ import annotations

import numpy as np

KINDS = ("original", "reversed", "balanced")


def expected_keys(sizes: np.ndarray, kind: str, keys_per_class: int) -> np.ndarray:
    """Keys of each class in a full queue of Q times as many keys as there are classes, (K,) float64.

    The mean, as the queue of all classes holds the last images of a shuffled training split; the other two are made to
    hold these numbers, as ``longtail.models.class_queues`` has them.

    Args:
        sizes: training images of each class, (K,) int64, in any order.
        kind: ``original``, the last images of all classes; ``reversed``, where the largest class has the share of the
            smallest, and so on, but one key at least; or ``balanced``.
        keys_per_class: Q.
    """
    total = len(sizes) * keys_per_class
    if kind == "balanced":
        return np.full(len(sizes), float(keys_per_class))
    shares = sizes * total / sizes.sum()
    if kind == "original":
        return shares
    reverse = np.empty_like(shares)
    reverse[np.argsort(-sizes, kind="stable")] = np.sort(shares).round().clip(min=1)
    return reverse
