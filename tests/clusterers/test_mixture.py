from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans

from longtail.clusterers.mixture import gaussian_mixture
from longtail.errors import LongtailError

SETTINGS = {"covariance_floor": 1e-6, "tolerance": 1e-4, "max_iterations": 300}


def flat_groups(rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """A wide flat group beside a narrow one, whose border K-means misses and a diagonal mixture finds."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], rows // 2)
    scale = np.where(labels[:, None] == 0, [6.0, 0.5], [0.3, 0.3])
    return scale * random.normal(size=(rows, 2)) + labels[:, None] * [6.0, 4.0], labels


@pytest.mark.parametrize("start", ["kmeans", "random"])
def test_finds_diagonal_gaussians(start: str) -> None:
    points, labels = flat_groups()
    found = [gaussian_mixture(points, 2, seed=seed, start=start, **SETTINGS) for seed in range(10)]
    assert max(max((labels == one).mean(), (labels != one).mean()) for one in found) > 0.99
    nearest = KMeans(2, n_init=10, random_state=0).fit_predict(points)
    assert max((labels == nearest).mean(), (labels != nearest).mean()) < 0.95
    assert found[0].dtype == np.int64


def test_seeds_repeat_and_differ() -> None:
    points = np.random.default_rng(1).normal(size=(80, 3))
    one, again, other = (gaussian_mixture(points, 4, seed=seed, start="random", **SETTINGS) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_bad_input_is_named() -> None:
    with pytest.raises(LongtailError, match="there are 3"):
        gaussian_mixture(np.eye(3), 4, seed=0, start="kmeans", **SETTINGS)
    with pytest.raises(LongtailError, match="nearest"):
        gaussian_mixture(np.eye(3), 2, seed=0, start="nearest", **SETTINGS)
