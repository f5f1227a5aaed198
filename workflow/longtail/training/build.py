"""From a phase's specification to its networks."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from longtail.data.resident import derived_seed
from longtail.errors import LongtailError
from longtail.methods.base import Context, Objective
from longtail.models.backbones import new_backbone
from longtail.models.pretrained import load_pretrained
from longtail.models.sentence import SentenceEncoder
from longtail.training.hyperparameters import TrainingSettings, construct
from longtail.training.specification import Specification


def build(
    spec: Specification, parent: Objective | None = None, encoder: Path | None = None, weights: Path | None = None
) -> Objective:
    """The objective of a specification's last stretch, freshly initialised, on the CPU.

    Objectives that continue each other hold the same networks, so only the last class of such a chain is built; its
    weights then come from a checkpoint. Where the chain opens with a transfer, the objective before it is built too.

    The draws depend on the seed and on where in the lineage the chain opens, and on nothing else: two objectives that
    build the same networks start from the same weights.

    Args:
        spec: a phase, whose training split was read.
        parent: the trained objective a transfer takes its encoder from. Without it an untrained one stands in, which
            is enough when all weights are loaded afterwards.
        encoder: folder of the sentence encoder that is the backbone where the data are texts.
        weights: file with the published weights that backbones for images start from. Without it they start anew, which
            is enough when all weights are loaded afterwards.

    Raises:
        LongtailError: if a class cannot be imported, its settings do not fit it, texts have no encoder, or weights are
            not those of the backbone.
    """
    stretch, data, opening = spec.last, spec.data, spec.opening
    start = spec.lineage[opening].start
    if start == "transfer" and parent is None:
        parent = build(spec.before(opening), encoder=encoder)
    kind = implementation(stretch.objective, stretch.implementation)
    require_start(kind, start, stretch.objective)
    require_sampling(kind, stretch.settings, stretch.objective)
    settings = construct(kind.Settings, stretch.own, stretch.objective, tuple(TrainingSettings.__dataclass_fields__))
    assert data.rows is not None
    assert data.class_sizes is not None
    context = Context(
        new_backbone=backbone_maker(spec, encoder, weights),
        classes=data.classes,
        rows=data.rows,
        class_sizes=torch.tensor(data.class_sizes) if kind.supervised else None,
        normalization=stretch.settings.normalization,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(spec.seed, "init", opening))
        return kind(settings, context, parent)


def backbone_maker(spec: Specification, encoder: Path | None, weights: Path | None = None) -> Callable[..., nn.Module]:
    """What makes the backbones of an objective.

    For images new ones, or such with published ``weights``; for texts the pre-trained sentence encoder.
    """
    if spec.data.holds == "images":
        new = functools.partial(new_backbone, spec.backbone.name, spec.backbone.stem, spec.data.channels)
        return new if weights is None else functools.partial(_pretrained, new, weights)
    if encoder is None:
        raise LongtailError(f"Texts of {spec.data.dataset} need a sentence encoder: give its folder with --encoder.")
    return lambda norm=None: SentenceEncoder(encoder)  # it has no batch normalisation to be of another kind


def _pretrained(new: Callable[..., nn.Module], weights: Path, *arguments: Any, **options: Any) -> nn.Module:
    network = new(*arguments, **options)
    load_pretrained(network, weights)
    return network


def require_start(kind: type[Objective], start: str, objective: str) -> None:
    """Check that an objective may be on a clock that opens with ``start``.

    Raises:
        LongtailError: if it needs the encoder of a trained network and there is none, or cannot take one over.
    """
    if kind.starts == "transfer" and start != "transfer":
        raise LongtailError(
            f"The objective {objective!r} starts from a trained encoder: put a step that trains one before it in the "
            f"recipe, and give it `start: transfer`."
        )
    if kind.starts == "fresh" and start == "transfer":
        raise LongtailError(
            f"The objective {objective!r} starts from a new network, or continues one of its family; it cannot take "
            f"over a trained encoder. Write the recipe step without `start: transfer`."
        )


def require_sampling(kind: type[Objective], settings: TrainingSettings, objective: str) -> None:
    """Check that an objective may have its images drawn as the settings say.

    Raises:
        LongtailError: if there is a sampler, which goes by true classes, and the objective must not see those, or
            decides itself which images are drawn or shown.
    """
    if not settings.samplers:
        return
    if not kind.supervised:
        raise LongtailError(
            f"The objective {objective!r} has a sampler, which draws images by their true classes, but it is not "
            f"supervised and never sees one. Remove the setting."
        )
    deciding = ("sampling_weights", "shown") if isinstance(settings.sampler, tuple) else ("sampling_weights",)
    own = [name for name in deciding if getattr(kind, name) is not getattr(Objective, name)]
    if own:
        raise LongtailError(
            f"The objective {objective!r} has the sampler {settings.sampler!r}, but decides itself which images a step "
            f"shows ({own[0]}). Remove the setting."
        )


def implementation(objective: str, place: str) -> type[Objective]:
    """The class of an objective.

    Args:
        objective: its name, for the messages.
        place: where the class is, as ``module:Class``.

    Raises:
        LongtailError: if there is no such module or class, or it is no Objective.
    """
    module_name, _, class_name = place.partition(":")
    where = f"Objective {objective!r} has the implementation {place!r}"
    try:
        kind = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise LongtailError(f"{where}, which cannot be imported ({error}). Write it as 'module:Class'.") from error
    if not (isinstance(kind, type) and issubclass(kind, Objective)):
        raise LongtailError(f"{where}, which is no subclass of longtail.methods.base.Objective.")
    return kind
