"""Every point in which paper, official code and this project part, and the cells of the papers' tables that it touches.

Nothing is listed by hand: differences come from resolving every cell's settings under both protocols, chosen values
from their origins in the catalogue, and the rest from its remarks.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from longtail.study.cells import asked_cells
from longtail.study.settings import is_pair, of_step, resolve, selectors, speaks

if TYPE_CHECKING:
    from longtail.study.catalog import Catalog
    from longtail.study.remarks import Remark
    from longtail.study.study import Study

Setting = Mapping[str, Any]
KINDS = ("difference", "unstated", "departure", "release", "read")
"""Kinds of points: those of remarks, and ``read`` for a setting that only the official code gives."""


@dataclass(frozen=True)
class Place:
    """A cell where a table or figure shows it.

    Attributes:
        paper: name in the catalogue.
        artefact: e.g. ``table2``.
        row: the row of a table, or what a figure calls the cell.
        method, settings, dataset, ratio, features: of the cell, as in :class:`longtail.study.study.Cell`.
        group: what rows of a table, or cells of a figure, are grouped by; empty if nothing or columns are.
        readouts: what its features were turned into clusters or predictions by.
        scorers: where its metrics come from.
        projection: what a figure projects it by, else None.
        own: whether the paper is a study of this project, with nothing printed.
    """

    paper: str
    artefact: str
    row: str
    method: str
    settings: str
    dataset: str
    ratio: int
    features: str
    group: str
    readouts: tuple[str, ...]
    scorers: tuple[str, ...]
    projection: str | None
    own: bool

    @property
    def cell(self) -> tuple[str, str, str, int]:
        """What is trained: several places may show the same."""
        return self.method, self.settings, self.dataset, self.ratio


@dataclass(frozen=True)
class Acting:
    """A setting as it acts in one stretch of one cell.

    Attributes:
        setting: its name; ``epochs`` for the length of a stretch.
        entry: where the catalogue gives its value.
        official, paper: the value under either protocol.
        selector: the key of the entry's ``for`` that gives it, else None.
    """

    setting: str
    entry: Setting
    official: Any
    paper: Any
    selector: str | None

    @property
    def key(self) -> tuple[str, int]:
        """Settings that are taken over from one entry have one key."""
        return self.setting, id(self.entry)


@dataclass(frozen=True)
class Point:
    """One entry of the page.

    Attributes:
        home: the family of methods, or the section of remarks, that it stands in.
        kind: one of :data:`KINDS`.
        name: the setting, or what the remark is about.
        heading: the name in words.
        carriers: the objectives or methods whose setting it is; none for a remark.
        paper: what the paper says.
        official: what the official code does.
        here: what is done here, by protocol; values by dataset for a setting that was chosen or read off.
        why: the explanation that the catalogue gives.
        places: where it makes a difference, in printed tables and figures.
        own: whether it concerns studies of this project only.
    """

    home: str
    kind: str
    name: str
    heading: str
    carriers: tuple[str, ...]
    paper: str
    official: str
    here: Mapping[str, str]
    why: str
    places: tuple[Place, ...] = field(repr=False)
    own: bool = False


def shown(value: Any) -> str:
    """A value of the catalogue for people to read."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return str(value)


def dataset_label(catalog: Catalog, name: str) -> str:
    """What the page calls a dataset: cuts of the same images are told apart (CIFAR-10, CIFAR-10-full)."""
    dataset = catalog.dataset(name)
    if dataset.title != dataset.images["title"]:
        return dataset.title
    return dataset.title + name.removeprefix(dataset.images["name"])


def _told_apart(entries: Mapping[str, Any], name: str) -> str:
    title = entries[name].title
    same = [other for other in entries.values() if other.title == title]
    return f"{title} ({name})" if len(same) > 1 else title


def objective_label(catalog: Catalog, name: str) -> str:
    """The title of an objective, with its name where another one has the same title."""
    return _told_apart(catalog.objectives, name)


def step_label(catalog: Catalog, method: str, objective: str) -> str:
    """What the page calls a step of a method's recipe."""
    title = _told_apart(catalog.methods, method)
    own = catalog.objectives[objective].title
    return title if own == catalog.methods[method].title else f"{title}: {own}"


def selector_label(catalog: Catalog, selector: str) -> str:
    """What the page calls a key of ``for``."""
    by_images = {dataset.images["name"]: dataset.images["title"] for dataset in catalog.datasets.values()}
    name, _, ratio = selector.partition("-ir")
    label = dataset_label(catalog, name) if name in catalog.datasets else by_images[name]
    return f"{label} at ratio {ratio}" if ratio else label


def own_papers(catalog: Catalog) -> set[str]:
    """The studies of this project: those without any printed table."""
    return {
        name
        for name, spec in catalog.papers.items()
        if not any("published" in table for table in spec.get("tables", {}).values())
    }


