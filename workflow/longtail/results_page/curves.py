"""The curves that the page shows: of finished trainings, of those that are under way, and of records."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from longtail.errors import LongtailError
from longtail.files import read_table
from longtail.records.record import Record
from longtail.reporting import curves
from longtail.reporting.curves import Curve, Part, joined
from longtail.results_page.remembered import Remembered
from longtail.study.jobs import Job
from longtail.study.phases import Phase

MOST_POINTS = 100
"""Of one curve; longer ones are thinned out."""


@dataclass(frozen=True)
class TrainingCurve:
    """The loss of one training by epoch.

    Attributes:
        title: of the method that it is a training of, and what a table sets of its settings.
        cut: the split.
        seed: of the training.
        key: equal for those that are trained alike, wherever their data came from.
        epochs: since the first of its jobs began (E,) int64.
        losses: (E,) float64.
        of: epochs in all, when it is finished.
        state: ``done``, ``running``, ``stopped`` or ``recorded``.
        borders: after which epochs another objective begins.
    """

    title: str
    cut: str
    seed: int
    key: str
    epochs: np.ndarray
    losses: np.ndarray
    of: int
    state: str
    borders: tuple[int, ...]


def key_of(phase: Phase) -> str:
    """What trainings of a phase have in common with records of it."""
    return f"{phase.cut}/{phase.kin}"


def of_training(
    title: str, phase: Phase, lineage: Sequence[Job], running: Iterable[Job], remembered: Remembered
) -> TrainingCurve | None:
    """The curve of a training as far as it is; None if no epoch is complete.

    Args:
        title: for people.
        phase: the state at its end.
        lineage: the jobs that lead there, the first one first.
        running: jobs that are under way.
        remembered: what was read before.

    Raises:
        LongtailError: if a history cannot be read.
    """
    parts, state = [], "done"
    for job in lineage:
        assert job.run is not None
        assert job.phase is not None
        part = _part(job.phase.lineage[-1].objective, job.run.history, remembered)
        if part is None:
            state = "running" if job in running else "stopped"
            part = _part(job.phase.lineage[-1].objective, job.run.history_so_far, remembered)
        if part is None:
            break
        parts.append(part)
        if state != "done":
            break
    curve = joined(parts)
    if not len(curve.epochs):
        return None
    last = lineage[-1]
    assert last.run is not None
    return _thinned(title, phase.cut, last.run.seed, key_of(phase), curve, _epochs(phase), state)


def of_record(title: str, record: Record) -> TrainingCurve | None:
    """The curve that a record has kept; None if it has none."""
    curve = curves.of_record(record)
    if not len(curve.epochs):
        return None
    key = f"{record.cut}/{record.kin}"
    return _thinned(title, record.cut, record.seed, key, curve, int(curve.epochs[-1]), "recorded")


def _thinned(title: str, cut: str, seed: int, key: str, curve: Curve, of: int, state: str) -> TrainingCurve:
    few = curve.thinned(MOST_POINTS)
    return TrainingCurve(title, cut, seed, key, few.epochs, few.losses, of, state, few.borders)


def _part(objective: str, path: str, remembered: Remembered) -> Part | None:
    """What a history has of a curve; None if it is not there."""

    def read() -> pa.Table | None:
        try:
            return read_table(path, ["epoch", "loss"])
        except LongtailError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    table = remembered.of(("history", path), [path], read)
    return None if table is None else Part(objective, table["epoch"].to_numpy(), table["loss"].to_numpy())


def _epochs(phase: Phase) -> int:
    """Epochs of all clocks of a phase's recipe."""
    pairs = itertools.pairwise([*phase.lineage, None])
    return sum(now.last_epoch for now, after in pairs if now and (after is None or after.start != "continue"))
