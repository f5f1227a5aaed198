"""The whole study: which cells a table or figure averages, which files they need, and how each file is made."""

from __future__ import annotations

import functools
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longtail.errors import LongtailError, unknown
from longtail.splits import LONG_TAILS, class_sizes, parts_of
from longtail.study import catalog as catalogue
from longtail.study import config as configuration
from longtail.study import layout, phases
from longtail.study.catalog import Catalog, Dataset, Published
from longtail.study.config import Config
from longtail.study.layout import Run
from longtail.study.phases import Phase, canonical
from longtail.study.settings import choices, selectors


@dataclass(frozen=True)
class Cell:
    """What one entry of a table averages over its seeds.

    Attributes:
        method: name in the catalogue.
        settings: canonical JSON of overrides, objective -> setting -> value.
        dataset: name in the catalogue.
        ratio: imbalance ratio.
        split: ``train`` or ``test``.
        features: what is embedded.
        scorer: where the metric comes from; the clusterer for ACC and its kin.
    """

    method: str
    settings: str
    dataset: str
    ratio: int
    split: str
    features: str
    scorer: str

    def keys(self) -> dict[str, Any]:
        """The cell as columns of a merged table."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class TableEntry:
    """One metric of one cell, published and to be computed.

    Attributes:
        row, group, dataset, ratio, metric: as printed; an average over several ratios has none.
        unit: ``percent``, ``ratio``, ...
        decimals: digits shown.
        published: the printed number; None where the table has none.
        published_text: with the printed precision; empty where there is none.
        published_std: the printed standard deviation.
        tolerance: how far a value of ours may lie from a single printed training and still be called reproduced.
        as_printed: whether its cells are trained with the paper's own budget, protocol and data.
        note: the transcription's remark on the printed number.
        cell: what to average; None if nothing can be computed here.
        missing: why there is no cell.
        members: the cells of an average, which has no cell of its own; it is the mean over their values.
    """

    row: str
    group: str
    dataset: str
    ratio: int | None
    metric: str
    unit: str
    decimals: int
    published: float | None
    published_text: str
    published_std: float | None
    tolerance: float | None
    as_printed: bool
    note: str
    cell: Mapping[str, Any] | None
    missing: str | None
    members: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class TablePlan:
    """All that is needed to render a table, its measurements apart."""

    paper: str
    paper_title: str
    name: str
    title: str
    caption: str
    metrics: tuple[str, ...]
    metric_titles: Mapping[str, str]
    higher_is_better: Mapping[str, bool | None]
    layout: Mapping[str, Any]
    seeds: tuple[int, ...]
    printed_seeds: int
    significance: Mapping[str, Any] | None
    entries: tuple[TableEntry, ...]
    footnotes: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class FigureCell:
    """One curve, panel or group of bars; ``missing`` says why it cannot be drawn."""

    label: str
    cell: Mapping[str, Any] | None
    missing: str | None
    dataset: str
    ratio: int
    group: str = ""


@dataclass(frozen=True)
class FigurePlan:
    """All that is needed to draw a figure, its measurements apart."""

    paper: str
    paper_title: str
    name: str
    title: str
    caption: str
    kind: str
    seeds: tuple[int, ...]
    projection: str | None
    options: Mapping[str, Any]
    cells: tuple[FigureCell, ...]
    footnotes: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class Measurement:
    """A metric file and the keys of the cell it belongs to; ``projection`` names what a file of points was made by."""

    path: str
    keys: Mapping[str, Any] = field(hash=False)
    run: Run
    projection: str | None = None


class Study:
    """A catalogue seen through a configuration."""

    def __init__(self, config: Config, catalog: Catalog) -> None:
        """Check that every name in the configuration exists."""
        self.config = config
        self.catalog = catalog
        for name in config.methods or ():
            catalog.method(name)
        for name in config.datasets or ():
            catalog.dataset(name)
        image_sets = {dataset.images["name"] for dataset in catalog.datasets.values()}
        for name in config.data:
            if name not in image_sets:
                raise unknown("image set (config: data)", name, image_sets)
        for paper, spec in catalog.papers.items():
            for asked in _asked_cells(spec):
                lacking = [key for key in ("method", "dataset", "ratio") if key not in asked]
                if lacking and "average_of" not in asked:
                    raise LongtailError(f"{paper}: a cell lacks {', '.join(lacking)}; what it has is {dict(asked)}.")
        for target in config.targets:
            self.artefacts(target)

    def artefacts(self, target: str) -> list[tuple[str, str, str]]:
        """(paper, ``tables`` or ``figures``, name) of all that a target such as ``conmix_table2`` stands for."""
        names = {
            f"{paper}_{name}": (paper, kind, name)
            for paper, spec in self.catalog.papers.items()
            for kind in ("tables", "figures")
            for name in spec.get(kind, {})
        }
        if target in self.catalog.papers:
            return [artefact for artefact in names.values() if artefact[0] == target]
        if target not in names:
            raise unknown("target", target, [*self.catalog.papers, *names])
        return [names[target]]

    def targets(self) -> dict[str, list[str]]:
        """Every target a person may ask for by name, with its files."""
        found: dict[str, list[str]] = {}
        for paper, spec in self.catalog.papers.items():
            found[paper] = []
            for kind, files in (("tables", layout.table), ("figures", layout.figure)):
                for name in spec.get(kind, {}):
                    found[f"{paper}_{name}"] = files(self.config.view, paper, name)
                    found[paper] += found[f"{paper}_{name}"]
        return found

    def _artefact(self, paper: str, kind: str, name: str) -> Mapping[str, Any]:
        specs = self.catalog.paper(paper).get(kind, {})
        if name not in specs:
            raise unknown(f"{kind[:-1]} of {paper}", name, specs)
        return specs[name]

    def _seeds(self, spec: Mapping[str, Any]) -> tuple[int, ...]:
        return self.config.seeds or tuple(range(spec["seeds"]))

    def missing(self, method: str, dataset: str) -> str | None:
        """Why there can be no number for this method and dataset; None if there can."""
        for kind, name in (("methods", method), ("datasets", dataset)):
            if name in self.catalog.planned[kind]:
                return f"{self.catalog.planned[kind][name]} is not implemented yet"
        self.catalog.method(method)
        self.catalog.dataset(dataset)
        if self.config.methods is not None and method not in self.config.methods:
            return "method not selected (config: methods)"
        if self.config.datasets is not None and dataset not in self.config.datasets:
            return "dataset not selected (config: datasets)"
        return None

    def _cell(self, asked: Mapping[str, Any], scorer: str) -> Cell:
        method = self.catalog.method(asked["method"])
        if scorer == "clusterer":
            scorer = asked.get("clusterer", method.clusterer)
            if scorer not in self.catalog.clusterers:
                raise unknown("clusterer", scorer, self.catalog.clusterers)
        dataset = self.catalog.dataset(asked["dataset"])
        parts_of(dataset.name, dataset, asked.get("split", "train"))
        return Cell(
            method=method.name,
            settings=canonical(asked.get("settings", {})),
            dataset=dataset.name,
            ratio=asked["ratio"],
            split=asked.get("split", "train"),
            features=asked.get("features", method.features),
            scorer=scorer,
        )

    def run(self, cell: Cell, seed: int) -> Run:
        """The folder of a cell's trained (or untrained) features."""
        method, dataset = self.catalog.method(cell.method), self.catalog.dataset(cell.dataset)
        if method.control is not None:
            if json.loads(cell.settings):
                raise LongtailError(f"The control {method.name!r} has no settings to override.")
            phases.require_fit(method, dataset)
            cut = phases.cut_name(dataset, cell.ratio, self.config.budget)
            return Run("controls", cut, method.control, seed)
        phase = self._final(method.name, cell.settings, dataset.name, cell.ratio)
        if self.config.pretraining_seed not in (None, seed):
            phase = phases.pretrained_with(phase, self.config.pretraining_seed)
        return Run("phases", phase.cut, phase.name, seed)

    @functools.cache  # noqa: B019 - a study lives as long as its process
    def _final(self, method: str, overrides: str, dataset: str, ratio: int) -> Phase:
        return phases.final_phase(
            self.catalog.method(method),
            json.loads(overrides),
            self.catalog.dataset(dataset),
            ratio,
            self.config,
            self.catalog,
        )

    def table(self, paper: str, name: str) -> TablePlan:
        """The plan of a table.

        Raises:
            LongtailError: for unknown names, in the call or in the specification, and for a key the CSV does not hold.
        """
        spec = self._artefact(paper, "tables", name)
        published = self.catalog.published(paper, spec["published"]) if "published" in spec else None
        entries = tuple(self._entries(spec, published, f"{paper} {name}"))
        titles = {metric: self._metric(metric) for metric in spec["metrics"]}
        return TablePlan(
            paper=paper,
            paper_title=self.catalog.paper(paper)["title"],
            name=name,
            title=spec["title"],
            caption=spec["caption"],
            metrics=tuple(spec["metrics"]),
            metric_titles={metric: entry["title"] for metric, entry in titles.items()},
            higher_is_better={metric: entry["higher_is_better"] for metric, entry in titles.items()},
            layout=spec["layout"],
            seeds=self._seeds(spec),
            printed_seeds=spec["seeds"],
            significance=spec.get("significance"),
            entries=entries,
            footnotes=(
                *_statement(spec),
                *self._quotations(spec, f"{paper} {name}"),
                *_averages(spec),
                *self._footnotes(entry.cell for entry in entries),
            ),
            label=self.label({entry.cell["dataset"] for entry in entries if entry.cell}, check="check" in spec),
        )

    def _metric(self, name: str) -> Mapping[str, Any]:
        if name not in self.catalog.metrics:
            raise unknown("metric", name, self.catalog.metrics)
        metric = self.catalog.metrics[name]
        if metric["scorer"] != "clusterer" and metric["scorer"] not in self.catalog.scorers:
            raise unknown(f"scorer (metric {name!r})", metric["scorer"], [*self.catalog.scorers, "clusterer"])
        return metric

    def _entries(
        self, spec: Mapping[str, Any], published: Mapping[Any, Published] | None, where: str
    ) -> Iterator[TableEntry]:
        for row in spec["rows"]:
            for column in spec["columns"]:
                asked = {**column, **row}
                members = _members(spec, row, column, where)
                dataset = " and ".join(dict.fromkeys(self.catalog.dataset_title(one["dataset"]) for one in members))
                ratio = asked.get("ratio")
                group = asked.get("group", "")
                printed = {"row": row["row"], "group": group, "dataset": dataset, "ratio": ratio}
                printed |= asked.get("published", {})
                reasons = [self.missing(one["method"], one["dataset"]) for one in members]
                reason = next(filter(None, reasons), None)
                as_printed = reason is None and not self.label(one["dataset"] for one in members)
                for name in spec["metrics"]:
                    metric = self._metric(name)
                    key = (*(str(printed[part]) for part in ("row", "group", "dataset", "ratio")), name)
                    number = published.get(key) if published is not None else None
                    if published is not None and number is None:
                        raise LongtailError(f"{where}: the published table has no number for {key}.")
                    if number is not None and "tolerance" not in metric:
                        raise LongtailError(
                            f"{where} prints {name}, of which catalog/metrics.yaml does not say how far a value may "
                            "lie from a printed one to be called reproduced. Give it a tolerance there."
                        )
                    cells = () if reason else tuple(self._cell(one, metric["scorer"]).keys() for one in members)
                    average = "average_of" in asked
                    yield TableEntry(
                        row=row["row"],
                        group=group,
                        dataset=dataset,
                        ratio=ratio,
                        metric=name,
                        unit=metric["unit"],
                        decimals=metric["decimals"],
                        published=number.value if number else None,
                        published_text=number.text if number else "",
                        published_std=number.std if number else None,
                        tolerance=metric.get("tolerance"),
                        as_printed=as_printed,
                        note=number.note if number else "",
                        cell=None if reason or average else cells[0],
                        missing=reason,
                        members=cells if average else (),
                    )

    def _quotations(self, spec: Mapping[str, Any], where: str) -> Iterator[str]:
        """Which rows the paper took over from another one, once it is certain that they ask for the same cells."""
        if "quoted" not in spec:
            return
        rows = {row["row"]: row for row in spec["rows"]}
        ((paper, kind, name),) = self.artefacts(spec["quoted"]["table"])
        quoted = self._artefact(paper, kind, name)
        there = set(map(_key, _asked_cells({kind: {name: quoted}})))
        for title in spec["quoted"]["rows"]:
            if title not in rows:
                raise unknown(f"row ({where}, quoted)", title, rows)
            for asked in _asked_cells({kind: {name: {**spec, "rows": [rows[title]]}}}):
                if "average_of" not in asked and _key(asked) not in there:
                    raise LongtailError(
                        f"{where}: the row {title!r} is quoted from {spec['quoted']['table']}, which has no cell of "
                        f"{asked['method']} on {asked['dataset']} at ratio {asked['ratio']}."
                    )
        source = f"{self.catalog.paper(paper)['title'].partition(':')[0]}, {quoted['title']}"
        yield f"{', '.join(spec['quoted']['rows'])}: quoted from {source}; computed from the same cells as there."

    def figure(self, paper: str, name: str) -> FigurePlan:
        """The plan of a figure."""
        spec = self._artefact(paper, "figures", name)
        for scorer in spec.get("scorers", ()):
            if scorer != "clusterer" and scorer not in self.catalog.scorers:
                raise unknown(f"scorer ({paper} {name})", scorer, [*self.catalog.scorers, "clusterer"])
        if "projection" in spec and spec["projection"] not in self.catalog.projections:
            raise unknown(f"projection ({paper} {name})", spec["projection"], self.catalog.projections)
        cells = []
        for asked in spec["cells"]:
            reason = self.missing(asked["method"], asked["dataset"])
            first = spec["scorers"][0] if "scorers" in spec else "clusterer"
            cells.append(
                FigureCell(
                    label=asked.get("label", asked["method"]),
                    cell=None if reason else self._cell(asked, first).keys(),
                    missing=reason,
                    dataset=self.catalog.dataset_title(asked["dataset"]),
                    ratio=asked["ratio"],
                    group=asked.get("group", ""),
                )
            )
        return FigurePlan(
            paper=paper,
            paper_title=self.catalog.paper(paper)["title"],
            name=name,
            title=spec["title"],
            caption=spec["caption"],
            kind=spec["kind"],
            seeds=self._seeds(spec),
            projection=spec.get("projection"),
            options=spec.get("options", {}),
            cells=tuple(cells),
            footnotes=(*_statement(spec), *self._footnotes(cell.cell for cell in cells)),
            label=self.label({cell.cell["dataset"] for cell in cells if cell.cell}, check="check" in spec),
        )

    def not_available(self, paper: str, kind: str, name: str) -> Iterator[tuple[Mapping[str, Any], str]]:
        """What a table or figure asks for (method, dataset, ratio) and cannot be computed, and why."""
        for asked in _asked_cells({kind: {name: self._artefact(paper, kind, name)}}):
            if "average_of" not in asked and (reason := self.missing(asked["method"], asked["dataset"])):
                yield {key: asked[key] for key in ("method", "dataset", "ratio")}, reason

    def measurements(self, paper: str, name: str) -> list[Measurement]:
        """The files that a table or figure merges, each with the keys of its cell."""
        spec = self.catalog.paper(paper)
        there = [*spec.get("tables", {}), *spec.get("figures", {})]
        if name not in there:
            raise unknown(f"table or figure of {paper}", name, there)
        found: dict[tuple[Cell, int], Measurement] = {}
        if name in spec.get("tables", {}):
            plan: TablePlan | FigurePlan = self.table(paper, name)
            wanted = [(Cell(**entry.cell), None) for entry in plan.entries if entry.cell]  # type: ignore[union-attr]
        else:
            plan = self.figure(paper, name)
            scorers = spec["figures"][name].get("scorers", ())
            wanted = []
            for asked in spec["figures"][name]["cells"]:
                if self.missing(asked["method"], asked["dataset"]) is None:
                    projection = spec["figures"][name].get("projection")
                    wanted += [(self._cell(asked, scorer), None) for scorer in scorers]
                    wanted += [(self._cell(asked, "clusterer"), projection)] if projection else []
        for cell, projection in wanted:
            for seed in plan.seeds:
                if (cell, seed) not in found:
                    found[cell, seed] = self._measurement(cell, seed, projection)
        return list(found.values())

    def _measurement(self, cell: Cell, seed: int, projection: str | None = None) -> Measurement:
        run = self.run(cell, seed)
        if projection is not None:
            path = run.projection(cell.features, cell.split, projection)
        else:
            path = run.metrics(cell.features, cell.split, cell.scorer)
        return Measurement(path, {**cell.keys(), "seed": seed, "run": f"{run.cut}/{run.name}"}, run, projection)

    def cell_measurements(self, method: str, cut: str, seed: int) -> list[Measurement]:
        """The files behind one cell asked for directly, by the method's own clusterer."""
        dataset, ratio = self.dataset_of(cut)
        asked = {"method": self.catalog.method(method).name, "dataset": dataset.name, "ratio": ratio}
        return [self._measurement(self._cell(asked, "clusterer"), seed)]

    def dataset_of(self, cut: str) -> tuple[Dataset, int]:
        """Dataset and ratio of a split's folder name."""
        match = re.fullmatch(r"(?P<dataset>.+?)(-h\d+)?-ir(?P<ratio>\d+)", cut)
        if match is None:
            raise LongtailError(f"{cut!r} is no split; splits are called like 'cifar10-ir10'.")
        dataset, ratio = self.catalog.dataset(match["dataset"]), int(match["ratio"])
        if ratio < 1:
            raise LongtailError(f"{cut!r}: an imbalance ratio is the largest class over the smallest, so at least 1.")
        expected = phases.cut_name(dataset, ratio, self.config.budget)
        if cut != expected:
            raise LongtailError(f"There is no split {cut!r} under this budget; it would be {expected!r}.")
        return dataset, ratio

    @functools.cache  # noqa: B019 - a study lives as long as its process
    def phases_of(self, cut: str) -> Mapping[str, Phase]:
        """Every phase that a recipe of the catalogue, or an override of a table, trains on a split, by folder name."""
        dataset, ratio = self.dataset_of(cut)
        fitting = {name for name, m in self.catalog.methods.items() if m.recipe and m.reads == dataset.holds}
        wanted = {(name, "{}") for name in fitting}
        for spec in self.catalog.papers.values():
            for asked in _asked_cells(spec):
                if asked.get("dataset") == dataset.name and asked.get("ratio") == ratio and "settings" in asked:
                    wanted.add((asked["method"], canonical(asked["settings"])))
        found: dict[str, Phase] = {}
        leaves: dict[Any, list[int]] = defaultdict(list)
        for name, overrides in sorted(wanted):
            if name in self.catalog.planned["methods"]:
                continue
            final = self._final(self.catalog.method(name).name, overrides, dataset.name, ratio)
            finals = [final]
            if self.config.pretraining_seed is not None:
                finals.append(phases.pretrained_with(final, self.config.pretraining_seed))
            for phase in (step for each in finals for step in phases.steps(each)):
                if phase.name not in found:
                    found[phase.name] = phase
                    leaves[phases.stretch_key(phase)].append(phase.lineage[-1].last_epoch)
        return {name: phases.cut_at(phase, leaves) for name, phase in found.items()}

    def phase(self, cut: str, name: str) -> Phase:
        """The phase in a folder.

        Raises:
            LongtailError: if no recipe arrives there, e.g. because the folder is of another budget or protocol.
        """
        known = self.phases_of(cut)
        if name not in known:
            raise LongtailError(
                f"No recipe trains {name!r} on {cut!r} under this configuration "
                f"(budget {self.config.budget.name}, protocol {self.config.protocol}). "
                f"Its phases are {', '.join(sorted(known))}."
            )
        return known[name]

    def parent(self, cut: str, name: str) -> Phase | None:
        """The phase whose checkpoint the training of another starts from."""
        parent = self.phase(cut, name).parent
        return None if parent is None else self.phase(cut, parent.name)

    def parent_run(self, run: Run) -> Run | None:
        """The run whose checkpoint the training of another starts from."""
        parent = self.parent(run.cut, run.name)
        if parent is None:
            return None
        return Run(run.kind, run.cut, parent.name, self.phase(run.cut, run.name).parent_seed(run.seed))

    def lineage(self, cut: str, name: str) -> list[Phase]:
        """The phase and all that must be trained before it, the latest first."""
        chain = [self.phase(cut, name)]
        while (parent := self.parent(cut, chain[-1].name)) is not None:
            chain.append(parent)
        return chain

    def store_spec(self, image_set: str) -> dict[str, Any]:
        """What the job that decodes an image set is told."""
        for dataset in self.catalog.datasets.values():
            images = dataset.images
            if images["name"] == image_set:
                source = {"root": self.config.data_root, **self.config.data.get(image_set, images["source"])}
                parts = {**images["parts"], **source.pop("parts", {})}
                sizes = ("max_tokens",) if dataset.holds == "texts" else ("image_size", "channels")
                described = {key: images[key] for key in ("classes", *sizes)}
                return {dataset.holds: image_set, "source": source, "parts": parts, **described}
        raise unknown("image set", image_set, {dataset.images["name"] for dataset in self.catalog.datasets.values()})

    def sets(self, holds: str) -> set[str]:
        """The names of all image sets, or of all text sets (``images``, ``texts``)."""
        return {dataset.images["name"] for dataset in self.catalog.datasets.values() if dataset.holds == holds}

    def stored(self, dataset: Dataset, part: str) -> str:
        """The file with the images or texts of a part of a dataset's set."""
        place = layout.texts if dataset.holds == "texts" else layout.images
        return place(dataset.images["name"], part)

    def encoder(self, text_set: str) -> dict[str, str | None]:
        """Name, and local folder or None, of the sentence encoder of a text set."""
        named = (dataset for dataset in self.catalog.datasets.values() if dataset.images["name"] == text_set)
        return phases.sentence_encoder(next(named), self.config)

    def encoders(self) -> dict[str, dict[str, str | None]]:
        """Every sentence encoder of the catalogue, by the name of its folder."""
        found = [self.encoder(name) for name in sorted(self.sets("texts"))]
        return {layout.encoder_folder(str(encoder["name"])): encoder for encoder in found}

    def data_spec(self, dataset: Dataset, ratio: int) -> dict[str, Any]:
        """What a job that reads a split's images is told about them."""
        return phases.data_spec(dataset, ratio, self.config)

    def split_spec(self, cut: str) -> dict[str, Any]:
        """What the job that cuts a split is told."""
        dataset, ratio = self.dataset_of(cut)
        spec = {
            "dataset": dataset.name,
            "ratio": ratio,
            "construction": dataset.construction,
            "pool": list(dataset.pool),
            "test": list(dataset.test) if dataset.test else None,
            "head_class_rows": phases.capped_rows(dataset, self.config.budget),
            "classes": dataset.images["classes"],
            "shots": list(dataset.shots) if dataset.shots else None,
        }
        # named where they are given only: another specification has Snakemake cut again what is as it was
        seldom = {"val": list(dataset.val) if dataset.val else None, "held_out": dataset.held_out}
        return spec | {key: value for key, value in seldom.items() if value is not None}

    def rows(self, cut: str, split: str) -> int:
        """Images or texts of a split, as catalogue and configuration describe it."""
        dataset, ratio = self.dataset_of(cut)
        head = phases.capped_rows(dataset, self.config.budget)
        classes = dataset.images["classes"]
        if split == "train" and dataset.construction in LONG_TAILS and head is not None:
            return sum(class_sizes(head, classes, ratio, dataset.construction))
        held_out = (dataset.held_out or 0) * classes
        if split == "test" and held_out:
            return held_out
        there = self.store_spec(dataset.images["name"])["parts"]
        return sum(there[part] for part in self.parts(cut, split)) - (held_out if split == "train" else 0)

    def parts(self, cut: str, split: str) -> tuple[str, ...]:
        """The parts of the image set that a split takes rows from."""
        dataset, _ = self.dataset_of(cut)
        return tuple(parts_of(dataset.name, dataset, split))

    def label(self, datasets: Iterable[str], check: bool = False) -> str:
        """What every table and figure of this configuration carries; empty for a reproduction as the papers trained."""
        parts = ["check of a theorem, not a reproduction: no numbers are printed for it"] if check else []
        parts += [self.config.budget.label] if self.config.budget.label else []
        if self.config.protocol != "official":
            parts.append("protocol: the papers' text where it differs from the official code")
        if self.config.pretraining_seed is not None:
            parts.append(f"all seeds start from the pre-training of seed {self.config.pretraining_seed}")
        if self.config.precision is not None:
            parts.append(f"precision {self.config.precision}")
        sets = {self.catalog.dataset(name).images["name"]: self.catalog.dataset(name) for name in datasets}
        if self.config.sentence_encoder and any(dataset.holds == "texts" for dataset in sets.values()):
            parts.append(f"sentence encoder {self.config.sentence_encoder['name']}")
        parts += [
            f"{sets[name].images['title']} {sets[name].holds}: {self.config.data[name]['name']}"
            for name in sorted(sets)
            if name in self.config.data
        ]
        return "; ".join(parts)

    def _footnotes(self, cells: Iterable[Mapping[str, Any] | None]) -> Iterator[str]:
        """Protocol choices and data sources behind the cells of a table or figure."""
        computed = [cell for cell in cells if cell]
        keys = {key for c in computed for key in selectors(self.catalog.dataset(c["dataset"]), c["ratio"])}
        objectives = dict.fromkeys(
            step["objective"] for cell in computed for step in self.catalog.method(cell["method"]).recipe
        )
        for objective in objectives:
            for name, official, paper, where in choices(self.catalog.objectives[objective].settings, keys):
                taken, other = (official, paper) if self.config.protocol == "official" else (paper, official)
                yield f"{objective}: {name} = {taken} ({self.config.protocol}; the other choice is {other}). {where}"
        for name in dict.fromkeys(cell["dataset"] for cell in computed):
            dataset = self.catalog.dataset(name)
            yield f"{dataset.images['title']} {dataset.holds}: {phases.source(dataset, self.config)['name']}."