def places(study: Study) -> list[Place]:
    """Every cell that any table or figure shows and that can be computed, where it is shown."""
    own = own_papers(study.catalog)
    found: dict[Place, None] = {}
    for paper, spec in study.catalog.papers.items():
        for name, table in spec.get("tables", {}).items():
            by_rows = "group" not in table["layout"]["columns"]
            shown: defaultdict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
            for entry in study.table(paper, name).entries:
                if entry.cell is not None:
                    without = json.dumps({**entry.cell, "readout": "", "scorer": ""})
                    shown[entry.row, entry.group, without].append(entry.cell)
            for (row, group, _), cells in shown.items():
                found[_place(paper, name, row, group if by_rows else "", cells, None, own)] = None
        for name, figure in spec.get("figures", {}).items():
            for shown_cell in study.figure(paper, name).cells:
                if shown_cell.cell is not None:
                    cells = [{**shown_cell.cell, "scorer": scorer} for scorer in figure.get("scorers", ())]
                    projection = figure.get("projection")
                    label, group = shown_cell.label, shown_cell.group
                    found[_place(paper, name, label, group, cells or [shown_cell.cell], projection, own)] = None
    return list(found)


def _place(
    paper: str,
    artefact: str,
    row: str,
    group: str,
    cells: Sequence[Mapping[str, Any]],
    projection: str | None,
    own: set[str],
) -> Place:
    chosen = {key: cells[0][key] for key in ("method", "settings", "dataset", "ratio", "features")}
    chosen |= {f"{key}s": tuple(dict.fromkeys(cell[key] for cell in cells)) for key in ("readout", "scorer")}
    return Place(paper, artefact, row, group=group, projection=projection, own=paper in own, **chosen)


class Uses:
    """The settings that act in each cell, under both protocols."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    @functools.cache  # noqa: B019 - lives as long as its page
    def of(self, method: str, overrides: str, dataset: str, ratio: int) -> tuple[Acting, ...]:
        """What acts in a cell, stretch by stretch; what a table itself sets is left out."""
        trained_on = self.catalog.dataset(dataset)
        keys = selectors(trained_on, ratio)
        fixed = json.loads(overrides)
        found: list[Acting] = []
        for step in self.catalog.method(method).recipe_on(trained_on):
            given = of_step(self.catalog.objectives[step["objective"]].settings, step, keys)
            settings = {name: entry for name, entry in given.items() if speaks(entry, keys)}
            own = fixed.get(step["objective"], {})
            values = {
                protocol: {**{name: resolve(entry, keys, protocol) for name, entry in settings.items()}, **own}
                for protocol in ("official", "paper")
            }
            for name, entry in {**settings, "epochs": step["epochs"]}.items():
                if name in own or not acts(entry, values["official"]):
                    continue
                selector = next((key for key in keys if key in entry.get("for", {})), None)
                official, paper = (resolve(entry, keys, protocol) for protocol in ("official", "paper"))
                found.append(Acting(name, entry, official, paper, selector))
        return tuple(found)

    def objectives(self, place: Place) -> set[str]:
        """The objectives that a cell is trained by."""
        recipe = self.catalog.method(place.method).recipe_on(self.catalog.dataset(place.dataset))
        return {step["objective"] for step in recipe}

    @functools.cache  # noqa: B019 - likewise
    def names(self, place: Place) -> Mapping[str, frozenset[str]]:
        """What a cell is called by, by the kind of name: the subjects of remarks."""
        found = {
            "objectives": self.objectives(place),
            "methods": {place.method},
            "datasets": {place.dataset},
            "readouts": place.readouts,
            "scorers": place.scorers,
            "projections": {place.projection or ""},
            "augmentations": self.augmentations(place),
            "artefacts": {f"{place.paper}_{place.artefact}"},
        }
        return {kind: frozenset(names) for kind, names in found.items()}

    def augmentations(self, place: Place) -> set[str]:
        """The lists of transforms that a cell's views are made by, under the official protocol."""
        named = (acting.official for acting in self.of(*place.cell) if acting.setting == "augmentation")
        return {name for one in named for name in (one if isinstance(one, list) else [one])}


def acts(entry: Setting, values: Mapping[str, Any]) -> bool:
    """Whether a setting has any effect beside the values of the others (``only_if``, ``unless``)."""

    def holds(name: str, wanted: Any) -> bool:
        return values.get(name) in (wanted if isinstance(wanted, list) else [wanted])

    return all(holds(*needed) for needed in entry.get("only_if", {}).items()) and not any(
        holds(*barred) for barred in entry.get("unless", {}).items()
    )


def is_chosen(entry: Setting, selector: str | None) -> bool:
    """Whether a value is stated nowhere: the entry's own, or that of a key of its ``for``; a pair is stated."""
    if selector is not None and is_pair(entry["for"][selector]):
        return False
    if selector is None or "for_where" not in entry:
        return entry.get("origin") == "chosen"
    return selector in entry.get("for_chosen", ())


def derive(study: Study) -> list[Point]:
    """All points of a catalogue, those of a home together; settings first, in the order of the catalogue.

    Args:
        study: of the catalogue, without selections.
    """
    catalog, uses = study.catalog, Uses(study.catalog)
    shown_places = places(study)
    acting: defaultdict[tuple[str, int], list[tuple[Acting, Place]]] = defaultdict(list)
    for place in shown_places:
        for one in uses.of(*place.cell):
            acting[one.key].append((one, place))
    found: list[Point] = []
    own = own_datasets(catalog)
    for home, name, entry, carriers in _entries(catalog):
        found += _of_setting(catalog, own, home, name, entry, carriers, acting[name, id(entry)])
    found += [_of_remark(remark, shown_places, uses) for remark in catalog.remarks]
    return found


