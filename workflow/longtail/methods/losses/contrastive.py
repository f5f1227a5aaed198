"""One function for the contrastive family: anchors that are to pick their positives out of a set of columns.

What the methods differ in is what the columns are (embeddings of the batch, own keys, queues, prototypes) and what the
three tables of :func:`contrast` say of them. NT-Xent and MoCo's InfoNCE are members, too; clustering has its own forms
of these, which know one positive per anchor and are quicker.
"""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.methods.losses.numerics import full_precision, unit


@full_precision
def contrast(
    logits: Tensor, positives: Tensor, competitors: Tensor | None = None, divisor: Tensor | None = None
) -> Tensor:
    """l_i = - sum_a p_ia [u_ia - log sum_b d_ib exp u_ib] / n_i for each anchor i.

    Args:
        logits: u, (B, A): similarities over a temperature, plus log priors where a method adds them.
        positives: p, (B, A), at least 0 or bool: how much anchor i is to look like column a.
        competitors: d, (B, A), at least 0 or bool: how much column b counts among those that anchor i picks from; all 1
            when None. An anchor needs at least one.
        divisor: n, (B,), positive; when None the sum of p, and for an anchor without positives, whose loss is 0, one.

    Returns:
        (B,), one loss per anchor.
    """
    weighed = logits if competitors is None else logits + competitors.to(logits.dtype).log()
    positives = positives.to(logits.dtype)
    total = positives.sum(1)
    loss = total * weighed.logsumexp(1) - (positives * logits).sum(1)
    return loss / (torch.where(total > 0, total, 1) if divisor is None else divisor)


@full_precision
def supcon(a: Tensor, b: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """L^sup_out (Khosla et al., NeurIPS 2020, Eq. 2; HobbitLong/SupContrast): positives are all views of one class.

    Each of the 2B embeddings picks out of all others. The factor of the code, tau / 0.07, is left to the caller.

    Args:
        a: embeddings of the first view, (B, d); they are normalised here.
        b: those of the second view, in the same order.
        labels: y, (B,) int64. With a class of its own for every image this is NT-Xent.
        temperature: tau.

    Returns:
        A scalar, the mean over the 2B embeddings.
    """
    z, y = unit(torch.cat([a, b])), labels.repeat(2)
    others = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    return contrast(z @ z.T / temperature, others & (y[:, None] == y), others).mean()
