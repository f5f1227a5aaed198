"""ConMix: Contrastive Mixup at Representation Level (Li and Jia, ICLR 2025; LZX-001/ConMix)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from longtail.methods.base import Batch
from longtail.methods.checks import require
from longtail.methods.clustering.contrastive import Contrastive
from longtail.methods.losses.nt_xent import nt_xent
from longtail.methods.losses.numerics import full_precision, unit


@full_precision
def synthesize(v: Tensor, tags: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The synthesised representations z_m: normalised means of the representations that carry tag m (ConMix Eq. 3).

    Args:
        v: representations, (B, d). The official code normalises them before it mixes them.
        tags: (B,) int64 in 0..count-1.
        count: M, the number of tags.

    Returns:
        z, (M, d), and which tags occur, (M,) bool; the rows of z of the others are zeros.
    """
    membership = tags == torch.arange(count, device=tags.device)[:, None]
    sizes = membership.sum(1)
    means = membership.to(v.dtype) @ v / sizes.clamp(min=1)[:, None]
    return F.normalize(means, dim=1), sizes > 0


class ConMix(Contrastive):
    """NT-Xent between the means of representations that share a random tag (ConMix Eqs. 3 and 4)."""

    @dataclass(frozen=True)
    class Settings(Contrastive.Settings):
        """Attributes.

        tags: M, how many tags are dealt out.
        """

        tags: int

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.tags >= 1, "tags", self.tags, "at least 1")

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: L_CM with tags drawn uniformly for this batch, the same for both views.

        The paper takes all M tags to occur. As in the official code, those that do not are left out, so the mean is
        over the 2M' representations that exist.
        """
        x1, x2 = batch.views
        M = self.settings.tags
        tags = torch.randint(M, (len(x1),), generator=batch.generator, device=batch.generator.device)
        z1, present = synthesize(unit(self.network(x1)), tags, M)
        z2, _ = synthesize(unit(self.network(x2)), tags, M)
        return {"loss": nt_xent(z1, z2, self.settings.temperature, present)}
