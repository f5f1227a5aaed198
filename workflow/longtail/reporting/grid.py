"""A table as people read it: what stands in which row and column, before any format is chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from longtail.errors import LongtailError
from longtail.reporting.aggregate import CONFIDENCE, DIFFERS, MISSING, REPRODUCED

if TYPE_CHECKING:
    from longtail.study.artefacts import TableEntry, TablePlan

DASH = "—"

CONTROLS = "Controls"
"""The group of rows that bound every metric. They do not compete for the best value."""


@dataclass(frozen=True)
class GridCell:
    """One place of the table.

    Attributes:
        published: the printed number as printed, empty if there is none.
        computed: our mean, empty if it is missing.
        status: of the value, as in ``aggregate.tidy``.
        spread: ``± std`` over seeds or ``(std)`` over trials, empty if neither exists.
        best: whether it is the best computed value of its column within its group.
        significant: whether the test of the table calls the difference significant.
        mark: number of the footnote that belongs to it, None without one.
    """

    published: str
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
        pairs: whether cells show a published number beside the computed one.
        notes: sentences below the table.
        marks: texts of the numbered footnotes, from 1.
    """

    subtitle: str
    header: list[tuple[str, ...]]
    groups: bool
    rows: list[tuple[str, str, list[GridCell | None]]]
    pairs: bool
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


def _published_text(entry: TableEntry) -> str:
    if entry.published is None:
        return "not printed"
    text = entry.published_text or f"{entry.published:.{entry.decimals}f}"
    return text if entry.published_std is None else f"{text} ± {entry.published_std:.{entry.decimals}f}"


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


def _notes(plan: TablePlan, frame: pd.DataFrame, cells: list[GridCell], pairs: bool) -> list[str]:
    done = frame[frame["status"] != MISSING]
    notes = []
    if pairs:
        notes.append("Each cell shows published | computed.")
    units: dict[str, dict[str, None]] = {}
    for entry in plan.entries:
        units.setdefault(entry.unit, {})[plan.metric_titles[entry.metric]] = None
    if units:
        notes.append(
            f"Unit: {next(iter(units))}."
            if len(units) == 1
            else "Units: " + "; ".join(f"{', '.join(metrics)} in {unit}" for unit, metrics in units.items()) + "."
        )
    if done.empty:
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
        rules.append(f"what the {CONFIDENCE:.0%} Welch interval of both standard deviations allows")
    counts = judged["status"].value_counts()
    return (
        f"{len(judged)} of them were trained as printed, as long as in the paper, on its data and with all of the "
        f"table's seeds: {counts.get(REPRODUCED, 0)} are reproduced, {counts.get(DIFFERS, 0)} differ. Reproduced means "
        f"at most {' or '.join(rules)} away from the published value, its rounding apart."
    )


def _significance_note(plan: TablePlan, test: Mapping[str, Any], frame: pd.DataFrame, cells: list[GridCell]) -> str:
    against, level = test["against"], f"{float(test['level']):.0%}"
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


def arrange(plan: TablePlan, frame: pd.DataFrame) -> Grid:
    """Lay the tidy frame of a plan out in rows and columns.

    Args:
        plan: what the table shows.
        frame: ``aggregate.tidy`` of the same plan, in the order of its entries.

    Raises:
        LongtailError: if the layout puts two numbers in one place.
    """
    levels = _layout_columns(plan.layout)
    pairs = any(entry.published is not None for entry in plan.entries)

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
    for entry, line in zip(plan.entries, frame.to_dict("records"), strict=True):
        place = ("" if "group" in levels else entry.group, entry.row, (*_column(entry, levels), entry.metric))
        if place in cells:
            raise LongtailError(
                f"{plan.paper} {plan.name}: two numbers fall in row {entry.row!r}, column {' / '.join(place[2])!r}. "
                "Name what tells them apart in the layout's columns, or as a group."
            )
        mark = marks.setdefault(str(line["reason"]), len(marks) + 1) if line["reason"] else None
        if line["status"] != MISSING:
            means[place] = round(line["computed"], entry.decimals)
            spread = ""
            if not math.isnan(line["computed_std"]):
                spread = f"± {line['computed_std']:.{entry.decimals}f}"
            elif not math.isnan(line["trial_std"]):
                spread = f"({line['trial_std']:.{entry.decimals}f})"
            significant = line["p_value"] < alpha
            computed = f"{line['computed']:.{entry.decimals}f}"
        else:
            spread, significant, computed = "", False, ""
        cells[place] = GridCell(
            published=_published_text(entry) if pairs else "",
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
        pairs=pairs,
        notes=_notes(plan, frame, list(cells.values()), pairs),
        marks=list(marks),
    )


def _column(entry: TableEntry, levels: list[str]) -> tuple[str, ...]:
    return tuple(_header_text(level, getattr(entry, level)) for level in levels)
