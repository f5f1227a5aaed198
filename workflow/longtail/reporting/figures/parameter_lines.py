"""Lines over the parameter of a metric (ResCom Fig. 4, right)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from longtail.reporting.figures.panels import draw_line, legend, new_panels, place_of, say_nothing
from longtail.reporting.figures.values import over_seeds, parameters

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def parameter_lines(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """A metric over one of its parameters, a whole number, one line per cell.

    Options: ``metric``, ``parameter``, ``axis``, what the parameter is called, and ``value``, what the metric is.
    """
    name = plan.options["parameter"]
    part = lines[(lines["metric"] == plan.options["metric"]) & lines["parameter"].notna()]
    values = [parameters(text).get(name) for text in part["parameter"]]
    part = part.assign(**{name: pd.Series(values, index=part.index, dtype="float64")})
    drawn = over_seeds(part[part[name].notna()], ["series", "metric", name])
    figure, (axis,) = new_panels(1)
    for series, points in drawn.groupby("series", sort=False):
        points = points.sort_values(name)
        draw_line(axis, points[name], points, str(series), place_of(plan, str(series)))
    if drawn.empty:
        say_nothing(axis)
    else:
        axis.set_xlabel(plan.options["axis"])
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.set_ylabel(plan.options["value"])
    legend(figure, [axis])
    return figure, drawn
