"""Metrics made up for any figure of the catalogue, so that it can be drawn without training anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from longtail.reporting.figures.values import PROJECTION_COLUMNS

from .makers import METRIC_COLUMNS

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan

SEEDS = 3
CLASSES = 10
LARGEST = 5000
POINTS = 2000

SIZES = LARGEST * 10 ** (-np.arange(CLASSES) / (CLASSES - 1))
"""Of the classes, as if of CIFAR-10 at ratio 10."""

Value = tuple[str, float, dict[str, Any]]


def made_up(plan: FigurePlan) -> pd.DataFrame:
    """Merged metrics, or projections, of all cells of a figure; of every kind that there is."""
    random = np.random.default_rng(0)
    if plan.projection is not None:
        lines = [{**keys, **cell.cell, "seed": 0} for cell in plan.cells for keys in _points(plan, random)]
        return pd.DataFrame(lines, columns=list(PROJECTION_COLUMNS))
    blank = {"trial": 0, "class": None, "cluster": None, "parameter": None, "unit": "percent"}
    lines = [
        {**blank, **cell.cell, "metric": metric, "value": value * (1 + 0.03 * random.normal()), "seed": seed, **keys}
        for place, cell in enumerate(plan.cells)
        for metric, value, keys in _OF_KIND[plan.kind](plan, place, random)
        for seed in range(SEEDS)
    ]
    return pd.DataFrame(lines, columns=METRIC_COLUMNS)


def _points(plan: FigurePlan, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    for part in ("split", "training", "weights") if "weights" in plan.options else ("split",):
        labels = np.arange(CLASSES)
        if part != "weights":
            labels = random.choice(CLASSES, POINTS, p=SIZES / SIZES.sum())
        places = np.stack([10 * np.cos(labels), 10 * np.sin(labels)], axis=1) + random.normal(0, 2, (len(labels), 2))
        for row, (label, (x, y)) in enumerate(zip(labels, places, strict=True)):
            yield {"part": part, "row": row, "label": label, "x": x, "y": y}


def _of_classes(plan: FigurePlan, place: int, random: np.random.Generator) -> Iterator[Value]:
    for panel in plan.options["panels"]:
        for k in range(CLASSES):
            yield panel["metric"], random.uniform(-0.5, 1), {"class": k}


def _of_settings(plan: FigurePlan, place: int, random: np.random.Generator) -> Iterator[Value]:
    given = plan.options
    metrics = [given["metric"]] if "metric" in given else list(given.get("metrics", ()))
    metrics += [curve[which] for curve in given.get("curves", ()) for which in ("metric", "stated")]
    for number, metric in enumerate(metrics):
        yield metric, 40 + 5 * number + random.normal(0, 3), {}


def _confused(plan: FigurePlan, place: int, random: np.random.Generator) -> Iterator[Value]:
    for k, size in enumerate(SIZES):
        for j, share in enumerate(random.dirichlet(np.where(np.arange(CLASSES) == k, 8, 0.5))):
            yield "count", size * share, {"class": k, "cluster": j}


def _pairs(plan: FigurePlan, place: int, random: np.random.Generator) -> Iterator[Value]:
    for k, size in enumerate(SIZES):
        for j, other in enumerate(SIZES):
            yield plan.options["metric"], (size * other / LARGEST**2) ** 1.5, {"class": k, "cluster": j}


def _ranked(plan: FigurePlan, place: int, random: np.random.Generator) -> Iterator[Value]:
    for panel in plan.options["panels"]:
        if panel.get("group", plan.cells[place].group) == plan.cells[place].group:
            for rank in range(1, 1001):
                yield panel["metric"], (3 + place) * rank**-0.3, {"parameter": f"rank={rank}"}


def _pure(plan: FigurePlan, place: int, random: np.random.Generator) -> Iterator[Value]:
    for clusters in (10, 20, 40, 80, 160, 320):
        yield "purity", 40 + 10 * np.log10(clusters) + 3 * place, {"parameter": f"k={clusters}"}


def _assigned(plan: FigurePlan, place: int, random: np.random.Generator) -> Iterator[Value]:
    for number in (20, 40, 60, 80, 100):
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            for k in range(CLASSES):
                value = number * 0.7**k * (1 - share / 2)
                yield "assigned_mini_clusters", value, {"parameter": f"M={number},delta={share:g}", "class": k}


def _dominated(plan: FigurePlan, place: int, random: np.random.Generator) -> Iterator[Value]:
    for k in range(CLASSES):
        for name, factor in (("mini_clusters", 1.0), ("at_least", 0.6), ("at_most", 2.5)):
            yield f"dominated_{name}", 10 * 0.75**k * factor, {"class": k}


def _queued(plan: FigurePlan, place: int, random: np.random.Generator) -> Iterator[Value]:
    for metric in plan.options["above"]:
        yield metric, 44.4, {}
    for kind in {plan.options["order"], plan.cells[place].label}:
        for k in range(1000):
            keys = 1 + 100 * np.exp(-(999 - k if kind == "reversed" else k) / 200)
            yield "queue_keys", keys, {"parameter": f"queue={kind}", "class": k}


def _over_a_parameter(plan: FigurePlan, place: int, random: np.random.Generator) -> Iterator[Value]:
    for at in range(1, 6):
        yield plan.options["metric"], 60 - 8 * at - place, {"parameter": f"{plan.options['parameter']}={at}"}


def _similar(plan: FigurePlan, place: int, random: np.random.Generator) -> Iterator[Value]:
    for group in plan.options["panels"]:
        mean = 0.3 + 0.1 * place
        yield f"similarity_{group}", mean, {}
        for lower in np.linspace(-1, 1, 51)[:-1]:
            yield f"pairs_{group}", 1000 * np.exp(-(((lower - mean) / 0.3) ** 2)), {"parameter": f"from={lower:.6g}"}


_OF_KIND = {
    "class_bars": _of_classes,
    "confusion_matrices": _confused,
    "dominated_bars": _dominated,
    "group_lines": _of_settings,
    "measured_and_stated": _of_settings,
    "mini_cluster_lines": _assigned,
    "pair_matrices": _pairs,
    "parameter_lines": _over_a_parameter,
    "purity_lines": _pure,
    "queue_bars": _queued,
    "rank_lines": _ranked,
    "setting_lines": _of_settings,
    "similarity_histograms": _similar,
}
