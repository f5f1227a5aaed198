"""Contrast in which classes have columns of their own: centres that are logits (PaCo), prototypes (BCL)."""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.methods.losses.contrastive import contrast
from longtail.methods.losses.numerics import full_precision


@full_precision
def paco(
    query: Tensor,
    key: Tensor,
    labels: Tensor,
    past: Tensor,
    past_labels: Tensor,
    logits: Tensor,
    sizes: Tensor,
    alpha: float,
    temperature: float,
    divided: bool = True,
    groups: int = 1,
) -> Tensor:
    """L_paco (Cui et al., ICCV 2021; dvlab-research/Parametric-Contrastive-Learning, PaCo/LT/losses.py).

    Each query picks among the K centres, the other queries, all keys and the queue. Its own centre is a positive of
    weight 1, what is of its class one of weight alpha. With alpha = 0 and no columns but the centres it is Balanced
    Softmax.

    Args:
        query: q, (B, d) unit rows: anchors, and columns too, with gradient on either side.
        key: k, (B, d) unit rows, without gradient.
        labels: y of both, (B,) int64.
        past: the queue, (Q, d) unit rows, without gradient.
        past_labels: of the queue, (Q,) int64; -1 where no key was put in yet.
        logits: s of the queries, (B, K), at no temperature: centres are s + log pi.
        sizes: n, (K,), positive, of any type.
        alpha: weight of a positive that is no centre.
        temperature: tau.
        divided: by the sum of the weights of an anchor's positives, as in the code; the equation does not divide.
        groups: of how many the batch consists, as of the GPUs that the code deals it out to; a query meets the queries
            and keys of its own group, which are those i mod ``groups``, the whole queue, and all centres.

    Returns:
        A scalar, the mean over anchors.
    """
    classes = logits.shape[1]
    centres = logits + (sizes.double() / sizes.sum()).log().to(logits.dtype)
    columns = torch.cat([centres, query @ torch.cat([query, key, past]).T / temperature], dim=1)
    others = torch.ones_like(columns, dtype=torch.bool)
    number = torch.arange(len(query), device=labels.device)
    in_group = (number[:, None] - number) % groups == 0
    others[:, classes : classes + 2 * len(query)] = in_group.repeat(1, 2)
    others[:, classes : classes + len(query)].fill_diagonal_(False)  # no anchor picks itself
    same = others[:, classes:] & (labels[:, None] == torch.cat([labels, labels, past_labels]))
    own = labels[:, None] == torch.arange(classes, device=labels.device)
    positives = torch.cat([own, alpha * same.to(columns.dtype)], dim=1)
    return contrast(columns, positives, others, None if divided else torch.ones_like(columns[:, 0])).mean()


@full_precision
def balanced_contrast(a: Tensor, b: Tensor, prototypes: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """L_BCL (Zhu et al., CVPR 2022; FlamieZhu/Balanced-Contrastive-Learning): each class counts once.

    Each of the 2B embeddings picks among the others and K prototypes. Positives are those of its class, the prototype
    among them. In the denominator every class is the mean over its columns; the anchor is no column of its own class.
    Prototypes make sure that no class is empty.

    Args:
        a: embeddings of the first contrasted view, (B, d) unit rows.
        b: those of the second, in the same order.
        prototypes: (K, d) unit rows, with gradient.
        labels: y, (B,) int64.
        temperature: tau.

    Returns:
        A scalar, the mean over the 2B embeddings.
    """
    z, y, classes = torch.cat([a, b]), labels.repeat(2), torch.arange(len(prototypes), device=labels.device)
    columns = torch.cat([y, classes])
    others = torch.ones(len(y), len(columns), dtype=torch.bool, device=y.device)
    others[:, : len(y)].fill_diagonal_(False)
    own = y[:, None] == columns
    counts = 1 + (y[:, None] == classes).sum(0)  # columns of a class; one is its prototype
    members = counts[columns] - own.long()  # of a column's class
    logits = z @ torch.cat([z, prototypes]).T / temperature
    return contrast(logits, others & own, others.to(z.dtype) / members).mean()
