"""``python -m longtail status``: what of every table is there, which cells are missing, and which failed and why."""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from longtail.records.ledger import Ledger, Match
from longtail.records.record import Record, read_all
from longtail.reporting import overview
from longtail.reporting.attempts import Attempt, device, last_attempt
from longtail.reporting.from_records import recorded_places
from longtail.study import layout
from longtail.study.counting import Work, works
from longtail.study.jobs import Job, Jobs, behind, first_missing
from longtail.study.study import Study

SCHEMA = pa.schema(
    [
        ("target", pa.string()),
        ("method", pa.string()),
        ("settings", pa.string()),
        ("dataset", pa.string()),
        ("ratio", pa.int64()),
        ("seed", pa.int64()),
        ("split", pa.string()),
        ("features", pa.string()),
        ("by", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("stage", pa.string()),
        ("job", pa.string()),
        ("outcome", pa.string()),
        ("said", pa.string()),
        ("epoch", pa.int64()),
        ("epochs", pa.int64()),
        ("log", pa.string()),
        ("file", pa.string()),
    ]
)
"""One line per target and cell; ``by`` is its clusterer, scorer or projection, and ``status`` is ``there``, ``missing``
or ``not available`` (``reason`` says why). From ``stage`` to ``log`` it is about the first job that a missing cell
lacks."""


@dataclass(frozen=True)
class Status:
    """How far a study is.

    Attributes:
        study: with its targets.
        works: what each target takes, and last all together.
        lines: one per target and cell, with the columns of :data:`SCHEMA`.
        attempts: what is known about the last attempt at each missing job.
        waiting: for each missing job, how many missing cells rest on it.
        first: for each job that some of them wait for in the end, those cells.
        records: of the checkout.
        outdated: how many of them were of these targets' cells, and are no longer.
        recorded: of each target, how many values of its tables have a record.
    """

    study: Study
    works: Sequence[Work]
    lines: Sequence[Mapping[str, Any]]
    attempts: Mapping[Job, Attempt]
    waiting: Mapping[Job, int]
    first: Mapping[Job, Sequence[Job]] = field(repr=False)
    records: Sequence[Record] = field(repr=False)
    outdated: int
    recorded: Sequence[int]


def status(study: Study) -> Status:
    """Look at the files, logs and saved states of a study."""
    jobs = Jobs(study)
    everything = works(jobs)
    total = everything[-1]
    found = {job: last_attempt(job) for job in total.missing}
    waiting: Counter[Job] = Counter()
    first: defaultdict[Job, list[Job]] = defaultdict(list)
    for cell in total.cells_missing:
        waiting.update(job for job in behind([cell]) if job in found)
        first[first_missing(cell, found)].append(cell)
    asked = dict.fromkeys(artefact for target in study.config.targets for artefact in study.artefacts(target))
    lines = [line for artefact in asked for line in _lines(jobs, artefact, found)]
    ledger = Ledger(read_all(layout.records_folder()), study)
    matches = {artefact: ledger.of(artefact[0], artefact[2]) for artefact in asked}
    outdated = {match.record.path for some in matches.values() for match in some if not match.current}
    counts = [_recorded(study, artefact, some) for artefact, some in matches.items()]
    counts.append(sum(counts))
    return Status(study, everything, lines, found, waiting, first, ledger.records, len(outdated), counts)


def _recorded(study: Study, artefact: tuple[str, str, str], matches: Sequence[Match]) -> int:
    """How many values of a table have a record."""
    paper, kind, name = artefact
    if kind != "tables":
        return 0
    return sum(bool(place.values) for place in recorded_places(study.table(paper, name), matches))


def _lines(jobs: Jobs, artefact: tuple[str, str, str], found: Mapping[Job, Attempt]) -> Iterator[dict[str, Any]]:
    paper, _, name = artefact
    target = f"{paper}_{name}"
    for measurement in jobs.study.measurements(paper, name):
        cell = jobs.cell(measurement)
        by = measurement.projection or f"{measurement.keys['readout']}, {measurement.keys['scorer']}"
        line = {"target": target, "file": measurement.path, "status": "there", **measurement.keys, "by": by}
        if cell in found:
            missing = first_missing(cell, found)
            known = found[missing]
            line |= {
                "status": "missing",
                "stage": missing.rule,
                "job": missing.name,
                "outcome": known.outcome,
                "said": known.said,
                "epoch": known.epoch,
                "epochs": missing.phase.lineage[-1].last_epoch if missing.phase else None,
                "log": missing.log,
            }
        yield {column: line.get(column) for column in SCHEMA.names}
    for asked, reason in jobs.study.not_available(*artefact):
        line = {"target": target, "status": "not available", "reason": reason, **asked}
        yield {column: line.get(column) for column in SCHEMA.names}


def page(now: Status) -> tuple[str, str]:
    """The status as people read it: what fits on a terminal, and the list of missing cells."""
    header = [
        "target",
        "values",
        "whole",
        "some seeds",
        "missing",
        "published only",
        "recorded",
        "cells",
        "there",
        "missing",
        "rendered",
    ]
    summary = [
        *overview.heading(now.study, "Status"),
        "",
        *_summary(now),
        "",
        overview.listing(header, map(_line, now.works, now.recorded)),
        "",
        "Whole: computed with all seeds. Published only: the method or dataset is not implemented, or not selected. "
        "Recorded: values of tables that a record of this checkout shows. Cells are counted per seed.",
        *_attempts(now, "failed", "Failed"),
        *_attempts(now, "stopped", "Stopped, and will go on when the workflow is started again"),
        *_attempts(now, "begun", "Begun: running, or ended without a word (killed, or its files were deleted since)"),
        *_waiting(now),
        "",
    ]
    return "\n".join(summary), "\n".join(_missing(now))


def _summary(now: Status) -> list[str]:
    total = now.works[-1]
    cells, missing = len(total.cells), len(total.cells_missing)
    phases_missing = sum(job.rule == "train" for job in total.missing)
    outcomes = Counter(known.outcome for known in now.attempts.values())
    devices = Counter(filter(None, map(device, total.trainings)))
    ran = ", ".join(f"{number} on {name}" for name, number in devices.most_common())
    return [
        f"- Cells: {cells}, of which {cells - missing} are there and {missing} are missing.",
        f"- Phases: {len(total.trainings)}, of which {phases_missing} are missing.",
        f"- Missing jobs that failed: {outcomes['failed']}, were stopped: {outcomes['stopped']}, have begun: "
        f"{outcomes['begun']}.",
        *_records(now),
        *([f"- Trainings, by what their logs say: {ran}."] if ran else []),
    ]


def _records(now: Status) -> list[str]:
    """How many records there are, and how many of them the catalogue has no cell for any more."""
    if not now.records:
        return []
    machines = len({(record.device, record.precision) for record in now.records})
    kinds = f"{machines} kind{'s' if machines > 1 else ''} of machine and number format"
    return [f"- Records: {len(now.records)} of {kinds}; outdated for these targets: {now.outdated}."]


def _line(work: Work, recorded: int) -> list[str]:
    values, missing = work.coverage, len(work.cells_missing)
    rendered = [_rendered(work, artefact) for artefact in work.artefacts]
    return [
        work.target,
        *map(str, (len(work.values), values["whole"], values["some"], values["missing"], values["barred"], recorded)),
        *map(str, (len(work.cells), len(work.cells) - missing, missing)),
        rendered[0] if len(rendered) == 1 else f"{rendered.count('yes')} of {len(rendered)}",
    ]


def _rendered(work: Work, artefact: Job) -> str:
    if artefact in work.missing:
        return "no"
    return "outdated" if artefact in work.left else "yes"


def _attempts(now: Status, outcome: str, title: str) -> list[str]:
    """The jobs with an outcome, and what they said last."""
    found = {job: known for job, known in now.attempts.items() if known.outcome == outcome}
    if not found:
        return []
    lines = ["", f"## {title}", ""]
    for job, known in found.items():
        facts = [
            _far(job, known),
            f"cells waiting for it: {now.waiting[job]}",
            f"log: {job.log}",
        ]
        lines += [
            f"- {job.name}: {'; '.join(filter(None, facts))}",
            "",
            f"      {known.said or '(its log is empty)'}",
            "",
        ]
    return lines[:-1]


def _far(job: Job, known: Attempt) -> str:
    """How far a training is."""
    if job.phase is None:
        return ""
    last = job.phase.lineage[-1].last_epoch
    saved = f"to epoch {last}, none saved" if known.epoch is None else f"epoch {known.epoch} of {last} saved"
    return f"{saved}, on {known.device}" if known.device else saved


def _waiting(now: Status) -> list[str]:
    """What the missing cells wait for: of each, the first stage that is missing."""
    if not now.first:
        return []
    rows = [
        [job.name, now.attempts[job].outcome, _far(job, now.attempts[job]), str(len(cells))]
        for job, cells in now.first.items()
    ]
    title = "What missing cells wait for first"
    return ["", f"## {title}", "", overview.listing(["job", "attempt", "training", "cells"], rows, texts=3)]


def _missing(now: Status) -> list[str]:
    lines = ["## Missing cells", ""]
    for work in now.works[:-1]:
        missing = [line for line in now.lines if line["target"] == work.target and line["status"] == "missing"]
        if missing:
            rows = [
                [_method(line), f"{line['dataset']}-ir{line['ratio']}", str(line["seed"]), line["by"], line["job"]]
                for line in missing
            ]
            header = ["method", "dataset", "seed", "by", "first missing"]
            lines += [f"### {work.target}", "", overview.listing(header, rows, texts=5), ""]
    return lines if len(lines) > 2 else []


def _method(line: Mapping[str, Any]) -> str:
    return line["method"] + (f" {line['settings']}" if line["settings"] != "{}" else "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    overview.add_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the status and write it."""
    study = overview.study_of(arguments)
    now = status(study)
    summary, missing = page(now)
    table = pa.Table.from_pylist(list(now.lines), schema=SCHEMA)
    out = arguments.out or layout.status(study.config.view)
    overview.write(out, f"{summary}\n{missing}", table, targets=list(study.config.targets))
    print(summary)
    if missing:
        print(f"Every missing cell is listed in {Path(out)}.md and .parquet.")
