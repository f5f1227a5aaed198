"""K-means for jobs that hold arrays: torch is loaded only when it is run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from longtail.errors import LongtailError


def kmeans(
    vectors: np.ndarray, clusters: int, *, seeds: Sequence[int], inits: int, device: str = "cpu"
) -> list[np.ndarray]:
    """Labels of a spherical K-means per seed, each (N,) int64; see :mod:`longtail.clusterers.kmeans`.

    Args:
        vectors: (N, D) float32, of any length per row.
        clusters: number of clusters.
        seeds: one per trial.
        inits: starts per trial.
        device: the torch device to compute on.

    Raises:
        LongtailError: if there are fewer rows than clusters, or the device cannot be used.
    """
    import torch

    from longtail.clusterers.kmeans import spherical_kmeans_trials

    try:
        points = torch.from_numpy(vectors).to(device)
    except (RuntimeError, AssertionError) as error:
        raise LongtailError(f"The device {device!r} cannot be used: {error}") from error
    return [result.labels.cpu().numpy() for result in spherical_kmeans_trials(points, clusters, seeds, inits)]


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Keep numpy, scikit-learn and torch to ``number`` threads: those that are loaded and those that will be.

    Raises:
        LongtailError: if ``number`` is below 1.
    """
    from threadpoolctl import threadpool_limits

    if number < 1:
        raise LongtailError(f"A job needs at least one thread, not {number}.")
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(number)
    try:
        with threadpool_limits(number):
            yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
