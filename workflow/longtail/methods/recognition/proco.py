"""ProCo: beside GloCo's loss, prototypes that the means of a coreset give anew in each epoch (GloCo Sec. 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from longtail.errors import LongtailError
from longtail.methods.base import Batch, Context, Images, Objective, Start
from longtail.methods.checks import require
from longtail.methods.losses.global_contrast import prototype_contrast
from longtail.methods.losses.numerics import unit
from longtail.methods.recognition.coreset import class_coresets, coreset_sizes
from longtail.methods.recognition.gloco import GloCo
from longtail.methods.recognition.momentum_contrast import Pairs
from longtail.models.chain import Chain
from longtail.models.headed import HeadedEncoder


class ProCo(GloCo):
    """A new network; the classifier that was trained before it serves to select the coreset, and is given up then.

    Attributes:
        counts: images of each class in the coreset.
        coreset: its rows, sorted by class, (M,) int64, a buffer.
        prototypes: C_1 and C_2, (2, K, d) float32 unit rows, a buffer.
    """

    @dataclass(frozen=True)
    class Settings(GloCo.Settings):
        """Hyperparameters, besides those of GloCo.

        Attributes:
            alpha: weight of GloCo's loss; that of the prototypes has the rest.
            coreset: how it is selected: by ``glister``, at ``random``, or ``all`` images.
            coreset_share: how much of each class it has.
            coreset_least: but no fewer images of a class than this, where it has them.
            coreset_rate: eta of GLISTER.
        """

        alpha: float
        coreset: Literal["glister", "random", "all"]
        coreset_share: float
        coreset_least: int
        coreset_rate: float

        def __post_init__(self) -> None:
            super().__post_init__()
            for name in ("alpha", "coreset_share"):
                require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "between 0 and 1")
            require(self.coreset_least >= 1, "coreset_least", self.coreset_least, "at least 1")
            require(self.coreset_rate >= 0, "coreset_rate", self.coreset_rate, "at least 0")

    starts: ClassVar[Start] = "transfer"
    coreset: Tensor
    prototypes: Tensor

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        assert parent is not None
        share = 1.0 if settings.coreset == "all" else settings.coreset_share
        self.counts = coreset_sizes(self.class_sizes, share, settings.coreset_least).tolist()
        self.register_buffer("coreset", torch.zeros(sum(self.counts), dtype=torch.int64))
        self.register_buffer("prototypes", torch.zeros(2, context.classes, settings.projection_width))
        classifier = parent.encoder("backbone")
        if not isinstance(classifier, HeadedEncoder):
            raise LongtailError(
                "ProCo selects its coreset by a trained classifier: put a step such as ce before it in the recipe."
            )
        self._classifier = [classifier]  # not a part of this network and its checkpoint

    @torch.no_grad()
    def prepare(self, images: Images) -> None:
        """Select the coreset."""
        classifier, sizes = self._classifier.pop().to(self.coreset.device), self.class_sizes.tolist()
        if self.settings.coreset == "glister":
            logits = classifier.head(images.encode(classifier.embedder))
            self.coreset.copy_(class_coresets(logits, sizes, self.counts, self.settings.coreset_rate))
        else:
            starts = (self.class_sizes.cumsum(0) - self.class_sizes).tolist()
            drawn = [a + torch.randperm(n)[:count] for a, n, count in zip(starts, sizes, self.counts, strict=True)]
            self.coreset.copy_(torch.cat(drawn))

    def start_epoch(self, epoch: int, images: Images) -> None:
        """Embed two views of the coreset by the key network; their class means are the prototypes of the epoch."""
        network = Chain(self.key_backbone, self.key_projector, width=self.settings.projection_width)
        for own, view in zip(self.prototypes, images.encode_views(network, self.coreset, 2), strict=True):
            own.copy_(unit(torch.stack([members.mean(0) for members in unit(view).split(self.counts)])))

    def criterion(self, pairs: Pairs, batch: Batch) -> dict[str, Tensor]:
        """``loss``: alpha L_GloCo + (1 - alpha) L_ProCo, both in the history; view 2 passes the query network, too."""
        contrast = super().criterion(pairs, batch)["loss"]
        views = pairs.query, unit(self.projector(self.backbone(batch.views[1])))
        taus = self.temperatures(pairs.labels)
        prototypes = prototype_contrast(views, tuple(self.prototypes.to(pairs.query.dtype)), pairs.labels, taus)
        loss = self.settings.alpha * contrast + (1 - self.settings.alpha) * prototypes
        return {"loss": loss, "contrast": contrast, "prototypes": prototypes}
