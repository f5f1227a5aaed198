"""Balanced Softmax (Ren et al., NeurIPS 2020) and the logit-adjusted loss (Menon et al., ICLR 2021).

Trained logits are shifted by the log of the class shares, and read out as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from longtail.methods.checks import require
from longtail.methods.losses.classification import logit_adjusted
from longtail.methods.recognition.classification import Classification


class LogitAdjusted(Classification):
    """CE(s + tau log pi, y)."""

    @dataclass(frozen=True)
    class Settings(Classification.Settings):
        """``tau``: 1 is Balanced Softmax, 0 cross-entropy."""

        tau: float

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.tau >= 0, "tau", self.tau, "at least 0")

    def criterion(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CE(s + tau log pi, y)."""
        return logit_adjusted(logits, labels, self.class_sizes, self.settings.tau)
