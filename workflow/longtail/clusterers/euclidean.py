"""Euclidean K-means, as the codes of IDFD and DMICC cluster their memory banks."""

from __future__ import annotations

import warnings

import numpy as np

from longtail.errors import LongtailError


def euclidean_kmeans(points: np.ndarray, clusters: int, *, seed: int, inits: int) -> np.ndarray:
    """The cluster of each row, (N,) int64, in the best of ``inits`` starts; scikit-learn's K-means.

    Args:
        points: (N, D) floating point, finite.
        clusters: number of clusters K. Fewer are used if fewer rows differ.
        seed: of the starts.
        inits: number of starts.

    Raises:
        LongtailError: if N < K.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    if len(points) < clusters:
        raise LongtailError(f"{len(points)} rows cannot be parted into {clusters} clusters.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than clusters: a collapse
        return KMeans(clusters, n_init=inits, random_state=seed).fit_predict(points).astype(np.int64)
