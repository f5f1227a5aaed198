"""How long a training takes, from its history."""

from __future__ import annotations

import numpy as np


def seconds_per_epoch(seconds: np.ndarray) -> float:
    """The median: a first epoch warms caches up, and one that was interrupted stands still.

    Args:
        seconds: of each epoch, (E,) float.
    """
    return float(np.median(seconds))
