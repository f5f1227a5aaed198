"""The catalogue: what datasets, methods, readouts, metrics, tables and figures exist, as data."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from longtail.errors import LongtailError, unknown
from longtail.splits import LONG_TAILS, require_apart
from longtail.study import documents, remarks
from longtail.study.remarks import Remark

CATALOG = documents.shipped("catalog")


OVERRIDABLE = ("backbone", "normalization", "precision", "resources")
"""What a dataset may say otherwise than its image set: how it is trained on, and nothing of what is stored."""


@dataclass(frozen=True)
class Dataset:
    """A way to cut rows out of an image set, or of a text set.

    ``images`` is the entry of the set in ``catalog/datasets``, where what the dataset says otherwise of
    :data:`OVERRIDABLE` stands in place of what the set says. ``trained_as`` are the names of another dataset and its
    image set: what settings say ``for`` these holds for this one, too, unless they name it. ``settings`` stand in place
    of the methods' own wherever an objective has them.
    """

    name: str
    title: str
    images: Mapping[str, Any]
    construction: str
    pool: tuple[str, ...]
    test: tuple[str, ...] | None
    head_class_rows: int | None
    shots: tuple[int, ...] | None
    val: tuple[str, ...] | None
    held_out: int | None
    trained_as: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Its own and that of its image set, then those it is trained as: what the catalogue speaks of it by."""
        return tuple(dict.fromkeys([self.name, self.images["name"], *self.trained_as]))

    @property
    def holds(self) -> str:
        """``images`` or ``texts``."""
        return "texts" if "max_tokens" in self.images else "images"


@dataclass(frozen=True)
class Objective:
    """What a stretch of training minimises.

    Attributes:
        settings: unresolved, with their origins.
        definers: for each setting, the objective whose entry it is: another one's where it is taken over (``like``).
        family: the catalogue file it stands in.
        reads: ``images`` or ``texts``.
        loss: what is minimised, as a formula in LaTeX without dollar signs, for readers; empty if nobody wrote it down.
        branches: how many times as wide as the backbone its features are at most, heads apart.
    """

    name: str
    title: str
    implementation: str
    version: int
    settings: Mapping[str, Mapping[str, Any]]
    definers: Mapping[str, str]
    family: str
    reads: str
    loss: str
    branches: int


@dataclass(frozen=True)
class Method:
    """A row of a table: a recipe, or a control that needs none.

    Attributes:
        recipe: steps as in the catalogue; empty for a control.
        recipes: other steps on some datasets, by the name of a dataset or image set; ask :meth:`recipe_on`.
        unavailable: why it cannot be trained on some datasets, likewise; ask :meth:`refusal`.
        control: ``pixels``, ``labels``, ``noise``, ``similarities`` or ``pretrained`` for a control, else None.
        features: what is embedded and clustered.
        readout: how the papers turn this method's features into clusters or predictions.
        source: where it comes from: ``paper``, and ``official``, the repository, where there is one.
        family: the catalogue file it stands in.
        reads: ``images`` or ``texts``; None if it does with either.
        note: what is to be said of it.
        confidence: ``low`` where so little is published that the method may not be what its authors ran.
    """

    name: str
    title: str
    recipe: tuple[Mapping[str, Any], ...]
    control: str | None
    features: str
    readout: str
    source: Mapping[str, str]
    family: str
    reads: str | None
    note: str
    confidence: str
    recipes: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)

    def recipe_on(self, dataset: Dataset) -> tuple[Mapping[str, Any], ...]:
        """The steps on a dataset: its own, or those of its image set, where either has any; else ``recipe``."""
        return next((self.recipes[name] for name in dataset.names if name in self.recipes), self.recipe)

    def refusal(self, dataset: Dataset) -> str:
        """Why the method cannot be trained on a dataset; empty if it can."""
        return next((self.unavailable[name] for name in dataset.names if name in self.unavailable), "")

    @property
    def steps(self) -> Iterator[Mapping[str, Any]]:
        """The steps of all its recipes, those of every dataset but some first; a step that two share comes twice."""
        for recipe in (self.recipe, *self.recipes.values()):
            yield from recipe


@dataclass(frozen=True)
class Planned:
    """What tables name and is not implemented: its title, and the reason; empty where nobody has come to it yet."""

    title: str
    reason: str


@dataclass(frozen=True)
class Published:
    """One printed number.

    Attributes:
        value: as a number; None where the text does not preserve it.
        text: as printed, with its precision.
        std: the printed standard deviation, None where there is none.
        note: what the transcription remarks on it.
        backbone: of the network, as far as the paper says.
    """

    value: float | None
    text: str
    std: float | None
    note: str
    backbone: str


