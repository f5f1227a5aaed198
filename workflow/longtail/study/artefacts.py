"""The tables and figures of a study: which cells each of them shows, and which files those need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from longtail.errors import LongtailError, unknown
from longtail.splits import parts_of
from longtail.study import layout, phases
from longtail.study.catalog import Dataset, Method, Published
from longtail.study.cells import Cell, Measurement, asked_cell, asked_cells, key_of, members_of, places
from longtail.study.phases import canonical
from longtail.study.recipes import in_words
from longtail.study.settings import choices, selectors
from longtail.study.trainings import Trainings


@dataclass(frozen=True)
class TableEntry:
    """One metric of one cell, published and to be computed.

    Attributes:
        row, group, dataset, ratio, metric: as printed; an average over several ratios has none.
        measured: name of the metric in merged files, which tells how shot groups are defined.
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
        members: the cells of a value that is made from several, and has no cell of its own.
        seeds: training seeds to average over, where they are not the table's.
        printed_seeds: over how many trainings the printed number averages, where they are not as many as the table's.
        combined: what is made of the members: their ``mean``, or of the first one the ``difference`` from the best of
            the others, or its ``increase`` over that in percent.
        lowest_is_best: of the others.
    """

    row: str
    group: str
    dataset: str
    ratio: int | None
    metric: str
    measured: str
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
    seeds: tuple[int, ...] | None = None
    printed_seeds: int | None = None
    combined: str = "mean"
    lowest_is_best: bool = False

    @property
    def column(self) -> str:
        """Dataset and ratio, for people."""
        return self.dataset if self.ratio is None else f"{self.dataset}, ratio {self.ratio}"


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


def seeds_of(plan: TablePlan, entry: TableEntry) -> tuple[int, ...]:
    """The training seeds that an entry of a table averages over."""
    return plan.seeds if entry.seeds is None else entry.seeds


def printed_seeds_of(plan: TablePlan, entry: TableEntry) -> int:
    """Over how many trainings the printed number of an entry averages."""
    return plan.printed_seeds if entry.printed_seeds is None else entry.printed_seeds


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
    """All that is needed to draw a figure, its measurements apart; ``titled`` if its title is to be in the picture."""

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
    titled: bool


OF_THE_TRAINING = ("embeddings", "history", "weights", "corruptions", "network")
"""What a scorer may read that no readout has made; of the ``network`` not even its weights matter."""


class Artefacts(Trainings):
    """What the tables and figures of a catalogue show under a configuration."""

    def artefacts(self, target: str) -> list[tuple[str, str, str]]:
        """(paper, ``tables`` or ``figures``, name) of all that a target such as ``conmix_table2`` stands for."""
        names = self.catalog.artefacts
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
                planned = self.catalog.planned[kind][name]
                return f"{planned.title} is not implemented" + (f": {planned.reason}" if planned.reason else " yet")
        if reason := self.catalog.method(method).refusal(self.catalog.dataset(dataset)):
            return f"not available on {self.catalog.dataset_title(dataset)}: {reason}"
        if self.config.methods is not None and method not in self.config.methods:
            return "method not selected (config: methods)"
        if self.config.datasets is not None and dataset not in self.config.datasets:
            return "dataset not selected (config: datasets)"
        return None

    def _cell(self, asked: Mapping[str, Any], scorer: str) -> Cell:
        method = self.catalog.method(asked["method"])
        dataset = self.catalog.dataset(asked["dataset"])
        readout = asked.get("readout", method.readout)
        if readout not in self.catalog.readouts:
            raise unknown("readout", readout, self.catalog.readouts)
        # A classifier is there to predict what it was not trained on; clusters are found among what there is.
        split = asked.get("split", "test" if readout in self.catalog.classifiers else "train")
        parts_of(dataset.name, dataset, split)
        reads = self._scorer(scorer)["reads"]
        made = self.made_by(readout)
        if reads == "weights" and method.control:
            raise LongtailError(f"The scorer {scorer!r} reads weights, and the control {method.name!r} has none.")
        if reads not in OF_THE_TRAINING and reads != made:
            raise LongtailError(
                f"The scorer {scorer!r} reads {reads}, but the readout {readout!r} of {method.name!r} makes {made}. "
                f"Ask for other metrics, or for another readout."
            )
        if reads == "corruptions":
            self._require_corruptions(method, dataset, readout)
        return Cell(
            method=method.name,
            settings=canonical(asked.get("settings", {})),
            backbone="" if method.control else self.backbone(dataset, asked.get("backbone")),
            dataset=dataset.name,
            ratio=asked["ratio"],
            split=split,
            features=asked.get("features", method.features),
            readout=reads if reads in OF_THE_TRAINING else readout,
            scorer=scorer,
        )

    def _require_corruptions(self, method: Method, dataset: Dataset, readout: str) -> None:
        """Check that there are corrupted test images, and that the network itself says which class they are."""
        self.corruptions(dataset)
        classifier = self.catalog.classifiers.get(readout)
        if method.control or classifier is None or classifier["algorithm"] != "argmax":
            raise LongtailError(
                f"Corrupted images are classified by the network's own classifier, and {method.name!r} is read out by "
                f"{readout!r}. Ask for other metrics, or for the readout 'classifier'."
            )

    def made_by(self, readout: str) -> str:
        """What a readout makes of features: ``assignments`` to clusters, or ``predictions`` of classes."""
        return "predictions" if readout in self.catalog.classifiers else "assignments"

    def scored(self, run: layout.Run, features: str, split: str, readout: str) -> str:
        """The file that a scorer reads: what a readout has made, or what the run itself has."""
        match readout:
            case "history":
                return run.history
            case "corruptions":
                return run.corrupted(features)
            case "embeddings":
                return run.embeddings(features, split)
            case "weights":
                return run.weights(features, split)
        made = {"assignments": run.assignments, "predictions": run.predictions}[self.made_by(readout)]
        return made(features, split, readout)

    def _own_scorer(self, asked: Mapping[str, Any]) -> str:
        """The scorer of what a cell's readout makes."""
        made = self.made_by(asked.get("readout", self.catalog.method(asked["method"]).readout))
        return "classification" if made == "predictions" else "clustering"

    def _scorer(self, name: str) -> Mapping[str, Any]:
        if name not in self.catalog.scorers:
            raise unknown("scorer", name, self.catalog.scorers)
        return self.catalog.scorers[name]

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
                *_citations(spec),
                *_departures(spec),
                *self._quotations(spec, f"{paper} {name}"),
                *self._doubts(spec),
                *self._recipes(entries),
                *_averages(spec),
                *self._comparisons(spec, f"{paper} {name}"),
                *self._footnotes(entry.cell for entry in entries),
            ),
            label=self.label_of([entry.cell for entry in entries if entry.cell], check="check" in spec),
        )

    def _metric(self, name: str) -> Mapping[str, Any]:
        if name not in self.catalog.metrics:
            raise unknown("metric", name, self.catalog.metrics)
        metric = self.catalog.metrics[name]
        if metric["scorer"] not in self.catalog.scorers:
            raise unknown(f"scorer (metric {name!r})", metric["scorer"], self.catalog.scorers)
        return metric

    def _entries(
        self, spec: Mapping[str, Any], published: Mapping[Any, Published] | None, where: str
    ) -> Iterator[TableEntry]:
        for row, column in places(spec, where):
            asked = asked_cell(row, column, where)
            members = members_of(spec, row, column, where)
            dataset = " and ".join(dict.fromkeys(self.catalog.dataset_title(one["dataset"]) for one in members))
            ratio = asked.get("ratio")
            group = asked.get("group", "")
            printed = {"row": row["row"], "group": group, "dataset": dataset, "ratio": ratio}
            printed |= asked.get("published", {})
            reasons = [self.missing(one["method"], one["dataset"]) for one in members]
            reason = next(filter(None, reasons), None)
            for name in asked.get("metrics", spec["metrics"]):
                if name in row.get("dashes", ()):
                    continue
                metric = self._metric(name)
                if "derived" in metric and "over" not in row:
                    continue
                corrupted = self._scorer(metric["scorer"])["reads"] == "corruptions"
                datasets = {one["dataset"] for one in members}
                as_the_paper = (
                    reason is None
                    and "departs" not in asked
                    and not self.label(datasets, corrupted=datasets if corrupted else ())
                )
                key = (*(str(printed[part]) for part in ("row", "group", "dataset", "ratio")), name)
                number = published.get(key) if published is not None else None
                if published is not None and number is None:
                    raise LongtailError(f"{where}: the published table has no number for {key}.")
                if number is not None and "tolerance" not in metric and not metric.get("of_machine"):
                    raise LongtailError(
                        f"{where} prints {name}, of which catalog/metrics.yaml does not say how far a value may "
                        "lie from a printed one to be called reproduced. Give it a tolerance there."
                    )
                cells = () if reason else tuple(self._cell(one, metric["scorer"]).keys() for one in members)
                average, derived = "average_of" in asked, metric.get("derived", {})
                others = self._over(spec, row, column, where) if derived else []
                rivals = [one for _, one in others if self.missing(one["method"], one["dataset"]) is None]
                if cells and rivals:
                    cells += tuple(self._cell(one, metric["scorer"]).keys() for one in rivals)
                why = reason or (None if rivals or not derived else "none of the rows that it is over can be computed")
                measured = derived.get("of", name)
                yield TableEntry(
                    row=row["row"],
                    group=group,
                    dataset=dataset,
                    ratio=ratio,
                    metric=name,
                    measured=f"{name} ({spec.get('shots', 'strict')})" if metric.get("of_shots") else measured,
                    unit=metric["unit"],
                    decimals=metric["decimals"],
                    published=number.value if number else None,
                    published_text=number.text if number else "",
                    published_std=number.std if number else None,
                    tolerance=metric.get("tolerance"),
                    as_printed=as_the_paper
                    and not metric.get("of_machine")
                    and not any("cited" in other or "departs" in other for other, _ in others),
                    note=number.note if number else "",
                    cell=None if why or average or derived else cells[0],
                    missing=why,
                    members=cells if not why and (average or derived) else (),
                    combined=derived.get("as", "mean"),
                    lowest_is_best=bool(derived) and self._metric(measured)["higher_is_better"] is False,
                    seeds=self._seeds(asked) if "seeds" in asked else None,
                    printed_seeds=asked.get("seeds"),
                )

    def _over(
        self, spec: Mapping[str, Any], row: Mapping[str, Any], column: Mapping[str, Any], where: str
    ) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """The rows whose best value derived metrics of ``row`` are over, with their cells, as written, in a column."""
        rivals = [other for other in spec["rows"] if other.get("group") == row.get("group") and other is not row]
        if row["over"] == "cited":
            rivals = [other for other in rivals if "cited" in other]
        else:
            titles = [other["row"] for other in rivals]
            for title in row["over"]:
                if title not in titles:
                    raise unknown(f"row ({where}, row {row['row']!r}, over)", title, titles)
            rivals = [other for other in rivals if other["row"] in row["over"]]
        met = {id(other) for other, at in places(spec, where) if at is column}
        return [(other, asked_cell(other, column, where)) for other in rivals if id(other) in met]

    def _comparisons(self, spec: Mapping[str, Any], where: str) -> Iterator[str]:
        """What derived metrics are over."""
        names = [name for name in spec["metrics"] if "derived" in self._metric(name)]
        for row in spec["rows"] if names else ():
            if "over" not in row:
                continue
            titles = " and ".join(self._metric(name)["title"] for name in names)
            if row["over"] != "cited" and len(row["over"]) == 1:
                yield f"{titles} of {row['row']}: over {row['over'][0]}, as computed here."
                continue
            over = "the rows that the paper did not run" if row["over"] == "cited" else " and ".join(row["over"])
            alone = "as computed here; rows without a value here do not count"
            yield f"{titles} of {row['row']}: over the best of {over}, {alone}."

    def _quotations(self, spec: Mapping[str, Any], where: str) -> Iterator[str]:
        """Which rows the paper took over from another one, once it is certain that they ask for the same cells."""
        if "quoted" not in spec:
            return
        rows = {row["row"]: row for row in spec["rows"]}
        ((paper, kind, name),) = self.artefacts(spec["quoted"]["table"])
        quoted = self._artefact(paper, kind, name)
        there = set(map(key_of, asked_cells({kind: {name: quoted}})))
        for title in spec["quoted"]["rows"]:
            if title not in rows:
                raise unknown(f"row ({where}, quoted)", title, rows)
            for asked in asked_cells({kind: {name: {**spec, "rows": [rows[title]]}}}):
                if "average_of" not in asked and key_of(asked) not in there:
                    raise LongtailError(
                        f"{where}: the row {title!r} is quoted from {spec['quoted']['table']}, which has no cell of "
                        f"{asked['method']} on {asked['dataset']} at ratio {asked['ratio']}."
                    )
        source = f"{self.catalog.paper(paper)['title'].partition(':')[0]}, {quoted['title']}"
        yield f"{', '.join(spec['quoted']['rows'])}: quoted from {source}; computed from the same cells as there."

    def _doubts(self, spec: Mapping[str, Any]) -> Iterator[str]:
        """Rows of which too little is published to be sure of the method."""
        for row in spec["rows"]:
            method = self.catalog.methods.get(row.get("method", ""))
            if method is not None and method.confidence == "low":
                yield f"{row['row']}: low confidence that it is what its authors ran. {method.note}".rstrip()

    def _recipes(self, entries: Iterable[TableEntry]) -> Iterator[str]:
        """By which recipes classifiers of one table are trained, where they are not all the same."""
        recipes: dict[str, dict[str, None]] = {}
        for entry in entries:
            if entry.cell and self._scorer(entry.cell["scorer"])["reads"] == "predictions":
                cell = Cell(**entry.cell)
                phase = self._final(cell.method, cell.settings, cell.backbone, cell.dataset, cell.ratio)
                recipes.setdefault(in_words(phase, self.catalog.augmentations), {})[entry.row] = None
        if len(recipes) > 1:
            listed = "; ".join(f"{recipe}: {', '.join(rows)}" for recipe, rows in recipes.items())
            yield f"Rows of different recipes do not rank methods. {listed}."

    def figure(self, paper: str, name: str) -> FigurePlan:
        """The plan of a figure."""
        spec = self._artefact(paper, "figures", name)
        for scorer in spec.get("scorers", ()):
            if scorer not in self.catalog.scorers:
                raise unknown(f"scorer ({paper} {name})", scorer, self.catalog.scorers)
        if "projection" in spec and spec["projection"] not in self.catalog.projections:
            raise unknown(f"projection ({paper} {name})", spec["projection"], self.catalog.projections)
        cells = []
        for asked in spec["cells"]:
            reason = self.missing(asked["method"], asked["dataset"])
            scorers = spec.get("scorers", ())
            cells.append(
                FigureCell(
                    label=asked.get("label", asked["method"]),
                    cell=None if reason else self._cell(asked, next(iter(scorers), self._own_scorer(asked))).keys(),
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
            label=self.label_of([cell.cell for cell in cells if cell.cell], check="check" in spec),
            titled=self.config.figures.titles,
        )

    def not_available(self, paper: str, kind: str, name: str) -> Iterator[tuple[Mapping[str, Any], str]]:
        """What a table or figure asks for (method, dataset, ratio) and cannot be computed, and why."""
        for asked in asked_cells({kind: {name: self._artefact(paper, kind, name)}}):
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
            table = self.table(paper, name)
            wanted = [(Cell(**entry.cell), None, seeds_of(table, entry)) for entry in table.entries if entry.cell]
        else:
            seeds = self.figure(paper, name).seeds
            scorers = spec["figures"][name].get("scorers", ())
            wanted = []
            for asked in spec["figures"][name]["cells"]:
                if self.missing(asked["method"], asked["dataset"]) is None:
                    projection = spec["figures"][name].get("projection")
                    wanted += [(self._cell(asked, scorer), None, seeds) for scorer in scorers]
                    wanted += [(self._cell(asked, self._own_scorer(asked)), projection, seeds)] if projection else []
        for cell, projection, of_cell in wanted:
            for seed in of_cell:
                if (cell, seed) not in found:
                    found[cell, seed] = self._measurement(cell, seed, projection)
        return list(found.values())

    def cuts(self, paper: str, name: str) -> list[str]:
        """Folder names of the splits behind a table or figure."""
        return sorted({measurement.run.cut for measurement in self.measurements(paper, name)})

    def _measurement(self, cell: Cell, seed: int, projection: str | None = None) -> Measurement:
        run = self.run(cell, seed)
        if projection is not None:
            path = run.projection(cell.features, cell.split, projection)
        else:
            path = run.metrics(cell.features, cell.split, cell.readout, cell.scorer)
        return Measurement(path, {**cell.keys(), "seed": seed, "run": f"{run.cut}/{run.name}"}, run, projection)

    def cell_measurements(self, method: str, cut: str, seed: int) -> list[Measurement]:
        """The files behind one cell asked for directly, by the method's own readout."""
        dataset, ratio = self.dataset_of(cut)
        asked = {"method": self.catalog.method(method).name, "dataset": dataset.name, "ratio": ratio}
        return [self._measurement(self._cell(asked, self._own_scorer(asked)), seed)]

    def label_of(self, cells: Iterable[Mapping[str, Any]], check: bool = False) -> str:
        """The :meth:`label` of what shows these cells."""
        shown = list(cells)
        return self.label({cell["dataset"] for cell in shown}, check, corrupted=self._corrupted(shown))

    def _corrupted(self, cells: Iterable[Mapping[str, Any]]) -> set[str]:
        """The datasets whose corrupted test images cells were measured on."""
        return {cell["dataset"] for cell in cells if self._scorer(cell["scorer"])["reads"] == "corruptions"}

    def label(self, datasets: Iterable[str], check: bool = False, corrupted: Iterable[str] = ()) -> str:
        """What every table and figure of this configuration carries; empty for a reproduction as the papers trained.

        Args:
            datasets: that are shown.
            check: whether a statement is checked, and no table reproduced.
            corrupted: those of the datasets whose corrupted test images are shown.
        """
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
        tested = [self.corruptions(self.catalog.dataset(name)) for name in sorted(corrupted)]
        parts += [
            f"{each['title']} images: {self.config.data[each['name']]['name']}"
            for each in tested
            if each["name"] in self.config.data
        ]
        return "; ".join(parts)

    def _footnotes(self, cells: Iterable[Mapping[str, Any] | None]) -> Iterator[str]:
        """Protocol choices and data sources behind the cells of a table or figure."""
        computed = [cell for cell in cells if cell]
        keys = {key for c in computed for key in selectors(self.catalog.dataset(c["dataset"]), c["ratio"])}
        objectives = dict.fromkeys(
            step["objective"]
            for cell in computed
            for step in self.catalog.method(cell["method"]).recipe_on(self.catalog.dataset(cell["dataset"]))
        )
        for objective in objectives:
            for name, official, paper, where in choices(self.catalog.objectives[objective].settings, keys):
                taken, other = (official, paper) if self.config.protocol == "official" else (paper, official)
                yield f"{objective}: {name} = {taken} ({self.config.protocol}; the other choice is {other}). {where}"
        for name in dict.fromkeys(cell["dataset"] for cell in computed):
            dataset = self.catalog.dataset(name)
            yield f"{dataset.images['title']} {dataset.holds}: {phases.source(dataset, self.config)['name']}."
            if dataset.trained_as:
                other = self.catalog.dataset(dataset.trained_as[0]).title
                yield f"{dataset.title}: trained with the settings that methods have for {other}."
            if dataset.settings:
                chosen = ", ".join(f"{setting} = {value}" for setting, value in dataset.settings.items())
                yield f"{dataset.title}: {chosen}, in place of the methods' own."
        for name in sorted(self._corrupted(computed)):
            dataset = self.catalog.dataset(name)
            source = self.corruptions_spec(dataset)["source"]
            yield f"{self.corruptions(dataset)['title']} images: {source.get('name', source['kind'])}."


def _statement(spec: Mapping[str, Any]) -> Iterator[str]:
    """What a table or figure checks, for its foot."""
    if "check" in spec:
        yield f"Checked: {spec['check']}"


def _citations(spec: Mapping[str, Any]) -> Iterator[str]:
    """Which rows the paper did not run, by where it has their numbers from."""
    cited: dict[str, list[str]] = {}
    for row in spec["rows"]:
        if "cited" in row:
            cited.setdefault(row["cited"], []).append(row["row"])
    for source, rows in cited.items():
        yield f"{', '.join(dict.fromkeys(rows))}: not run by the paper, which takes the numbers over from {source}."


def _departures(spec: Mapping[str, Any]) -> Iterator[str]:
    """Which rows are not trained as printed, and why."""
    departing: dict[str, list[str]] = {}
    for row in spec["rows"]:
        if "departs" in row:
            departing.setdefault(row["departs"], []).append(row["row"])
    for why, rows in departing.items():
        yield f"{', '.join(dict.fromkeys(rows))}: not judged against the printed numbers. {why}"


def _averages(spec: Mapping[str, Any]) -> Iterator[str]:
    for column in spec["columns"]:
        if "average_of" in column:
            yield (
                f"{column['group']}: mean over the row's values under {' and '.join(column['average_of'])}, "
                "shown where all of them are computed."
            )
