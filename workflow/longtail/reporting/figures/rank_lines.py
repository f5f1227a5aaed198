"""Lines over ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from longtail.reporting.figures import style
from longtail.reporting.figures.panels import legend, new_panels, place_of, say_nothing
from longtail.reporting.figures.values import over_seeds, parameters

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def rank_lines(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """A metric over its parameter ``rank``, one line per cell, one panel per entry of ``options.panels``.

    A panel has ``metric``, ``title`` and ``axis``, what the ranks are of, and ``group`` if it is of the cells of one
    group alone; ``options.value`` is what metrics measure. Bands are standard deviations over seeds.
    """
    figure, axes = new_panels(len(plan.options["panels"]), columns=2)
    tables = []
    for axis, panel in zip(axes, plan.options["panels"], strict=True):
        axis.set_title(panel["title"])
        part = lines[lines["metric"] == panel["metric"]]
        if "group" in panel:
            part = part[part["panel"] == panel["group"]]
        ranks = [parameters(text)["rank"] for text in part["parameter"]]
        drawn = over_seeds(part.assign(rank=ranks), ["series", "metric", "rank"]).sort_values(["series", "rank"])
        tables.append(drawn)
        if drawn.empty:
            say_nothing(axis)
            continue
        for series, line in drawn.groupby("series", sort=False):
            place, (at, value, std) = place_of(plan, str(series)), (line[name] for name in ("rank", "value", "std"))
            colour = style.colour(place)
            axis.plot(at, value, label=str(series), color=colour, linestyle=style.dashes(place))
            low, high, dense = value - std, value + std, style.dense(line)
            axis.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0, rasterized=dense)
        axis.set_ylim(bottom=0)
        axis.set_xlabel(panel["axis"])
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.set_ylabel(plan.options["value"])
    legend(figure, axes)
    return figure, pd.concat(tables, ignore_index=True)
