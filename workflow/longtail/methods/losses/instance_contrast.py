"""The self-supervision of SSD: MoCo's contrast, in which an image's own class does not compete."""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.methods.losses.contrastive import contrast
from longtail.methods.losses.key_contrast import queue_columns
from longtail.methods.losses.numerics import full_precision


@full_precision
def contrast_of_instances(
    query: Tensor, key: Tensor, labels: Tensor, past: Tensor, past_labels: Tensor, temperature: float
) -> Tensor:
    """-log exp(q k / tau) / (exp(q k / tau) + sum over the queue's keys of other classes of exp(q b / tau)).

    Li et al., SSD, ICCV 2021, first stage (MCG-NJU/SSD-LT, builder.py). Where the queue has no other class it is 0.

    Args:
        query: q, (B, d) unit rows.
        key: k, (B, d) unit rows, without gradient.
        labels: y, (B,) int64.
        past: the queue, (Q, d) unit rows, without gradient.
        past_labels: their classes, (Q,) int64; -1, where no key was put in yet, is another class for all.
        temperature: tau.

    Returns:
        A scalar, the mean over images.
    """
    others = labels[:, None] != past_labels
    own = torch.ones_like(others[:, :1])
    positives = torch.cat([own, torch.zeros_like(others)], dim=1)
    columns = queue_columns(query, key, past, temperature)
    return contrast(columns, positives, torch.cat([own, others], dim=1)).mean()
