"""Spherical K-means on tensors, on the device they are on: the algorithm of :mod:`longtail.clusterers.spherical`.

All starts of all trials move together: one matrix product gives the distances of a chunk of rows to the centres of
every start, a second one the sums of the new centres, and a start that has converged leaves the batch.

Shape suffixes: N rows, D dimensions, K clusters, S starts, A active starts, C = K·S or K·A centres, L candidates of a
k-means++ step, R rows of a chunk.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from longtail.clusterers.spherical import MAX_ITERATIONS, TOLERANCE, check, draws

STARTS_WIDTH = 8192  # centres that move together; more would only cost memory
CHUNK_ELEMENTS = {
    "cpu": 2**19,
    "cuda": 2**26,
}  # distances held at once: the CPU's second-level cache, the GPU's occupancy


@dataclass(frozen=True)
class KMeansResult:
    """The best assignment that a trial has seen.

    Attributes:
        labels: cluster of each row, (N,) int64; the nearest of ``centres`` by cosine, the first of equals.
        centres: (K, D) float32, means of normalised rows unless ``lengths_count``, not normalised themselves; zero for
            a cluster without rows.
        inertia: sum over the rows of the cosine distance to their centre.
    """

    labels: Tensor
    centres: Tensor
    inertia: float


def spherical_kmeans(
    embeddings: Tensor, clusters: int, *, seed: int, inits: int = 10, lengths_count: bool = False
) -> KMeansResult:
    """Cluster ``embeddings`` by cosine: one trial, the best of ``inits`` starts.

    The result is the same for the same seed, device, number of threads and order of rows; another order of rows is
    another draw.

    Args:
        embeddings: (N, D) floating point, of any length per row.
        clusters: number of clusters K.
        seed: start i draws from the seed ``seed + i``.
        inits: number of starts.
        lengths_count: see :func:`spherical_kmeans_trials`.

    Raises:
        LongtailError: if N < K, or ``embeddings`` is not a finite matrix.
    """
    return spherical_kmeans_trials(embeddings, clusters, [seed], inits, lengths_count)[0]


@torch.no_grad()
def spherical_kmeans_trials(
    embeddings: Tensor, clusters: int, seeds: Sequence[int], inits: int = 10, lengths_count: bool = False
) -> list[KMeansResult]:
    """One :func:`spherical_kmeans` per seed, all starts at once.

    Equal to separate calls up to the rounding of float32 products, which depends on the shape of the product.

    Args:
        embeddings: (N, D) floating point.
        clusters: number of clusters K.
        seeds: one per trial.
        inits: number of starts per trial.
        lengths_count: whether a centre is the mean of its rows as they are, so that long rows count more, and the
            tolerance is of their variance; as LZX-001/LFSS clusters while it trains. Otherwise rows have length 1.

    Raises:
        LongtailError: if N < K, or ``embeddings`` is not a finite matrix.
    """
    floating = embeddings.is_floating_point()
    check(embeddings.shape, embeddings.dtype, clusters, inits, floating, lambda: bool(embeddings.isfinite().all()))
    starts = [seed + i for seed in seeds for i in range(inits)]
    group = max(1, STARTS_WIDTH // clusters)
    with _exact_products(embeddings.device):
        x_ND = normalize(embeddings.float(), dim=1)
        averaged_ND = embeddings.float() if lengths_count else x_ND
        tolerance = TOLERANCE * averaged_ND.var(dim=0, correction=0).mean()
        centres, inertias = [], []
        for first in range(0, len(starts), group):
            c_KSD = _plus_plus(x_ND, clusters, starts[first : first + group])
            c_KSD, inertia_S = _lloyd(x_ND, averaged_ND, c_KSD, tolerance, last_counts=lengths_count)
            centres.append(c_KSD)
            inertias.append(inertia_S)
        best_T = torch.cat(inertias).view(len(seeds), inits).argmin(dim=1).tolist()
        results = []
        for trial, best in enumerate(best_T):
            start = trial * inits + best
            results.append(_assign(x_ND, centres[start // group][:, start % group].clone()))
    return results


@contextmanager
def _exact_products(device: torch.device) -> Iterator[None]:
    """Full float32 products, whatever precision the caller trains with."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


