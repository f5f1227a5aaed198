"""SimCLR (Chen et al., ICML 2020) as ConMix compares with it.

ConMix gives no script for it. This is its own trainer with pruning switched off: the dual-branch network of SDCLR, of
which only the dense branch is used, and the views in separate forwards.
"""

from __future__ import annotations

from torch import Tensor

from longtail.methods.base import Batch
from longtail.methods.clustering.contrastive import Contrastive
from longtail.methods.losses.nt_xent import nt_xent


class SimCLR(Contrastive):
    """NT-Xent between the two views of each image (ConMix Eq. 1)."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: NT-Xent of g(x^1) and g(x^2)."""
        x1, x2 = batch.views
        return {"loss": nt_xent(self.network(x1), self.network(x2), self.settings.temperature)}
