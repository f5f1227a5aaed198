"""Losses of RSG's module (Wang et al., CVPR 2021; Jianf-Wang/RSG): where centres are, and where rare maps are moved."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from longtail.methods.losses.numerics import full_precision


@full_precision
def center_estimation(maps: Tensor, centers: Tensor, assignments: Tensor) -> Tensor:
    """1/B sum_i sum_n gamma_in sum_j |F_ij - c_in|^2, over the pixels j: the first term of the CESC loss.

    A centre is the same for all pixels, so it is the spread of each map about its mean, which nothing learns from, and
    the distance of that mean; no map is ever beside all its centres.

    Args:
        maps: F, (B, C, H, W).
        centers: c, those of each map's class, (B, n, C).
        assignments: gamma, (B, n), whose rows have sum 1.

    Returns:
        A scalar.
    """
    mean = maps.mean((2, 3))
    spread = (maps - mean[:, :, None, None]).square().sum()
    distances = (mean[:, None] - centers).square().sum(2)
    return (spread + maps[0, 0].numel() * (assignments * distances).sum()) / len(maps)


@full_precision
def sample_contrast(scores: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """CE(scores, [y = y']), the mean over pairs: the second term of the CESC loss.

    Args:
        scores: (P, 2), the second of which is that of one class.
        first: y, (P,) int64.
        second: y', (P,) int64.

    Returns:
        A scalar.
    """
    return functional.cross_entropy(scores, (first == second).long())


@full_precision
def maximized_vector(moves: Tensor, displacements: Tensor, targets: Tensor, scores: Tensor, counted: Tensor) -> Tensor:
    """The mean over pairs of sum_j | |m_j| - |d_j| | + 1 - cos(m_j, t_j), and of CE(scores, 0): the MV loss.

    Moves keep the length of the displacement that they come from, take the direction of the rare map from its centre,
    and have nothing left of the class they come from.

    The vectors j of Jianf-Wang/RSG are C neighbouring pixels of one channel, since it reads maps, (P, C, H, W), as
    (P H W, C). It compares directions entry by entry, | a b - 1 | of unit vectors, whose sum is C - cos: the same but
    for a constant.

    Args:
        moves: m, (P, C, H, W).
        displacements: d, of maps of head classes from their centres, likewise.
        targets: t, of maps of rare classes from theirs, likewise.
        scores: of the pairs of head map and move, (P, 2).
        counted: which pairs count, (P,) bool.

    Returns:
        A scalar, 0 if no pair counts.
    """
    shape = (len(moves), -1, moves.shape[1])
    m, d, t = (maps.reshape(shape) for maps in (moves, displacements, targets))
    lengths = (torch.linalg.vector_norm(m, dim=2) - torch.linalg.vector_norm(d, dim=2)).abs()
    angles = 1 - (functional.normalize(m, dim=2) * functional.normalize(t, dim=2)).sum(2)
    different = functional.cross_entropy(scores, scores.new_zeros(len(scores), dtype=torch.long), reduction="none")
    terms = (lengths + angles).sum(1) + different
    return torch.where(counted, terms, 0).sum() / counted.sum().clamp(min=1)
