"""The NT-Xent loss (ConMix Eqs. 1 and 4).

Shapes: B images, d dimensions of a representation. Views a and b of one image are the rows of one index.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from longtail.methods.losses.numerics import full_precision


@full_precision
def nt_xent(a: Tensor, b: Tensor, temperature: float, present: Tensor | None = None) -> Tensor:
    """The normalised-temperature cross-entropy over both views: ConMix Eq. 4, and Eq. 1 summed over both views.

    Each of the 2B rows is to pick its partner in the other view out of all other rows, by cosine similarity.

    Args:
        a: representations of the first view, (B, d); they are normalised here.
        b: those of the second view, (B, d), in the same order.
        temperature: tau.
        present: (B,) bool, the rows that exist; the others count neither as anchors, nor as partners, nor in the mean.
            Masking instead of indexing keeps the shapes static. All rows exist when None; at least one must.

    Returns:
        A scalar, the mean over the rows that exist; 0 if there is only one pair.
    """
    rows = len(a)
    z = F.normalize(torch.cat([a, b]), dim=1)
    similarity = z @ z.T / temperature
    positive = torch.cat([similarity.diagonal(rows), similarity.diagonal(-rows)])
    excluded = torch.eye(2 * rows, dtype=torch.bool, device=z.device)
    if present is None:
        return (similarity.masked_fill(excluded, -torch.inf).logsumexp(1) - positive).mean()
    exists = present.repeat(2)
    loss = similarity.masked_fill(excluded | ~exists, -torch.inf).logsumexp(1) - positive
    return torch.where(exists, loss, 0).sum() / exists.sum()
