"""Bars of what queues hold, with what comes of training with them above (ResCom Fig. 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from longtail.reporting.figures import style
from longtail.reporting.figures.panels import class_axis, new_panels, place_of, say_nothing
from longtail.reporting.figures.values import over_seeds

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan

MOST_TICKS = 100
"""Classes beyond which their numbers are so long that only few have room."""


def queue_bars(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Keys per class in a queue, one panel per cell, whose label is the kind of its queue.

    Options: ``order``, the kind of queue by whose contents classes are sorted, from the most to the least; ``above``
    maps the metrics that stand above a panel, in percent, to what they are called there. The axis of keys is
    logarithmic, as it is of the sizes of classes.
    """
    above = plan.options["above"]
    figure, axes = new_panels(len(plan.cells), 0.8)
    tables = []
    for axis, cell in zip(axes, plan.cells, strict=True):
        own = lines[lines["series"] == cell.label]
        keys = own[own["metric"] == "queue_keys"]
        wanted = keys[keys["parameter"].isin([f"queue={cell.label}"])]
        order = over_seeds(keys[keys["parameter"].isin([f"queue={plan.options['order']}"])], ["class"])
        order = order.sort_values("value", ascending=False, kind="stable")
        ranks = {label: rank for rank, label in enumerate(order["class"])}
        drawn = over_seeds(wanted, ["series", "metric", "class"])
        drawn = drawn.assign(rank=drawn["class"].map(ranks)).sort_values("rank", kind="stable")
        whole = over_seeds(own[own["metric"].isin(list(above)) & own["class"].isna()], ["series", "metric"])
        tables += [whole, drawn.rename(columns={"class": "label"})]
        found = whole.set_index("metric")
        said = [f"{name} {found.loc[each, 'value']:z.1f}" for each, name in above.items() if each in found.index]
        axis.set_title("\n".join(filter(None, [cell.label, ", ".join(said)])))
        if drawn.empty:
            say_nothing(axis)
            continue
        edges = np.append(drawn["rank"], drawn["rank"].iloc[-1] + 1) - 0.5
        axis.stairs(
            drawn["value"], edges, fill=True, color=style.colour(place_of(plan, cell.label))
        )  # a path, not bars
        axis.set_yscale("log")
        axis.set_ylabel("keys in the queue")
        class_axis(axis, list(drawn["rank"]))
        if len(drawn) > MOST_TICKS:
            axis.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    shown = [axis for axis in axes if axis.patches]
    for axis in shown:
        axis.set_ylim(min(one.get_ylim()[0] for one in shown), max(one.get_ylim()[1] for one in shown))
    return figure, pd.concat(tables, ignore_index=True).astype({"label": "Int64", "rank": "Int64"})