PublishedKey = tuple[str, str, str, str, str]
"""Row, group, dataset, imbalance ratio and metric, all as printed."""


@dataclass(frozen=True)
class Catalog:
    """Everything under ``workflow/catalog`` and in folders of one's own, validated and cross-checked where it is cheap.

    ``folders`` holds the folder of each paper's printed numbers; ``families`` the titles of the files of methods;
    ``planned`` what tables name and does not exist, under ``methods`` and ``datasets``; ``inconsistencies``, by paper,
    what has to be pointed out in its printed numbers and formulas.
    """

    root: Path
    folders: Mapping[str, Path]
    datasets: Mapping[str, Dataset]
    objectives: Mapping[str, Objective]
    methods: Mapping[str, Method]
    families: Mapping[str, str]
    planned: Mapping[str, Mapping[str, Planned]]
    papers: Mapping[str, Mapping[str, Any]]
    clusterers: Mapping[str, Mapping[str, Any]]
    classifiers: Mapping[str, Mapping[str, Any]]
    scorers: Mapping[str, Mapping[str, Any]]
    projections: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, Mapping[str, Any]]
    shot_groups: Mapping[str, Mapping[str, list[int]]]
    augmentations: Mapping[str, Mapping[str, Any]]
    schedules: Mapping[str, Mapping[str, Any]]
    backbones: Mapping[str, Mapping[str, Any]]
    budgets: Mapping[str, Mapping[str, Any]]
    remarks: tuple[Remark, ...]
    inconsistencies: Mapping[str, Mapping[str, Any]]

    @property
    def readouts(self) -> Mapping[str, Mapping[str, Any]]:
        """Clusterers and classifiers."""
        return {**self.clusterers, **self.classifiers}

    def dataset(self, name: str) -> Dataset:
        """The dataset of that name, or an error that says what exists."""
        if name in self.planned["datasets"]:
            raise LongtailError(
                f"The dataset {name!r} is named by the papers' tables but not implemented yet. "
                f"Implemented: {', '.join(sorted(self.datasets))}."
            )
        if name not in self.datasets:
            raise unknown("dataset", name, self.datasets)
        return self.datasets[name]

    def method(self, name: str) -> Method:
        """The method of that name, or an error that says what exists."""
        if name in self.planned["methods"]:
            raise LongtailError(
                f"The method {name!r} ({self.planned['methods'][name]}) is named by the papers' tables "
                "but not implemented yet. "
                f"Implemented: {', '.join(sorted(self.methods))}."
            )
        if name not in self.methods:
            raise unknown("method", name, self.methods)
        return self.methods[name]

    def dataset_title(self, name: str) -> str:
        """What tables print for a dataset, planned ones included."""
        planned = self.planned["datasets"].get(name)
        return planned.title if planned else self.dataset(name).title

    def paper(self, name: str) -> Mapping[str, Any]:
        """The specification of a paper's tables and figures."""
        if name not in self.papers:
            raise unknown("paper", name, self.papers)
        return self.papers[name]

    @property
    def artefacts(self) -> dict[str, tuple[str, str, str]]:
        """(paper, ``tables`` or ``figures``, name) of every table and figure, by its target: ``conmix_table2``."""
        return {
            f"{paper}_{name}": (paper, kind, name)
            for paper, spec in self.papers.items()
            for kind in ("tables", "figures")
            for name in spec.get(kind, {})
        }

    def short(self, paper: str) -> str:
        """A paper's short name: its title before the colon, or that of the method which bears the paper's name."""
        before, colon, _ = self.paper(paper)["title"].partition(":")
        return self.methods[paper].title if paper in self.methods and not colon else before

    def published(self, paper: str, file: str) -> Mapping[PublishedKey, Published]:
        """The printed numbers of one table."""
        return _published(self.folders[paper] / file)