def _chunks(x_ND: Tensor, width: int) -> Sequence[Tensor]:
    """Chunks of rows small enough that their products with ``width`` columns are cheap to hold."""
    elements = CHUNK_ELEMENTS["cpu" if x_ND.device.type == "cpu" else "cuda"]
    return x_ND.split(max(1, elements // width))


def _plus_plus(x_ND: Tensor, clusters: int, seeds: Sequence[int]) -> Tensor:
    """Greedy k-means++ for one start per seed, (K, S, D)."""
    rows, starts = len(x_ND), len(seeds)
    first, uniforms = zip(*(draws(seed, rows, clusters) for seed in seeds), strict=True)
    uniform_SKL = torch.from_numpy(np.stack(uniforms)).to(x_ND.device)
    chosen_KS = torch.empty(clusters, starts, dtype=torch.int64, device=x_ND.device)
    chosen_KS[0] = torch.tensor(first)
    closest_SN = (1 - x_ND[chosen_KS[0]] @ x_ND.T).clamp_(min=0)
    # the candidates' distances to all rows are held at once, so starts are taken a few at a time
    few = max(1, 8 * CHUNK_ELEMENTS["cpu" if x_ND.device.type == "cpu" else "cuda"] // (rows * uniform_SKL.shape[2]))
    for k in range(1, clusters):
        for part in range(0, starts, few):
            these = slice(part, part + few)
            cumulative_SN = closest_SN[these].cumsum(dim=1, dtype=torch.float64)
            drawn_SL = torch.searchsorted(cumulative_SN, uniform_SKL[these, k - 1] * cumulative_SN[:, -1:], right=True)
            drawn_SL.clamp_(max=rows - 1)  # all distances zero: fewer distinct rows than clusters
            distance_SLN = (x_ND[drawn_SL.flatten()] @ x_ND.T).neg_().add_(1).clamp_(min=0).view(*drawn_SL.shape, rows)
            torch.minimum(distance_SLN, closest_SN[these, None], out=distance_SLN)
            winner_S = distance_SLN.sum(dim=2).argmin(dim=1)
            every_S = torch.arange(len(winner_S), device=x_ND.device)
            closest_SN[these] = distance_SLN[every_S, winner_S]
            chosen_KS[k, these] = drawn_SL[every_S, winner_S]
    return x_ND[chosen_KS]


def _lloyd(
    x_ND: Tensor, averaged_ND: Tensor, c_KSD: Tensor, tolerance: Tensor, last_counts: bool
) -> tuple[Tensor, Tensor]:
    """Centres of the lowest inertia that each start passes, (K, S, D), and that inertia, (S,) float64.

    ``last_counts``: whether a start passes the centres that the step within the tolerance leads to. At length 1 that
    step moves next to nothing; the tolerance of long rows is as large as their lengths squared.
    """
    best_KSD = c_KSD.clone()
    best_S = torch.full((c_KSD.shape[1],), math.inf, dtype=torch.float64, device=x_ND.device)
    active_A = torch.arange(c_KSD.shape[1], device=x_ND.device)
    arrived_A = torch.zeros(c_KSD.shape[1], dtype=torch.bool, device=x_ND.device)
    for _ in range(MAX_ITERATIONS):
        unit_KAD = normalize(c_KSD, dim=2)
        moved_KAD, inertia_A = _step(x_ND, averaged_ND, unit_KAD)
        better_A = inertia_A < best_S[active_A]
        best_S[active_A] = torch.where(better_A, inertia_A, best_S[active_A])
        best_KSD[:, active_A] = torch.where(better_A[:, None], c_KSD, best_KSD[:, active_A])
        # half the squared distance of unit vectors is their cosine distance, without its cancellation
        shift_A = (normalize(moved_KAD, dim=2) - unit_KAD).square().sum(dim=(0, 2)) / 2
        settled_A = shift_A <= tolerance
        moving_A = ~(arrived_A if last_counts else settled_A)
        active_A, arrived_A = active_A[moving_A], settled_A[moving_A]
        if not len(active_A):
            break
        c_KSD = moved_KAD[:, moving_A]
    return best_KSD, best_S


def _step(x_ND: Tensor, averaged_ND: Tensor, unit_KSD: Tensor) -> tuple[Tensor, Tensor]:
    """Assign all rows to the nearest of the unit centres: the means (K, S, D) and the inertia of it (S,) float64."""
    clusters, starts, dimensions = unit_KSD.shape
    unit_DC = unit_KSD.reshape(-1, dimensions).T
    sums_CD = torch.zeros(clusters * starts, dimensions, device=x_ND.device)
    counts_KS = torch.zeros(clusters, starts, device=x_ND.device)
    inertia_S = torch.zeros(starts, dtype=torch.float64, device=x_ND.device)
    for x_RD, averaged_RD in zip(*(_chunks(rows, clusters * starts) for rows in (x_ND, averaged_ND)), strict=True):
        cosine_RKS = (x_RD @ unit_DC).view(len(x_RD), clusters, starts)
        highest_RS = cosine_RKS.amax(dim=1)
        # comparing in place is several times faster than an argmax; ties, which it would count twice, are rare
        member_RKS = cosine_RKS.eq_(highest_RS[:, None])
        held_KS = member_RKS.sum(dim=0)
        if held_KS.sum(dtype=torch.float64) != len(x_RD) * starts:
            nearest_RS = member_RKS.argmax(dim=1, keepdim=True)
            member_RKS.zero_().scatter_(1, nearest_RS, 1.0)
            held_KS = member_RKS.sum(dim=0)
        counts_KS += held_KS
        inertia_S += (1 - highest_RS).sum(dim=0, dtype=torch.float64)
        sums_CD.addmm_(member_RKS.view(len(x_RD), -1).T, averaged_RD)
    return sums_CD.view(clusters, starts, dimensions) / counts_KS.clamp(min=1)[..., None], inertia_S


def _assign(x_ND: Tensor, c_KD: Tensor) -> KMeansResult:
    unit_DK = normalize(c_KD, dim=1).T
    highest, nearest = zip(*((x_RD @ unit_DK).max(dim=1) for x_RD in _chunks(x_ND, len(c_KD))), strict=True)
    return KMeansResult(torch.cat(nearest), c_KD, float((1 - torch.cat(highest)).sum(dtype=torch.float64)))
