"""Plans and metrics made by hand; the plans have the shape of those of ``longtail.study.study``."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pandas as pd

METRIC_COLUMNS = [
    "trial", "metric", "class", "cluster", "parameter", "value", "unit",
    "method", "settings", "backbone", "dataset", "ratio", "split", "features", "readout", "scorer", "seed",
]  # fmt: skip


def cell(method: str, dataset: str = "cifar10", ratio: int = 10, **changes: Any) -> dict[str, Any]:
    return {
        "method": method,
        "settings": "{}",
        "backbone": "resnet18",
        "dataset": dataset,
        "ratio": ratio,
        "split": "train",
        "features": "projection",
        "readout": "kmeans",
        "scorer": "clustering",
        **changes,
    }


def entry(row: str, metric: str = "ACC", **changes: Any) -> SimpleNamespace:
    fields: dict[str, Any] = {
        "row": row,
        "group": "",
        "dataset": "CIFAR-10",
        "ratio": 10,
        "metric": metric,
        "measured": metric,
        "unit": "percent",
        "decimals": 1,
        "published": None,
        "published_text": "",
        "published_std": None,
        "tolerance": 2.5,
        "as_printed": False,
        "note": "",
        "cell": cell(row.lower()),
        "missing": None,
        "members": (),
        "seeds": None,
        "printed_seeds": None,
        "combined": "mean",
        "lowest_is_best": False,
    }
    fields.update(changes)
    if isinstance(fields["published"], str):
        fields["published_text"] = fields["published"]
        fields["published"] = float(fields["published"])
    if fields["missing"]:
        fields["cell"] = None
    return SimpleNamespace(**fields)


def plan(*entries: SimpleNamespace, **changes: Any) -> SimpleNamespace:
    metrics = tuple(dict.fromkeys(each.metric for each in entries)) or ("ACC",)
    fields: dict[str, Any] = {
        "paper": "conmix",
        "paper_title": "A paper",
        "name": "table2",
        "title": "Table 2",
        "caption": "What it shows.",
        "metrics": metrics,
        "metric_titles": {metric: metric for metric in metrics},
        "higher_is_better": dict.fromkeys(metrics, True),
        "layout": {"columns": ["dataset", "ratio"]},
        "seeds": (0,),
        "printed_seeds": 1,
        "significance": None,
        "entries": entries,
        "footnotes": (),
        "label": "",
    }
    return SimpleNamespace(**{**fields, **changes})


def lines(cell: dict[str, Any], metric: str, values: list[list[float]], unit: str = "percent") -> list[dict[str, Any]]:
    """Metric lines of one cell; ``values[seed][trial]``."""
    return [
        {"trial": trial, "metric": metric, "class": None, "cluster": None, "parameter": None, "value": value,
         "unit": unit, "seed": seed, **cell}
        for seed, trials in enumerate(values)
        for trial, value in enumerate(trials)
    ]  # fmt: skip


def metrics(*parts: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(list(itertools.chain(*parts)), columns=METRIC_COLUMNS)


def figure_plan(kind: str, *cells: tuple[str, dict[str, Any] | None], **changes: Any) -> SimpleNamespace:
    """A figure whose cells are (label, keys), or (label, None) for one that cannot be computed."""
    fields: dict[str, Any] = {
        "paper": "conmix",
        "paper_title": "A paper",
        "name": "figure1",
        "title": "Figure 1",
        "caption": "What it shows.",
        "kind": kind,
        "seeds": (0,),
        "projection": None,
        "options": {},
        "cells": tuple(
            SimpleNamespace(
                label=label,
                cell=keys,
                missing=None if keys else "not implemented yet",
                dataset="CIFAR-10",
                ratio=10,
                group="",
            )
            for label, keys in cells
        ),
        "footnotes": (),
        "label": "",
        "titled": True,
    }
    return SimpleNamespace(**{**fields, **changes})
