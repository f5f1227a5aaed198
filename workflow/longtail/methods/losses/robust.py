"""The robust loss of DRO-LT: class means pick the images of their class (Samuel and Chechik, ICCV 2021).

It is the contrast of :mod:`~longtail.methods.losses.contrastive` whose anchors are the classes and whose columns are
the images of the batch, at Euclidean distances instead of cosines. Official code: dvirsamuel/DRO-LT.
"""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.methods.losses.contrastive import contrast
from longtail.methods.losses.numerics import full_precision


@full_precision
def robust(
    features: Tensor, labels: Tensor, means: Tensor, margins: Tensor, temperature: float, misaligned: bool = False
) -> Tensor:
    """L_robust: how surely a class mean picks, of the batch, the images of its class, each a margin farther away.

    With u_ci = -(|mu_c - h_i| + eps_c [y_i = c]) / tau it is, for each class c that has images in the batch,
    - mean_(i: y_i = c) log (exp u_ci / sum_j exp u_cj), and the mean over those classes. Others have no term.

    Args:
        features: h, (B, d), of any length.
        labels: y, (B,) int64.
        means: mu, (K, d), without gradient.
        margins: eps, (K,).
        temperature: tau.
        misaligned: whether the margins are of the classes that dvirsamuel/DRO-LT takes. It gathers eps_y in the order
            of the batch, and hands them to the images in the order of their classes. Where all margins are equal this
            is the same loss with other gradients of the margins.

    Returns:
        A scalar.
    """
    own = labels == torch.arange(len(means), device=labels.device)[:, None]
    margin = margins[labels].to(features.dtype)
    if misaligned:
        margin = torch.zeros_like(margin).scatter(0, labels.argsort(stable=True), margin)
    # Not by |x|^2 - 2xy + |y|^2, in which near points lose their digits.
    distances = torch.cdist(means.to(features.dtype), features, compute_mode="donot_use_mm_for_euclid_dist")
    return contrast(-(distances + own * margin) / temperature, own).sum() / own.any(1).sum()
