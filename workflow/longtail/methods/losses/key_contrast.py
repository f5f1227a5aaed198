"""KCL: besides its own key an anchor has k of its class for positives, in every class k (Kang et al., ICLR 2021).

Which of the keys of its class they are is drawn anew in each step, uniformly and without replacement, as in
LTH14/targeted-supcon; bingykang/BalFeat takes those that a top-k over equal values happens to give. Keys of the class
that are not drawn stay among the others, as in both codes (version 1 in bingykang/BalFeat).
"""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.methods.losses.contrastive import contrast
from longtail.methods.losses.numerics import full_precision


def drawn(candidates: Tensor, k: int | None, generator: torch.Generator) -> Tensor:
    """Draw k candidates of each anchor, uniformly without replacement; all where there are fewer, or where k is None.

    Args:
        candidates: (B, A) bool.
        k: 0 draws none.
        generator: on the device of ``candidates``.

    Returns:
        (B, A) bool.
    """
    if k is None:
        return candidates
    lots = torch.rand(candidates.shape, device=candidates.device, generator=generator)
    first = lots.masked_fill(~candidates, 2.0).topk(min(k, lots.shape[1]), largest=False).indices
    return torch.zeros_like(candidates).scatter_(1, first, True) & candidates


@full_precision
def queue_columns(query: Tensor, key: Tensor, past: Tensor, temperature: float | Tensor) -> Tensor:
    """Similarities over tau of each anchor with its own key, in column 0, and with the queue, (B, 1 + Q).

    Args:
        query: q, (B, d) unit rows.
        key: k, (B, d) unit rows in the same order.
        past: the queue, (Q, d) unit rows.
        temperature: tau, or one per anchor, (B, 1).
    """
    return torch.cat([(query * key).sum(1, keepdim=True), query @ past.T], dim=1) / temperature


def queue_positives(labels: Tensor, past_labels: Tensor, k: int | None, generator: torch.Generator) -> Tensor:
    """The own key and k :func:`drawn` keys of the class in the queue, (B, 1 + Q) bool.

    Args:
        labels: y, (B,) int64.
        past_labels: of the queue, (Q,) int64, -1 where no key was put in yet: that matches nobody.
        k: how many of the queue, besides the own key; None for all of the class.
        generator: on the device of ``labels``.
    """
    same = drawn(labels[:, None] == past_labels, k, generator)
    return torch.cat([torch.ones_like(same[:, :1]), same], dim=1)


@full_precision
def kcl(
    query: Tensor,
    key: Tensor,
    labels: Tensor,
    past: Tensor,
    past_labels: Tensor,
    k: int | None,
    temperature: float,
    generator: torch.Generator,
) -> Tensor:
    """L_KCL (Kang et al., ICLR 2021; LTH14/targeted-supcon, moco/builder.py) against a queue.

    -1 / (1 + k') times the sum over the own key and k' <= k keys of the class of log exp(q a / tau) / sum over the own
    key and the queue, where k' is what the queue has of the class if that is less. With k = 0 it is MoCo.

    Args:
        query: q, (B, d) unit rows.
        key: k, (B, d) unit rows, without gradient.
        labels: y, (B,) int64.
        past: the queue, (Q, d) unit rows, without gradient.
        past_labels: of the queue, (Q,) int64, -1 where no key was put in yet.
        k: keys of the class besides the own; None for all, which LTH14/targeted-supcon calls 0.
        temperature: tau.
        generator: of the draw.

    Returns:
        A scalar, the mean over anchors.
    """
    positives = queue_positives(labels, past_labels, k, generator)
    return contrast(queue_columns(query, key, past, temperature), positives).mean()


@full_precision
def batch_columns(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Similarities over tau of all 2B embeddings of both views, (2B, 2B)."""
    z = torch.cat([a, b])
    return z @ z.T / temperature


def batch_positives(labels: Tensor, k: int | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which columns of a batch of two views are positives of each of its 2B embeddings, and which are others.

    Positives are the other view of the image, and k :func:`drawn` ones of other images of its class.

    Returns:
        Twice (2B, 2B) bool; all but itself are others.
    """
    y, itself = labels.repeat(2), torch.eye(2 * len(labels), dtype=torch.bool, device=labels.device)
    twin = itself.roll(len(labels), 0)
    same = (y[:, None] == y) & ~itself & ~twin
    return twin | drawn(same, k, generator), ~itself


@full_precision
def batch_kcl(
    a: Tensor, b: Tensor, labels: Tensor, k: int | None, temperature: float, generator: torch.Generator
) -> Tensor:
    """:func:`kcl` without a queue: keys are the other embeddings of the batch (LTH14/targeted-supcon, on CIFAR).

    With k = 0 it is NT-Xent, with all of the class SupCon.

    Args:
        a: embeddings of the first view, (B, d) unit rows.
        b: those of the second view, in the same order.
        labels: y, (B,) int64.
        k: positives besides the other view of the image; None for all of its class.
        temperature: tau.
        generator: of the draw.

    Returns:
        A scalar, the mean over the 2B embeddings.
    """
    return contrast(batch_columns(a, b, temperature), *batch_positives(labels, k, generator)).mean()
