"""How much there is to do for a table, a figure, or all that was asked for, and what sharing of phases saves."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longtail.study.jobs import Job, Jobs, behind, cells_of, missing, to_run
from longtail.study.study import Study


@dataclass(frozen=True)
class Work:
    """What one target takes.

    Attributes:
        target: as a person asks for it, e.g. ``conmix_table2``.
        artefacts: the jobs that render its tables and figures.
        values: for every number of its tables, and every curve or panel of its figures, the cells it is made from, one
            per seed (and scorer); none where it cannot be computed.
        jobs: all jobs it rests on, those of ``artefacts`` included.
        missing: those of them whose files are not there.
        left: those that have to run: the missing ones, and what has to be made again because of them.
        apart: the trainings if every method trained all of its own for every dataset, ratio and seed: a phase that
            several of them share stands here once for each.
    """

    target: str
    artefacts: tuple[Job, ...]
    values: tuple[tuple[Job, ...], ...]
    jobs: tuple[Job, ...]
    missing: tuple[Job, ...]
    left: tuple[Job, ...]
    apart: tuple[Job, ...]

    @property
    def cells(self) -> tuple[Job, ...]:
        """The jobs that make what is merged: the metrics (or points) of one method, dataset, ratio and seed."""
        return tuple(dict.fromkeys(cell for artefact in self.artefacts for cell in cells_of(artefact)))

    @property
    def cells_missing(self) -> tuple[Job, ...]:
        """The cells that are not there."""
        gaps = set(self.missing)
        return tuple(cell for cell in self.cells if cell in gaps)

    @property
    def trainings(self) -> tuple[Job, ...]:
        """The distinct phases, each with its seed."""
        return tuple(job for job in self.jobs if job.rule == "train")

    @property
    def trainings_left(self) -> tuple[Job, ...]:
        """The phases that have to be trained."""
        return tuple(job for job in self.left if job.rule == "train")

    @property
    def by_rule(self) -> Counter[str]:
        """How many jobs of each rule have to run."""
        return Counter(job.rule for job in self.left)

    @property
    def coverage(self) -> Counter[str]:
        """How many values have all their cells (``whole``), ``some``, none (``missing``), or cannot be (``barred``)."""
        gaps = set(self.missing)
        return Counter(_covered(cells, gaps) for cells in self.values)


def _covered(cells: Sequence[Job], gaps: set[Job]) -> str:
    there = sum(cell not in gaps for cell in cells)
    if not cells:
        return "barred"
    return "whole" if there == len(cells) else "some" if there else "missing"


def works(jobs: Jobs, exists: Callable[[str], bool] = os.path.exists) -> list[Work]:
    """What every table and figure of the configuration's targets takes, and last all of them together (``all``).

    Each stands for itself, as if it alone were asked for; together they share what they have in common.

    Args:
        jobs: of the study with the targets.
        exists: whether a file is there.
    """
    study = jobs.study
    asked = list(dict.fromkeys(artefact for target in study.config.targets for artefact in study.artefacts(target)))
    single = [_work(jobs, f"{paper}_{name}", [(paper, kind, name)], exists) for paper, kind, name in asked]
    return [*single, _work(jobs, "all", asked, exists)]


def _work(jobs: Jobs, target: str, asked: Sequence[tuple[str, str, str]], exists: Callable[[str], bool]) -> Work:
    artefacts = tuple(jobs.artefact(*artefact) for artefact in asked)
    apart = dict.fromkeys(
        (measurement.keys["method"], measurement.keys["settings"], training)
        for paper, _, name in asked
        for measurement in jobs.study.measurements(paper, name)
        for training in jobs.lineage(measurement.run)
    )
    return Work(
        target=target,
        artefacts=artefacts,
        values=tuple(cells for artefact in asked for cells in _values(jobs, *artefact)),
        jobs=tuple(behind(artefacts)),
        missing=tuple(missing(artefacts, exists)),
        left=tuple(to_run(artefacts, exists)),
        apart=tuple(training for _, _, training in apart),
    )


def _values(jobs: Jobs, paper: str, kind: str, name: str) -> list[tuple[Job, ...]]:
    study: Study = jobs.study
    keys = ["method", "settings", "backbone", "dataset", "ratio", "split", "features"]
    if kind == "tables":  # a figure may show several scorers of one embedding in one place
        keys += ["readout", "scorer"]

    def key(cell: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(cell[part] for part in keys)

    cells: defaultdict[tuple[Any, ...], dict[Job, None]] = defaultdict(dict)
    for measurement in study.measurements(paper, name):
        cells[key(measurement.keys)][jobs.cell(measurement)] = None
    if kind == "tables":
        places = [entry.members or (entry.cell,) for entry in study.table(paper, name).entries]
    else:
        places = [(place.cell,) for place in study.figure(paper, name).cells]
    return [tuple(job for cell in place if cell is not None for job in cells[key(cell)]) for place in places]
