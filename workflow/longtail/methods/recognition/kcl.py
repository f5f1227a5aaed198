"""KCL: k-positive contrastive learning (Kang et al., Exploring Balanced Feature Spaces, ICLR 2021).

With a queue as in the paper (LTH14/targeted-supcon, main script), and within a batch as TSC's authors ran it on CIFAR.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from longtail.methods.base import Batch
from longtail.methods.checks import require
from longtail.methods.losses.key_contrast import batch_kcl, kcl
from longtail.methods.losses.numerics import unit
from longtail.methods.recognition.momentum_contrast import MomentumContrast, Pairs
from longtail.methods.recognition.supcon import BatchContrast


def require_positives(k: int | None) -> None:
    """Raise a LongtailError unless ``k`` is a number of positives, or None for all of the class."""
    require(k is None or k >= 0, "positives", k, "at least 0, or null for all of the class")


class KCL(MomentumContrast):
    """Queries attract their own key and k keys of their class in the queue."""

    @dataclass(frozen=True)
    class Settings(MomentumContrast.Settings):
        """``positives``: k, of the queue; 0 for the own key alone, which is MoCo, None for all of the class."""

        positives: int | None

        def __post_init__(self) -> None:
            super().__post_init__()
            require_positives(self.positives)

    def criterion(self, pairs: Pairs, batch: Batch) -> dict[str, Tensor]:
        """``loss``: L_KCL."""
        p, s = pairs, self.settings
        loss = kcl(p.query, p.key, p.labels, p.past, p.past_labels, s.positives, s.temperature, batch.generator)
        return {"loss": loss}


class BatchKCL(BatchContrast):
    """Embeddings attract that of the other view and k of other images of their class in the batch."""

    @dataclass(frozen=True)
    class Settings(BatchContrast.Settings):
        """``positives``: k, besides the other view; 0 for that alone, None for all of the class."""

        positives: int | None

        def __post_init__(self) -> None:
            super().__post_init__()
            require_positives(self.positives)

    def criterion(self, a: Tensor, b: Tensor, batch: Batch) -> Tensor:
        """L_KCL of the batch."""
        s = self.settings
        return batch_kcl(unit(a), unit(b), batch.labels[0], s.positives, s.temperature, batch.generator)
