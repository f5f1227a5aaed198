"""The settings of a cell's trainings as they act, each with where its value comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from longtail.discrepancies.points import acts, is_chosen, shown
from longtail.study.cells import Cell
from longtail.study.phases import Phase, Stretch
from longtail.study.settings import is_pair, of_step, resolve, selectors, speaks
from longtail.study.study import Study


@dataclass(frozen=True)
class Setting:
    """One value.

    Attributes:
        training: the stretch it acts in, e.g. ``sdclr 0-200``.
        name: in the catalogue.
        value: for people.
        origin: ``paper``, ``official`` or ``chosen``; ``table`` for what a row or column asks for, ``dataset`` for what
            a dataset has in place of the methods' own.
        where: the place that the catalogue gives.
    """

    training: str
    name: str
    value: str
    origin: str
    where: str


def settings_of(study: Study, cell: Cell, phase: Phase) -> Iterator[Setting]:
    """All settings that act in the trainings of a cell, stretch by stretch.

    Args:
        study: that trains it.
        cell: no control.
        phase: the state at the end of its recipe.
    """
    dataset = study.catalog.dataset(cell.dataset)
    recipe = study.catalog.method(cell.method).recipe_on(dataset)
    asked = json.loads(cell.settings)
    keys, protocol = selectors(dataset, cell.ratio), study.config.protocol
    for training, step, stretch in zip(_names(phase), recipe, phase.lineage, strict=True):
        entries = of_step(study.catalog.objectives[stretch.objective].settings, step, keys)
        own = asked.get(stretch.objective, {})
        # Names of lists of transforms and the like, which a stretch has in place of what they name.
        named = {name: resolve(entry, keys, protocol) for name, entry in entries.items() if speaks(entry, keys)}
        named |= {**dataset.settings, **own}
        yield Setting(training, "epochs", _epochs(stretch), *_origin(step["epochs"], keys, protocol))
        for name, value in json.loads(stretch.settings).items():
            if not acts(entries[name], named):
                continue
            if name in own:
                origin = "table", "what the row or column of the table asks for"
            elif name in dataset.settings:
                origin = "dataset", f"{dataset.title}, in place of the methods' own"
            else:
                origin = _origin(entries[name], keys, protocol)
            yield Setting(training, name, shown(named[name] if isinstance(value, list | dict) else value), *origin)


def _names(phase: Phase) -> list[str]:
    """What the stretches of a recipe are called; those that are called alike are numbered."""
    names = [f"{each.objective} {each.first_epoch}-{each.last_epoch}" for each in phase.lineage]
    return [f"{name}, step {number}" if names.count(name) > 1 else name for number, name in enumerate(names, start=1)]


def _epochs(stretch: Stretch) -> str:
    length = stretch.last_epoch - stretch.first_epoch
    return f"{length}" if stretch.clock == length else f"{length} of a clock of {stretch.clock}"


def _origin(entry: Mapping[str, Any], keys: tuple[str, ...], protocol: str) -> tuple[str, str]:
    """Where the value of a setting for a dataset comes from, and the place."""
    selector = next((key for key in keys if key in entry.get("for", {})), None)
    where = str(entry["where"] if selector is None else entry.get("for_where", entry["where"]))
    if is_chosen(entry, selector):
        return "chosen", where
    if "official" in entry if selector is None else is_pair(entry["for"][selector]):
        return protocol, where
    return str(entry.get("origin", protocol)), where
