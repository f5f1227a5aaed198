"""The contrastive half of ResCom (Zhong et al., arXiv 2022, Sec. 3; dvlab-research/ResCom).

Anchors look for the embeddings of their class in the batch and in a queue (Eq. 1), weighted by class (Eq. 2), where the
queue may hold as many keys of every class (Eq. 3) and only the hardest of them may count (Eq. 5). The classifying half,
Siamese Balanced Softmax (Eq. 6), is :func:`~longtail.methods.losses.classification.logit_adjusted` of the logits of
both views in one batch, whose mean is half the sum of the views' means.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from longtail.methods.losses.contrastive import contrast
from longtail.methods.losses.long_tailed import effective_number_weights
from longtail.methods.losses.numerics import full_precision

Scaling = Literal["mean_normalised", "raw"]


def contrast_weights(sizes: Tensor, beta: float, scaling: Scaling) -> Tensor:
    """w_k = 1 / E_k with E_k = (1 - beta^n_k) / (1 - beta), the effective number of images of class k (Eq. 2).

    Args:
        sizes: n, (K,), positive, of any type.
        beta: in [0, 1); 0 gives weights of 1.
        scaling: ``mean_normalised`` multiplies them by the mean of E over the classes, as dvlab-research/ResCom does.
            ``raw`` is the formula of the paper, which makes the loss smaller by that factor: by 86 on CIFAR-10-LT and
            by 46 on CIFAR-100-LT, at ratio 100 and beta 0.99.

    Returns:
        (K,) float64.
    """
    weights = effective_number_weights(sizes.double(), beta)
    return weights * weights.reciprocal().mean() if scaling == "mean_normalised" else weights


def hardest(similarities: Tensor, same: Tensor, positives: int, negatives: int) -> tuple[Tensor, Tensor]:
    """Supervised hard pair mining: the least similar keys of the anchor's class, the most similar of the others.

    Algorithm 1 of the paper finds the former as the largest of the negated similarities, and leaves the minus there;
    the loss needs them as they are.

    Args:
        similarities: of anchors and keys, (A, C).
        same: whether a key is of the anchor's class, (A, C) bool.
        positives: Q_p; every anchor has as many keys of its class at least.
        negatives: Q_n; and as many of others.

    Returns:
        Similarities and whether they are of one class, both (A, Q_p + Q_n).
    """
    near = similarities.masked_fill(~same, torch.inf).topk(positives, dim=1, largest=False).values
    far = similarities.masked_fill(same, -torch.inf).topk(negatives, dim=1).values
    is_near = torch.arange(positives + negatives, device=same.device) < positives
    return torch.cat([near, far], dim=1), is_near.expand(len(near), -1)


@full_precision
def rebalanced_contrast(
    z: Tensor,
    labels: Tensor,
    keys: Tensor,
    key_labels: Tensor,
    weights: Tensor,
    temperature: float,
    anchors: int,
    in_batch: bool,
    mined: tuple[int, int] | None = None,
    groups: int = 1,
) -> Tensor:
    """The mean over anchors of w_y times the supervised contrast with a queue, and with the batch.

    The paper has the queue alone. Its code puts the rest of the batch beside it, with gradient on both sides, and the
    mean over positives is then over those of both.

    Args:
        z: unit embeddings of both views, those of the first before those of the second, (2B, d).
        labels: their classes, (2B,) int64.
        keys: the queue, (C, d) unit rows without gradient.
        key_labels: the classes of those, (C,) int64; -1 is nobody's.
        weights: w, (K,), of any floating type.
        temperature: tau.
        anchors: how many of the embeddings, from the first on, are to find others: B or 2B.
        in_batch: whether the other embeddings are columns, too.
        mined: Q_p and Q_n of :func:`hardest`, of the queue; None takes all of it.
        groups: of how many the batch consists, as of the GPUs that dvlab-research/ResCom deals it out to. Image i is in
            group i mod ``groups`` with both of its views, and other embeddings are columns within a group alone. B
            must be a multiple of it.

    Returns:
        A scalar.
    """
    y = labels[:anchors, None]
    similarities, same = z[:anchors] @ keys.T, y == key_labels
    if mined is not None:
        similarities, same = hardest(similarities, same, *mined)
    competitors = torch.ones_like(same)
    if in_batch:
        number = torch.arange(len(z), device=z.device)
        apart = number[:anchors, None] - number
        others = (apart % groups == 0) & (apart != 0)
        similarities = torch.cat([z[:anchors] @ z.T, similarities], dim=1)
        same = torch.cat([others & (y == labels), same], dim=1)
        competitors = torch.cat([others, competitors], dim=1)
    losses = contrast(similarities / temperature, same, competitors)
    return (weights.to(losses.dtype)[labels[:anchors]] * losses).mean()
