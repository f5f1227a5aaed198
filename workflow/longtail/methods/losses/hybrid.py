"""The contrast of Hybrid-PSC: images pick the learned prototype of their class (Wang et al., CVPR 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.methods.losses.contrastive import contrast
from longtail.methods.losses.numerics import full_precision, unit


@full_precision
def prototypical(z: Tensor, prototypes: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """L_PSC: - mean_i log (exp(z_i . p_y / tau) / sum_{k != y} exp(z_i . p_k / tau)), of directions alone.

    The prototype of an image's own class does not compete, so that the loss has no bound at 0.

    Args:
        z: embeddings, (B, d); they are normalised here.
        prototypes: p, (K, d), of two classes at least, with gradient; they are normalised here.
        labels: y, (B,) int64.
        temperature: tau.

    Returns:
        A scalar.
    """
    own = labels[:, None] == torch.arange(len(prototypes), device=labels.device)
    return contrast(unit(z) @ unit(prototypes.to(z.dtype)).T / temperature, own, ~own).mean()
