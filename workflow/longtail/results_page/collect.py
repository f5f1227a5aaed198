"""Collects what the page of all results shows, cell by cell, from whatever is there."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from longtail import __version__
from longtail.discrepancies import points
from longtail.discrepancies.points import Point
from longtail.errors import LongtailError
from longtail.files import read_with_provenance
from longtail.records.ledger import Ledger, Match
from longtail.records.record import Record, read
from longtail.reporting import unfinished
from longtail.reporting.from_records import recorded_places
from longtail.reporting.table import RenderedTable
from longtail.results_page.cells import Cells
from longtail.results_page.content import Content, Count, ShownFigure, ShownTable, Summary
from longtail.results_page.remembered import Remembered
from longtail.study import layout
from longtail.study.artefacts import TablePlan, seeds_of
from longtail.study.cells import Cell, Measurement
from longtail.study.jobs import Jobs
from longtail.study.study import Study

EXPLAINING = ("difference", "unstated", "departure")
"""Kinds of points that may tell why two numbers part."""

LARGEST_DRAWING = 200_000
"""Bytes of a vector drawing above which the picture in pixels stands on the page, which is smaller then."""


Artefact = tuple[str, str, str]
"""Paper, ``tables`` or ``figures``, and name."""


class Collector:
    """Collects the content of one page, as often as it is asked for, and reads again only what has changed."""

    def __init__(self, study: Study, folder: Path) -> None:
        """Take the targets of a study for what is asked for; links are seen from the folder that the page lies in."""
        self.study = study
        self.jobs = Jobs(study)
        self.remembered = Remembered()
        self.folder = folder
        self.records: Sequence[str] = ()
        self.asked = dict.fromkeys(each for target in study.config.targets for each in study.artefacts(target))

    def collect(self, since: float | None) -> Content:
        """What there is now.

        Args:
            since: when the workflow began that is at work on the results, None if none is.
        """
        self.records = layout.records(layout.records_folder())
        notices = list(self._ledger()[1])
        wanted = self._artefacts()
        cells = Cells(self.study, self._points(), self.remembered, self.jobs, since)
        tables: list[ShownTable] = []
        for paper, kind, name in wanted:
            if kind == "tables":
                first = tables[-1].first + len(tables[-1].frame) if tables else 0
                tables.append(self._table(paper, name, first, cells, notices))
        discrepancies = f"{layout.DISCREPANCIES}.html"
        return Content(
            title=self._title(),
            summary=self._summary(cells),
            tables=tuple(tables),
            figures=tuple(self._figure(paper, name) for paper, kind, name in wanted if kind == "figures"),
            cells=tuple(cells.found.values()),
            settings=tuple(cells.settings.all),
            curves=tuple(cells.curves.all),
            logs=tuple(cells.logs.all),
            points=tuple(cells.points.all),
            discrepancies=self._address(discrepancies) if Path(discrepancies).exists() else None,
            others={name: self._address(path) for name, path in layout.other_pages(self.study.config.view).items()},
            notices=tuple(notices),
        )

    def _title(self) -> str:
        view = self.study.config.view
        return f"Results: {view}" if view else "Results"

    def _ledger(self) -> tuple[Ledger, tuple[str, ...]]:
        """The records that can be read, and what is wrong with the others."""

        def read_all() -> tuple[Ledger, tuple[str, ...]]:
            found, wrong = [], []
            for path in self.records:
                try:
                    found.append(read(path))
                except LongtailError as error:
                    wrong.append(str(error))
            return Ledger(found, self.study), tuple(wrong)

        return self.remembered.of("records", self.records, read_all)

    def _matches(self, paper: str, name: str) -> Sequence[Match]:
        return self.remembered.of(("matches", paper, name), self.records, lambda: self._ledger()[0].of(paper, name))

    def _points(self) -> Sequence[Point]:
        def derive() -> list[Point]:
            # Of the whole catalogue, whatever methods and datasets were chosen.
            whole = replace(self.study.config, methods=None, datasets=None)
            found = points.derive(Study(whole, self.study.catalog))
            return [point for point in found if point.kind in EXPLAINING and not point.own]

        return self.remembered.of("points", [], derive)

    def _artefacts(self) -> list[Artefact]:
        """What was asked for, and all else of which something is there."""
        known = self.study.catalog.artefacts.values()
        return [*self.asked, *(each for each in known if each not in self.asked and self._there(*each))]

    def _there(self, paper: str, kind: str, name: str) -> bool:
        """Whether anything of a table or figure that nobody asked for is there: a file, a cell or a record."""
        view = self.study.config.view
        files = [*KINDS[kind](view, paper, name), layout.merged(view, paper, name)]
        if any(map(os.path.exists, files)):
            return True
        if kind == "figures":
            return False
        return any(match.current for match in self._matches(paper, name)) or any(
            Path(measurement.path).exists() for measurement in self._measurements(paper, name)
        )

    def _measurements(self, paper: str, name: str) -> Sequence[Measurement]:
        return self.remembered.of(("cells", paper, name), [], lambda: self.study.measurements(paper, name))

    def _table(self, paper: str, name: str, first: int, cells: Cells, notices: list[str]) -> ShownTable:
        plan = self.remembered.of(("plan", paper, name), [], lambda: self.study.table(paper, name))
        wanted, matches = self._measurements(paper, name), self._matches(paper, name)
        found, damage = self._readable(wanted)
        places = self.remembered.of(("places", paper, name), self.records, lambda: recorded_places(plan, matches))

        def rendered(of: Sequence[Measurement]) -> RenderedTable:
            paths = [measurement.path for measurement in of]
            return self.remembered.of(
                ("table", paper, name),
                [*paths, *self.records],
                lambda: unfinished.rendered(self.study, plan, wanted, of, places, self._metrics),
            )

        try:
            table = rendered(found)
        except LongtailError as error:
            notices.append(f"{paper} {name}, whose computed values are left out: {error}")
            table = rendered([])
        records: dict[tuple[Cell, int], list[Record]] = {}
        for match in matches:
            if match.current:
                of = records.setdefault((match.measurement.cell, match.measurement.keys["seed"]), [])
                of.append(match.record)
        numbers = {
            (each.cell, each.keys["seed"]): cells.index(
                each, records.get((each.cell, each.keys["seed"]), ()), damage.get(each.path, "")
            )
            for each in wanted
        }
        view = self.study.config.view
        return ShownTable(
            id=f"{paper}-{name}",
            paper=paper,
            paper_title=plan.paper_title,
            paper_short=self.study.catalog.short(paper),
            plan=plan,
            document=table.document,
            frame=table.frame,
            first=first,
            cells=tuple(tuple(_cells(plan, number, numbers)) for number in range(len(plan.entries))),
            downloads=tuple(
                (form, self._address(path))
                for form, path in zip(layout.TABLE_FORMATS, layout.table(view, paper, name), strict=True)
                if Path(path).exists()
            ),
        )

    def _readable(self, wanted: Sequence[Measurement]) -> tuple[list[Measurement], dict[str, str]]:
        """Those whose metrics are there and can be read, and what is wrong with the files of the others."""
        found, damage = [], {}
        for measurement in wanted:
            if Path(measurement.path).exists():
                try:
                    self._metrics(measurement.path)
                    found.append(measurement)
                except LongtailError as error:
                    damage[measurement.path] = str(error)
        return found, damage

    def _metrics(self, path: str) -> tuple[pa.Table, Mapping[str, object]]:
        return self.remembered.of(("metrics", path), [path], lambda: read_with_provenance(path))

    def _figure(self, paper: str, name: str) -> ShownFigure:
        plan = self.remembered.of(("plan", paper, name), [], lambda: self.study.figure(paper, name))
        stem = Path(layout.figure(self.study.config.view, paper, name)[0]).with_suffix("")
        svg, png = (_bytes(stem.with_suffix(suffix)) for suffix in (".svg", ".png"))
        if svg is not None and len(svg) > LARGEST_DRAWING and png is not None:
            svg = None
        missing = ""
        if svg is None and png is None:
            wanted = self._measurements(paper, name)
            there = sum(Path(each.path).exists() for each in wanted)
            missing = f"Not drawn yet: {there} of {len(wanted)} cells are there."
        return ShownFigure(
            id=f"{paper}-{name}",
            paper=paper,
            title=plan.title,
            caption=plan.caption,
            label=plan.label,
            svg=None if svg is None else svg.decode("utf-8"),
            png=png if svg is None else None,
            missing=missing,
        )

    def _summary(self, cells: Cells) -> Summary:
        """The head of the page: cells and trainings are those that were asked for."""
        measurements = {
            (each.cell, each.keys["seed"], each.projection): each
            for paper, _, name in self.asked
            for each in self._measurements(paper, name)
        }
        runs = {job.run for each in measurements.values() for job in self.jobs.lineage(each.run)}
        return Summary(
            label=self.study.label(()),
            written=datetime.datetime.now(datetime.UTC).astimezone().isoformat(timespec="seconds"),
            version=__version__,
            running=sum(job.rule == "train" for job in cells.running),
            cells=Count(sum(Path(each.path).exists() for each in measurements.values()), len(measurements)),
            trainings=Count(sum(run is not None and Path(run.history).exists() for run in runs), len(runs)),
        )

    def _address(self, path: str) -> str:
        """Where a file lies, as seen from the page."""
        return Path(os.path.relpath(path, self.folder)).as_posix()


KINDS = {"tables": layout.table, "figures": layout.figure}


def _cells(plan: TablePlan, number: int, numbers: Mapping[tuple[Cell, int], int]) -> Iterator[int]:
    """The cells behind a place, seed by seed."""
    entry = plan.entries[number]
    for seed in seeds_of(plan, entry):
        for keys in entry.members or ((entry.cell,) if entry.cell else ()):
            if (Cell(**keys), seed) in numbers:
                yield numbers[Cell(**keys), seed]


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