def _statement(spec: Mapping[str, Any]) -> Iterator[str]:
    """What a table or figure checks, for its foot."""
    if "check" in spec:
        yield f"Checked: {spec['check']}"


def _asked_cells(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The cells that a paper's tables and figures ask for, as written."""
    for table in spec.get("tables", {}).values():
        for row in table["rows"]:
            for column in table["columns"]:
                yield {**column, **row}
    for figure in spec.get("figures", {}).values():
        yield from figure["cells"]


def _key(asked: Mapping[str, Any]) -> str:
    """What makes two cells, as written, the same one."""
    return canonical({key: asked[key] for key in asked if key not in ("row", "label", "group", "published")})


def _members(
    spec: Mapping[str, Any], row: Mapping[str, Any], column: Mapping[str, Any], where: str
) -> tuple[Mapping[str, Any], ...]:
    """The cells, as written, that stand behind a place of a table: those an average is over, or the one cell."""
    if "average_of" not in column:
        return ({**column, **row},)
    others = [other for other in spec["columns"] if "average_of" not in other]
    groups = {other.get("group", "") for other in others}
    for group in column["average_of"]:
        if group not in groups:
            raise unknown(f"group of columns ({where}, average_of)", group, groups)
    return tuple({**other, **row} for other in others if other.get("group") in column["average_of"])


def _averages(spec: Mapping[str, Any]) -> Iterator[str]:
    for column in spec["columns"]:
        if "average_of" in column:
            yield (
                f"{column['group']}: mean over the row's values under {' and '.join(column['average_of'])}, "
                "shown where all of them are computed."
            )


def load_study(config: Mapping[str, Any], root: Path = catalogue.CATALOG) -> Study:
    """The study behind a configuration.

    Args:
        config: plain data as Snakemake merged it from ``config.yaml`` and the command line.
        root: the catalogue.

    Raises:
        LongtailError: naming the place and the way out for the first thing that is wrong.
    """
    catalog = catalogue.load(root)
    return Study(configuration.parse(config, catalog.budgets), catalog)
