"""Histograms of the similarities of pairs (ResCom Fig. 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from longtail.reporting.figures import style
from longtail.reporting.figures.panels import legend, new_panels, place_of, say_nothing
from longtail.reporting.figures.values import over_seeds, parameters

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def similarity_histograms(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Shares of pairs by the cosine of the two, one panel per shot group, one line per cell, its mean a triangle.

    Options: ``panels`` maps a shot group to the title of its panel; its metrics are ``pairs_<group>``, by the lower end
    of a bin, and ``similarity_<group>``, the mean. Bins are equal, and the last one ends at 1.
    """
    panels = plan.options["panels"]
    figure, axes = new_panels(len(panels), 0.8)
    tables = []
    for axis, (group, title) in zip(axes, panels.items(), strict=True):
        axis.set_title(title)
        part = lines[lines["metric"] == f"pairs_{group}"]
        lower = [parameters(text)["from"] for text in part["parameter"]]
        counts = over_seeds(part.assign(lower=lower), ["series", "metric", "lower"]).sort_values(["series", "lower"])
        means = over_seeds(lines[lines["metric"] == f"similarity_{group}"], ["series", "metric"])
        if counts.empty:
            say_nothing(axis)
            continue
        shares = 100 / counts.groupby("series")["value"].transform("sum")
        counts = counts.assign(value=counts["value"] * shares, std=counts["std"] * shares)
        tables += [counts, means]
        for series in dict.fromkeys(lines["series"]):
            drawn = counts[counts["series"] == series]
            if drawn.empty:
                continue
            place = place_of(plan, str(series))
            how = {"color": style.colour(place), "linestyle": style.dashes(place)}
            axis.stairs(drawn["value"], np.append(drawn["lower"], 1.0), label=str(series), linewidth=1.2, **how)
            for mean in means.loc[means["series"] == series, "value"]:
                axis.plot([mean], [1], clip_on=False, transform=axis.get_xaxis_transform(), **how, marker="v")
        axis.set_xlabel("cosine of two images of a class")
        axis.set_ylabel("% of pairs")
        axis.set_ylim(bottom=0)
    legend(figure, axes)
    empty = pd.DataFrame(columns=["series", "metric", "lower", "value", "std", "seeds"])
    return figure, pd.concat(tables, ignore_index=True) if tables else empty
