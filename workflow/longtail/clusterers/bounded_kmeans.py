"""Spherical K-means on arrays: the algorithm of :mod:`longtail.clusterers.spherical`, for the CPU and without torch.

The first iterations of several starts move together, so that one wide matrix product gives the cosines of a chunk of
rows to the centres of all of them. Once few rows change their cluster, a start goes on alone and ranks the centres
anew only for those rows whose nearest centre may have become another one. Between two unit centres u_a and u_b, the
lead x.u_a - x.u_b of a row x of length one changes by no more than |d_a - d_b| when the centres move by d_a and d_b: as
long as these distances, summed over the iterations, are below the lead that the row had when it was last ranked, its
label is certain (the bounds of Hamerly, SIAM SDM 2010, with pairs of centres in place of single ones). The sums of the
clusters follow the rows that changed. So each iteration gives what the plain one would, up to the rounding of float32
products, in a fraction of its time.

Shape suffixes: N rows, D dimensions, K clusters, S starts, C = S·K centres, L candidates of a k-means++ step,
R rows of a chunk, M rows that are looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from longtail.clusterers.spherical import MAX_ITERATIONS, TOLERANCE, check, draws

WIDTH = 128  # centres that move together: a matrix product as wide is about as fast per centre as one can be
CHUNK_ELEMENTS = 2**18  # cosines held at once: the CPU's second-level cache
CANDIDATE_ELEMENTS = 2**23  # cosines of candidates held at once: the third-level cache
RANKED_ROWS = 2**12  # rows ranked at once
SETTLED = 0.003  # share of rows that change their cluster, below which bounds save more than they cost
UNSURE = 0.6  # share of rows that are not certain, above which all are ranked: nothing needs to be gathered
WORN = 16  # times its size that a cluster may exchange rows until its sum is taken anew


@dataclass(frozen=True)
class KMeansResult:
    """The best assignment that a trial has seen.

    Attributes:
        labels: cluster of each row, (N,) int64; the nearest of ``centres`` by cosine, the first of equals.
        centres: (K, D) float32, means of normalised rows, not normalised themselves; zero for a cluster without rows.
        inertia: sum over the rows of the cosine distance to their centre.
    """

    labels: np.ndarray
    centres: np.ndarray
    inertia: float


def spherical_kmeans(embeddings: np.ndarray, clusters: int, *, seed: int, inits: int = 10) -> KMeansResult:
    """One trial of :func:`spherical_kmeans_trials`."""
    return spherical_kmeans_trials(embeddings, clusters, [seed], inits)[0]


def spherical_kmeans_trials(
    embeddings: np.ndarray, clusters: int, seeds: Sequence[int], inits: int = 10
) -> list[KMeansResult]:
    """Cluster ``embeddings`` by cosine, one trial per seed: the best of its ``inits`` starts.

    The result is the same for the same seed, BLAS, number of threads and order of rows; another order of rows is
    another draw. Trials together are equal to trials alone up to the rounding of float32 products.

    Args:
        embeddings: (N, D) floating point, of any length per row.
        clusters: number of clusters K.
        seeds: one per trial; start i of a trial draws from the seed ``seed + i``.
        inits: number of starts per trial.

    Raises:
        LongtailError: if N < K, or ``embeddings`` is not a finite matrix.
    """
    floating = np.issubdtype(embeddings.dtype, np.floating)
    check(embeddings.shape, embeddings.dtype, clusters, inits, floating, lambda: bool(np.isfinite(embeddings).all()))
    x_ND = _unit(embeddings)
    tolerance = TOLERANCE * _mean_variance(x_ND)
    starts = [seed + i for seed in seeds for i in range(inits)]
    chosen_SK = plus_plus(x_ND, clusters, starts)
    together = max(1, WIDTH // clusters)
    best: list[tuple[np.ndarray, float]] = []
    for first in range(0, len(starts), together):
        best += lloyd(x_ND, x_ND[chosen_SK[first : first + together]], tolerance)
    trials = (best[first : first + inits] for first in range(0, len(best), inits))
    return [_assign(x_ND, min(trial, key=lambda start: start[1])[0]) for trial in trials]


def plus_plus(x_ND: np.ndarray, clusters: int, seeds: Sequence[int]) -> np.ndarray:
    """Rows that greedy k-means++ takes as initial centres, (S, K) int64, one start per seed."""
    rows, starts = len(x_ND), len(seeds)
    chosen_SK = np.empty((starts, clusters), dtype=np.intp)
    first, uniform = zip(*(draws(seed, rows, clusters) for seed in seeds), strict=True)
    chosen_SK[:, 0], uniform_SKL = first, np.stack(uniform)
    candidates = uniform_SKL.shape[2]
    few = max(1, min(WIDTH, CANDIDATE_ELEMENTS // rows) // candidates)
    for part in range(0, starts, few):
        these = slice(part, part + few)
        _choose(x_ND, chosen_SK[these], uniform_SKL[these])
    return chosen_SK


def _choose(x_ND: np.ndarray, chosen_SK: np.ndarray, uniform_SKL: np.ndarray) -> None:
    """Fill ``chosen_SK`` from its first column on."""
    rows = len(x_ND)
    starts, _, candidates = uniform_SKL.shape
    drawn_SL = np.empty((starts, candidates), dtype=np.intp)
    closest_SN = x_ND[chosen_SK[:, 0]] @ x_ND.T  # cosines to the closest centre
    cosine_SLN = np.empty((starts, candidates, rows), dtype=np.float32)
    for k in range(1, chosen_SK.shape[1]):
        for closest_N, uniform_L, drawn_L in zip(closest_SN, uniform_SKL[:, k - 1], drawn_SL, strict=True):
            cumulative_N = np.maximum(1 - closest_N, 0).cumsum(dtype=np.float64)
            drawn_L[:] = np.searchsorted(cumulative_N, uniform_L * cumulative_N[-1], side="right")
        np.minimum(drawn_SL, rows - 1, out=drawn_SL)  # all distances zero: fewer distinct rows than clusters
        np.matmul(x_ND[drawn_SL.ravel()], x_ND.T, out=cosine_SLN.reshape(-1, rows))
        for s, cosine_LN in enumerate(cosine_SLN):
            np.maximum(cosine_LN, closest_SN[s], out=cosine_LN)
            winner = cosine_LN.sum(axis=1).argmax()
            closest_SN[s], chosen_SK[s, k] = cosine_LN[winner], drawn_SL[s, winner]


def lloyd(x_ND: np.ndarray, c_SKD: np.ndarray, tolerance: float) -> list[tuple[np.ndarray, float]]:
    """Centres (K, D) of the lowest inertia that each start passes, and that inertia.

    Args:
        x_ND: rows of length one or zero, float32.
        c_SKD: initial centres of each start, float32.
        tolerance: summed cosine shift of its centres at which a start stops.
    """
    total_D = x_ND.sum(axis=0, dtype=np.float64)
    starts = [_Start(x_ND, total_D, c_KD) for c_KD in c_SKD]
    together = starts
    while together:
        labels_SN = _nearest(x_ND, np.stack([start.unit_KD for start in together]))
        for start, labels_N in zip(together, labels_SN, strict=True):
            start.assign(labels_N)
            start.move(tolerance)
        together = [start for start in together if start.moving and start.changed > SETTLED * len(x_ND)]
    for start in starts:
        _go_alone(start, tolerance)
    return [(start.best_KD, start.inertia) for start in starts]


def _go_alone(start: _Start, tolerance: float) -> None:
    """Take one start to its end, looking only at rows that may change their cluster."""
    bounds = None
    while start.moving:
        unsure_M = bounds.unsure(start.step_KD) if bounds else None
        if bounds is None or unsure_M is None or len(unsure_M) > UNSURE * len(start.x_ND):
            ranking = _rank(start.x_ND, start.unit_KD)
            bounds = _Bounds(ranking, start.unit_KD.shape)
            start.assign(ranking.nearest)
        else:
            ranking = _rank(start.x_ND, start.unit_KD, unsure_M)
            bounds.renew(ranking, unsure_M)
            start.assign(ranking.nearest, unsure_M)
        start.move(tolerance)


class _Start:
    """One start on its way: its centres and their rows.

    Attributes:
        unit_KD: centres at length one, float32.
        step_KD: the last change of ``unit_KD``, float64.
        changed: number of rows that the last assignment gave another cluster.
        moving: whether another iteration follows.
        best_KD: centres of the lowest inertia so far, means of normalised rows, float32.
        inertia: that inertia.
    """

    def __init__(self, x_ND: np.ndarray, total_D: np.ndarray, centres_KD: np.ndarray) -> None:
        self.x_ND = x_ND
        self.centres_KD = self.best_KD = centres_KD
        self.unit_KD = _unit(centres_KD)
        self.step_KD = np.zeros(centres_KD.shape)
        self.changed, self.moving, self.inertia, self.iterations = 0, True, math.inf, 0
        # until the first assignment all rows are in the first cluster
        self.label_N = np.zeros(len(x_ND), dtype=np.intp)
        self.sums_KD = np.zeros(centres_KD.shape)
        self.sums_KD[0] = total_D
        self.size_K = np.zeros(len(centres_KD), dtype=np.intp)
        self.size_K[0] = len(x_ND)
        self.exchanged_K = np.zeros_like(self.size_K)  # rows that came or went since the sum was taken anew

    def assign(self, labels_M: np.ndarray, rows_M: np.ndarray | None = None) -> None:
        """Put the rows, all if None, into these clusters."""
        old_M = self.label_N if rows_M is None else self.label_N.take(rows_M)
        changed = np.flatnonzero(labels_M != old_M)
        self.changed = len(changed)
        for part in _parts(len(changed), RANKED_ROWS):
            moved = changed[part]
            old, new = old_M.take(moved), labels_M.take(moved)
            self._exchange(moved if rows_M is None else rows_M.take(moved), old, new)
        for k in np.flatnonzero(self.exchanged_K > WORN * self.size_K):
            self._sum_anew(k)

    def _exchange(self, rows: np.ndarray, old: np.ndarray, new: np.ndarray) -> None:
        clusters, each = len(self.size_K), np.arange(len(rows))
        sign = np.zeros((clusters, len(rows)), dtype=np.float32)
        sign[new, each], sign[old, each] = 1, -1
        self.sums_KD += sign @ self.x_ND.take(rows, axis=0)
        came, went = np.bincount(new, minlength=clusters), np.bincount(old, minlength=clusters)
        self.size_K += came - went
        self.exchanged_K += came + went
        self.label_N[rows] = new

    def _sum_anew(self, k: np.intp) -> None:
        """What a sum of many rows has lost to rounding must not stay when few are left; none sum to exactly zero."""
        self.sums_KD[k] = self.x_ND[self.label_N == k].sum(axis=0, dtype=np.float64)
        self.exchanged_K[k] = 0

    def move(self, tolerance: float) -> None:
        """Note the inertia of the assignment, and move the centres to the means of their rows."""
        inertia = len(self.x_ND) - float(np.vdot(self.sums_KD, self.unit_KD))
        if inertia < self.inertia:
            self.inertia, self.best_KD = inertia, self.centres_KD
        before_KD = self.unit_KD
        self.centres_KD = (self.sums_KD / np.maximum(self.size_K, 1)[:, None]).astype(np.float32)
        self.unit_KD = _unit(self.sums_KD)
        self.step_KD = self.unit_KD.astype(np.float64) - before_KD
        self.iterations += 1
        # half the squared distance of unit vectors is their cosine distance, without its cancellation
        shift = float(np.vdot(self.step_KD, self.step_KD)) / 2
        self.moving = shift > tolerance and self.iterations < MAX_ITERATIONS


class _Ranking(NamedTuple):
    """The nearest centres of each row.

    Attributes:
        nearest: (M,) int64.
        second: (M,) int64.
        lead: cosine to the nearest minus cosine to the second, (M,) float32.
        margin: cosine to the nearest minus cosine to the third, (M,) float32.
    """

    nearest: np.ndarray
    second: np.ndarray
    lead: np.ndarray
    margin: np.ndarray


class _Bounds:
    """Which rows may have another nearest centre than when they were last ranked.

    ``drift_KK`` bounds how much a lead between two centres has changed since the first ranking, ``reach_K`` how much
    any lead of a centre has. A row keeps its nearest centre as long as the drift of its two nearest stays below
    ``lead_N`` and the reach of its nearest below ``margin_N``, both counted from that first ranking.
    """

    def __init__(self, ranking: _Ranking, shape: tuple[int, ...]) -> None:
        self.clusters, dimensions = shape
        # the rounding of two products of D terms, and of these bounds, each a unit in the last place per operation
        self.slack = np.float32((dimensions + 64) * 2.0**-22)
        self.drift_KK = np.zeros((self.clusters, self.clusters))
        self.reach_K = np.zeros(self.clusters)
        self.nearest_N = ranking.nearest
        self.pair_N = ranking.nearest * self.clusters + ranking.second
        self.lead_N, self.margin_N = ranking.lead - self.slack, ranking.margin - self.slack

    def unsure(self, step_KD: np.ndarray) -> np.ndarray:
        """Rows that may have another nearest centre after this step of the unit centres, (M,) int64."""
        product_KK = step_KD @ step_KD.T
        square_K = np.diagonal(product_KK)
        step_KK = np.sqrt(np.maximum(square_K[:, None] + square_K - 2 * product_KK, 0)) * (1 + 2.0**-18)
        self.drift_KK += step_KK
        self.reach_K += step_KK.max(axis=1)
        unsure_N = self.lead_N < self._drift(self.pair_N)
        unsure_N |= self.margin_N < self._reach(self.nearest_N)
        return np.flatnonzero(unsure_N)

    def renew(self, ranking: _Ranking, rows_M: np.ndarray) -> None:
        """Count from this ranking of the rows."""
        pair_M = ranking.nearest * self.clusters + ranking.second
        self.nearest_N[rows_M], self.pair_N[rows_M] = ranking.nearest, pair_M
        self.lead_N[rows_M] = ranking.lead + (self._drift(pair_M) - self.slack)
        self.margin_N[rows_M] = ranking.margin + (self._reach(ranking.nearest) - self.slack)

    def _drift(self, pair_M: np.ndarray) -> np.ndarray:
        return self.drift_KK.astype(np.float32).take(pair_M)

    def _reach(self, nearest_M: np.ndarray) -> np.ndarray:
        return self.reach_K.astype(np.float32).take(nearest_M)


def _rank(x_ND: np.ndarray, unit_KD: np.ndarray, rows_M: np.ndarray | None = None) -> _Ranking:
    """Rank the centres for these rows, all if None."""
    total = len(x_ND) if rows_M is None else len(rows_M)
    parts = [
        _rank_part(x_ND[part] if rows_M is None else x_ND.take(rows_M[part], axis=0), unit_KD)
        for part in _parts(total, RANKED_ROWS)
    ]
    return parts[0] if len(parts) == 1 else _Ranking(*map(np.concatenate, zip(*parts, strict=True)))


def _rank_part(x_RD: np.ndarray, unit_KD: np.ndarray) -> _Ranking:
    cosine_KR = unit_KD @ x_RD.T
    each_R = np.arange(len(x_RD))
    highest_R, nearest_R = _max(cosine_KR)
    cosine_KR[nearest_R, each_R] = -np.inf
    next_R, second_R = _max(cosine_KR)
    cosine_KR[second_R, each_R] = -np.inf
    return _Ranking(nearest_R, second_R, highest_R - next_R, highest_R - cosine_KR.max(axis=0))


def _nearest(x_ND: np.ndarray, unit_SKD: np.ndarray) -> np.ndarray:
    """The nearest of each start's centres to each row, the first of equals, (S, N) int64."""
    starts, clusters, dimensions = unit_SKD.shape
    unit_CD = unit_SKD.reshape(-1, dimensions)
    labels_SN = np.empty((starts, len(x_ND)), dtype=np.intp)
    for part in _parts(len(x_ND), CHUNK_ELEMENTS // len(unit_CD)):
        cosine_CR = unit_CD @ x_ND[part].T
        labels_SN[:, part] = _max(cosine_CR.reshape(starts, clusters, -1))[1]
    return labels_SN


def _max(cosine_KR: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maximum over the last axis but one and its index, the first of equals; numpy's argmax is slow on that axis."""
    clusters = cosine_KR.shape[-2]
    highest_R = cosine_KR.max(axis=-2)
    order_K1 = np.arange(clusters, 0, -1, dtype=np.min_scalar_type(clusters))[:, None]
    is_highest_KR = cosine_KR == highest_R[..., None, :]
    return highest_R, clusters - (is_highest_KR.view(np.uint8) * order_K1).max(axis=-2).astype(np.intp)


def _assign(x_ND: np.ndarray, c_KD: np.ndarray) -> KMeansResult:
    unit_KD = _unit(c_KD)
    labels_N = np.empty(len(x_ND), dtype=np.int64)
    inertia = 0.0
    for part in _parts(len(x_ND), CHUNK_ELEMENTS // len(c_KD)):
        highest_R, labels_N[part] = _max(unit_KD @ x_ND[part].T)
        inertia += float((1 - highest_R).sum(dtype=np.float64))
    return KMeansResult(labels_N, c_KD, inertia)


def _unit(rows_ND: np.ndarray) -> np.ndarray:
    """Rows at length one, float32; a zero row stays zero."""
    length_N = np.sqrt(np.einsum("nd,nd->n", rows_ND, rows_ND, dtype=np.float64))
    unit_ND = np.empty(rows_ND.shape, dtype=np.float32)
    return np.divide(rows_ND, np.where(length_N > 0, length_N, 1)[:, None], out=unit_ND, casting="same_kind")


def _mean_variance(x_ND: np.ndarray) -> float:
    mean_D = x_ND.mean(axis=0, dtype=np.float64)
    squares = sum(float(np.square(x_ND[part] - mean_D).sum()) for part in _parts(len(x_ND), RANKED_ROWS))
    return squares / x_ND.size


def _parts(total: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size``; an empty one if there is nothing to cut."""
    return (slice(first, first + size) for first in range(0, max(1, total), max(1, size)))
