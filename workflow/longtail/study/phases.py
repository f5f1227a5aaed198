"""Recipes into phases: what is trained, under which identity, and from which earlier phase.

Two cells that need the same state of training arrive at the same :class:`Phase`, hence the same file.
Nothing lists what is shared.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from longtail.errors import LongtailError, unknown
from longtail.splits import FILES
from longtail.study.catalog import Catalog, Dataset, Method
from longtail.study.config import Budget, Config
from longtail.study.settings import of_step, resolve, resolved, selectors

IDENTITY_LENGTH = 10


def canonical(document: Any) -> str:
    """JSON with sorted keys and no white space: equal data, equal text."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


OF_THE_SPLIT = ("rows", "class_sizes")
"""What a training adds to ``data``, which only its split tells."""

OF_THE_SOURCE = ("source", "interpolation")
"""What ``data`` and its ``test_transform`` say that follows from where the images come from."""


def identity_of(spec: Mapping[str, Any]) -> str:
    """A hash over everything in a specification that can change the weights, apart from the seed.

    Args:
        spec: with ``data``, ``backbone``, ``precision`` and ``lineage``; the rest is left out of account.
    """
    content = {
        "data": {key: value for key, value in spec["data"].items() if key not in OF_THE_SPLIT},
        "backbone": spec["backbone"],
        "precision": spec["precision"],
        "lineage": [
            {key: value for key, value in stretch.items() if key != "implementation"} for stretch in spec["lineage"]
        ],
    }
    return hashlib.sha256(canonical(content).encode()).hexdigest()[:IDENTITY_LENGTH]


def kinship(spec: Mapping[str, Any]) -> str:
    """The identity apart from where the images come from: equal for a training on Parquet and one on a download."""

    def kept(part: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in part.items() if key not in OF_THE_SOURCE}

    data = kept(spec["data"])
    if "test_transform" in data:
        data["test_transform"] = kept(data["test_transform"])
    return identity_of({**spec, "data": data})


