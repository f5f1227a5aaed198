"""A table as people read it: what stands in which row and column, before any format is chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from longtail.errors import LongtailError
from longtail.records.ledger import Group
from longtail.reporting.aggregate import COMPUTED, CONFIDENCE, DIFFERS, MISSING, REPRODUCED
from longtail.reporting.from_records import RecordedPlace, RecordedValue

if TYPE_CHECKING:
    from longtail.study.artefacts import TableEntry, TablePlan

DASH = "—"

PARTS = ("published", "recorded", "computed")
"""What a cell may show side by side, in this order."""

CONTROLS = "Controls"
"""The group of rows that bound every metric. They do not compete for the best value."""


@dataclass(frozen=True)
class GridRecord:
    """One recorded value of a place.

    Attributes:
        shown: the mean, ``± std`` over seeds if there are several, ``(n=3)``.
        status: of the value, as in ``aggregate.tidy``.
        letter: of the note that says on what it was trained; empty where the table's records have all the same.
    """

    shown: tuple[str, ...]
    status: str
    letter: str


@dataclass(frozen=True)
class GridCell:
    """One place of the table.

    Attributes:
        published: the printed number as printed, empty if there is none.
        recorded: the values of records.
        computed: our mean, empty if it is missing.
        status: of the value, as in ``aggregate.tidy``.
        spread: ``± std`` over seeds or ``(std)`` over trials, empty if neither exists.
        best: whether it is the best computed value of its column within its group.
        significant: whether the test of the table calls the difference significant.
        mark: number of the footnote that belongs to it, None without one.
    """

    published: str
    recorded: tuple[GridRecord, ...]
    computed: str
    status: str
    spread: str = ""
    best: bool = False
    significant: bool = False
    mark: int | None = None


@dataclass(frozen=True)
class Grid:
    """The arranged table.

    Attributes:
        subtitle: what all columns have in common (``CIFAR-10, imbalance ratio 10``), empty if nothing.
        header: one tuple of header texts per column, outermost first, the metric last.
        groups: whether rows carry a sub-header.
        rows: (group, row, cells), a cell being None where the table has no such place.
        parts: which of :data:`PARTS` each cell shows.
        notes: sentences below the table.
        marks: texts of the numbered footnotes, from 1.
    """

    subtitle: str
    header: list[tuple[str, ...]]
    groups: bool
    rows: list[tuple[str, str, list[GridCell | None]]]
    parts: tuple[str, ...]
    notes: list[str]
    marks: list[str]


def _layout_columns(layout: Mapping[str, Any]) -> list[str]:
    columns = list(layout["columns"])
    if not set(columns) <= {"dataset", "ratio", "group"}:
        raise LongtailError(
            f"A table's columns are told apart by dataset, ratio and group, not by {', '.join(columns)}."
        )
    return columns


def _header_text(level: str, value: Any) -> str:
    if value is None:
        return ""
    return f"imbalance ratio {float(value):g}" if level == "ratio" else str(value)


def published_text(entry: TableEntry) -> str:
    """A printed number as printed, with its standard deviation if there is one."""
    if entry.published is None:
        return "not printed"
    text = entry.published_text or f"{entry.published:z.{entry.decimals}f}"
    return text if entry.published_std is None else f"{text} ± {entry.published_std:z.{entry.decimals}f}"


def _remarks(plan: TablePlan) -> list[str]:
    """What the transcriptions remark on printed numbers, with the rows or places that each remark is about."""
    varying = [name for name in ("group", "dataset", "ratio") if len({getattr(e, name) for e in plan.entries}) > 1]

    def column(entry: TableEntry) -> str:
        return " ".join(filter(None, (_header_text(name, getattr(entry, name)) for name in varying)))

    rows: dict[str, set[tuple[str, str]]] = {}
    remarked: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for entry in plan.entries:
        place = (column(entry), entry.metric)
        rows.setdefault(entry.row, set()).add(place)
        for remark in (entry.note or "").split("; "):
            if remark and remark != "bold":
                remarked.setdefault(remark, {}).setdefault(entry.row, []).append(place)
    sentences = []
    for remark, by_row in remarked.items():
        names = []
        for row, places in by_row.items():
            metrics: dict[str, list[str]] = {}
            for name, metric in places:
                metrics.setdefault(name, []).append(metric)
            parts = []
            for name, some in metrics.items():
                whole = len(some) == sum(1 for other, _ in rows[row] if other == name)
                parts.append(
                    " ".join(
                        filter(None, [name, "" if whole else ", ".join(plan.metric_titles[metric] for metric in some)])
                    )
                )
            names.append(row if len(places) == len(rows[row]) else f"{row} ({'; '.join(parts)})")
        sentences.append(f"On the published values of {', '.join(names)}: {remark}.")
    return sentences


def _notes(
    plan: TablePlan, frame: pd.DataFrame, cells: list[GridCell], parts: tuple[str, ...], groups: Sequence[Group]
) -> list[str]:
    done = frame[frame["status"] != MISSING]
    pairs = "published" in parts
    notes = []
    if len(parts) > 1:
        notes.append(f"Each cell shows {' | '.join(parts)}.")
    units: dict[str, dict[str, None]] = {}
    for entry in plan.entries:
        units.setdefault(entry.unit, {})[plan.metric_titles[entry.metric]] = None
    if units:
        notes.append(
            f"Unit: {next(iter(units))}."
            if len(units) == 1
            else "Units: " + "; ".join(f"{', '.join(metrics)} in {unit}" for unit, metrics in units.items()) + "."
        )
    if "recorded" in parts:
        notes += _recorded_notes(frame, groups)
    if "computed" not in parts:
        pass
    elif done.empty and "recorded" in parts:
        notes.append("Nothing in this table is computed here yet.")
    elif done.empty:
        notes.append(
            "Nothing in this table is computed yet: every number shown is the published one."
            if pairs
            else "Nothing in this table is computed yet."
        )
    else:
        notes.append(f"{len(done)} of {len(frame)} values are computed.")
        if pairs:
            notes.append(_verdicts(plan, done))
    if (done["seeds"] > 1).any():
        seeds = f"up to {len(plan.seeds)}" if (done["seeds"] < len(plan.seeds)).any() else str(len(plan.seeds))
        notes.append(
            f"Computed values are means over {seeds} training seeds ± their standard deviation "
            "(n − 1); clustering trials are averaged within a seed first."
        )
    single = done[done["seeds"] == 1]
    if not single.empty:
        trials = int(single["trials"].max())
        notes.append(
            "Values of a single training seed say nothing about the spread between trainings"
            + (
                f"; in parentheses the standard deviation over its clustering trials (at most {trials})."
                if trials > 1
                else "."
            )
        )
    if any(cell.best for cell in cells):
        notes.append(
            "Bold: best computed value of its column within its group of rows; what is not computed does not compete."
        )
    if plan.significance:
        notes.append(_significance_note(plan, plan.significance, frame, cells))
    return [*notes, *plan.footnotes, *_remarks(plan)]


def _letters(groups: Sequence[Group]) -> dict[Group, str]:
    """How a table tells its records apart."""
    return {group: chr(ord("a") + number) if len(groups) > 1 else "" for number, group in enumerate(groups)}


def _recorded_notes(frame: pd.DataFrame, groups: Sequence[Group]) -> list[str]:
    there = frame[frame["recorded_seeds"] > 0]
    counts = there[there["published"].notna()]["recorded_status"].value_counts()
    verdicts = [f"{counts[status]} {words}" for status, words in _RECORDED.items() if status in counts]
    notes = [
        f"Recorded: {len(there)} of {len(frame)} values, each the mean ± standard deviation (n − 1) over n training "
        f"seeds that the records of this checkout hold{'; ' if verdicts else ''}{', '.join(verdicts)}."
    ]
    for group, letter in _letters(groups).items():
        again = " (the same seeds, trained again)" if group.copy else ""
        notes.append(f"{letter + ': r' if letter else 'R'}ecorded on {group}{again}.")
    return notes


_RECORDED = {
    REPRODUCED: "reproduced",
    DIFFERS: "trained as printed and further from the printed number than the tolerance",
    COMPUTED: "not trained as printed in all respects, and so called neither reproduced nor different",
}
"""What is said of recorded values by their status."""


def _verdicts(plan: TablePlan, done: pd.DataFrame) -> str:
    """How many of the computed values are reproduced, and what that takes."""
    judged = done[done["tolerance"].notna()]
    if judged.empty:
        return (
            "None of them is called reproduced: none was trained as printed, as long as in the paper, on its data and "
            "with all of the table's seeds."
        )
    printed = [entry for entry in plan.entries if entry.published is not None]
    by_tolerance: dict[str, dict[str, None]] = {}
    for entry in printed:
        if entry.published_std is None:
            by_tolerance.setdefault(f"{entry.tolerance:g}", {})[plan.metric_titles[entry.metric]] = None
    rules = [f"{tolerance} ({', '.join(metrics)})" for tolerance, metrics in by_tolerance.items()]
    if any(entry.published_std is not None for entry in printed):
        rules.append(f"what the {CONFIDENCE:z.0%} Welch interval of both standard deviations allows")
    counts = judged["status"].value_counts()
    return (
        f"{len(judged)} of them were trained as printed, as long as in the paper, on its data and with all of the "
        f"table's seeds: {counts.get(REPRODUCED, 0)} are reproduced, {counts.get(DIFFERS, 0)} differ. Reproduced means "
        f"at most {' or '.join(rules)} away from the published value, its rounding apart."
    )


def _significance_note(plan: TablePlan, test: Mapping[str, Any], frame: pd.DataFrame, cells: list[GridCell]) -> str:
    against, level = test["against"], f"{float(test['level']):z.0%}"
    rows = [entry.row for entry in plan.entries if entry.cell is not None and entry.cell["method"] == against]
    name = rows[0] if rows else against
    tested = int(frame["p_value"].notna().sum())
    if not tested:
        return (
            f"No significance is tested: that takes at least two training seeds, with some spread, of {name} and of "
            "another computed row."
        )
    return (
        f"*: differs significantly from {name} (two-sided Welch t-test over training seeds, {level} confidence, "
        f"no correction for multiple tests; {tested} differences tested, "
        f"{sum(cell.significant for cell in cells)} significant)."
    )


def _recorded(value: RecordedValue, decimals: int, letter: str) -> GridRecord:
    *mean, seeds = value.shown(decimals)
    return GridRecord((*mean, f"({seeds})"), value.status, letter)


def _old(place: RecordedPlace) -> list[str]:
    """What is said of the records that a place does not show."""
    if not place.outdated:
        return []
    return [
        f"not shown: {len(place.outdated)} outdated record{'s' if len(place.outdated) > 1 else ''} of this cell, which "
        "the catalogue trains or measures otherwise now"
    ]


def arrange(
    plan: TablePlan, frame: pd.DataFrame, recorded: Sequence[RecordedPlace] = (), only_recorded: bool = False
) -> Grid:
    """Lay the tidy frame of a plan out in rows and columns.

    Args:
        plan: what the table shows.
        frame: ``aggregate.tidy`` of the same plan, in the order of its entries.
        recorded: what is recorded of each entry, in the same order; empty if nothing of any is.
        only_recorded: leave out what was computed here.

    Raises:
        LongtailError: if the layout puts two numbers in one place.
    """
    levels = _layout_columns(plan.layout)
    shown = {
        "published": any(entry.published is not None for entry in plan.entries),
        "recorded": only_recorded or any(place.values for place in recorded),
        "computed": not only_recorded,
    }
    parts = tuple(part for part in PARTS if shown[part])
    groups = list(dict.fromkeys(value.group for place in recorded for value in place.values))
    letters = _letters(groups)

    columns: dict[tuple[str, ...], None] = {}
    for entry in plan.entries:
        columns.setdefault(tuple(_header_text(level, getattr(entry, level)) for level in levels))
    header = [
        (*column, metric)
        for column in columns
        for metric in plan.metrics
        if any(entry.metric == metric and _column(entry, levels) == column for entry in plan.entries)
    ]
    group_order: dict[str, None] = dict.fromkeys("" if "group" in levels else entry.group for entry in plan.entries)
    row_order = dict.fromkeys(entry.row for entry in plan.entries)

    alpha = 1 - float(plan.significance["level"]) if plan.significance else 0.0
    marks: dict[str, int] = {}
    cells: dict[tuple[str, str, tuple[str, ...]], GridCell] = {}
    means: dict[tuple[str, str, tuple[str, ...]], float] = {}
    unrecorded = [RecordedPlace((), (), entry.decimals) for entry in plan.entries]
    for entry, line, remembered in zip(plan.entries, frame.to_dict("records"), recorded or unrecorded, strict=True):
        place = ("" if "group" in levels else entry.group, entry.row, (*_column(entry, levels), entry.metric))
        if place in cells:
            raise LongtailError(
                f"{plan.paper} {plan.name}: two numbers fall in row {entry.row!r}, column {' / '.join(place[2])!r}. "
                "Name what tells them apart in the layout's columns, or as a group."
            )
        reason = "; ".join(
            filter(None, [str(line["reason"]) if shown["computed"] else entry.missing, *_old(remembered)])
        )
        mark = marks.setdefault(reason, len(marks) + 1) if reason else None
        if line["status"] != MISSING:
            means[place] = round(line["computed"], entry.decimals)
            spread = ""
            if not math.isnan(line["computed_std"]):
                spread = f"± {line['computed_std']:z.{entry.decimals}f}"
            elif not math.isnan(line["trial_std"]):
                spread = f"({line['trial_std']:z.{entry.decimals}f})"
            significant = line["p_value"] < alpha
            computed = f"{line['computed']:z.{entry.decimals}f}"
        else:
            spread, significant, computed = "", False, ""
        cells[place] = GridCell(
            published=published_text(entry) if shown["published"] else "",
            recorded=tuple(_recorded(value, entry.decimals, letters[value.group]) for value in remembered.values),
            computed=computed,
            status=str(line["status"]),
            spread=spread,
            significant=significant,
            mark=mark,
        )
    for column in header:
        higher = plan.higher_is_better[column[-1]]
        if higher is None:
            continue
        best = max if higher else min
        for group in group_order.keys() - {CONTROLS}:
            rivals = {place: mean for place, mean in means.items() if place[0] == group and place[2] == column}
            for place, mean in rivals.items():
                if len(rivals) > 1 and mean == best(rivals.values()):
                    cells[place] = replace(cells[place], best=True)

    rows = [
        (group, row, [cells.get((group, row, column)) for column in header])
        for group in group_order
        for row in row_order
        if any((group, row, column) in cells for column in header)
    ]
    constant = [index for index in range(len(levels)) if len({column[index] for column in header}) == 1]
    kept = [index for index in range(len(levels) + 1) if index not in constant]
    subtitle = ", ".join(filter(None, (header[0][index] for index in constant))) if header else ""
    return Grid(
        subtitle=subtitle[:1].upper() + subtitle[1:],
        header=[
            tuple(plan.metric_titles[column[index]] if index == len(levels) else column[index] for index in kept)
            for column in header
        ],
        groups=any(group_order),
        rows=rows,
        parts=parts,
        notes=_notes(plan, frame, list(cells.values()), parts, groups),
        marks=list(marks),
    )


def _column(entry: TableEntry, levels: list[str]) -> tuple[str, ...]:
    return tuple(_header_text(level, getattr(entry, level)) for level in levels)
