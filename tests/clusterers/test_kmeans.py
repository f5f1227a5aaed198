from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from torch.nn.functional import normalize

from longtail.clusterers.kmeans import spherical_kmeans, spherical_kmeans_trials
from longtail.errors import LongtailError


def blobs(rows: int = 240, dimensions: int = 8, groups: int = 5, spread: float = 0.25, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    means = normalize(torch.randn(groups, dimensions, generator=generator), dim=1)
    which = torch.randint(groups, (rows,), generator=generator)
    scale = 0.5 + torch.rand(rows, 1, generator=generator)  # lengths must not matter
    return scale * (means[which] + spread * torch.randn(rows, dimensions, generator=generator))


def one_start(points: np.ndarray, clusters: int, seed: int) -> tuple[float, np.ndarray, np.ndarray]:
    """One start written from the description, in float64 loops; the draws are those of the fast version."""
    x = points / np.linalg.norm(points, axis=1, keepdims=True)
    candidates = 2 + math.floor(math.log(clusters))
    generator = torch.Generator().manual_seed(seed)
    centres = [x[int(torch.randint(len(x), (), generator=generator))]]
    uniforms = torch.rand(clusters - 1, candidates, generator=generator, dtype=torch.float64).numpy()
    for step in range(clusters - 1):
        nearest = np.array([max(0.0, min(1 - row @ centre for centre in centres)) for row in x])
        options = []
        for uniform in uniforms[step]:
            target, passed, drawn = uniform * nearest.sum(), 0.0, len(x) - 1
            for row, distance in enumerate(nearest):
                passed += distance
                if passed > target:
                    drawn = row
                    break
            options.append((sum(min(old, 1 - row @ x[drawn]) for old, row in zip(nearest, x, strict=True)), drawn))
        centres.append(x[min(options)[1]])
    centres = np.array(centres)

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        lengths = np.linalg.norm(a) * np.linalg.norm(b)
        return float(a @ b / lengths) if lengths else 0.0

    best, previous = (math.inf, None, None), None
    for _ in range(300):
        distances = np.array([[1 - cosine(row, centre) for centre in centres] for row in x])
        labels = distances.argmin(axis=1)
        inertia = distances.min(axis=1).sum()
        if inertia < best[0]:
            best = (inertia, labels, centres)
        moved = np.array(
            [x[labels == k].mean(axis=0) if (labels == k).any() else np.zeros(x.shape[1]) for k in range(clusters)]
        )
        shift = sum(1 - cosine(old, new) for old, new in zip(centres, moved, strict=True))
        if (previous is not None and (labels == previous).all()) or shift <= 1e-4 * x.var(axis=0).mean():
            break
        centres, previous = moved, labels
    return best


@pytest.mark.parametrize(("clusters", "seed"), [(1, 0), (2, 3), (5, 11), (9, 4)])
def test_equals_the_slow_version(clusters: int, seed: int) -> None:
    points = blobs(rows=60, spread=0.6)
    starts = [one_start(points.double().numpy(), clusters, seed + i) for i in range(3)]
    inertia, labels, centres = min(starts, key=lambda start: start[0])
    result = spherical_kmeans(points, clusters, seed=seed, inits=3)
    assert result.inertia == pytest.approx(inertia, rel=1e-5)
    np.testing.assert_array_equal(result.labels.numpy(), labels)
    np.testing.assert_allclose(result.centres.numpy(), centres, atol=1e-6)


def test_trials_together_equal_trials_alone() -> None:
    points, seeds = blobs(spread=0.7), [5, 77, 1000]
    together = spherical_kmeans_trials(points, 6, seeds, inits=4)
    for seed, result in zip(seeds, together, strict=True):
        alone = spherical_kmeans(points, 6, seed=seed, inits=4)
        assert torch.equal(result.labels, alone.labels)
        torch.testing.assert_close(result.centres, alone.centres)
        assert result.inertia == pytest.approx(alone.inertia, rel=1e-6)


def test_groups_and_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    points = blobs(spread=0.7)
    whole = spherical_kmeans_trials(points, 6, [1, 50], inits=3)
    monkeypatch.setattr("longtail.clusterers.kmeans.STARTS_WIDTH", 12)
    monkeypatch.setattr("longtail.clusterers.kmeans.CHUNK_ELEMENTS", {"cpu": 100, "cuda": 100})
    for one, other in zip(whole, spherical_kmeans_trials(points, 6, [1, 50], inits=3), strict=True):
        assert torch.equal(one.labels, other.labels)
        torch.testing.assert_close(one.centres, other.centres)


def test_as_good_as_scikit_learn_on_separate_groups() -> None:
    points = blobs(rows=400, groups=5, spread=0.15)
    rows = normalize(points, dim=1)
    fit = KMeans(5, n_init=10, random_state=0).fit(rows.numpy())
    centres = normalize(torch.from_numpy(fit.cluster_centers_), dim=1)
    reference = float((1 - (rows @ centres.T).amax(dim=1)).sum())
    assert spherical_kmeans(points, 5, seed=0).inertia == pytest.approx(reference, rel=1e-4)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), clusters=st.integers(1, 12), rows=st.integers(12, 60))