@dataclass(frozen=True)
class Stretch:
    """Consecutive epochs of one objective on one clock.

    Attributes:
        objective: its name in the catalogue.
        implementation: module and class; where the code lives does not change what it computes, so it is not hashed.
        version: of the objective's results.
        start: ``fresh``, ``continue`` or ``transfer``.
        first_epoch: epochs of the clock before this stretch.
        last_epoch: epochs of the clock after it.
        clock: epochs the schedule is made for.
        settings: canonical JSON of the resolved settings.
        parent_seed: seed of the state that a transfer starts from; None for the seed of the training itself.
    """

    objective: str
    implementation: str
    version: int
    start: str
    first_epoch: int
    last_epoch: int
    clock: int
    settings: str
    parent_seed: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The stretch as ``spec.json`` has it, where only a ``parent_seed`` that is not the usual one is mentioned."""
        content = {**self.__dict__, "settings": json.loads(self.settings)}
        if self.parent_seed is None:
            del content["parent_seed"]
        return content


@dataclass(frozen=True)
class Phase:
    """A state of training, the seed apart.

    Attributes:
        cut: folder name of the split, e.g. ``cifar10-ir10``.
        data: canonical JSON of the ``data`` part of the specification.
        backbone: canonical JSON of name and stem.
        precision: ``mixed`` or ``float32``.
        lineage: the stretches that lead to this state.
        parent_epoch: where the job that trains the last stretch takes over from another phase of the same stretch;
            None when it starts at the stretch's first epoch. How work is cut into jobs is not part of the identity.
    """

    cut: str
    data: str
    backbone: str
    precision: str
    lineage: tuple[Stretch, ...]
    parent_epoch: int | None = None

    @functools.cached_property
    def identity(self) -> str:
        """A hash over everything that can change the weights, apart from the seed."""
        return identity_of(self._content())

    @functools.cached_property
    def kin(self) -> str:
        """The :func:`kinship` of its trainings."""
        return kinship(self._content())

    def _content(self) -> dict[str, Any]:
        return {
            "data": json.loads(self.data),
            "backbone": json.loads(self.backbone),
            "precision": self.precision,
            "lineage": [stretch.as_dict() for stretch in self.lineage],
        }

    @property
    def name(self) -> str:
        """Folder name: the last objective, its last epoch, the identity."""
        return f"{self.lineage[-1].objective}-{self.lineage[-1].last_epoch}-{self.identity}"

    @property
    def parent(self) -> Phase | None:
        """The phase whose checkpoint the training of this one starts from."""
        last = self.lineage[-1]
        if self.parent_epoch is not None:
            return replace(
                self, lineage=(*self.lineage[:-1], replace(last, last_epoch=self.parent_epoch)), parent_epoch=None
            )
        return replace(self, lineage=self.lineage[:-1]) if len(self.lineage) > 1 else None

    @property
    def epochs(self) -> int:
        """Epochs that the job of this phase trains."""
        last = self.lineage[-1]
        return last.last_epoch - (last.first_epoch if self.parent_epoch is None else self.parent_epoch)

    def parent_seed(self, seed: int) -> int:
        """The seed of the parent, for a training of this phase with the given one."""
        other = self.lineage[-1].parent_seed
        return seed if other is None or self.parent_epoch is not None else other

    def spec(self, seed: int) -> dict[str, Any]:
        """What a training job is told, and what ``spec.json`` records."""
        return {"identity": self.identity, **self._content(), "seed": seed}


def cut_name(dataset: Dataset, ratio: int, budget: Budget) -> str:
    """Folder name of a split. A budget that caps rows has splits of its own."""
    cap = capped_rows(dataset, budget)
    capped = f"-h{cap}" if cap != dataset.head_class_rows else ""
    return f"{dataset.name}{capped}-ir{ratio}"


def capped_rows(dataset: Dataset, budget: Budget) -> int | None:
    """Images of the largest class under a budget; None for datasets that take every listed row."""
    if dataset.head_class_rows is None or budget.head_class_rows is None:
        return dataset.head_class_rows
    return min(dataset.head_class_rows, budget.head_class_rows)


def source(dataset: Dataset, config: Config) -> Mapping[str, Any]:
    """Where a dataset's images come from under this configuration."""
    images = dataset.images
    return {"name": images["source"]["kind"], **config.data.get(images["name"], images["source"])}


def sentence_encoder(dataset: Dataset, config: Config) -> dict[str, str | None]:
    """Name, and local folder or None, of the encoder that reads a dataset's texts under this configuration."""
    return {"folder": None, "name": dataset.images["backbone"]["name"], **(config.sentence_encoder or {})}


def data_spec(dataset: Dataset, ratio: int, config: Config) -> dict[str, Any]:
    """The ``data`` part of a phase's specification: all about the images that can change weights or embeddings."""
    images = dataset.images
    spec = {
        "dataset": dataset.name,
        "images": images["name"],
        "source": source(dataset, config)["name"],
        "ratio": ratio,
        "construction": dataset.construction,
        "pool": list(dataset.pool),
        "head_class_rows": capped_rows(dataset, config.budget),
        "classes": images["classes"],
    }
    if dataset.held_out is not None:
        spec["held_out"] = dataset.held_out
    if dataset.holds == "texts":
        return {**spec, "max_tokens": images["max_tokens"]}
    return {
        **spec,
        "image_size": images["image_size"],
        "channels": images["channels"],
        "test_transform": _test_transform(images, source(dataset, config)),
    }


