"""A page made by hand: two tables of two papers, trainings that are finished, that run and that failed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pandas as pd

from longtail.records.ledger import Group
from longtail.reporting.from_records import RecordedPlace, RecordedValue
from longtail.reporting.table import RenderedTable, render_table
from longtail.results_page.render import render
from tests.reporting.makers import cell, entry, lines, metrics, plan

ON = Group("some CPU", "float32", "", "")
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"><rect width="20" height="10" fill="#0077bb"/></svg>'
)


class Strings:
    """Texts by their index."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def __call__(self, text: str | None) -> int | None:
        return None if not text else self.known.setdefault(text, len(self.known))


def recorded(mean: float, printed: float, status: str = "computed") -> RecordedPlace:
    value = RecordedValue(mean, 0.5, 3, mean - printed, math.nan, status, "", group=ON, records=())
    return RecordedPlace((value,), (), 1)


SCALE = 2.0
"""The spread that differences are held against."""

OTHERS = ("table", "column", "decimals", "better", "published_text", "scale", "cells")
NOTHING = RecordedPlace((), (), 1)


def clustering(name: str = "table1") -> tuple[RenderedTable, Mapping[str, int]]:
    """Three methods on two datasets, of which one method is not there yet; the first is recorded, too."""
    entries, data, places = [], [], []
    printed = {"SimCLR": 50.0, "CC": 40.0, "ConMix": 9.5}
    for row, value in printed.items():
        for number, dataset in enumerate(("CIFAR-10", "STL-10")):
            for metric in ("ACC", "NMI"):
                of = cell(row.lower(), dataset.lower())
                each = entry(row, metric, dataset=dataset, cell=of, published=str(value + number))
                entries.append(each)
                if row != "CC":
                    here = value + number + (4 if row == "SimCLR" else -2)
                    data.append(lines(each.cell, metric, [[here - 0.5], [here + 0.5]]))
                places.append(recorded(value + number - 1, value + number) if row == "SimCLR" else NOTHING)
    planned = plan(
        *entries,
        seeds=(0, 1),
        title=f"Table {name[-1]}: clustering",
        name="table1",
        label="budget smoke",
        caption="Clusters of what was learned without a label, and how many images of each lie where they should.",
    )
    return render_table(planned, metrics(*data), places), {"ACC": 1, "NMI": 1}


def errors() -> tuple[RenderedTable, Mapping[str, int]]:
    """Rows in groups, and a metric of which less is better; one value is printed nowhere."""
    entries, data = [], []
    for group, row, printed, here in (
        ("Theirs", "CE", "60.0", 63.0),
        ("Theirs", "Focal", "58.0", 57.0),
        ("Ours", "LADE", "50.0", 44.0),
        ("Ours", "Extra", None, 51.0),
    ):
        each = entry(row, "error", group=group, dataset="CIFAR-100-LT", ratio=100, cell=cell(row.lower()))
        each.published, each.published_text = (float(printed), printed) if printed else (None, "")
        entries.append(each)
        data.append(lines(each.cell, "error", [[here]]))
    planned = plan(
        *entries, paper="other", paper_title="Another paper", title="Table 3: errors", name="table3",
        higher_is_better={"error": False},
    )  # fmt: skip
    return render_table(planned, metrics(*data)), {"error": -1}


def number(value: Any) -> Any:
    return None if value is None or pd.isna(value) else value


def curve_of(line: Mapping[str, Any], seed: int, state: str) -> dict[str, Any]:
    """The losses of a training of twenty epochs, or of the first ten of them."""
    epochs = [*range(1, 11 if state == "running" else 21)]
    return {
        "title": line["row"], "cut": line["dataset"], "seed": seed, "key": f"{line['row']} {line['dataset']}",
        "epochs": epochs, "loss": [round(2 / (epoch + seed), 4) for epoch in epochs], "of": 20, "state": state,
        "borders": [5],
    }  # fmt: skip


