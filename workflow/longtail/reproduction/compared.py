"""Recorded values beside the printed numbers they are of, and what may explain where they part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longtail.discrepancies import points
from longtail.errors import unknown
from longtail.reporting.from_records import RecordedPlace, RecordedValue
from longtail.reporting.grid import published_text
from longtail.study.artefacts import TableEntry, TablePlan
from longtail.study.study import Study

LARGE = 2.0
"""Points (of percent) from which on a difference is to be explained, or listed as open."""


@dataclass(frozen=True)
class Compared:
    """A recorded value and the number that a table prints for it.

    Attributes:
        paper, table: names in the catalogue.
        title: of paper and table, for people.
        row, column, metric: the place.
        unit: of both.
        decimals: that the table shows.
        published: the printed number as printed, with its standard deviation if there is one.
        published_value: as a number.
        published_std: likewise, None without one.
        value: what is recorded.
        hints: points in which paper and official code differ, or neither says what was done, that touch the cell.
        explained: why the two differ, where the catalogue says so; else empty.
    """

    paper: str
    table: str
    title: str
    row: str
    column: str
    metric: str
    unit: str
    decimals: int
    published: str
    published_value: float
    published_std: float | None
    value: RecordedValue
    hints: tuple[str, ...]
    explained: str

    @property
    def difference(self) -> float:
        """Recorded minus printed."""
        return self.value.difference

    @property
    def large(self) -> bool:
        """Whether the difference is one to be explained."""
        return self.unit == "percent" and abs(self.difference) > LARGE


class Explanations:
    """What the catalogue says of differences between recorded and printed numbers."""

    def __init__(self, study: Study) -> None:
        """Check that every table and row exists that an explanation names.

        Raises:
            LongtailError: if one does not.
        """
        self.study = study
        self.entries: dict[str, Sequence[Mapping[str, Any]]] = {}
        for paper, spec in study.catalog.papers.items():
            self.entries[paper] = spec.get("explained", ())
            for entry in self.entries[paper]:
                for table in entry["tables"]:
                    if table not in spec["tables"]:
                        raise unknown(f"table of {paper} (explained)", table, spec["tables"])
                    rows = {row["row"] for row in spec["tables"][table]["rows"]}
                    for row in entry.get("rows", ()):
                        if row not in rows:
                            raise unknown(f"row of {paper} {table} (explained)", row, rows)
        self._hints: dict[tuple[str, str, str, str, int], list[str]] = defaultdict(list)
        for point in points.derive(study):
            if point.kind in ("difference", "unstated", "departure") and not point.own:
                for place in point.places:
                    key = (place.paper, place.artefact, place.row, place.dataset, place.ratio)
                    if point.heading not in self._hints[key]:
                        self._hints[key].append(point.heading)

    def hints(self, plan: TablePlan, entry: TableEntry) -> tuple[str, ...]:
        """The headings of what parts paper, code and this project in the cells of a place."""
        cells = entry.members or ((entry.cell,) if entry.cell else ())
        found: dict[str, None] = {}
        for cell in cells:
            key = (plan.paper, plan.name, entry.row, cell["dataset"], cell["ratio"])
            found.update(dict.fromkeys(self._hints.get(key, ())))
        return tuple(found)

    def of(self, plan: TablePlan, entry: TableEntry) -> str:
        """Why a recorded value of a place differs from the printed one; empty where nobody knows."""
        said = [
            each["why"]
            for each in self.entries[plan.paper]
            if plan.name in each["tables"]
            and entry.row in each.get("rows", [entry.row])
            and entry.metric in each.get("metrics", [entry.metric])
            and (entry.ratio is None or entry.ratio in each.get("ratios", [entry.ratio]))
            and entry.dataset in each.get("datasets", [entry.dataset])
        ]
        return " ".join(said)


def compared(
    plans: Iterable[tuple[TablePlan, Sequence[RecordedPlace]]], explanations: Explanations
) -> Iterator[Compared]:
    """Every recorded value that something is printed beside, table by table."""
    for plan, places in plans:
        short = explanations.study.catalog.short(plan.paper)
        for entry, place in zip(plan.entries, places, strict=True):
            if entry.published is None:
                continue
            for value in place.values:
                yield Compared(
                    paper=plan.paper,
                    table=plan.name,
                    title=f"{short} {plan.title}",
                    row=": ".join(filter(None, [entry.group, entry.row])),
                    column=entry.column,
                    metric=plan.metric_titles[entry.metric],
                    unit=entry.unit,
                    decimals=entry.decimals,
                    published=published_text(entry),
                    published_value=entry.published,
                    published_std=entry.published_std,
                    value=value,
                    hints=explanations.hints(plan, entry),
                    explained=explanations.of(plan, entry),
                )
