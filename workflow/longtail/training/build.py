"""From a phase's specification to its networks."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from longtail.data.resident import derived_seed
from longtail.errors import LongtailError
from longtail.methods.base import Context, Objective
from longtail.models.backbones import new_backbone
from longtail.models.sentence import SentenceEncoder
from longtail.training.encode import of_texts
from longtail.training.hyperparameters import TrainingSettings, construct, split_settings

Spec = Mapping[str, Any]


def build(spec: Spec, parent: Objective | None = None, encoder: Path | None = None) -> Objective:
    """The objective of a specification's last stretch, freshly initialised, on the CPU.

    Objectives that continue each other hold the same networks, so only the last class of such a chain is built; its
    weights then come from a checkpoint. Where the chain opens with a transfer, the objective before it is built too.

    The draws depend on the seed and on where in the lineage the chain opens, and on nothing else: two objectives that
    build the same networks start from the same weights.

    Args:
        spec: a phase as data (ARCHITECTURE.md).
        parent: the trained objective a transfer takes its encoder from. Without it an untrained one stands in, which
            is enough when all weights are loaded afterwards.
        encoder: folder of the sentence encoder that is the backbone where the data are texts.

    Raises:
        LongtailError: if a class cannot be imported, its settings do not fit it, or texts have no encoder.
    """
    lineage = spec["lineage"]
    opening = opening_position(lineage)
    if lineage[opening]["start"] == "transfer" and parent is None:
        parent = build({**spec, "lineage": lineage[:opening]}, encoder=encoder)
    stretch = lineage[-1]
    kind = implementation(stretch)
    require_start(kind, lineage[opening], lineage[-1]["objective"])
    _, own = split_settings(stretch)
    settings = construct(kind.Settings, own, stretch["objective"], tuple(TrainingSettings.__dataclass_fields__))
    data = spec["data"]
    context = Context(
        new_backbone=backbone_maker(spec, encoder),
        classes=data["classes"],
        rows=data["rows"],
        class_sizes=torch.tensor(data["class_sizes"]) if kind.supervised else None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(spec["seed"], "init", opening))
        return kind(settings, context, parent)


def backbone_maker(spec: Spec, encoder: Path | None) -> Callable[..., nn.Module]:
    """What makes the backbones of an objective: new ones for images, the pre-trained sentence encoder for texts."""
    backbone, data = spec["backbone"], spec["data"]
    if not of_texts(data):
        return functools.partial(new_backbone, backbone["name"], backbone["stem"], data["channels"])
    if encoder is None:
        raise LongtailError(f"Texts of {data['dataset']} need a sentence encoder: give its folder with --encoder.")
    return lambda norm=None: SentenceEncoder(encoder)  # it has no batch normalisation to be of another kind


def opening_position(lineage: list[Mapping[str, Any]]) -> int:
    """Where in the lineage the networks of its last stretch were made: the last stretch that does not continue."""
    for position in range(len(lineage) - 1, -1, -1):
        if lineage[position]["start"] in ("fresh", "transfer"):
            return position
    raise LongtailError(
        f"The lineage {' → '.join(stretch['objective'] for stretch in lineage) or '(empty)'} begins with nothing to "
        f"continue. Its first stretch must have start 'fresh'."
    )


def require_start(kind: type[Objective], opening: Mapping[str, Any], objective: str) -> None:
    """Check that an objective may be on a clock that opens as the stretch ``opening`` does.

    Raises:
        LongtailError: if it needs the encoder of a trained network and there is none, or cannot take one over.
    """
    if kind.starts == "transfer" and opening["start"] != "transfer":
        raise LongtailError(
            f"The objective {objective!r} starts from a trained encoder: put a step that trains one before it in the "
            f"recipe, and give it `start: transfer`."
        )
    if kind.starts == "fresh" and opening["start"] == "transfer":
        raise LongtailError(
            f"The objective {objective!r} starts from a new network, or continues one of its family; it cannot take "
            f"over a trained encoder. Write the recipe step without `start: transfer`."
        )


def implementation(stretch: Mapping[str, Any]) -> type[Objective]:
    """The class that ``implementation`` ("module:Class") names.

    Raises:
        LongtailError: if there is no such module or class, or it is no Objective.
    """
    module_name, _, class_name = stretch["implementation"].partition(":")
    where = f"Objective {stretch['objective']!r} has the implementation {stretch['implementation']!r}"
    try:
        kind = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise LongtailError(f"{where}, which cannot be imported ({error}). Write it as 'module:Class'.") from error
    if not (isinstance(kind, type) and issubclass(kind, Objective)):
        raise LongtailError(f"{where}, which is no subclass of longtail.methods.base.Objective.")
    return kind
