"""GloCo and ProCo: positives from the whole training set, temperatures of classes, prototypes as positives."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from longtail.methods.losses.contrastive import contrast
from longtail.methods.losses.key_contrast import queue_columns
from longtail.methods.losses.numerics import full_precision


def adaptive_temperatures(sizes: Tensor, gamma: float) -> Tensor:
    """tau_k = gamma + (1 - gamma) n_k / n_max (GloCo Eq. 13): 1 for the largest class, towards gamma for the smallest.

    With one learning rate for all, gradients of the largest class are smaller by 1 / gamma than at a constant tau =
    gamma. That is what the paper wants, and nothing makes up for it.

    Args:
        sizes: n, (K,), positive, of any type.
        gamma: in (0, 1].

    Returns:
        (K,) float64.
    """
    return gamma + (1 - gamma) * sizes.double() / sizes.max()


@full_precision
def global_contrast(
    query: Tensor,
    keys: Sequence[Tensor],
    others: Tensor,
    same: Tensor,
    temperatures: Tensor,
    competitors: Tensor | None = None,
) -> Tensor:
    """L_GloCo (Eq. 1): anchors are to pick each of 1 + k positives out of it and V_i.

    -1 / (N (k + 1)) sum_i sum_v+ log [e^(v_i v+ / tau) / (e^(v_i v+ / tau) + sum over v in V_i of e^(v_i v / tau))].
    Each positive competes alone with V_i; the other positives are not in its denominator. Where some of V_i are
    positives, too (GloCo Table 5), they and the own key are the base loss, with the denominator that this has in KCL:
    own key and V_i. All positives weigh the same. Without global positives that is KCL, or MoCo where no other of the
    class is a positive.

    Args:
        query: v, (B, d) unit rows.
        keys: v_i^+ and the k global positives, (B, d) unit rows each.
        others: what V_i is taken from, (A, d) unit rows.
        same: which of them are positives, (B, A) bool, as :func:`~longtail.methods.losses.key_contrast.drawn`.
        temperatures: tau_i, (B,), of any floating type.
        competitors: which of them are V_i, (B, A) bool; all when None.

    Returns:
        A scalar, the mean over anchors.
    """
    first = torch.ones_like(same[:, :1])
    among = None if competitors is None else torch.cat([first, competitors], 1)
    tau = temperatures[:, None].to(query.dtype)
    count = len(keys) + same.sum(1)
    loss = query.new_zeros(len(query))
    for key, joined in zip(keys, [same, *[torch.zeros_like(same)] * (len(keys) - 1)], strict=True):
        columns = queue_columns(query, key, others, tau)
        loss = loss + contrast(columns, torch.cat([first, joined], 1), among, count)
    return loss.mean()


@full_precision
def prototype_contrast(
    views: Sequence[Tensor], prototypes: Sequence[Tensor], labels: Tensor, temperatures: Tensor
) -> Tensor:
    """L_ProCo (Sec. 3.3): -1 / (4 N) sum over images, both views v and both sets q of log softmax(v c_q / tau) at y.

    Args:
        views: v_1 and v_2, (B, d) unit rows each.
        prototypes: C_1 and C_2, (K, d) unit rows each, without gradient.
        labels: y, (B,) int64.
        temperatures: tau_i, (B,), of any floating type.

    Returns:
        A scalar, the mean over images, views and sets.
    """
    own = labels[:, None] == torch.arange(len(prototypes[0]), device=labels.device)
    tau = temperatures[:, None].to(views[0].dtype)
    pairs = [contrast(v @ c.T / tau, own).mean() for v in views for c in prototypes]
    return torch.stack(pairs).mean()