def _test_transform(images: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """How images are embedded; an interpolation is named where it acts, and nowhere else.

    Images that stay files have the sizes they have, unless their source cuts squares out of them.
    """
    given = images.get("test_transform", {})
    transform = {"resize": given.get("resize"), "crop": given.get("crop")}
    is_whole = source.get("storage", images.get("storage")) == FILES and not source.get("crop")
    stored = None if is_whole else source.get("crop") or images["image_size"]
    resized = transform["resize"] or stored
    if resized is None:
        raise LongtailError(
            f"Images of {images['name']} stay files of any size, but its test_transform does not say how large they "
            f"are to be embedded. Give it a resize, and a crop."
        )
    cut = transform["crop"] or resized
    if cut > resized:
        raise LongtailError(
            f"test_transform of {images['name']} cuts {cut} pixels out of images of {resized}. Lower its crop, or give "
            f"it a resize."
        )
    if resized != stored:
        transform["interpolation"] = given.get("interpolation", "bilinear")
    if cut != images["image_size"]:
        transform["final_interpolation"] = given.get("final_interpolation", "bilinear")
    return transform


def _backbone(name: str, dataset: Dataset, catalog: Catalog) -> dict[str, Any]:
    """The ``backbone`` part of a phase's specification: a network that there is, with a stem that it can have.

    The dataset's own network starts from published weights where the dataset names them; any other starts anew.
    """
    if dataset.holds == "texts":
        return {"name": name}
    if name not in catalog.backbones:
        raise unknown("backbone", name, catalog.backbones)
    own, stems = dataset.images["backbone"], catalog.backbones[name]["stems"]
    stem = own["stem"]
    if stem not in stems:
        raise LongtailError(
            f"The dataset {dataset.name!r} asks for the stem {stem!r}, and the backbone {name} has no other than "
            f"{', '.join(stems)}."
        )
    if "weights" not in own or own["name"] != name:
        return {"name": name, "stem": stem}
    if own["weights"] not in (known := catalog.backbones[name].get("weights", {})):
        raise unknown(f"weights of {name} (dataset {dataset.name!r})", own["weights"], known)
    return {"name": name, "stem": stem, "weights": own["weights"]}


def _scaled(boundaries: Sequence[int], factor: float) -> list[int]:
    """Epoch boundaries under a budget: each stretch keeps at least one epoch.

    Boundaries are scaled, not lengths, so that recipes which share a boundary still do.
    """
    scaled: list[int] = []
    for boundary in boundaries:
        scaled.append(max(round(boundary * factor), (scaled[-1] if scaled else 0) + 1))
    return scaled


def _stretches(
    method: Method,
    overrides: Mapping[str, Mapping[str, Any]],
    dataset: Dataset,
    ratio: int,
    config: Config,
    catalog: Catalog,
) -> list[Stretch]:
    """The stretches of a recipe, clock by clock."""
    recipe = method.recipe_on(dataset)
    named = {step["objective"] for step in recipe}
    for name in overrides:
        if name not in named:
            raise unknown(f"objective in the recipe of method {method.name!r}", name, named)
    keys = selectors(dataset, ratio)
    clocks: list[list[Mapping[str, Any]]] = []
    for step in recipe:
        if not clocks or step.get("start") == "transfer":
            clocks.append([])
        clocks[-1].append(step)

    stretches: list[Stretch] = []
    for steps in clocks:
        lengths = [resolve(step["epochs"], keys, config.protocol) for step in steps]
        if not all(isinstance(length, int) and length > 0 for length in lengths):
            raise LongtailError(
                f"The recipe of method {method.name!r} has epochs {lengths}; whole numbers above 0 are meant."
            )
        boundaries = _scaled([sum(lengths[: i + 1]) for i in range(len(lengths))], config.budget.epochs)
        for index, step in enumerate(steps):
            objective = catalog.objectives[step["objective"]]
            values = resolved(
                objective.name,
                of_step(objective.settings, step, keys),
                overrides.get(objective.name, {}),
                dataset,
                ratio,
                config.protocol,
                catalog,
            )
            stretches.append(
                Stretch(
                    objective=objective.name,
                    implementation=objective.implementation,
                    version=objective.version,
                    start="continue" if index else "transfer" if stretches else "fresh",
                    first_epoch=boundaries[index - 1] if index else 0,
                    last_epoch=boundaries[index],
                    clock=boundaries[-1],
                    settings=canonical(_budgeted(values, config.budget)),
                )
            )
    return stretches


def _budgeted(values: dict[str, Any], budget: Budget) -> dict[str, Any]:
    """Settings under a budget: lengths in epochs shrink with the training, batches have a ceiling.

    What is no number is left as it is; the job that reads the settings says so.
    """

    def scales(name: str) -> bool:
        return name.endswith("_epochs") and isinstance(values[name], int | float)

    shrunk = {
        name: value * budget.epochs if budget.epochs != 1 and scales(name) else value for name, value in values.items()
    }
    if budget.epochs != 1 and isinstance(shrunk.get("schedule"), Mapping) and "warmup" in shrunk["schedule"]:
        warmup = shrunk["schedule"]["warmup"]
        shrunk["schedule"] = {
            **shrunk["schedule"],
            "warmup": {**warmup, "epochs": warmup["epochs"] * budget.epochs},
        }
    if budget.batch_size is not None and isinstance(shrunk.get("batch_size"), int | float):
        shrunk["batch_size"] = min(shrunk["batch_size"], budget.batch_size)
    return shrunk


def require_fit(method: Method, dataset: Dataset) -> None:
    """Raise if a method cannot be had on a dataset: one for images on texts, or the other way round, and as it says."""
    if method.reads is not None and method.reads != dataset.holds:
        raise LongtailError(
            f"The method {method.name!r} is one for {method.reads}, but {dataset.name!r} holds {dataset.holds}."
        )
    if reason := method.refusal(dataset):
        raise LongtailError(
            f"The method {method.name!r} is not available on {dataset.name!r}: {reason}. Ask for it on another "
            f"dataset, or for another method; who knows how it is trained there says so in "
            f"catalog/methods/{method.family}.yaml."
        )


def final_phase(
    method: Method,
    overrides: Mapping[str, Mapping[str, Any]],
    backbone: str,
    dataset: Dataset,
    ratio: int,
    config: Config,
    catalog: Catalog,
) -> Phase:
    """The state at the end of a method's recipe, before it is known where other recipes cut it.

    Args:
        method: a method with a recipe.
        overrides: objective -> setting -> value, on top of the catalogue.
        backbone: name of the network.
        dataset: what to train on.
        ratio: imbalance ratio, at least 1.
        config: protocol, budget, precision and data sources.
        catalog: objectives and augmentations.
    """
    if ratio < 1:
        raise LongtailError(f"An imbalance ratio is the largest class over the smallest, so at least 1, not {ratio}.")
    require_fit(method, dataset)
    return Phase(
        cut=cut_name(dataset, ratio, config.budget),
        data=canonical(data_spec(dataset, ratio, config)),
        backbone=canonical(_backbone(backbone, dataset, catalog)),
        precision=config.precision or dataset.images["precision"],
        lineage=tuple(_stretches(method, overrides, dataset, ratio, config, catalog)),
    )


def steps(phase: Phase) -> list[Phase]:
    """The phase and everything before it, at the boundaries of its own recipe."""
    return [replace(phase, lineage=phase.lineage[: i + 1], parent_epoch=None) for i in range(len(phase.lineage))]


def pretrained_with(phase: Phase, seed: int) -> Phase:
    """The phase with all that comes before its first transfer trained with one seed, whatever the rest has.

    A phase without a transfer has no pre-training in this sense, and stays as it is.
    """
    lineage = list(phase.lineage)
    for index, stretch in enumerate(lineage):
        if stretch.start == "transfer":
            lineage[index] = replace(stretch, parent_seed=seed)
            break
    return replace(phase, lineage=tuple(lineage))


def cut_at(phase: Phase, others: Mapping[tuple[Any, ...], Sequence[int]]) -> Phase:
    """The phase with its parent at the latest epoch, before its own end, at which any recipe leaves the same stretch.

    Args:
        phase: any phase.
        others: for each :func:`stretch_key`, the epochs at which recipes of the catalogue leave that stretch.
    """
    last = phase.lineage[-1]
    earlier = [epoch for epoch in others.get(stretch_key(phase), ()) if last.first_epoch < epoch < last.last_epoch]
    return replace(phase, parent_epoch=max(earlier, default=None))


def stretch_key(phase: Phase) -> tuple[Any, ...]:
    """What two phases have in common that lie on the same stretch, however far along."""
    return (*phase.lineage[:-1], replace(phase.lineage[-1], last_epoch=0), phase.data, phase.backbone, phase.precision)
