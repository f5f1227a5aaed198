"""Mixing in pairs, at three depths: the ablations of ConMix that do not mix groups (ConMix Table 3).

Mixup (Zhang et al., ICLR 2018) interpolates images, Manifold Mixup (Verma et al., ICML 2019;
vikasverma1077/manifold_mixup) hidden features, pairwise ConMix representations. None of the three is in the official
code of ConMix, and the paper says only that lambda follows a beta distribution. Chosen: one lambda and one permutation
pi per batch, the same for both views, so that the mixed rows of one index are a positive pair.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from longtail.methods.base import Batch
from longtail.methods.checks import require
from longtail.methods.clustering.contrastive import Contrastive
from longtail.methods.losses.nt_xent import nt_xent
from longtail.methods.losses.numerics import unit
from longtail.methods.mixing import draw_mixture, interpolate, interpolated_at_a_depth


@dataclass(frozen=True)
class MixupSettings(Contrastive.Settings):
    """Attributes.

    alpha: of lambda ~ Beta(alpha, alpha).
    """

    alpha: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.alpha > 0, "alpha", self.alpha, "above 0")


class InputMixup(Contrastive):
    """NT-Xent between mixed images."""

    class Settings(MixupSettings):
        """As :class:`MixupSettings`."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: NT-Xent of g(lambda x_i + (1 - lambda) x_pi(i)) over the views."""
        lam, permutation = draw_mixture(len(batch.rows[0]), self.settings.alpha, batch.generator)
        a, b = (self.network(interpolate(x, lam, permutation)) for x in batch.views)
        return {"loss": nt_xent(a, b, self.settings.temperature)}


class ManifoldMixup(Contrastive):
    """NT-Xent between images whose features are mixed at one depth, drawn per batch (ConMix Eq. 2 without labels).

    The depths are those of the official code of Manifold Mixup for CIFAR, {0, 1, 2}: the images, and the features
    after the first and after the second residual stage.
    """

    class Settings(MixupSettings):
        """As :class:`MixupSettings`."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: NT-Xent of the outputs."""
        lam, permutation = draw_mixture(len(batch.rows[0]), self.settings.alpha, batch.generator)
        with interpolated_at_a_depth(self.network.backbone, lam, permutation, batch.generator) as mixed:
            a, b = (self.network(mixed(x)) for x in batch.views)
        return {"loss": nt_xent(a, b, self.settings.temperature)}


class PairwiseConMix(Contrastive):
    """NT-Xent between mixed representations, B pairs per batch (ConMix Sec. 5.3; chosen: that there are B)."""

    class Settings(MixupSettings):
        """As :class:`MixupSettings`."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: NT-Xent of norm(lambda v_i + (1 - lambda) v_pi(i)) over the views, with v of length 1."""
        lam, permutation = draw_mixture(len(batch.rows[0]), self.settings.alpha, batch.generator)
        a, b = (interpolate(unit(self.network(x)), lam, permutation) for x in batch.views)
        return {"loss": nt_xent(a, b, self.settings.temperature)}
