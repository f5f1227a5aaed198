"""Both versions of spherical K-means, for tensors and for arrays, are held against one slow one and each other."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from longtail.clusterers import bounded_kmeans, kmeans
from longtail.clusterers.bounded_kmeans import KMeansResult
from longtail.clusterers.spherical import draws
from longtail.errors import LongtailError

Trials = Callable[[np.ndarray, int, list[int], int], list[KMeansResult]]


def on_tensors(points: np.ndarray, clusters: int, seeds: list[int], inits: int) -> list[KMeansResult]:
    """The version for tensors, called with arrays."""
    found = kmeans.spherical_kmeans_trials(torch.from_numpy(points), clusters, seeds, inits)
    return [KMeansResult(result.labels.numpy(), result.centres.numpy(), result.inertia) for result in found]


VERSIONS: dict[str, Trials] = {"tensors": on_tensors, "arrays": bounded_kmeans.spherical_kmeans_trials}


@pytest.fixture(params=VERSIONS)
def trials(request: pytest.FixtureRequest) -> Trials:
    return VERSIONS[request.param]


def blobs(rows: int = 240, dimensions: int = 8, groups: int = 5, spread: float = 0.25, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    means = unit(generator.standard_normal((groups, dimensions)))
    which = generator.integers(groups, size=rows)
    scale = generator.uniform(0.5, 1.5, (rows, 1))  # lengths must not matter
    points = scale * (means[which] + spread * generator.standard_normal((rows, dimensions)))
    return points.astype(np.float32)


def unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def one_start(
    points: np.ndarray, clusters: int, seed: int, lengths_count: bool = False
) -> tuple[float, np.ndarray, np.ndarray]:
    """One start written from the description, in float64 loops; the draws are those of the fast versions."""
    x = unit(points)
    averaged = points if lengths_count else x
    first, uniforms = draws(seed, len(x), clusters)
    centres = [x[first]]
    for uniform_candidates in uniforms:
        nearest = np.array([max(0.0, min(1 - row @ centre for centre in centres)) for row in x])
        options = []
        for uniform in uniform_candidates:
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

    best, previous, arrived = (math.inf, None, None), None, False
    for _ in range(300):
        distances = np.array([[1 - cosine(row, centre) for centre in centres] for row in x])
        labels = distances.argmin(axis=1)
        inertia = distances.min(axis=1).sum()
        if inertia < best[0]:
            best = (inertia, labels, centres)
        moved = np.array(
            [
                averaged[labels == k].mean(axis=0) if (labels == k).any() else np.zeros(x.shape[1])
                for k in range(clusters)
            ]
        )
        shift = sum(1 - cosine(old, new) for old, new in zip(centres, moved, strict=True))
        settled = (previous is not None and (labels == previous).all()) or shift <= 1e-4 * averaged.var(axis=0).mean()
        if arrived or (settled and not lengths_count):
            break
        arrived = settled  # the official code of LFSS looks at the centres that the last step leads to
        centres, previous = moved, labels
    return best


@pytest.mark.parametrize(("clusters", "seed"), [(1, 0), (2, 3), (5, 11), (9, 4)])
def test_equals_the_slow_version(trials: Trials, clusters: int, seed: int) -> None:
    points = blobs(rows=60, spread=0.6)
    starts = [one_start(points.astype(np.float64), clusters, seed + i) for i in range(3)]
    inertia, labels, centres = min(starts, key=lambda start: start[0])
    (result,) = trials(points, clusters, [seed], 3)
    assert result.inertia == pytest.approx(inertia, rel=1e-5)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_allclose(result.centres, centres, atol=1e-6)


@settings(deadline=None, max_examples=15)
@given(clusters=st.integers(1, 6), seed=st.integers(0, 10_000), longest=st.sampled_from([1.0, 10.0, 100.0]))
def test_lengths_that_count_move_the_centres_towards_long_rows(clusters: int, seed: int, longest: float) -> None:
    points = blobs(rows=40, spread=0.6, seed=seed)
    points *= np.random.default_rng(seed).uniform(1.0, longest, (len(points), 1)).astype(np.float32)
    inertia, labels, centres = one_start(points.astype(np.float64), clusters, seed, lengths_count=True)
    found = kmeans.spherical_kmeans(torch.from_numpy(points), clusters, seed=seed, inits=1, lengths_count=True)
    assert found.inertia == pytest.approx(inertia, rel=1e-5)
    np.testing.assert_array_equal(found.labels.numpy(), labels)
    np.testing.assert_allclose(found.centres.numpy(), centres, rtol=1e-5, atol=1e-5 * longest)


def test_lengths_that_count_change_what_is_found() -> None:
    """A long row draws the centre of its cluster to itself, and its neighbours to another cluster."""
    points = blobs(rows=200, spread=0.9)
    points[::10] *= 50
    one, other = (
        kmeans.spherical_kmeans(torch.from_numpy(points), 5, seed=0, lengths_count=count).labels
        for count in (False, True)
    )
    assert not torch.equal(one, other)


@pytest.mark.parametrize("seed", [0, 9361, 2**32 - 1])
@pytest.mark.parametrize(("rows", "clusters"), [(7, 1), (1797, 10), (20_431, 300)])
def test_starts_are_drawn_as_torch_draws_them(seed: int, rows: int, clusters: int) -> None:
    """Results of either version stay what they were when a device draws, or another release of numpy."""
    generator = torch.Generator().manual_seed(seed)
    first = int(torch.randint(rows, (), generator=generator))
    uniform = torch.rand(clusters - 1, 2 + int(math.log(clusters)), generator=generator, dtype=torch.float64)
    drawn_first, drawn = draws(seed, rows, clusters)
    assert drawn_first == first
    np.testing.assert_array_equal(drawn, uniform.numpy())


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    clusters=st.integers(1, 12),
    rows=st.integers(12, 400),
    dimensions=st.integers(1, 20),
    spread=st.sampled_from([0.05, 0.5, 2.0]),
    settled=st.sampled_from([0.0, 0.003, 1.0]),
    unsure=st.sampled_from([0.0, 0.6, 1.0]),
)
def test_bounds_and_batches_find_what_plain_iterations_find(
    seed: int, clusters: int, rows: int, dimensions: int, spread: float, settled: float, unsure: float
) -> None:
    """Whenever the arrays' version goes over to bounds, and however few rows it then looks at."""
    points = blobs(rows, dimensions, spread=spread, seed=seed)
    expected = on_tensors(points, clusters, [seed], 2)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounded_kmeans, "SETTLED", settled)
        patch.setattr(bounded_kmeans, "UNSURE", unsure)
        found = bounded_kmeans.spherical_kmeans(points, clusters, seed=seed, inits=2)
    # a row between two centres may go either way by rounding, and a later iteration another way for it
    assert found.inertia == pytest.approx(expected.inertia, rel=1e-3, abs=1e-4)


