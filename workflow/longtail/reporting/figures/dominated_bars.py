"""Bars over the classes: how many mini-clusters each dominates, and how many the proof allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from longtail.reporting.figures import style
from longtail.reporting.figures.panels import class_axis, error_bars, legend, new_panels, say_nothing
from longtail.reporting.figures.values import over_seeds

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def dominated_bars(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """How many mini-clusters each class dominates (bars), and between which numbers the proof holds them, per cell.

    The axis follows the bars: an upper end that lies far above them runs out of the panel.
    """
    names = {"dominated_mini_clusters": "value", "dominated_at_least": "at_least", "dominated_at_most": "at_most"}
    part = lines[lines["metric"].isin(names) & lines["class"].notna()]
    values = over_seeds(part, ["series", "metric", "class"])
    counted = values[values["metric"] == "dominated_mini_clusters"].drop(columns="metric")
    ends = values.pivot(index=["series", "class"], columns="metric", values="value").rename(columns=names)
    ends = ends.reindex(columns=["at_least", "at_most"])
    drawn = counted.merge(ends.reset_index(), on=["series", "class"], how="left")
    figure, axes = new_panels(len(plan.cells), 0.8)
    for axis, cell in zip(axes, plan.cells, strict=True):
        axis.set_title(cell.label)
        bars = drawn[drawn["series"] == cell.label]
        if bars.empty:
            say_nothing(axis)
            continue
        classes = bars["class"].astype(int)
        axis.bar(
            classes - 0.15,
            bars["value"],
            0.5,
            yerr=error_bars(bars),
            color=style.colour(0),
            error_kw={"elinewidth": 0.7, "ecolor": style.INK},
            label="dominated",
        )
        beside, colour = classes + 0.25, style.colour(2)
        axis.vlines(beside, bars["at_least"], bars["at_most"], color=colour, label="allowed by the proof")
        for end in ("at_least", "at_most"):
            axis.plot(beside, bars[end], linestyle="none", marker="_", markersize=4, color=colour)
        axis.set_ylim(0, 1.6 * max(float(bars["value"].max()), 1))
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_ylabel("mini-clusters")
        class_axis(axis, sorted(classes.unique()))
        axis.grid(visible=False, axis="x")
    legend(figure, axes)
    return figure, drawn[["series", "class", "value", "std", "seeds", "at_least", "at_most"]]
