"""What is known of each cell that the page shows: how far it is, how it was trained, and what its trainings said."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from longtail.discrepancies.points import Point
from longtail.errors import LongtailError
from longtail.files import read_provenance
from longtail.records.record import Record
from longtail.reporting.attempts import Attempt, last_attempt
from longtail.results_page import curves
from longtail.results_page.curves import TrainingCurve
from longtail.results_page.origins import Setting, settings_of
from longtail.results_page.remembered import Remembered
from longtail.study import jobs as chain
from longtail.study.cells import Cell, Measurement
from longtail.study.jobs import Job, Jobs
from longtail.study.study import Study

TAIL = 40
"""Lines of a log that are shown, the last ones."""

Thing = TypeVar("Thing")
Facts = Mapping[str, str | float]


@dataclass(frozen=True)
class Log:
    """The end of a log."""

    path: str
    tail: str


@dataclass(frozen=True)
class ShownCell:
    """A cell and one of its seeds.

    Attributes:
        method, title: its name, and what people call it.
        dataset, ratio: of its split, the former as people call it.
        seed: of its training.
        state: ``done``, ``damaged``, ``running``, ``failed``, ``missing`` or ``recorded``.
        settings: index into the page's settings; None for a control.
        curves: indices into the page's curves.
        provenance: how its value here came about, or else the recorded one.
        log: index into the page's logs: of the job that failed or runs, else of its last training; None without one.
        points: indices into the page's points.
        why: what is to be said of its state; empty if nothing.
    """

    method: str
    title: str
    dataset: str
    ratio: int
    seed: int
    state: str
    settings: int | None
    curves: tuple[int, ...]
    provenance: Facts
    log: int | None
    points: tuple[int, ...]
    why: str


class Shared(Generic[Thing]):
    """Things that several cells show, each once, in the order in which they were first asked for: ``all``."""

    def __init__(self) -> None:
        self.all: list[Thing] = []
        self._known: dict[Hashable, int] = {}

    def index(self, thing: Thing, key: Hashable) -> int:
        """Where the thing of a key stands."""
        number = self._known.setdefault(key, len(self.all))
        if number == len(self.all):
            self.all.append(thing)
        return number


class Cells:
    """Collects the cells of a page, and what they share.

    Attributes:
        found: the cells, in the order of their indices.
        settings, curves, logs, points: what their indices mean.
        running: jobs that are under way.
    """

    def __init__(
        self, study: Study, points: Iterable[Point], remembered: Remembered, jobs: Jobs, since: float | None
    ) -> None:
        """Nothing is collected yet.

        Args:
            study: whose cells they are.
            points: of the catalogue, those that may tell why two numbers part.
            remembered: what was read before.
            jobs: of the study.
            since: when the workflow began that is at work on the results; None if none is.
        """
        self.study, self.jobs, self.remembered, self.since = study, jobs, remembered, since
        self.running: set[Job] = set()
        self.settings: Shared[tuple[Setting, ...]] = Shared()
        self.curves: Shared[TrainingCurve] = Shared()
        self.logs: Shared[Log] = Shared()
        self.points: Shared[Point] = Shared()
        self.found: dict[tuple[Cell, int], ShownCell] = {}
        self._numbers: dict[tuple[Cell, int], int] = {}
        self._attempts: dict[Job, Attempt] = {}
        self._touching: dict[tuple[Any, ...], list[Point]] = defaultdict(list)
        for point in points:
            for place in point.places:
                for readout, scorer in itertools.product(place.readouts, place.scorers):
                    touched = self._touching[*place.cell, place.features, readout, scorer]
                    if point not in touched[-1:]:
                        touched.append(point)

    def index(self, measurement: Measurement, records: Sequence[Record], damage: str) -> int:
        """The number of a cell, which is looked at when it is first asked for.

        Args:
            measurement: what is measured of it.
            records: of it, as the catalogue has it now.
            damage: why its metrics cannot be read; empty if they can, or are not there.
        """
        key = measurement.cell, int(measurement.keys["seed"])
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers)
            self.found[key] = self._look_at(measurement, records, damage)
        return self._numbers[key]

    def _look_at(self, measurement: Measurement, records: Sequence[Record], damage: str) -> ShownCell:
        cell, seed, catalog = measurement.cell, int(measurement.keys["seed"]), self.study.catalog
        job = self.jobs.cell(measurement)
        state, why, telling = self._state(job, damage)
        if state == "missing" and records:
            state = "recorded"
        method = catalog.method(cell.method)
        title = method.title + ("" if cell.settings == "{}" else f" {cell.settings}")
        settings, shown = None, []
        lineage = list(self.jobs.lineage(measurement.run))
        facts: Facts = {}
        if method.control is None:
            phase = self.study.trained(cell, seed)
            same = cell.method, cell.settings, cell.backbone, cell.dataset, cell.ratio
            settings = self.settings.index(tuple(settings_of(self.study, cell, phase)), same)
            try:
                curve = curves.of_training(title, phase, lineage, self.running, self.remembered)
                shown += [self.curves.index(curve, measurement.run)] if curve else []
                facts = self._of_training(lineage)
            except LongtailError as error:
                why = " ".join(filter(None, [why, str(error)]))
        for record in records:
            curve = self.remembered.of(("curve", title, record.path), [], partial(curves.of_record, title, record))
            shown += [self.curves.index(curve, record.path)] if curve else []
        if state == "recorded":
            facts = _of_record(records[0])
        elif state == "done":
            facts = {**self._of_metrics(measurement), **facts}
        return ShownCell(
            method=cell.method,
            title=title,
            dataset=catalog.dataset_title(cell.dataset),
            ratio=cell.ratio,
            seed=seed,
            state=state,
            settings=settings,
            curves=tuple(dict.fromkeys(shown)),
            provenance=facts,
            log=self._log(telling or (lineage[-1] if lineage else job)),
            points=tuple(
                self.points.index(point, id(point))
                for point in self._touching.get(
                    (cell.method, cell.settings, cell.dataset, cell.ratio, cell.features, cell.readout, cell.scorer), ()
                )
            ),
            why=why,
        )

    def _state(self, job: Job, damage: str) -> tuple[str, str, Job | None]:
        """State of a cell, what is to be said of it, and the job whose log tells more."""
        if damage:
            return "damaged", damage, job
        if all(map(os.path.exists, job.outputs)):
            return "done", "", None
        missing = chain.missing([job])
        attempts = {each: self._attempt(each) for each in missing}
        for outcome in ("failed", "begun", "stopped"):
            for each, attempt in attempts.items():
                if attempt.outcome != outcome:
                    continue
                if outcome == "failed":
                    return "failed", attempt.said, each
                if outcome == "begun" and self._is_running(each):
                    self.running.add(each)
                    return "running", f"{each.name} is under way", each
                saved = "" if attempt.epoch is None else f"; epoch {attempt.epoch} is saved, from which it will go on"
                return "missing", f"{each.name} was interrupted{saved}", each
        return "missing", "not computed yet", None

    def _attempt(self, job: Job) -> Attempt:
        if job not in self._attempts:
            self._attempts[job] = last_attempt(job)
        return self._attempts[job]

    def _is_running(self, job: Job) -> bool:
        """Whether a job that has begun was begun by the workflow that is at work: its log is no older than that."""
        if self.since is None:
            return False
        try:
            return Path(job.log).stat().st_mtime >= self.since
        except OSError:
            return False

    def _log(self, job: Job) -> int | None:
        def read() -> Log | None:
            try:
                text = Path(job.log).read_text(encoding="utf-8", errors="replace")
            except OSError:
                return None
            return Log(job.log, "\n".join(text.splitlines()[-TAIL:]))

        log = self.remembered.of(("log", job.log), [job.log], read)
        return None if log is None else self.logs.index(log, job.log)

    def _of_training(self, lineage: Sequence[Job]) -> Facts:
        """How the last training of a cell came about; nothing before it is finished."""
        run = lineage[-1].run
        assert run is not None
        if not Path(run.history).exists():
            return {}
        return self.remembered.of(
            ("training", run), [run.history], lambda: _trained(read_provenance(run.history), run.folder)
        )

    def _of_metrics(self, measurement: Measurement) -> Facts:
        path = measurement.path
        return self.remembered.of(("measured", path), [path], lambda: _measured(read_provenance(path), path))


def _trained(facts: Mapping[str, Any], folder: str) -> Facts:
    told = {
        "trained on": facts.get("device"),
        "precision": facts.get("precision"),
        "trained at": facts.get("created"),
        "training took, s": facts.get("seconds"),
        "images per second": facts.get("images_per_second"),
        "most memory, MiB": round(facts["peak_memory_bytes"] / 2**20) if "peak_memory_bytes" in facts else None,
        "threads": facts.get("threads"),
        "trained by revision": facts.get("revision"),
        "trained with": _versions(facts),
        "folder": folder,
    }
    return {name: value for name, value in told.items() if value is not None}


def _measured(facts: Mapping[str, Any], path: str) -> Facts:
    told = {
        "measured at": facts.get("created"),
        "measured on": facts.get("device"),
        "measured by revision": facts.get("revision"),
        "measured with": _versions(facts),
        "metrics": path,
    }
    return {name: value for name, value in told.items() if value is not None}


def _of_record(record: Record) -> Facts:
    last = record.trainings[-1]
    return {
        **({"reservations": record.reservations} if record.reservations else {}),
        "source of the data": record.source,
        **_trained(last, record.path),
        "training took, s": record.seconds,
    }


def _versions(facts: Mapping[str, Any]) -> str:
    known = {"longtail": facts.get("longtail"), "python": facts.get("python"), **facts.get("versions", {})}
    return ", ".join(f"{name} {version}" for name, version in known.items() if version)