def test_both_versions_agree_on_many_rows() -> None:
    points = blobs(rows=6000, dimensions=24, groups=7, spread=0.4)
    for one, other in zip(*(version(points, 9, [3, 40, 77], 4) for version in VERSIONS.values()), strict=True):
        assert one.inertia == pytest.approx(other.inertia, rel=1e-6)
        assert (one.labels == other.labels).mean() > 0.999


def test_trials_together_equal_trials_alone(trials: Trials) -> None:
    points, seeds = blobs(spread=0.7), [5, 77, 1000]
    for seed, result in zip(seeds, trials(points, 6, seeds, 4), strict=True):
        (alone,) = trials(points, 6, [seed], 4)
        np.testing.assert_array_equal(result.labels, alone.labels)
        np.testing.assert_allclose(result.centres, alone.centres, atol=1e-6)
        assert result.inertia == pytest.approx(alone.inertia, rel=1e-6)


def test_groups_and_chunks_do_not_change_the_result(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    points = blobs(spread=0.7)
    whole = trials(points, 6, [1, 50], 3)
    monkeypatch.setattr(kmeans, "STARTS_WIDTH", 12)
    monkeypatch.setattr(kmeans, "CHUNK_ELEMENTS", {"cpu": 100, "cuda": 100})
    monkeypatch.setattr(bounded_kmeans, "WIDTH", 12)
    monkeypatch.setattr(bounded_kmeans, "CHUNK_ELEMENTS", 100)
    monkeypatch.setattr(bounded_kmeans, "CANDIDATE_ELEMENTS", 100)
    monkeypatch.setattr(bounded_kmeans, "RANKED_ROWS", 7)
    for one, other in zip(whole, trials(points, 6, [1, 50], 3), strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_allclose(one.centres, other.centres, atol=1e-6)


def test_as_good_as_scikit_learn_on_separate_groups(trials: Trials) -> None:
    points = blobs(rows=400, groups=5, spread=0.15)
    rows = unit(points)
    fit = KMeans(5, n_init=10, random_state=0).fit(rows)
    reference = float((1 - (rows @ unit(fit.cluster_centers_).T).max(axis=1)).sum())
    assert trials(points, 5, [0], 10)[0].inertia == pytest.approx(reference, rel=1e-4)


@pytest.mark.parametrize("version", VERSIONS)
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), clusters=st.integers(1, 12), rows=st.integers(12, 60))
def test_result_is_consistent(version: str, seed: int, clusters: int, rows: int) -> None:
    points = blobs(rows=rows, spread=1.0, seed=seed)
    (result,) = VERSIONS[version](points, clusters, [seed], 2)
    assert result.labels.dtype == np.int64
    assert result.labels.shape == (rows,)
    assert result.centres.dtype == np.float32
    assert result.centres.shape == (clusters, 8)
    cosine = unit(points) @ unit(result.centres).T
    np.testing.assert_allclose(cosine[np.arange(rows), result.labels], cosine.max(axis=1), atol=1e-6)
    assert result.inertia == pytest.approx(float((1 - cosine.max(axis=1)).sum()), rel=1e-5, abs=1e-5)
    (again,) = VERSIONS[version](points, clusters, [seed], 2)
    np.testing.assert_array_equal(result.labels, again.labels)
    np.testing.assert_array_equal(result.centres, again.centres)


