"""Bars over the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from longtail.reporting.figures import style
from longtail.reporting.figures.panels import (
    by_size,
    class_axis,
    error_bars,
    legend,
    new_panels,
    place_of,
    say_nothing,
)
from longtail.reporting.figures.values import over_seeds

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def class_bars(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Grouped bars over the classes, one panel per entry of ``options.panels`` (``metric``, ``title``, ``axis``).

    Classes stand by their sizes in training, as far as these were measured, and in the order of their labels otherwise.
    """
    panels = plan.options["panels"]
    figure, axes = new_panels(len(panels), 0.7, columns=2)
    tables = []
    for axis, panel in zip(axes, panels, strict=True):
        axis.set_title(panel["title"])
        drawn = over_seeds(
            lines[(lines["metric"] == panel["metric"]) & lines["class"].notna()], ["series", "metric", "class"]
        )
        tables.append(drawn)
        if drawn.empty:
            say_nothing(axis)
            continue
        classes = by_size(lines, sorted(drawn["class"].astype(int).unique()))
        place = {name: at for at, name in enumerate(classes)}
        labels = list(dict.fromkeys(drawn["series"]))
        width = 0.8 / len(labels)
        for index, (label, bars) in enumerate(drawn.groupby("series", sort=False)):
            axis.bar(
                bars["class"].astype(int).map(place).to_numpy(dtype=float) + (index - (len(labels) - 1) / 2) * width,
                bars["value"],
                width,
                yerr=error_bars(bars),
                label=str(label),
                color=style.colour(place_of(plan, str(label))),
                error_kw={"elinewidth": 0.7, "ecolor": style.INK},
            )
        axis.axhline(0, color=style.INK, linewidth=0.6)
        axis.set_ylabel(panel["axis"])
        class_axis(axis, range(len(classes)))
        if len(classes) <= 20:
            axis.set_xticklabels(list(map(str, classes)))
        axis.grid(visible=False, axis="x")
    legend(figure, axes)
    return figure, pd.concat(tables, ignore_index=True)