def _entries(catalog: Catalog) -> Iterator[tuple[str, str, Setting, tuple[str, ...]]]:
    """Every setting of the catalogue once, with its family, its name and the titles of those that have it."""
    homes: dict[tuple[str, int], tuple[str, str, Setting]] = {}
    carriers: defaultdict[tuple[str, int], dict[str, None]] = defaultdict(dict)

    def add(family: str, name: str, entry: Setting, carrier: str, defines: bool) -> None:
        key = (name, id(entry))
        if defines:
            homes.setdefault(key, (family, name, entry))
        carriers[key][carrier] = None

    for objective in catalog.objectives.values():
        for name, entry in objective.settings.items():
            carrier = objective_label(catalog, objective.name)
            add(objective.family, name, entry, carrier, objective.definers[name] == objective.name)
    for method in catalog.methods.values():
        for step in method.steps:
            carrier = step_label(catalog, method.name, step["objective"])
            for name, entry in {"epochs": step["epochs"], **step.get("settings", {})}.items():
                add(method.family, name, entry, carrier, True)
    for key, (family, name, entry) in homes.items():
        yield family, name, entry, tuple(carriers[key])


def _of_setting(
    catalog: Catalog,
    own: set[str],
    home: str,
    name: str,
    entry: Setting,
    carriers: tuple[str, ...],
    acting: Iterable[tuple[Acting, Place]],
) -> Iterator[Point]:
    uses = list(acting)
    pairs = {key: value for key, value in entry.get("for", {}).items() if is_pair(value)}
    if "official" in entry or pairs:
        touched = _printed(place for one, place in uses if one.official != one.paper)
        here = {protocol: _of_protocol(catalog, entry, pairs, protocol) for protocol in ("official", "paper")}
        told = entry.get("in_paper", ""), entry.get("in_code", "")
        yield Point(home, "difference", name, entry.get("point", name), carriers, *told, here, entry["where"], touched)
    if entry.get("origin") == "official":
        given = ({"": shown(entry["value"])} if "value" in entry else {}) | {
            selector_label(catalog, key): shown(value)
            for key, value in entry.get("for", {}).items()
            if key not in pairs and not is_chosen(entry, key)
        }
        touched = _printed(
            place for one, place in uses if one.selector not in pairs and not is_chosen(entry, one.selector)
        )
        yield Point(home, "read", name, name, carriers, "", "", given, entry["where"], touched)
    for ours in (False, True):
        keys = [
            key
            for key in (*([None] if "value" in entry else []), *entry.get("for", {}))
            if is_chosen(entry, key) and (key is not None and key.partition("-ir")[0] in own) == ours
        ]
        if keys:
            values = {
                "" if key is None else selector_label(catalog, key): shown(
                    entry["value"] if key is None else entry["for"][key]
                )
                for key in keys
            }
            reasons = dict.fromkeys(
                entry["where"] if key is None or "for_where" not in entry else entry["for_where"] for key in keys
            )
            touched = _printed(place for one, place in uses if one.selector in keys)
            yield Point(home, "unstated", name, name, carriers, "", "", values, "; ".join(reasons), touched, ours)


def _of_protocol(catalog: Catalog, entry: Setting, pairs: Mapping[str, Any], protocol: str) -> str:
    """The value under a protocol: the entry's own where it has one, then those of single datasets that have two."""
    own = [shown(entry[protocol])] if protocol in entry else []
    return "; ".join([*own, *(f"{selector_label(catalog, key)}: {shown(pairs[key][protocol])}" for key in pairs)])


def _of_remark(remark: Remark, among: Iterable[Place], uses: Uses) -> Point:
    candidates = [place for place in among if touches(remark, place, uses)]
    return Point(
        home=remark.home,
        kind=remark.kind,
        name=remark.point,
        heading=remark.point,
        carriers=(),
        paper=remark.paper,
        official=remark.official,
        here=remark.here,
        why="",
        places=_printed(candidates),
        own=bool(candidates) and all(place.own for place in candidates),
    )


def touches(remark: Remark, place: Place, uses: Uses) -> bool:
    """Whether a remark concerns a cell: the cell has one name of every kind that the remark gives."""
    has = uses.names(place)
    return all(not has[kind].isdisjoint(names) for kind, names in remark.subjects.items())


def _printed(found: Iterable[Place]) -> tuple[Place, ...]:
    return tuple(dict.fromkeys(place for place in found if not place.own))


def own_datasets(catalog: Catalog) -> set[str]:
    """The datasets that only studies of this project name."""
    own: set[str] = set()
    printed: set[str] = set()
    for name, spec in catalog.papers.items():
        named = {one["dataset"] for one in asked_cells(spec) if "dataset" in one}
        (own if name in own_papers(catalog) else printed).update(named)
    return own - printed
