"""From settings with origins to plain values, for one dataset, ratio and protocol."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from longtail.errors import LongtailError, unknown
from longtail.study.catalog import Catalog, Dataset


def selectors(dataset: Dataset, ratio: int) -> tuple[str, ...]:
    """The keys under which a setting's ``for`` may speak of this dataset, the most specific first."""
    return tuple(key for name in dataset.names for key in (f"{name}-ir{ratio}", name))


def speaks(setting: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    """Whether a setting has a value for a dataset: without one of its own it stands for those of its ``for`` alone.

    Elsewhere no training is told of it, so that a setting which a new dataset needs changes no other's identity.
    """
    return "value" in setting or "official" in setting or any(key in setting["for"] for key in keys)


def of_step(
    settings: Mapping[str, Mapping[str, Any]], step: Mapping[str, Any], keys: tuple[str, ...]
) -> dict[str, Mapping[str, Any]]:
    """The settings of an objective, with what a step of a recipe says of a dataset (its :func:`selectors`) instead."""
    own = {name: setting for name, setting in step.get("settings", {}).items() if speaks(setting, keys)}
    return {**settings, **own}


def resolve(setting: Mapping[str, Any], keys: tuple[str, ...], protocol: str) -> Any:
    """The value of a setting for a dataset (its :func:`selectors`) under a protocol.

    Raises:
        LongtailError: if it has none, see :func:`speaks`.
    """
    own = setting.get("for", {})
    for key in keys:
        if key in own:
            return own[key][protocol] if is_pair(own[key]) else own[key]
    if not speaks(setting, keys):
        raise LongtailError(
            f"A value is given for {', '.join(own)} alone, and asked for on {keys[-1]}: add it to `for` "
            f"({setting['where']})."
        )
    return setting["value"] if "value" in setting else setting[protocol]


def is_pair(value: Any) -> bool:
    """Whether a value of ``for`` is one for each protocol: ``{official: 256, paper: 512}``."""
    return isinstance(value, Mapping) and value.keys() == {"official", "paper"}


def choices(settings: Mapping[str, Mapping[str, Any]], keys: Collection[str]) -> Iterator[tuple[str, Any, Any, str]]:
    """The settings in which paper and official code differ: name, official value, paper's value, where.

    Args:
        settings: of an objective.
        keys: the :func:`selectors` of all datasets that matter; a pair of ``for`` is told with the key it is for.
    """
    for name, setting in settings.items():
        if "official" in setting:
            yield name, setting["official"], setting["paper"], setting["where"]
        for key, value in setting.get("for", {}).items():
            if key in keys and is_pair(value):
                yield f"{name} for {key}", value["official"], value["paper"], setting["where"]


def _augmentation(name: Any, objective: str, catalog: Catalog) -> Mapping[str, Any] | list[Mapping[str, Any]]:
    """The list of transforms of a name, or of each of several."""
    if isinstance(name, list):
        return [_transforms(one, objective, catalog) for one in name]
    return _transforms(name, objective, catalog)


def _transforms(name: Any, objective: str, catalog: Catalog) -> Mapping[str, Any]:
    if not isinstance(name, str) or name not in catalog.augmentations:
        raise unknown(f"augmentation (objective {objective!r})", name, catalog.augmentations)
    return catalog.augmentations[name]


IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def _normalization(name: str | Mapping[str, Any], objective: str, dataset: Dataset) -> Mapping[str, Any]:
    """``own``: the image set's statistics; ``imagenet``: ImageNet's, which need three channels.

    ``none`` leaves pixels in [0, 1]. A mapping with ``mean`` and ``std`` stands for itself.
    """
    if isinstance(name, Mapping):
        return name
    if name == "own":
        return dataset.images["normalization"]
    if name == "none":
        channels = dataset.images["channels"]
        return {"mean": [0.0] * channels, "std": [1.0] * channels}
    if name != "imagenet":
        raise unknown(f"normalization (objective {objective!r})", name, ["own", "imagenet", "none"])
    if dataset.images["channels"] != 3:
        raise LongtailError(
            f"The objective {objective!r} normalises with ImageNet's statistics, but {dataset.name!r} has "
            f"{dataset.images['channels']} channel; give it `normalization` `for: {{{dataset.name}: own}}`."
        )
    return IMAGENET


def resolved(
    objective: str,
    settings: Mapping[str, Mapping[str, Any]],
    overrides: Mapping[str, Any],
    dataset: Dataset,
    ratio: int,
    protocol: str,
    catalog: Catalog,
) -> dict[str, Any]:
    """All settings of an objective as plain values, with what names of the catalogue stand for in their place.

    Args:
        objective: its name, for messages.
        settings: with origins, as in the catalogue.
        overrides: plain values that a table or figure sets, e.g. ``{"tags": 50}``.
        dataset: what is trained on; its own settings come before the objectives'.
        ratio: imbalance ratio.
        protocol: ``official`` or ``paper``.
        catalog: for augmentations and schedules. A schedule that it does not have is a function of the training.

    Raises:
        LongtailError: for an override of a setting that the objective does not have, and for unknown names.
    """
    keys = selectors(dataset, ratio)
    values = {name: resolve(setting, keys, protocol) for name, setting in settings.items() if speaks(setting, keys)}
    values |= {name: value for name, value in dataset.settings.items() if name in settings}
    for name, value in overrides.items():
        if name not in settings:
            raise unknown(f"setting of objective {objective!r}", name, settings)
        values[name] = value
    if "augmentation" in values:
        values["augmentation"] = _augmentation(values["augmentation"], objective, catalog)
    if isinstance(values.get("schedule"), str):
        values["schedule"] = catalog.schedules.get(values["schedule"], values["schedule"])
    if "normalization" in values:  # which objectives on images have
        values["normalization"] = _normalization(values["normalization"], objective, dataset)
    return values
