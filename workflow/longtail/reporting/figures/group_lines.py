"""Lines over a setting, one per group of cells (ResCom Fig. 4, centre)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from longtail.reporting.figures.panels import draw_line, legend, new_panels, say_nothing
from longtail.reporting.figures.values import over_seeds

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def group_lines(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """One metric over a setting: a line per group, with a point per cell at its label.

    Options: ``axis`` names the setting, ``metric`` is what is drawn, and ``value`` what it is called.
    """
    whole = lines[(lines["metric"] == plan.options["metric"]) & lines["class"].isna() & lines["cluster"].isna()]
    drawn = over_seeds(whole, ["panel", "series", "metric"])
    figure, (axis,) = new_panels(1)
    groups = list(dict.fromkeys(cell.group for cell in plan.cells))
    ticks = list(dict.fromkeys(cell.label for cell in plan.cells))
    for index, group in enumerate(groups):
        points = drawn[drawn["panel"] == group]
        if points.empty:
            continue
        points = points.assign(at=[ticks.index(label) for label in points["series"]]).sort_values("at")
        draw_line(axis, points["at"], points, group, index)
    if drawn.empty:
        say_nothing(axis)
    else:
        axis.set_xticks(range(len(ticks)), ticks)
        axis.set_xlim(-0.3, len(ticks) - 0.7)
        axis.set_xlabel(plan.options["axis"])
        axis.set_ylabel(plan.options["value"])
    legend(figure, [axis])
    return figure, drawn
