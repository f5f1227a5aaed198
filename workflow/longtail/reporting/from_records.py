"""What records say of the places of a table: means over seeds, one for each kind of machine that trained them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from longtail.records.ledger import Group, Match, groups, merged
from longtail.reporting.aggregate import (
    METRIC_COLUMNS,
    NOT_RECORDED,
    Mean,
    cell_key,
    found_values,
    held_against_print,
    seed_values,
)

if TYPE_CHECKING:
    from longtail.records.record import Record
    from longtail.study.artefacts import TableEntry, TablePlan


@dataclass(frozen=True)
class RecordedValue(Mean):
    """A value of records that were trained alike.

    Attributes:
        group: what they have in common.
        records: them.
    """

    group: Group
    records: tuple[Record, ...]

    def shown(self, decimals: int) -> tuple[str, ...]:
        """Mean, ``± std`` if there are several seeds, and ``n=1``."""
        spread = [] if math.isnan(self.std) else [f"± {self.std:z.{decimals}f}"]
        return (f"{self.mean:z.{decimals}f}", *spread, f"n={self.seeds}")

    def text(self, decimals: int) -> str:
        """The value, with what it was trained on."""
        *value, seeds = self.shown(decimals)
        return f"{' '.join(value)} ({seeds}, {self.group})"


@dataclass(frozen=True)
class RecordedPlace:
    """What is recorded of one place of a table.

    Attributes:
        values: the one of most seeds first.
        outdated: records of the cell as the catalogue had it once.
        decimals: that the table shows.
    """

    values: tuple[RecordedValue, ...]
    outdated: tuple[Record, ...]
    decimals: int

    def as_columns(self) -> Mapping[str, Any]:
        """The columns of a tidy frame that speak of records."""
        outdated = {"outdated": " ".join(record.path for record in self.outdated)}
        if not self.values:
            return {**NOT_RECORDED, **outdated}
        first, *others = self.values
        return {
            "recorded": first.mean,
            "recorded_std": first.std,
            "recorded_difference": first.difference,
            "recorded_seeds": first.seeds,
            "recorded_status": first.status,
            "recorded_on": str(first.group),
            "recorded_in": " ".join(record.path for record in first.records),
            "recorded_too": "; ".join(other.text(self.decimals) for other in others),
            **outdated,
        }


def recorded_places(plan: TablePlan, matches: Sequence[Match]) -> list[RecordedPlace]:
    """What the records of a table say of each of its entries.

    Args:
        plan: the table.
        matches: the records of its measurements.

    Raises:
        LongtailError: if a record is in another unit than the table.
    """
    by_group = groups(matches)
    values = {group: seed_values(_metrics(ours)) for group, ours in by_group.items()}
    of_cell: dict[tuple[str, ...], dict[Group | None, list[Match]]] = defaultdict(lambda: defaultdict(list))
    for group, ours in [*by_group.items(), (None, [match for match in matches if not match.current])]:
        for match in ours:
            of_cell[cell_key(match.measurement.keys)][group].append(match)
    places = []
    for entry in plan.entries:
        cells = entry.members or ((entry.cell,) if entry.cell else ())
        here = [of_cell.get(cell_key(cell), {}) for cell in cells]
        found = [
            _value(plan, entry, group, values[group], [match for one in here for match in one.get(group, ())])
            for group in by_group
            if here and all(group in one for one in here)
        ]
        outdated = {match.record.path: match.record for one in here for match in one.get(None, ())}
        ordered = sorted(filter(None, found), key=lambda value: -value.seeds)  # otherwise as the groups are
        places.append(RecordedPlace(tuple(ordered), tuple(outdated.values()), entry.decimals))
    return places


def _metrics(matches: Sequence[Match]) -> pd.DataFrame:
    lines = merged(matches)
    return lines[list(METRIC_COLUMNS)] if len(lines) else lines


def _value(
    plan: TablePlan,
    entry: TableEntry,
    group: Group,
    values: Mapping[tuple[str, ...], pd.DataFrame],
    matches: Sequence[Match],
) -> RecordedValue | None:
    found = found_values(entry, values)
    if found is None or not np.isfinite(found["mean"]).all():
        return None
    mean = held_against_print(plan, entry, found, entry.as_printed and not group.label)
    records = {match.record.path: match.record for match in matches if match.measurement.keys["seed"] in found.index}
    return RecordedValue(**mean.__dict__, group=group, records=tuple(records.values()))
