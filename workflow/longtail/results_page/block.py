"""The content of the page as plain JSON, which its script reads: columns of equal length, every text once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from longtail.discrepancies.points import Point
from longtail.results_page.cells import ShownCell
from longtail.results_page.content import Content, ShownTable
from longtail.results_page.curves import TrainingCurve
from longtail.results_page.origins import Setting
from longtail.study.artefacts import TableEntry, TablePlan, printed_seeds_of

DIGITS = 6
"""Significant digits of numbers."""

CURVE_DIGITS = 4
"""Those of losses."""

NUMBERS = (
    "ratio",
    "published",
    "published_std",
    "recorded",
    "recorded_std",
    "recorded_difference",
    "computed",
    "computed_std",
    "difference",
    "tolerance",
)
COUNTS = ("recorded_seeds", "seeds")
TEXTS = ("group", "row", "dataset", "unit", "recorded_status", "recorded_on", "status", "reason")
"""Columns of a table's frame that stand on the page as they are."""


class Strings:
    """Texts by their index."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def __call__(self, text: str | None) -> int | None:
        """The index of a text; None for none."""
        return self.known.setdefault(text, len(self.known)) if text else None


def rounded(value: Any, digits: int = DIGITS) -> float | int | None:
    """A number as JSON can hold it: None for NaN and infinities, a whole one without a point."""
    if value is None or not math.isfinite(value):
        return None
    number = float(f"{float(value):z.{digits}g}")
    return int(number) if number.is_integer() else number


def block(content: Content) -> dict[str, Any]:
    """The whole of it."""
    strings, summary = Strings(), content.summary
    found: dict[str, Any] = {
        "study": {
            "label": summary.label,
            "written": summary.written,
            "version": summary.version,
            "running": summary.running,
            "cells": vars(summary.cells),
            "trainings": vars(summary.trainings),
        },
        "tables": [
            {
                "id": table.id,
                "paper": table.paper,
                "short": table.paper_short,
                "name": table.plan.name,
                "title": table.document.title,
            }
            for table in content.tables
        ],
        "places": _places(content.tables, strings),
        "cells": [_cell(cell, strings) for cell in content.cells],
        "settings": [[_setting(setting, strings) for setting in each] for each in content.settings],
        "points": [_point(point, strings) for point in content.points],
        "curves": [_curve(curve) for curve in content.curves],
        "logs": [vars(log) for log in content.logs],
    }
    return {**found, "strings": list(strings.known)}


def _places(tables: Iterable[ShownTable], strings: Strings) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in (*NUMBERS, *COUNTS, *TEXTS, *OWN)}
    for number, table in enumerate(tables):
        for line, entry, cells in zip(table.frame.to_dict("records"), table.plan.entries, table.cells, strict=True):
            place = {
                **{name: rounded(line[name]) for name in NUMBERS},
                **{name: int(line[name]) for name in COUNTS},
                **{name: strings(line[name]) for name in TEXTS},
                "table": number,
                "column": strings(entry.column),
                "metric": strings(table.plan.metric_titles[entry.metric]),
                "decimals": entry.decimals,
                "better": -1 if table.plan.higher_is_better[entry.metric] is False else 1,
                "published_text": strings(entry.published_text),
                "scale": rounded(scale(table.plan, entry, line)),
                "cells": list(cells),
            }
            for name, value in place.items():
                columns[name].append(value)
    return columns


OWN = ("table", "column", "metric", "decimals", "better", "published_text", "scale", "cells")
"""Columns that say more than the frame."""


def scale(plan: TablePlan, entry: TableEntry, line: Mapping[Any, Any]) -> float | None:
    """The spread that a difference from print is measured by.

    The standard error of the difference of the two means where print and we have a spread, ours here or else the
    recorded one; the metric's tolerance else, None without one.
    """
    printed = (line["published_std"], printed_seeds_of(plan, entry))
    ours = [(line["computed_std"], line["seeds"]), (line["recorded_std"], line["recorded_seeds"])]
    for std, seeds in ours:
        if all(value > 0 and of > 1 for value, of in (printed, (std, seeds))):
            return math.hypot(std / math.sqrt(seeds), printed[0] / math.sqrt(printed[1]))
    return entry.tolerance


def _cell(cell: ShownCell, strings: Strings) -> dict[str, Any]:
    return {
        "method": strings(cell.method),
        "title": strings(cell.title),
        "dataset": strings(cell.dataset),
        "ratio": cell.ratio,
        "seed": cell.seed,
        "state": cell.state,
        "settings": cell.settings,
        "curves": list(cell.curves),
        "provenance": {
            name: value if isinstance(value, str) else rounded(value) for name, value in cell.provenance.items()
        },
        "log": cell.log,
        "points": list(cell.points),
        "why": cell.why or None,
    }


def _setting(setting: Setting, strings: Strings) -> list[int | None]:
    return [*map(strings, (setting.training, setting.name, setting.value, setting.origin, setting.where))]


def _point(point: Point, strings: Strings) -> dict[str, Any]:
    return {"kind": strings(point.kind), "heading": _heading(point), "text": _text(point)}


def _heading(point: Point) -> str:
    of = f" of {', '.join(point.carriers)}" if point.carriers else ""
    return point.heading + (of if point.heading == point.name else f" ({point.name}{of})" if of else "")


def _text(point: Point) -> str:
    """What paper, code and this project say, as sentences."""
    here = {protocol: value for protocol, value in point.here.items() if value}
    if here.keys() <= {"official", "paper"} and len(set(here.values())) <= 1:
        done = next(iter(here.values()), "")
    else:
        done = "; ".join(f"{name}: {value}" if name else value for name, value in here.items())
    parts = [("Paper", point.paper), ("Official code", point.official), ("Here", done), ("", point.why)]
    return " ".join(f"{name}: {text}" if name else text for name, text in parts if text)


def _curve(curve: TrainingCurve) -> dict[str, Any]:
    return {
        "title": curve.title,
        "cut": curve.cut,
        "seed": curve.seed,
        "key": curve.key,
        "epochs": curve.epochs.tolist(),
        "loss": [rounded(value, CURVE_DIGITS) for value in curve.losses],
        "of": curve.of,
        "state": curve.state,
        "borders": list(curve.borders),
    }
