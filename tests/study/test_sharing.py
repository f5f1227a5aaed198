"""How many phases the papers need, counted once more from the catalogue's files, slowly and with sets only.

A state of training is told apart by everything that was trained up to it, written out; no hash, no class of the
package. Whatever two cells have in common is then one element of a set.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from longtail.study.catalog import CATALOG
from longtail.study.counting import works
from longtail.study.jobs import Jobs
from longtail.study.study import load_study

PAPERS = ("conmix", "miniclustering", "iccl", "rescom", "gloco")
PROTOCOL = "official"


@functools.cache
def merged(folder: str, kind: str) -> dict[str, Any]:
    """The entries of one kind in all files of a folder."""
    files = sorted((CATALOG / folder).glob("*.yaml"))
    return {name: entry for file in files for name, entry in (loaded(file).get(kind) or {}).items()}


@functools.cache
def loaded(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@functools.cache
def images_of() -> dict[str, str]:
    """The image or text set of each dataset."""
    files = map(loaded, (CATALOG / "datasets").glob("*.yaml"))
    return {dataset: (file.get("images") or file["texts"])["name"] for file in files for dataset in file["datasets"]}


@functools.cache
def network_of(dataset: str) -> str:
    """The network that a dataset is trained on by, unless a table asks for another."""
    (file,) = [file for file in map(loaded, (CATALOG / "datasets").glob("*.yaml")) if dataset in file["datasets"]]
    return (file["datasets"][dataset].get("backbone") or (file.get("images") or file["texts"])["backbone"])["name"]


def settings_of(objective: str) -> dict[str, Any]:
    """The settings of an objective with what it takes over from the one it is like."""
    entry = merged("methods", "objectives")[objective]
    taken = settings_of(entry["like"]) if "like" in entry else {}
    kept = {name: setting for name, setting in taken.items() if name not in entry.get("drop", ())}
    return {**kept, **entry.get("settings", {})}


NOWHERE = object()
"""What a setting is worth that stands for other datasets alone."""


def value(setting: Mapping[str, Any], dataset: str, ratio: int) -> Any:
    for name in (dataset, images_of()[dataset]):
        for key in (f"{name}-ir{ratio}", name):
            if key in setting.get("for", {}):
                found = setting["for"][key]
                return found[PROTOCOL] if isinstance(found, dict) and set(found) == {"official", "paper"} else found
    return setting.get("value", setting.get(PROTOCOL, NOWHERE))


Stretch = tuple[str, str, int, int, int]  # objective, settings, the clock, epochs of it before and after
Path_ = tuple[Stretch, ...]


@functools.cache
def trained(method: str, overrides: str, dataset: str, ratio: int) -> Path_:
    """All that a method trains on a dataset."""
    entry = merged("methods", "methods")[method]
    recipe = entry.get("recipes", {}).get(dataset, entry.get("recipe", []))
    clocks: list[list[Any]] = []
    for step in recipe:
        if not clocks or step.get("start") == "transfer":
            clocks.append([])
        clocks[-1].append(step)
    found: list[Stretch] = []
    for steps in clocks:
        epochs = [value(step["epochs"], dataset, ratio) for step in steps]
        for index, step in enumerate(steps):
            values = {}
            for settings in (settings_of(step["objective"]), step.get("settings", {})):
                found_here = {name: value(setting, dataset, ratio) for name, setting in settings.items()}
                values |= {name: one for name, one in found_here.items() if one is not NOWHERE}
            values |= json.loads(overrides).get(step["objective"], {})
            before = sum(epochs[:index])
            text = json.dumps([values, json.loads(overrides).get("backbone")], sort_keys=True)
            found.append((step["objective"], text, sum(epochs), before, before + epochs[index]))
    return tuple(found)


def cells(paper: str) -> Iterator[tuple[str, str, str, int, int]]:
    """Method, overrides, dataset, ratio and seed of all that a paper's tables and figures ask for."""
    spec = loaded(CATALOG / "papers" / f"{paper}.yaml")
    asked = [(figure["seeds"], cell) for figure in spec.get("figures", {}).values() for cell in figure["cells"]]
    for table in spec["tables"].values():
        places = [
            {**column, **row}
            for row in table["rows"]
            for column in table["columns"]
            if f"{column.get('dataset')}-ir{column.get('ratio')}" not in row.get("dashes", ())
        ]
        asked += [(place.get("seeds", table["seeds"]), place) for place in places if "average_of" not in place]
    for seeds, cell in asked:
        there = cell["method"] in merged("methods", "methods") and cell["dataset"] in images_of()
        entry = merged("methods", "methods")[cell["method"]] if there else {}
        if entry.get("recipe") and cell["dataset"] not in entry.get("unavailable", {}):
            network = cell.get("backbone")
            other = {"backbone": network} if network not in (None, network_of(cell["dataset"])) else {}
            overrides = json.dumps({**cell.get("settings", {}), **other}, sort_keys=True)
            for seed in range(seeds):
                yield cell["method"], overrides, cell["dataset"], cell["ratio"], seed


@functools.cache
def left(dataset: str, ratio: int) -> dict[Any, set[int]]:
    """Where recipes leave a stretch: what was trained before and on it, without its end, to the epochs of such ends.

    The recipes are those of all methods, and those with the settings that a table or figure of any paper changes.
    """
    every = {(name, "{}") for name in merged("methods", "methods")}
    for file in (CATALOG / "papers").glob("*.yaml"):
        every |= {(method, overrides) for method, overrides, *place, _ in cells(file.stem) if place == [dataset, ratio]}
    found: dict[Any, set[int]] = {}
    for method, overrides in every:
        whole = trained(method, overrides, dataset, ratio)
        for end in range(1, len(whole) + 1):
            *before, last = whole[:end]
            found.setdefault((*before, last[:-1]), set()).add(last[-1])
    return found


def states(method: str, overrides: str, dataset: str, ratio: int) -> set[Path_]:
    """Every state that a cell's training is kept in: at the end of each of its stretches, and wherever others leave."""
    whole = trained(method, overrides, dataset, ratio)
    found = set()
    for end in range(1, len(whole) + 1):
        *before, last = whole[:end]
        for epoch in left(dataset, ratio)[(*before, last[:-1])]:
            if epoch <= last[-1]:
                found.add((*before, (*last[:-1], epoch)))
    return found


def shared_and_apart() -> tuple[int, int]:
    """The number of distinct phases, and of phases if each method (with its overrides) trained all of its own."""
    together, apart = set(), set()
    for paper in PAPERS:
        for method, overrides, dataset, ratio, seed in cells(paper):
            for state in states(method, overrides, dataset, ratio):
                together.add((dataset, ratio, seed, state))
                apart.add((method, overrides, dataset, ratio, seed, state))
    return len(together), len(apart)


def test_the_phases_are_as_many_as_the_catalogues_own_rules_say() -> None:
    total = works(Jobs(load_study({"targets": list(PAPERS)})), exists=lambda path: False)[-1]
    assert (len(total.trainings), len(total.apart)) == shared_and_apart()


def test_sharing_saves_at_least_thirteen_in_a_hundred() -> None:
    shared, apart = shared_and_apart()
    assert shared <= 0.87 * apart
