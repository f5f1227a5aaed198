"""Lines over the classes: how many mini-clusters each owns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from longtail.reporting.figures.panels import class_axis, draw_line, new_panels, place_of, say_nothing
from longtail.reporting.figures.values import over_seeds, parameters

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def mini_cluster_lines(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """How many mini-clusters each class owns, in three panels: over methods, over M and over the threshold δ.

    Option ``default``: the label, M and delta that hold where they do not vary.
    """
    default = plan.options["default"]
    part = lines[(lines["metric"] == "assigned_mini_clusters") & lines["class"].notna()]
    values = [parameters(text) for text in part["parameter"]]
    part = part.assign(M=[value["M"] for value in values], delta=[value["delta"] for value in values])
    counts = over_seeds(part, ["series", "M", "delta", "class"])
    own = counts["series"] == default["label"]
    usual_number, usual_share = counts["M"] == default["M"], np.isclose(counts["delta"], default["delta"])
    panels = {
        "Methods": counts[usual_number & usual_share].assign(varied=lambda part: part["series"]),
        "Number of mini-clusters M": counts[own & usual_share].assign(varied=lambda part: part["M"]),
        "Threshold δ": counts[own & usual_number].assign(varied=lambda part: part["delta"]),
    }
    figure, axes = new_panels(len(panels), 0.95)
    tables = []
    for axis, (title, panel) in zip(axes, panels.items(), strict=True):
        axis.set_title(title)
        tables.append(panel.assign(panel=title).drop(columns="varied"))
        if panel.empty:
            say_nothing(axis)
            continue
        for index, (varied, points) in enumerate(panel.groupby("varied", sort=title != "Methods")):
            label = str(varied) if title == "Methods" else f"{title[-1]} = {varied:g}"
            place = place_of(plan, label) if title == "Methods" else index
            draw_line(axis, points["class"].astype(int), points, label, place)
        axis.set_ylabel("mini-clusters assigned")
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_ylim(bottom=0)
        class_axis(axis, sorted(panel["class"].astype(int).unique()))
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
    columns = ["panel", "series", "M", "delta", "class", "value", "std", "seeds"]
    return figure, pd.concat(tables, ignore_index=True)[columns]