def cell_of(line: Mapping[str, Any], seed: int, state: str, curve: int, strings: Strings) -> dict[str, Any]:
    return {
        "method": strings(line["row"].lower()), "title": strings(line["row"]), "dataset": strings(line["dataset"]),
        "ratio": number(line["ratio"]), "seed": seed, "state": state, "settings": 0, "curves": [curve],
        "provenance": {"revision": "abc123", "device": "some <CPU>"},
        "log": 0, "points": [0], "why": None,
    }  # fmt: skip


TEXTS = ("group", "row", "dataset", "metric", "unit", "reason", "status", "recorded_on", "recorded_status")
NUMBERS = (
    "ratio", "published", "published_std", "recorded", "recorded_std", "recorded_seeds", "recorded_difference",
    "computed", "computed_std", "seeds", "difference", "tolerance",
)  # fmt: skip


def place_of(
    line: Mapping[str, Any], table: int, better: int, cells: Sequence[int], strings: Strings
) -> dict[str, Any]:
    printed = number(line["published"])
    return {
        **{key: strings(line[key]) for key in TEXTS},
        **{key: number(line[key]) for key in NUMBERS},
        "table": table,
        "column": strings(f"{line['dataset']}, imbalance ratio {line['ratio']:g}"),
        "decimals": 1,
        "better": better,
        "published_text": None if printed is None else strings(f"{printed:.1f}"),
        "scale": SCALE,
        "cells": cells,
    }


def page(tables: Iterable[tuple[RenderedTable, Mapping[str, int]]]) -> tuple[SimpleNamespace, dict[str, Any]]:
    """What is collected of some tables, and the block of data: every place has a cell of its own for each seed."""
    strings = Strings()
    places: list[dict[str, Any]] = []
    cells: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    content, about = [], []
    for at, (table, better) in enumerate(tables):
        paper, _, name = table.document.name.partition("-")
        known = {"id": table.document.name, "paper": paper, "short": paper.title()}
        about.append({**known, "name": name, "title": table.document.title})
        content.append(
            SimpleNamespace(
                id=known["id"], paper=paper, paper_title=table.document.paper, paper_short=known["short"],
                document=table.document, first=len(places), downloads=(("csv", f"tables/{paper}/{name}.csv"),),
            )
        )  # fmt: skip
        for line in table.frame.to_dict("records"):
            of = []
            for seed in range(max(line["seeds"], 1)):
                state = "done" if seed < line["seeds"] else "running" if line["row"] == "CC" else "recorded"
                curve = curve_of(line, seed, state)
                if curve not in curves:
                    curves.append(curve)
                of.append(len(cells))
                cells.append(cell_of(line, seed, state, curves.index(curve), strings))
            places.append(place_of(line, at, better.get(line["metric"], 1), of, strings))
    setting = [*map(strings, ("simclr 0-20", "temperature_of_the_loss", "0.1", "paper", "Section 4.1"))]
    point = {"kind": strings("difference"), "heading": "temperature <0.1>", "text": "Paper and code differ."}
    study = {
        "label": "budget smoke", "written": "2026-11-29T12:00:00+01:00", "version": "0.2.0", "running": 1,
        "cells": {"there": 5, "wanted": 7}, "trainings": {"there": 4, "wanted": 6},
    }  # fmt: skip
    block = {
        "study": study,
        "strings": [*strings.known],
        "tables": about,
        "places": {key: [place[key] for place in places] for key in (*TEXTS, *NUMBERS, *OTHERS)},
        "cells": cells,
        "settings": [[setting]],
        "points": [point],
        "curves": curves,
        "logs": [{"path": "logs/train.log", "tail": "epoch 1\n<b>epoch</b> 2"}],
    }
    figures = [
        figure("figure1", svg=SVG, caption="Bars & lines."),
        figure("figure2", png=PNG),
        figure("figure3", missing="not drawn yet"),
    ]
    collected = SimpleNamespace(
        tables=content, figures=figures, summary=study, discrepancies="discrepancies.html", others={}, notices=()
    )
    return collected, block


def figure(name: str, **changes: Any) -> SimpleNamespace:
    given = {"caption": "What it shows.", "label": "", "svg": None, "png": None, "missing": "", **changes}
    return SimpleNamespace(id=f"conmix-{name}", paper="conmix", title=f"Figure {name[-1]}", **given)


def rendered() -> str:
    return render(*page([clustering(), errors()]))