def test_length_of_rows_is_irrelevant(trials: Trials) -> None:
    points = blobs(spread=0.7)
    scaled = points * np.float32(2.0) ** (np.arange(len(points)) % 5)[:, None].astype(np.float32)
    np.testing.assert_array_equal(trials(points, 4, [2], 10)[0].labels, trials(scaled, 4, [2], 10)[0].labels)


def test_more_inits_never_hurt(trials: Trials) -> None:
    points = blobs(groups=9, spread=0.5)
    inertias = [trials(points, 9, [0], inits)[0].inertia for inits in (1, 3, 10)]
    assert inertias[0] >= inertias[1] >= inertias[2]


def test_fewer_distinct_rows_than_clusters_leaves_clusters_empty(trials: Trials) -> None:
    (result,) = trials(np.tile(np.eye(3, dtype=np.float32), (4, 1)), 5, [0], 2)
    assert len(np.unique(result.labels)) == 3
    assert result.inertia == pytest.approx(0.0, abs=1e-6)


def test_ties_are_counted_once(trials: Trials) -> None:
    axes = np.eye(4, dtype=np.float32)[:2]
    (result,) = trials(np.concatenate([axes, np.zeros((6, 4), np.float32), -axes]), 2, [0], 3)
    assert np.isfinite(result.centres).all()
    assert (result.labels[2:8] == result.labels[2]).all()


def test_as_many_clusters_as_rows(trials: Trials) -> None:
    (result,) = trials(np.eye(6, dtype=np.float32), 6, [0], 1)
    assert len(np.unique(result.labels)) == 6


def test_autocast_and_low_precision_products_do_not_reach_tensors() -> None:
    points = torch.from_numpy(blobs(spread=0.7))
    expected = kmeans.spherical_kmeans(points, 5, seed=0, inits=2)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = kmeans.spherical_kmeans(points, 5, seed=0, inits=2)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert found.centres.dtype == torch.float32
    assert torch.equal(found.centres, expected.centres)


@pytest.mark.parametrize(
    ("points", "clusters", "message"),
    [
        (np.ones((3, 2)), 4, "4 clusters of 3 rows"),
        (np.ones((3, 2)), 0, "at least one cluster"),
        (np.array([[1.0, np.nan]]), 1, "NaN"),
        (np.array([[1.0, np.inf]]), 1, "infinite"),
        (np.ones(3), 1, "matrix"),
        (np.ones((3, 2), dtype=np.int64), 1, "floating point"),
    ],
)
def test_bad_input_is_named(trials: Trials, points: np.ndarray, clusters: int, message: str) -> None:
    with pytest.raises(LongtailError, match=message):
        trials(points, clusters, [0], 10)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_finds_what_the_cpu_finds() -> None:
    points = torch.from_numpy(blobs(rows=2000, spread=0.5))
    cpu = kmeans.spherical_kmeans_trials(points, 5, [0, 100])
    for one, other in zip(cpu, kmeans.spherical_kmeans_trials(points.cuda(), 5, [0, 100]), strict=True):
        assert one.inertia == pytest.approx(other.inertia, rel=1e-4)
        assert other.labels.is_cuda
