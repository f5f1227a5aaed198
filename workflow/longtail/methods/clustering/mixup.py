"""Mixing in pairs, at three depths: the ablations of ConMix that do not mix groups (ConMix Table 3).

Mixup (Zhang et al., ICLR 2018) interpolates images, Manifold Mixup (Verma et al., ICML 2019;
vikasverma1077/manifold_mixup) hidden features, pairwise ConMix representations. None of the three is in the official
code of ConMix, and the paper says only that lambda follows a beta distribution. Chosen: one lambda and one permutation
pi per batch, the same for both views, so that the mixed rows of one index are a positive pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from longtail.methods.base import Batch
from longtail.methods.checks import require
from longtail.methods.clustering.contrastive import Contrastive
from longtail.methods.losses.nt_xent import nt_xent
from longtail.methods.losses.numerics import unit


def draw_mixture(rows: int, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What one batch is mixed with.

    ``torch.distributions`` takes no generator, so the beta variate is made here the way it makes one, from two gamma
    variates; in float64, because both may be tiny when alpha is small.

    Returns:
        lambda ~ Beta(alpha, alpha), a float32 scalar, and a permutation pi of the rows, (rows,) int64.
    """
    shape = torch.full((2,), alpha, dtype=torch.float64, device=generator.device)
    gamma = torch._standard_gamma(shape, generator)
    permutation = torch.randperm(rows, generator=generator, device=generator.device)
    return (gamma[0] / gamma.sum()).float(), permutation


def interpolate(x: Tensor, lam: Tensor, permutation: Tensor) -> Tensor:
    """The mix lambda x_i + (1 - lambda) x_pi(i) of x, (B, ...), ConMix Eq. 2; x itself, exactly, if lambda is 1."""
    return lam * x + (1 - lam) * x[permutation]


@contextmanager
def interpolated_output(layer: nn.Module, lam: Tensor, permutation: Tensor) -> Iterator[None]:
    """Interpolate what ``layer`` puts out while the block runs."""
    hook = layer.register_forward_hook(lambda _layer, _inputs, output: interpolate(output, lam, permutation))
    try:
        yield
    finally:
        hook.remove()


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
        """``loss``: NT-Xent of the outputs.

        Every depth is interpolated, those not drawn by lambda = 1, which changes nothing. So the draw never has to
        come back to the host.
        """
        lam, permutation = draw_mixture(len(batch.rows[0]), self.settings.alpha, batch.generator)
        device = batch.generator.device
        depth = torch.randint(3, (), generator=batch.generator, device=device)
        at_input, after_first, after_second = torch.where(torch.arange(3, device=device) == depth, lam, 1.0)
        backbone = self.network.backbone
        with (
            interpolated_output(backbone.layer1, after_first, permutation),
            interpolated_output(backbone.layer2, after_second, permutation),
        ):
            a, b = (self.network(interpolate(x, at_input, permutation)) for x in batch.views)
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
