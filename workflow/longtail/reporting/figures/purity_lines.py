"""Lines of purity over the number of clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from longtail.reporting.figures import style
from longtail.reporting.figures.panels import legend, new_panels, place_of, say_nothing
from longtail.reporting.figures.values import over_seeds, parameters

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def purity_lines(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Mean purity over the number of clusters, one line per cell; a band shows the standard deviation over seeds."""
    part = lines[(lines["metric"] == "purity") & lines["cluster"].isna()]
    part = part.assign(clusters=[int(parameters(text)["k"]) for text in part["parameter"]])
    drawn = over_seeds(part, ["series", "clusters"]).sort_values(["clusters"], kind="stable")
    figure, (axis,) = new_panels(1)
    if drawn.empty:
        say_nothing(axis)
        return figure, drawn
    for label, points in drawn.groupby("series", sort=False):
        place = place_of(plan, str(label))
        colour, marker = style.colour(place), style.marker(place)
        axis.plot(points["clusters"], points["value"], color=colour, marker=marker, label=str(label))
        if (points["seeds"] > 1).any():
            low, high = points["value"] - points["std"], points["value"] + points["std"]
            axis.fill_between(points["clusters"], low, high, color=colour, alpha=0.15, linewidth=0)
    axis.set_xlabel("number of clusters")
    axis.set_ylabel(f"mean purity ({part['unit'].iloc[0]})")
    legend(figure, [axis])
    return figure, drawn
