"""Gaussian mixtures with diagonal covariances (ConMix Table 8, GMM-k and GMM-r).

The paper names the two starts and nothing else. LZX-001/ConMix has a mixture class, which its scripts never call: it
starts several times, each time from a K-means of its own, and keeps the fit of the highest likelihood. GMM-k is that;
GMM-r starts as often from random responsibilities, which the class cannot do. Both are scikit-learn's mixture.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Literal

import numpy as np

from longtail.clusterers.euclidean import euclidean_kmeans
from longtail.errors import LongtailError


def gaussian_mixture(
    points: np.ndarray,
    clusters: int,
    *,
    seed: int,
    start: Literal["kmeans", "random"],
    inits: int,
    covariance_floor: float,
    tolerance: float,
    max_iterations: int,
) -> np.ndarray:
    """The most probable component of each row, (N,) int64, after expectation maximisation in float64.

    Args:
        points: (N, D) floating point, finite.
        clusters: number of components K.
        seed: of the starts.
        start: responsibilities of a start, from a K-means (GMM-k) or drawn at random (GMM-r).
        inits: number of starts, of which the likeliest fit is kept; a K-means that a fit starts from is itself the best
            of as many starts, as in the official code.
        covariance_floor: added to every variance.
        tolerance: change of the mean log-likelihood per row below which the iteration stops.
        max_iterations: its limit; a mixture that reaches it is used as it is.

    Raises:
        LongtailError: if N < K, ``start`` is unknown, or the mixture degenerates.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    if len(points) < clusters:
        raise LongtailError(f"A mixture of {clusters} components needs as many rows; there are {len(points)}.")
    points = points.astype(np.float64)
    settings = {
        "covariance_type": "diag",
        "reg_covar": covariance_floor,
        "tol": tolerance,
        "max_iter": max_iterations,
        "random_state": seed,
    }
    if start == "kmeans":
        starts = [
            GaussianMixture(clusters, **settings, **_moments(points, labels, clusters, covariance_floor))
            for labels in _partitions(points, clusters, seed, inits)
        ]
    else:
        starts = [GaussianMixture(clusters, **settings, init_params=start, n_init=inits)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            likeliest = max((mixture.fit(points) for mixture in starts), key=lambda mixture: mixture.lower_bound_)
            return likeliest.predict(points).astype(np.int64)
    except ValueError as error:
        raise LongtailError(f"The Gaussian mixture of {clusters} components cannot be fitted: {error}") from error


def _partitions(points: np.ndarray, clusters: int, seed: int, inits: int) -> Iterator[np.ndarray]:
    """The clusters of ``inits`` K-means, (N,) int64 each, without those that another one has found, too."""
    seen = set()
    for one in np.random.default_rng(seed).integers(2**31, size=inits).tolist():
        labels = euclidean_kmeans(points, clusters, seed=one, inits=inits)
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        numbered = first.argsort().argsort()[inverse]  # in the order in which the rows name them
        if numbered.tobytes() not in seen:
            seen.add(numbered.tobytes())
            yield numbered


def _moments(points: np.ndarray, labels: np.ndarray, clusters: int, covariance_floor: float) -> dict[str, np.ndarray]:
    """What the maximisation makes of a partition: weights (K,), means and precisions (K, D)."""
    member = (labels == np.arange(clusters)[:, None]).astype(np.float64)
    size = member.sum(1, keepdims=True) + 10 * np.finfo(np.float64).eps  # a cluster without a row has neither
    means = member @ points / size
    variances = member @ points**2 / size - means**2 + covariance_floor
    return {"weights_init": size[:, 0] / size.sum(), "means_init": means, "precisions_init": 1 / variances}
