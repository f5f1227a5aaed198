"""What the training loop asks of an objective. The science is in the folders beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

Start = Literal["fresh", "transfer", "either"]


@dataclass(frozen=True)
class Context:
    """What an objective may know about its surroundings.

    Attributes:
        new_backbone: makes a freshly initialised backbone with a ``width`` attribute that maps (B, C, H, W) to
            (B, width); takes the class of its batch normalisation layers, ``nn.BatchNorm2d`` by default. For texts it
            makes the pre-trained sentence encoder, which maps tokens, (B, L) int64, to (B, width).
        classes: number of true classes K, which is also the number of target clusters.
        rows: number of images N in the training split.
        class_sizes: training images of each class, (K,) int64; None unless the objective is supervised.
        normalization: how pixels in [0, 1] became what views hold: ``mean`` and ``std`` of each channel; empty for
            texts.
    """

    new_backbone: Callable[..., nn.Module]
    classes: int
    rows: int
    class_sizes: Tensor | None = None
    normalization: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """One step's images.

    Attributes:
        views: augmented and normalised images, each (B, C, H, W) float32; of texts their tokens, each (B, L) int64.
        rows: of each view the positions in the training split, (B,) int64.
        generator: the only source of random draws inside a loss; it lives on the views' device.
        labels: of each view the true classes, (B,) int64; empty unless the objective is supervised.
        progress: share of the clock's updates that are done with this one, in (0, 1].
        learning_rate: that of this update, before parameter groups scale it.
    """

    views: tuple[Tensor, ...]
    rows: tuple[Tensor, ...]
    generator: torch.Generator
    labels: tuple[Tensor, ...] = ()
    progress: float = 0.0
    learning_rate: float = 0.0


class Images(Protocol):
    """The training split, for objectives that look at all of it, or at chosen rows, between epochs."""

    def encode(self, encoder: nn.Module, order: Tensor | None = None) -> Tensor:
        """Outputs of ``encoder`` in eval mode for every row of the split in order, (N, d) float32, no gradient.

        Nothing is augmented. ``order``, a permutation of the rows, (N,) int64, is that in which they pass through the
        encoder.
        """
        ...

    def encode_views(self, encoder: nn.Module, rows: Tensor, views: int) -> tuple[Tensor, ...]:
        """The same of augmented ``rows``, (R,) int64, for each of the first ``views`` views of a step."""
        ...


class Objective(nn.Module):
    """The networks of one training phase and the loss that trains them.

    The ``state_dict`` is what a checkpoint holds, so everything that must survive an interruption is a parameter or a
    persistent buffer. Objectives that continue each other on one clock build the same networks under the same names.
    """

    @dataclass(frozen=True)
    class Settings:
        """Hyperparameters, as named in the catalogue. Subclasses define their own."""

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        """Build the networks; ``parent`` is the objective whose encoder a ``transfer`` starts from, else None."""
        super().__init__()

    features: ClassVar[tuple[str, ...]] = ()
    """The names that :meth:`encoder` accepts."""

    supervised: ClassVar[bool] = False
    """Whether the loss is given true classes and their sizes. No other objective ever sees one."""

    starts: ClassVar[Start] = "fresh"
    """Whether a clock of it opens with a new network, with the encoder of a trained one, or with either."""

    continued: ClassVar[tuple[str, ...]] = ()
    """What it takes over from the objective before it on the same clock, beside parameters and the statistics of
    normalisation layers: names of buffers, or of modules with all of their buffers. Every other buffer starts new."""

    def shown(self, rows: Tensor, views: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """The rows whose images each view of a step shows: ``rows`` for all, unless the objective pairs images.

        May be asked some updates ahead, so it depends on nothing that an update changes.

        Args:
            rows: of the step, (B,) int64.
            views: how many views there are.
            generator: the only source of random draws, on the device of ``rows``.
        """
        return (rows,) * views

    def before_step(self, progress: float) -> None:
        """Called before the loss of each update, with the ``progress`` of :meth:`after_step`."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars of one step: ``"loss"`` is minimised, the others are parts worth a line in the history.

        A part called ``"skipped"`` that is 1 makes the optimiser leave this step out.
        """
        raise NotImplementedError

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Optimiser groups: ``params``, and how they learn.

        That is ``learning_rate_scale``, a factor on the scheduled learning rate, or ``learning_rate``, which stays; and
        ``weight_decay``, where it is not that of the settings.
        """
        return [{"params": [p for p in self.parameters() if p.requires_grad], "learning_rate_scale": 1.0}]

    def prepare(self, images: Images) -> None:
        """Called once, before the first step of the phase's first stretch epoch (not after a resume)."""

    def start_epoch(self, epoch: int, images: Images) -> None:
        """Called before the first step of each epoch; ``epoch`` counts from 0 on the phase's clock."""

    def sampling_weights(self) -> Tensor | None:
        """How often an epoch draws each row, relative to the others, (N,); None if it visits each row once.

        Called after :meth:`start_epoch`, and again when an epoch is resumed.
        """
        return None

    def after_step(self, progress: float) -> None:
        """Called after each optimiser step; ``progress`` in (0, 1] is the share of the clock's updates by then."""

    def encoder(self, features: str) -> nn.Module:
        """The network behind ``features``: (B, C, H, W) to (B, d), or to (embedding, logits) where it has a head.

        Its ``width`` is d. Outputs are not normalised.
        """
        raise NotImplementedError

    def stored(self, features: str) -> Tensor | None:
        """The features that the objective holds itself for the training split, (N, d) in its order, such as a memory.

        None where :meth:`encoder` gives them from images.
        """
        return None
