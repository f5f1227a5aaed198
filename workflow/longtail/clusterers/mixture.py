"""Gaussian mixtures with diagonal covariances (ConMix Table 8, GMM-k and GMM-r)."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np

from longtail.errors import LongtailError


def gaussian_mixture(
    points: np.ndarray,
    clusters: int,
    *,
    seed: int,
    start: Literal["kmeans", "random"],
    covariance_floor: float,
    tolerance: float,
    max_iterations: int,
) -> np.ndarray:
    """The most probable component of each row, (N,) int64, after expectation maximisation in float64.

    The paper names the two starts and nothing else; the mixture is scikit-learn's.

    Args:
        points: (N, D) floating point, finite.
        clusters: number of components K.
        seed: of the start.
        start: responsibilities of the start, from a K-means (GMM-k) or drawn at random (GMM-r).
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
    mixture = GaussianMixture(
        clusters,
        covariance_type="diag",
        init_params=start,
        reg_covar=covariance_floor,
        tol=tolerance,
        max_iter=max_iterations,
        random_state=seed,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return mixture.fit_predict(points.astype(np.float64)).astype(np.int64)
    except ValueError as error:
        raise LongtailError(f"The Gaussian mixture of {clusters} components cannot be fitted: {error}") from error
