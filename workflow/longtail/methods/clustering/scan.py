"""SCAN: Learning to Classify Images without Labels (Van Gansbeke et al., ECCV 2020).

Three trainings, each on a clock and with an optimiser of its own: a pretext task, here SimCLR; clusters that an image
shares with its nearest neighbours under the pretext task; and self-labelling by confident predictions. Follows
wvangansbeke/Unsupervised-Classification, except that each training ends with its last epoch; that code goes on from the
epoch whose SCAN loss on other images is lowest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.errors import LongtailError, unknown
from longtail.methods.base import Batch, Context, Images, Objective, Start
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.nt_xent import nt_xent
from longtail.methods.losses.numerics import full_precision, unit
from longtail.models.chain import Chain
from longtail.models.headed import Head, HeadedEncoder

LEAST_SHARE = 1e-8
"""What the code raises a cluster's mean probability to before it takes the logarithm."""
CHUNK = 2**24  # similarities held at once while neighbours are mined


@full_precision
def one_sided_nt_xent(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """NT-Xent in which only view a asks for its partner: half of the terms of :func:`nt_xent`, as in SCAN's code.

    Args:
        a: representations of view 1, (B, d); they are normalised here.
        b: those of view 2, in the same order.
        temperature: tau.
    """
    a, b = functional.normalize(a, dim=1), functional.normalize(b, dim=1)
    similarity = a @ torch.cat([a, b]).T / temperature
    rows = torch.arange(len(a), device=a.device)
    itself = torch.arange(2 * len(a), device=a.device) == rows[:, None]
    return functional.cross_entropy(similarity.masked_fill(itself, -torch.inf), rows + len(a))


@full_precision
def consistency_loss(anchor: Tensor, neighbour: Tensor) -> Tensor:
    """Mean of -log <p_anchor, p_neighbour> (SCAN Eq. 2, first term); finite however unlike the two are.

    Args:
        anchor: logits of images, (B, K).
        neighbour: logits of a neighbour of each, in the same order.
    """
    return -(anchor.log_softmax(1) + neighbour.log_softmax(1)).logsumexp(1).mean()


@full_precision
def cluster_entropy(logits: Tensor) -> Tensor:
    """H of the mean probabilities of a batch (SCAN Eq. 2, second term), of logits (B, K)."""
    mean = logits.softmax(1).mean(0).clamp_min(LEAST_SHARE)
    return -(mean * mean.log()).sum()


@full_precision
def self_label_loss(strong: Tensor, weak: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy of strong views on the clusters of their confident weak views (SCAN Sec. 2.3).

    Every cluster that occurs weighs the same, however many images it has: the weights n / n_c of the code under a
    weighted mean.

    Args:
        strong: logits of the strong views, (B, K).
        weak: logits of the weak views, in the same order, without gradient.
        threshold: an image counts if its largest probability is above it.

    Returns:
        The loss, 0 with a gradient of 0 if no image counts, and the share of images that count.
    """
    confidence, labels = weak.detach().softmax(1).max(1)
    counts = (confidence > threshold).to(strong.dtype)
    sizes = torch.zeros_like(strong[0]).index_add_(0, labels, counts)
    weights = counts / sizes.clamp_min(1)[labels]
    losses = functional.cross_entropy(strong, labels, reduction="none")
    return (weights * losses).sum() / (sizes > 0).sum().clamp_min(1), counts.mean()


@torch.no_grad()
def nearest_neighbours(vectors: Tensor, count: int) -> Tensor:
    """The ``count`` rows of largest inner product with each row, the row itself before all others: (N, count) int64.

    Args:
        vectors: (N, d), of length 1.
        count: at most N.

    Raises:
        LongtailError: if there are fewer rows.
    """
    if count > len(vectors):
        raise LongtailError(
            f"SCAN looks for {count - 1} neighbours of each image, but there are {len(vectors)} images in all. Lower "
            f"the setting neighbours."
        )
    found = []
    with torch.autocast(vectors.device.type, enabled=False):
        for rows in torch.arange(len(vectors), device=vectors.device).split(max(1, CHUNK // len(vectors))):
            similarity = vectors[rows] @ vectors.T
            similarity[torch.arange(len(rows), device=vectors.device), rows] = torch.inf
            found.append(similarity.topk(count, dim=1).indices)
    return torch.cat(found)


class SCANPretext(Objective):
    """SimCLR as SCAN's code has it: a head with one hidden layer, and both views in one forward."""

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of the pretext task.

        Attributes:
            temperature: tau.
            projection_width: outputs of the head.
            anchors: whether the images of ``both`` views look for their partners, as in SimCLR, or those of the
                ``first`` only.
        """

        temperature: float
        projection_width: int
        anchors: Literal["first", "both"]

        def __post_init__(self) -> None:
            check_choices(self)
            require(self.temperature > 0, "temperature", self.temperature, "above 0")
            require(self.projection_width >= 1, "projection_width", self.projection_width, "at least 1")

    features: ClassVar[tuple[str, ...]] = ("projection", "backbone")

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.settings = settings
        backbone: Any = context.new_backbone()
        self.backbone = backbone
        self.head = nn.Sequential(
            nn.Linear(backbone.width, backbone.width),
            nn.ReLU(),
            nn.Linear(backbone.width, settings.projection_width),
        )

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: NT-Xent; the batch statistics are those of both views together."""
        a, b = self.head(self.backbone(torch.cat(batch.views))).chunk(2)
        contrast = one_sided_nt_xent if self.settings.anchors == "first" else nt_xent
        return {"loss": contrast(a, b, self.settings.temperature)}

    def encoder(self, features: str) -> nn.Module:
        """``projection``: the head's output; ``backbone``: its input; neither is normalised."""
        match features:
            case "projection":
                return Chain(self.backbone, self.head, width=self.settings.projection_width)
            case "backbone":
                return self.backbone
        raise unknown("features of SCANPretext", features, self.features)


class SCAN(Objective):
    """A linear head on the pretext task's backbone; an image and a neighbour of it are to share a cluster."""

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of the clustering step.

        Attributes:
            features: what the head sees, a name that the pretext objective's ``encoder`` knows.
            neighbour_features: by what the pretext objective finds neighbours, likewise.
            neighbours: how many neighbours an image has besides itself.
            entropy_weight: lambda.
        """

        features: str
        neighbour_features: str
        neighbours: int
        entropy_weight: float

        def __post_init__(self) -> None:
            require(self.neighbours >= 0, "neighbours", self.neighbours, "at least 0")

    features: ClassVar[tuple[str, ...]] = ("cluster_head", "backbone")
    starts: ClassVar[Start] = "transfer"

    neighbours: Tensor

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        assert parent is not None
        self.settings = settings
        # not a part of this network and its checkpoint: it has done its work once the neighbours are found
        self._pretext = [parent.encoder(settings.neighbour_features)]
        embedder: Any = parent.encoder(settings.features)
        self.network = HeadedEncoder(embedder, Head(embedder.width, context.classes))
        self.register_buffer("neighbours", torch.zeros(context.rows, settings.neighbours + 1, dtype=torch.int64))

    def prepare(self, images: Images) -> None:
        """Find the neighbours of every image under the pretext task."""
        pretext = self._pretext.pop().to(self.neighbours.device)
        self.neighbours.copy_(nearest_neighbours(unit(images.encode(pretext)), self.settings.neighbours + 1))

    def shown(self, rows: Tensor, views: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """The images, and one of the neighbours of each, which may be the image itself as in the official code."""
        count = self.neighbours.shape[1]
        drawn = torch.randint(count, (len(rows), 1), generator=generator, device=rows.device)
        return rows, self.neighbours[rows].gather(1, drawn).squeeze(1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: consistency - lambda entropy (Eq. 2), both parts in the history."""
        (_, anchor), (_, neighbour) = (self.network(view) for view in batch.views)
        consistency, entropy = consistency_loss(anchor, neighbour), cluster_entropy(anchor)
        loss = consistency - self.settings.entropy_weight * entropy
        return {"loss": loss, "consistency": consistency, "entropy": entropy}

    def encoder(self, features: str) -> nn.Module:
        """``cluster_head``: the embedding and the clusters' logits; ``backbone``: the embedding."""
        match features:
            case "cluster_head":
                return self.network
            case "backbone":
                return self.network.embedder
        raise unknown("features of SCAN", features, self.features)


class SelfLabelling(Objective):
    """A network with a cluster head, trained on strong views by its own confident predictions on weak ones."""

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters of self-labelling.

        Attributes:
            features: what is taken over from the objective before, a name of its ``encoder`` that has a head.
            confidence_threshold: the probability above which a prediction is a label.
        """

        features: str
        confidence_threshold: float

        def __post_init__(self) -> None:
            value = self.confidence_threshold
            require(0 <= value < 1, "confidence_threshold", value, "at least 0 and below 1")

    features: ClassVar[tuple[str, ...]] = ("cluster_head", "backbone")
    starts: ClassVar[Start] = "transfer"

    def __init__(self, settings: Settings, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        assert parent is not None
        network = parent.encoder(settings.features)
        if not isinstance(network, HeadedEncoder):
            raise LongtailError(
                "Self-labelling goes on from a network with a cluster head: put a step such as scan before it and give "
                "it `start: transfer`."
            )
        self.settings = settings
        self.network = network

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss``: cross-entropy of view 1, the strong one, on the confident labels of view 2, the weak one.

        View 2 passes the network in train mode, before view 1. ``skipped`` is 1 if no image is confident; the official
        code ends with an error then. ``confident``: share of the images that are.
        """
        strong, weak = batch.views
        with torch.no_grad():
            _, labels = self.network(weak)
        _, logits = self.network(strong)
        loss, confident = self_label_loss(logits, labels, self.settings.confidence_threshold)
        return {"loss": loss, "confident": confident, "skipped": (confident == 0).float()}

    def encoder(self, features: str) -> nn.Module:
        """``cluster_head``: the embedding and the clusters' logits; ``backbone``: the embedding."""
        match features:
            case "cluster_head":
                return self.network
            case "backbone":
                return self.network.embedder
        raise unknown("features of SelfLabelling", features, self.features)