def test_result_is_consistent(seed: int, clusters: int, rows: int) -> None:
    points = blobs(rows=rows, spread=1.0, seed=seed)
    result = spherical_kmeans(points, clusters, seed=seed, inits=2)
    assert result.labels.dtype == torch.int64
    assert result.labels.shape == (rows,)
    assert result.centres.shape == (clusters, 8)
    cosine = normalize(points, dim=1) @ normalize(result.centres, dim=1).T
    assert torch.equal(result.labels, cosine.argmax(dim=1))
    assert result.inertia == pytest.approx(float((1 - cosine.amax(dim=1)).sum()), rel=1e-5, abs=1e-5)
    again = spherical_kmeans(points, clusters, seed=seed, inits=2)
    assert torch.equal(result.labels, again.labels)
    assert torch.equal(result.centres, again.centres)


def test_length_of_rows_is_irrelevant() -> None:
    points = blobs(spread=0.7)
    scaled = points * (2.0 ** torch.arange(len(points)).remainder(5))[:, None]
    assert torch.equal(spherical_kmeans(points, 4, seed=2).labels, spherical_kmeans(scaled, 4, seed=2).labels)


def test_more_inits_never_hurt() -> None:
    points = blobs(groups=9, spread=0.5)
    inertias = [spherical_kmeans(points, 9, seed=0, inits=inits).inertia for inits in (1, 3, 10)]
    assert inertias[0] >= inertias[1] >= inertias[2]


def test_fewer_distinct_rows_than_clusters_leaves_clusters_empty() -> None:
    points = torch.eye(3).repeat(4, 1)
    result = spherical_kmeans(points, 5, seed=0, inits=2)
    assert len(result.labels.unique()) == 3
    assert result.inertia == pytest.approx(0.0, abs=1e-6)


def test_ties_are_counted_once() -> None:
    points = torch.cat([torch.eye(4)[:2], torch.zeros(6, 4), -torch.eye(4)[:2]])
    result = spherical_kmeans(points, 2, seed=0, inits=3)
    assert torch.isfinite(result.centres).all()
    assert (result.labels[2:8] == result.labels[2]).all()


def test_as_many_clusters_as_rows() -> None:
    result = spherical_kmeans(torch.eye(6), 6, seed=0, inits=1)
    assert len(result.labels.unique()) == 6


def test_autocast_and_low_precision_products_do_not_reach_it() -> None:
    points = blobs(spread=0.7)
    expected = spherical_kmeans(points, 5, seed=0, inits=2)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = spherical_kmeans(points, 5, seed=0, inits=2)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert found.centres.dtype == torch.float32
    assert torch.equal(found.centres, expected.centres)


@pytest.mark.parametrize(
    ("points", "clusters", "message"),
    [
        (torch.ones(3, 2), 4, "4 clusters of 3 rows"),
        (torch.ones(3, 2), 0, "at least one cluster"),
        (torch.tensor([[1.0, float("nan")]]), 1, "NaN"),
        (torch.tensor([[1.0, float("inf")]]), 1, "infinite"),
        (torch.ones(3), 1, "matrix"),
        (torch.ones(3, 2, dtype=torch.int64), 1, "floating point"),
    ],
)
def test_bad_input_is_named(points: torch.Tensor, clusters: int, message: str) -> None:
    with pytest.raises(LongtailError, match=message):
        spherical_kmeans(points, clusters, seed=0)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_finds_what_the_cpu_finds() -> None:
    points = blobs(rows=2000, spread=0.5)
    cpu = spherical_kmeans_trials(points, 5, [0, 100])
    for one, other in zip(cpu, spherical_kmeans_trials(points.cuda(), 5, [0, 100]), strict=True):
        assert one.inertia == pytest.approx(other.inertia, rel=1e-4)
        assert other.labels.is_cuda
