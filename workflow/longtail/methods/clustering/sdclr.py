"""SDCLR: Self-Damaging Contrastive Learning (Jiang et al., ICML 2021; VITA-Group/SDCLR), also the warm-up of ConMix."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from longtail.methods.base import Batch, Images
from longtail.methods.checks import require
from longtail.methods.clustering.contrastive import Contrastive
from longtail.methods.losses.nt_xent import nt_xent


class SDCLR(Contrastive):
    """NT-Xent between the network on one view and its pruned copy on the other.

    What the network forgets when pruned is what it has learned least well, the tail; the contrast with the pruned
    branch pulls the gradient there.
    """

    @dataclass(frozen=True)
    class Settings(Contrastive.Settings):
        """Attributes.

        prune_ratio: share of the convolution weights that the pruned branch lacks.
        """

        prune_ratio: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require(0 <= self.prune_ratio < 1, "prune_ratio", self.prune_ratio, "from 0 to below 1")

    def start_epoch(self, epoch: int, images: Images) -> None:
        """Prune by the weights of this moment; the mask then stays for the epoch while the weights move."""
        self.network.refresh_mask(self.settings.prune_ratio)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: NT-Xent of the dense branch on view 1 and the pruned branch on view 2, never swapped."""
        x1, x2 = batch.views
        return {"loss": nt_xent(self.network(x1), self.network.pruned(x2), self.settings.temperature)}
