"""Which records a table may show beside its printed numbers, and which are outdated.

A record belongs to a cell if the catalogue trains that cell as it was trained, wherever its images came from, and reads
it out and scores it by the same settings. A record that was such a cell once, and is one no longer, is outdated: it is
named, and its values are not used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from longtail.records.record import Record
from longtail.study.cells import Cell, Measurement
from longtail.study.phases import canonical
from longtail.study.study import Study


@dataclass(frozen=True)
class Match:
    """A measurement and a record of it.

    Attributes:
        measurement: what a table or figure asks for.
        record: what is recorded.
        current: whether the catalogue still has it trained and measured so.
    """

    measurement: Measurement
    record: Record
    current: bool


@dataclass(frozen=True)
class Group:
    """Records whose values are averaged: of one device, number format and source of data, each seed once.

    Attributes:
        device, precision, source: of the trainings.
        label: what keeps them from being as printed (``Record.reservations``); empty if nothing does.
        copy: 0, or the how manieth of records that have all of this and the seed in common.
    """

    device: str
    precision: str
    source: str
    label: str
    copy: int = 0

    def __str__(self) -> str:
        return f"{self.device} in {self.precision}" + (f"; {self.label}" if self.label else "")


@dataclass(frozen=True)
class Ledger:
    """All records, by what a study may ask for.

    Attributes:
        records: all of them.
        study: what asks.
    """

    records: Sequence[Record]
    study: Study
    _of_kin: dict[tuple[str, str, int], list[Record]] = field(init=False, repr=False, default_factory=dict)
    _of_method: dict[tuple[str, str, str, str, int], list[Record]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Find records by their training, and by what the catalogue called them when they were made."""
        for record in self.records:
            self._of_kin.setdefault((record.cut, record.kin, record.seed), []).append(record)
            for method in record.methods:
                key = (record.cut, method["method"], method["settings"], method["backbone"], record.seed)
                self._of_method.setdefault(key, []).append(record)

    def matches(self, measurement: Measurement) -> list[Match]:
        """The records of one measurement, those that are outdated included."""
        keys = measurement.keys
        if measurement.run.kind != "phases" or measurement.projection is not None:
            return []
        cell = measurement.cell
        phase = self.study.trained(cell, keys["seed"])
        place = (cell.features, cell.split, cell.readout, cell.scorer)
        asked = self._settings(cell)
        found = []
        for record in self._of_kin.get((phase.cut, phase.kin, keys["seed"]), ()):
            measured = next((each for each in record.measured if each.place == place), None)
            if measured is not None:
                found.append(Match(measurement, record, current=measured.settings == asked))
        called = (phase.cut, cell.method, cell.settings, cell.backbone, keys["seed"])
        found += [
            Match(measurement, record, current=False)
            for record in self._of_method.get(called, ())
            if record.kin != phase.kin and any(each.place == place for each in record.measured)
        ]
        return found

    def of(self, paper: str, name: str) -> list[Match]:
        """The records of all measurements of a table or figure."""
        return [match for measurement in self.study.measurements(paper, name) for match in self.matches(measurement)]

    def _settings(self, cell: Cell) -> str:
        """By which settings the catalogue has a cell read out and scored."""
        catalog = self.study.catalog
        readout = catalog.readouts.get(cell.readout)
        if cell.readout in catalog.classifiers:
            readout = self.study.classifier(cell.readout, catalog.dataset(cell.dataset), cell.split)
        return canonical({"readout": readout, "scorer": catalog.scorers[cell.scorer]})


def groups(matches: Iterable[Match]) -> dict[Group, list[Match]]:
    """The current matches by what their records have in common; where a seed was recorded twice, both stand."""
    found: dict[Group, list[Match]] = defaultdict(list)
    taken: dict[tuple[Any, ...], int] = {}
    numbers: dict[tuple[Any, ...], int] = {}
    for match in sorted(matches, key=lambda match: (match.record.trainings[-1]["created"], match.record.path)):
        record = match.record
        if not match.current:
            continue
        alike = (record.device, record.precision, record.source, record.reservations)
        one = (*alike, record.cut, record.kin, record.seed, record.path)
        if one not in numbers:
            numbers[one] = taken.get(one[:-1], 0)
            taken[one[:-1]] = numbers[one] + 1
        found[Group(*alike, copy=numbers[one])].append(match)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), str(item[0]), item[0].copy)))


def merged(matches: Sequence[Match]) -> pd.DataFrame:
    """The values of matches, as merged metrics have them: a line each, with the keys of its cell."""
    parts = []
    for match in matches:
        keys = match.measurement.keys
        lines = match.record.values()
        for name in ("features", "split", "readout", "scorer"):
            lines = lines.filter(pc.equal(lines[name], keys[name]))
        parts.append(lines.to_pandas().assign(**keys))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
