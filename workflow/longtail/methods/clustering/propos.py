"""ProPos: prototype scattering and positive sampling (Huang, Chen, Zhang, Shan, IEEE TPAMI 2023; Hzzone/ProPos).

BYOL whose prediction starts near an image's projection rather than at it (PSA), and whose pseudo-classes are drawn
apart by their prototypes (PSL). The pseudo-classes are clusters of the target's embeddings, found anew each epoch.

The official code runs on four devices that normalise their part of a batch apart and shuffle what the target sees
between them; here a batch is normalised as a whole, as everywhere in this project but in MoCo.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from longtail.clusterers.kmeans import spherical_kmeans
from longtail.methods.base import Batch, Context, Images, Objective, Start
from longtail.methods.checks import require
from longtail.methods.clustering.byol import BYOL, regression_loss
from longtail.methods.clustering.conmix import synthesize
from longtail.methods.losses.numerics import full_precision, unit
from longtail.models.dual_batchnorm import dense_branch

ABSENT_LOGIT = -10.0  # in the official code; next to logits of at most 1 / tau = 2 it leaves little of a class


@full_precision
def prototype_scattering(
    q: Tensor, k: Tensor, labels: Tensor, classes: int, temperature: float, absent: str = "left_out"
) -> Tensor:
    """PSL: every prototype is to pick its counterpart of the other view rather than another class's prototype.

    The prototypes mu_c of q and mu'_c of k are normalised means of unit rows. The mean over the classes present of
    -log exp(mu_c mu'_c / tau) / (exp(mu_c mu'_c / tau) + sum_{j != c} exp(mu_c mu_j / tau)).

    Args:
        q: online projections, (B, d), not normalised.
        k: the target's of the other view, (B, d), not normalised; no gradient flows into them.
        labels: pseudo-labels, (B,) int64 in 0..K-1.
        classes: K.
        temperature: tau.
        absent: what a class without an image does in the sums of the others: it is ``left_out``, or its logit is -10
            (``minus_ten``), as in the official code.

    Returns:
        A scalar; 0 if there is only one class.
    """
    own, present = synthesize(unit(q), labels, classes)
    other, _ = synthesize(unit(k.detach()), labels, classes)
    positive = (own * other).sum(1) / temperature
    itself = torch.eye(classes, dtype=torch.bool, device=q.device)
    logits = torch.where(itself, positive, own @ own.T / temperature)
    logits = logits.masked_fill(~present, ABSENT_LOGIT if absent == "minus_ten" else -torch.inf)
    return torch.where(present, logits.logsumexp(1) - positive, 0).sum() / present.sum()


class ProPos(BYOL):
    """BYOL with noise, and prototype scattering on pseudo-labels; from a new network, or from a trained backbone."""

    @dataclass(frozen=True)
    class Settings(BYOL.Settings):
        """Hyperparameters of ProPos beside those of BYOL.

        Attributes:
            noise: sigma of PSA.
            temperature: tau of PSL.
            prototype_weight: factor on PSL.
            prototype_start_epochs: epochs on the clock after which noise and PSL set in.
            absent_classes: see :func:`prototype_scattering`.
            views_together: whether both views are normalised as one batch.
            balanced_sampling: whether an epoch draws rows with replacement, every pseudo-class alike.
            kmeans_seed: of the clustering at the start of each epoch.
            kmeans_inits: its starts.
        """

        noise: float
        temperature: float
        prototype_weight: float
        prototype_start_epochs: float
        absent_classes: Literal["minus_ten", "left_out"]
        views_together: bool
        balanced_sampling: bool
        kmeans_seed: int
        kmeans_inits: int

        def __post_init__(self) -> None:
            super().__post_init__()
            require(self.temperature > 0, "temperature", self.temperature, "above 0")
            require(self.noise >= 0, "noise", self.noise, "at least 0")
            require(self.kmeans_inits >= 1, "kmeans_inits", self.kmeans_inits, "at least 1")

    starts: ClassVar[Start] = "either"

    settings: Settings
    labels: Tensor
    warmed_up: Tensor

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.classes = context.classes
        self.register_buffer("labels", torch.zeros(context.rows, dtype=torch.int64))
        self.register_buffer("warmed_up", torch.zeros(()))  # 0 or 1: a resumed epoch must know

    def _initial_backbone(self, context: Context, parent: Objective | None) -> Any:
        return context.new_backbone() if parent is None else dense_branch(parent.encoder("backbone"))

    @torch.no_grad()
    def start_epoch(self, epoch: int, images: Images) -> None:
        """The E-step: pseudo-labels by K-means on the target's embeddings, unless this epoch does not read them."""
        warmed_up = epoch >= self.settings.prototype_start_epochs
        self.warmed_up.fill_(float(warmed_up))
        if warmed_up or self.settings.balanced_sampling:
            s, embeddings = self.settings, images.encode(self.encoder("target_projection"))
            found = spherical_kmeans(embeddings, self.classes, seed=s.kmeans_seed, inits=s.kmeans_inits)
            self.labels.copy_(found.labels)

    def sampling_weights(self) -> Tensor | None:
        """With ``balanced_sampling``, N over the size of a row's pseudo-class, (N,)."""
        if not self.settings.balanced_sampling:
            return None
        return len(self.labels) / torch.bincount(self.labels, minlength=self.classes)[self.labels]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: PSA + weight PSL, each the mean of both directions.

        PSA is BYOL's loss with h(q + sigma epsilon) as the prediction; q is not normalised.
        """
        s = self.settings
        q = self._for_both(self.online, batch.views)
        k = self._for_both(self.target, batch.views)
        noisy = tuple(v + s.noise * self.warmed_up * standard_normal(v, batch.generator) for v in q)
        predictions = self._for_both(self.predictor, noisy)
        labels = self.labels[batch.rows[0]]
        psa = psl = torch.zeros((), device=labels.device)
        for i, j in ((0, 1), (1, 0)):
            psa = psa + 0.5 * regression_loss(predictions[i], k[j])
            scattering = prototype_scattering(q[i], k[j], labels, self.classes, s.temperature, s.absent_classes)
            psl = psl + 0.5 * scattering
        loss = psa + s.prototype_weight * self.warmed_up * psl
        return {"loss": loss, "L_PSA": psa.detach(), "L_PSL": psl.detach()}

    def _for_both(self, network: Callable[[Tensor], Tensor], inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What ``network`` makes of each input, in one forward or in two."""
        if self.settings.views_together:
            return network(torch.cat(inputs)).chunk(2)
        return tuple(network(part) for part in inputs)


def standard_normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draws from N(0, 1) of the shape of ``like``; in its precision, but at least float32."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    return torch.randn(like.shape, generator=generator, device=generator.device, dtype=dtype)