@functools.cache
def _published(path: Path) -> Mapping[PublishedKey, Published]:
    values: dict[PublishedKey, Published] = {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            for line in csv.DictReader(lines):
                key = (line["row"], line["group"], line["dataset"], line["imbalance_ratio"], line["metric"])
                if key in values:
                    raise LongtailError(f"{path}: the printed number {key} stands twice.")
                values[key] = Published(
                    value=float(line["value"]) if line["value"] else None,
                    text=line["value"],
                    std=float(line["std"]) if line["std"] else None,
                    note=line["note"],
                    backbone=line["backbone"],
                )
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise LongtailError(f"{path} is not a table of published numbers: {error!r}.") from error
    return values


def _merge(into: dict[str, Any], more: Mapping[str, Any] | None, kind: str, path: Path) -> None:
    for name, entry in (more or {}).items():
        if name in into:
            raise LongtailError(f"{path}: the {kind} {name!r} stands in another file of the catalogue, too.")
        into[name] = entry


def _dataset(name: str, entry: Mapping[str, Any], images: Mapping[str, Any], path: Path) -> Dataset:
    val, test = entry.get("val"), entry.get("test")
    missing = [part for part in [*entry["pool"], *(val or []), *(test or [])] if part not in images["parts"]]
    if missing:
        raise LongtailError(f"{path}: {name} takes part {missing[0]!r}, but its images have {list(images['parts'])}.")
    if entry["construction"] in LONG_TAILS and "head_class_rows" not in entry:
        raise LongtailError(f"{path}: {name} is cut as a long tail and needs head_class_rows.")
    shots = entry.get("shots")
    own = {key: entry[key] for key in OVERRIDABLE if key in entry}
    dataset = Dataset(
        name=name,
        title=entry.get("title", images["title"]),
        images={**images, **own},
        construction=entry["construction"],
        pool=tuple(entry["pool"]),
        test=tuple(test) if test else None,
        head_class_rows=entry.get("head_class_rows"),
        shots=tuple(shots) if shots else None,
        val=tuple(val) if val else None,
        held_out=entry.get("held_out"),
        settings=entry.get("settings", {}),
    )
    foreign = [key for key in ("backbone", "normalization") if key in own]
    if foreign and dataset.holds == "texts":
        raise LongtailError(
            f"{path}: {name} is cut from texts, for which one sentence encoder stands: no {foreign[0]}."
        )
    require_apart(f"{path}: {name}", dataset)
    return dataset


def _require_one_of_a_name(datasets: Mapping[str, Dataset]) -> None:
    """Check that image sets of one name are one: their decoded images would take each other's place."""
    seen: dict[str, tuple[str, Any]] = {}
    for dataset in datasets.values():
        name = dataset.images["name"]
        other, source = seen.setdefault(name, (dataset.name, dataset.images["source"]))
        if source != dataset.images["source"]:
            raise LongtailError(f"{dataset.name} and {other} have image sets of one name, {name!r}. Rename yours.")


def _trained_as(dataset: Dataset, other: str, path: Path, datasets: Mapping[str, Dataset]) -> Dataset:
    """The dataset with the names of the one whose settings it takes over."""
    if other not in datasets:
        raise unknown(f"dataset ({path}: {dataset.name}, trained_as)", other, datasets)
    return replace(dataset, trained_as=(other, str(datasets[other].images["name"])))


def _objective(name: str, entries: Mapping[str, Mapping[str, Any]], path: tuple[str, ...] = ()) -> Objective:
    """An objective with what it takes over from the one it is ``like``."""
    if name in path:
        raise LongtailError(f"The objectives {' -> '.join([*path, name])} are like each other in a circle.")
    if name not in entries:
        raise unknown("objective", name, entries)
    entry = entries[name]
    settings: dict[str, Mapping[str, Any]] = {}
    definers: dict[str, str] = {}
    implementation, reads, loss = entry.get("implementation"), entry.get("reads"), entry.get("loss")
    branches = entry.get("branches", 1)
    if "like" in entry:
        base = _objective(entry["like"], entries, (*path, name))
        settings.update(base.settings)
        definers.update(base.definers)
        implementation, reads = implementation or base.implementation, reads or base.reads
        loss = loss or base.loss
        branches = entry.get("branches", base.branches)
        for key in entry.get("drop", ()):
            if key not in settings:
                raise unknown(f"setting to drop from objective {name!r}", key, settings)
            del settings[key], definers[key]
    settings.update(entry.get("settings", {}))
    definers.update(dict.fromkeys(entry.get("settings", {}), name))
    if implementation is None:
        raise LongtailError(f"The objective {name!r} names no implementation.")
    title = entry.get("title", name)
    return Objective(
        name=name,
        title=title,
        implementation=implementation,
        version=entry["version"],
        settings=settings,
        definers=definers,
        family=entry["family"],
        reads=reads or "images",
        loss=loss or "",
        branches=branches,
    )


def _planned(entry: str | Mapping[str, str]) -> Planned:
    return Planned(entry, "") if isinstance(entry, str) else Planned(entry["title"], entry["reason"])


READ_BY_CONTROLS = {"pixels": "images", "pretrained": "texts"}
"""What controls embed; the others do not look."""


def _method(name: str, entry: Mapping[str, Any], objectives: Mapping[str, Objective]) -> Method:
    recipe = tuple(entry.get("recipe", ()))
    recipes = {dataset: tuple(steps) for dataset, steps in entry.get("recipes", {}).items()}
    for steps in (recipe, *recipes.values()):
        _check_recipe(name, steps, objectives)
    control = entry.get("control")
    kinds = sorted({objectives[step["objective"]].reads for steps in (recipe, *recipes.values()) for step in steps})
    if len(kinds) > 1:
        raise LongtailError(f"The recipe of method {name!r} trains on images first and on texts then, or vice versa.")
    return Method(
        name=name,
        title=entry["title"],
        recipe=recipe,
        control=control,
        features=control or entry["features"],
        readout=entry["readout"],
        source=entry.get("source", {}),
        family=entry["family"],
        reads=READ_BY_CONTROLS.get(control) if control else kinds[0],
        note=entry.get("note", ""),
        confidence=entry.get("confidence", "high"),
        recipes=recipes,
        unavailable=entry.get("unavailable", {}),
    )


OF_ONES_OWN = ("datasets", "methods", "papers")
"""Folders of the catalogue that folders of one's own may have, too."""


def _files(places: Sequence[Path], kind: str) -> list[Path]:
    """The files of one kind in the catalogue, and then in folders of one's own."""
    return [path for place in places for path in sorted((place / kind).glob("*.yaml"))]


def _require_own(place: Path) -> None:
    """Check that a folder of one's own has something of a catalogue in it, as it would be passed over otherwise."""
    if not place.is_dir():
        raise LongtailError(f"{place.absolute()} is no folder, but the configuration has it under `catalog`.")
    if not any(_files([place], kind) for kind in OF_ONES_OWN):
        wanted = ", ".join(f"{kind}/*.yaml" for kind in OF_ONES_OWN)
        raise LongtailError(f"There is nothing of a catalogue in {place.absolute()}, which would be in {wanted}.")


def _check_recipe(name: str, recipe: tuple[Mapping[str, Any], ...], objectives: Mapping[str, Objective]) -> None:
    """Raise if a step of a recipe of the method ``name`` is none."""
    for index, step in enumerate(recipe):
        if step["objective"] not in objectives:
            raise unknown(f"objective (recipe of method {name!r})", step["objective"], objectives)
        if index == 0 and "start" in step:
            raise LongtailError(
                f"The recipe of method {name!r} begins with a transfer, but there is nothing before it."
            )
        for key in step.get("settings", {}):
            if key not in objectives[step["objective"]].settings:
                raise unknown(f"setting (recipe of method {name!r})", key, objectives[step["objective"]].settings)


@functools.cache
def load(root: Path = CATALOG, own: tuple[Path, ...] = ()) -> Catalog:
    """Read and validate the catalogue.

    Args:
        root: the catalogue's folder.
        own: folders of one's own, whose datasets, methods and papers come on top.

    Raises:
        LongtailError: naming file and place of the first thing that is wrong.
    """
    places = (root, *own)
    for place in own:
        _require_own(place)
    datasets: dict[str, Dataset] = {}
    trained_as: dict[str, tuple[str, Path]] = {}
    remarked: list[Remark] = []
    for path in _files(places, "datasets"):
        document = documents.read_yaml(path)
        documents.validate(document, "dataset", path)
        held = document.get("images") or document["texts"]
        cuts = {name: _dataset(name, entry, held, path) for name, entry in document["datasets"].items()}
        _merge(datasets, cuts, "dataset", path)
        trained_as |= {
            name: (entry["trained_as"], path) for name, entry in document["datasets"].items() if "trained_as" in entry
        }
        remarked += remarks.read(document.get("remarks", []), "data", path)
    _require_one_of_a_name(datasets)
    datasets |= {name: _trained_as(datasets[name], *other, datasets) for name, other in trained_as.items()}

    raw: dict[str, dict[str, Any]] = {"objectives": {}, "methods": {}}
    families: dict[str, str] = {}
    for path in _files(places, "methods"):
        document = documents.read_yaml(path)
        documents.validate(document, "method", path)
        families[path.stem] = document.get("title", path.stem)
        for kind, entries in raw.items():
            entered = {name: {**entry, "family": path.stem} for name, entry in document.get(kind, {}).items()}
            _merge(entries, entered, kind[:-1], path)
        remarked += remarks.read(document.get("remarks", []), path.stem, path)
    objectives = {name: _objective(name, raw["objectives"]) for name in raw["objectives"]}

    planned, readouts = _single(root, "planned"), _single(root, "readouts")
    for name in readouts["classifiers"]:
        if name in readouts["clusterers"]:
            raise LongtailError(f"{root / 'readouts.yaml'}: {name!r} is a clusterer and a classifier. Rename one.")
    methods = {name: _method(name, entry, objectives) for name, entry in raw["methods"].items()}
    for method in methods.values():
        if method.readout not in (known := [*readouts["clusterers"], *readouts["classifiers"]]):
            raise unknown(f"readout (method {method.name!r})", method.readout, known)

    remarked += remarks.read_sections(root / "remarks.yaml")
    papers: dict[str, Mapping[str, Any]] = {}
    folders: dict[str, Path] = {}
    inconsistencies: dict[str, Mapping[str, Any]] = {}
    for path in _files(places, "papers"):
        document = documents.read_yaml(path)
        documents.validate(document, "paper", path)
        _merge(papers, {document["paper"]: document}, "paper", path)
        folders[document["paper"]] = path.parent / document["paper"]
        path = folders[document["paper"]] / "inconsistencies.yaml"
        if path.exists():
            inconsistencies[document["paper"]] = documents.read_yaml(path)
            documents.validate(inconsistencies[document["paper"]], "inconsistencies", path)

    found = Catalog(
        root=root,
        folders=folders,
        datasets=datasets,
        objectives=objectives,
        methods=methods,
        families=families,
        planned={
            kind: {name: _planned(entry) for name, entry in planned[kind].items() if name not in exists}
            for kind, exists in (("methods", methods), ("datasets", datasets))
        },
        papers=papers,
        clusterers=_named(readouts["clusterers"]),
        classifiers=_named(readouts["classifiers"]),
        scorers=_named(readouts["scorers"]),
        projections=_named(readouts["projections"]),
        metrics=_single(root, "metrics"),
        shot_groups=_single(root, "shot_groups"),
        augmentations=_single(root, "augmentations"),
        schedules=_single(root, "schedules"),
        backbones=_single(root, "backbones"),
        budgets=_single(root, "budgets"),
        remarks=tuple(remarked),
        inconsistencies=inconsistencies,
    )
    _check_selectors(found)
    names = {kind: getattr(found, kind) for kind in ("papers", *remarks.SUBJECTS)}
    for remark in remarked:
        remarks.check(remark, names)
    return found


def _single(root: Path, name: str) -> Any:
    """A file of the catalogue of which there is one."""
    path = root / f"{name}.yaml"
    document = documents.read_yaml(path)
    documents.validate(document, name, path)
    return document


def _check_selectors(catalog: Catalog) -> None:
    """What settings say ``for`` a dataset that does not exist, or the other way round, would never be read."""
    known = {name for dataset in catalog.datasets.values() for name in (dataset.name, dataset.images["name"])}
    settable = {setting for objective in catalog.objectives.values() for setting in objective.settings}
    for dataset in catalog.datasets.values():
        for setting in dataset.settings:
            if setting not in settable:
                raise unknown(f"setting (dataset {dataset.name!r})", setting, settable)
    named = [(f"objective {o.name!r}", o.settings) for o in catalog.objectives.values()]
    for method in catalog.methods.values():
        for key in ("recipes", "unavailable"):
            for selector in getattr(method, key):
                if selector not in known:
                    raise unknown(f"dataset (method {method.name!r}, {key})", selector, known)
        for step in method.steps:
            named.append((f"recipe of method {method.name!r}", {"epochs": step["epochs"], **step.get("settings", {})}))
    for where, settings in named:
        for setting, entry in settings.items():
            for selector in entry.get("for", {}):
                if re.sub(r"-ir\d+$", "", selector) not in known:
                    raise unknown(f"dataset ({where}, {setting!r}, for)", selector, known)
            for selector in entry.get("for_chosen", ()):
                if selector not in entry.get("for", {}):
                    raise unknown(f"key of `for` ({where}, {setting!r}, for_chosen)", selector, entry.get("for", {}))
            for other in {**entry.get("only_if", {}), **entry.get("unless", {})}:
                if other not in settings:
                    raise unknown(f"setting ({where}, {setting!r}, only_if or unless)", other, settings)


def _named(entries: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Mapping[str, Any]]:
    """Entries that know their own name, as jobs are told them."""
    return {name: {"name": name, **(entry or {})} for name, entry in entries.items()}
