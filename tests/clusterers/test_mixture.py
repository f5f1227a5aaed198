from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from longtail.clusterers import mixture
from longtail.clusterers.euclidean import euclidean_kmeans
from longtail.clusterers.mixture import gaussian_mixture
from longtail.errors import LongtailError

SETTINGS = {"inits": 3, "covariance_floor": 1e-6, "tolerance": 1e-4, "max_iterations": 300}


def flat_groups(rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """A wide flat group beside a narrow one, whose border K-means misses and a diagonal mixture finds."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], rows // 2)
    scale = np.where(labels[:, None] == 0, [6.0, 0.5], [0.3, 0.3])
    return scale * random.normal(size=(rows, 2)) + labels[:, None] * [6.0, 4.0], labels


@pytest.mark.parametrize("start", ["kmeans", "random"])
def test_finds_diagonal_gaussians(start: str) -> None:
    points, labels = flat_groups()
    found = [gaussian_mixture(points, 2, seed=seed, start=start, **SETTINGS) for seed in range(4)]
    assert max(max((labels == one).mean(), (labels != one).mean()) for one in found) > 0.99
    nearest = KMeans(2, n_init=10, random_state=0).fit_predict(points)
    assert max((labels == nearest).mean(), (labels != nearest).mean()) < 0.95
    assert found[0].dtype == np.int64


# the official class with loops over components, in the order of its statements


def log_densities(points, weights, means, variances):
    columns = []
    for weight, mean, variance in zip(weights, means, variances, strict=True):
        exponent = ((points - mean) ** 2 / variance + np.log(2 * math.pi * variance)).sum(1) / 2
        columns.append(math.log(weight) - exponent)
    return np.stack(columns, axis=1)


def maximised(points, responsibilities, floor):
    weights, means, variances = [], [], []
    for r in responsibilities.T:
        total = r.sum() + 10 * np.finfo(np.float64).eps
        mean = (r[:, None] * points).sum(0) / total
        weights.append(total / len(points))
        means.append(mean)
        variances.append((r[:, None] * (points - mean) ** 2).sum(0) / total + floor)
    return weights, means, variances


def slow_fit(points, labels, clusters, *, covariance_floor, tolerance, max_iterations, **_):
    """The bound that a fit from these labels reaches, and its clusters."""
    parameters = maximised(points, np.eye(clusters)[labels], covariance_floor)
    bound = -math.inf
    for _ in range(max_iterations):
        densities = log_densities(points, *parameters)
        evidence = np.logaddexp.reduce(densities, axis=1)
        parameters = maximised(points, np.exp(densities - evidence[:, None]), covariance_floor)
        before, bound = bound, evidence.mean()
        if abs(bound - before) < tolerance:
            break
    return bound, log_densities(points, *parameters).argmax(1)


def hard_points(seed: int, rows: int = 60) -> np.ndarray:
    """Groups that overlap, so that starts end in different places; of length one, as the tables' are."""
    random = np.random.default_rng(seed)
    points = random.normal(size=(6, 4))[random.integers(6, size=rows)] + random.normal(size=(rows, 4))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@settings(max_examples=8)
@given(seed=st.integers(0, 10**6), clusters=st.integers(1, 5))
def test_the_likeliest_of_several_starts_is_that_of_the_loops(seed: int, clusters: int) -> None:
    points = hard_points(seed)
    starts = np.random.default_rng(seed).integers(2**31, size=SETTINGS["inits"]).tolist()
    partitions = [euclidean_kmeans(points, clusters, seed=one, inits=SETTINGS["inits"]) for one in starts]
    bounds, found = zip(*(slow_fit(points, labels, clusters, **SETTINGS) for labels in partitions), strict=True)
    clustered = gaussian_mixture(points, clusters, seed=seed, start="kmeans", **SETTINGS)
    agreement = [adjusted_rand_score(labels, clustered) for labels in found]
    likeliest = [one for one, bound in zip(agreement, bounds, strict=True) if bound > max(bounds) - 1e-9]
    assert max(likeliest) == 1


def bound_of(points: np.ndarray, clusters: int, seed: int, start: str, inits: int) -> float:
    """How likely the points are under the mixture that is found."""
    labels = gaussian_mixture(points, clusters, seed=seed, start=start, **{**SETTINGS, "inits": inits})
    bound, _ = slow_fit(points, labels, clusters, **{**SETTINGS, "max_iterations": 1})
    return bound


@pytest.mark.parametrize("start", ["kmeans", "random"])
def test_more_starts_are_likelier(start: str) -> None:
    one, ten = (
        np.mean([bound_of(hard_points(seed, 120), 5, seed, start, inits) for seed in range(6)]) for inits in (1, 10)
    )
    assert ten > one


def test_a_partition_that_several_starts_find_is_fitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    points, found = hard_points(0), iter([[0, 1, 1] * 20, [1, 0, 0] * 20, [0, 0, 1] * 20])
    monkeypatch.setattr(mixture, "euclidean_kmeans", lambda *_, **__: np.array(next(found)))
    kept = list(mixture._partitions(points, 2, 0, 3))
    assert [labels.tolist() for labels in kept] == [[0, 1, 1] * 20, [0, 0, 1] * 20]


def test_fewer_different_rows_than_components_are_still_parted() -> None:
    points = np.repeat(np.eye(3), 4, axis=0)
    found = gaussian_mixture(points, 5, seed=0, start="kmeans", **SETTINGS)
    assert adjusted_rand_score(np.repeat(range(3), 4), found) == 1


def test_seeds_repeat_and_differ() -> None:
    points = np.random.default_rng(1).normal(size=(80, 3))
    few = {**SETTINGS, "inits": 1}
    one, again, other = (gaussian_mixture(points, 4, seed=seed, start="random", **few) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_bad_input_is_named() -> None:
    with pytest.raises(LongtailError, match="there are 3"):
        gaussian_mixture(np.eye(3), 4, seed=0, start="kmeans", **SETTINGS)
    with pytest.raises(LongtailError, match="nearest"):
        gaussian_mixture(np.eye(3), 2, seed=0, start="nearest", **SETTINGS)
