"""Points of projected embeddings, in the colours of their classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from longtail.reporting.figures import style
from longtail.reporting.figures.panels import new_panels, say_nothing
from longtail.reporting.figures.values import one_run

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def projected_points(plan: FigurePlan, points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Projected embeddings, one panel per cell, coloured by class; every class is also named at its median point.

    Shows the first seed.
    """
    figure, axes = new_panels(len(plan.cells), 4.3, 4.1)
    tables = []
    classes = int(points["label"].max()) + 1 if len(points) else 0
    for axis, cell in zip(axes, plan.cells, strict=True):
        axis.set_title(cell.label)
        part = points[points["series"] == cell.label]
        if part.empty:
            say_nothing(axis)
            continue
        part = one_run(part)
        tables.append(part[["series", "row", "label", "x", "y"]])
        colours = np.array([style.class_colour(index, classes) for index in range(classes)], dtype=object)
        size = float(np.clip(12000 / len(part), 1.5, 18))
        order = np.argsort(part["row"].to_numpy() * 2654435761 % 2**32)  # no class lies on top only because it is last
        axis.scatter(
            part["x"].to_numpy()[order],
            part["y"].to_numpy()[order],
            s=size,
            c=list(colours[part["label"].to_numpy()[order]]),
            linewidths=0,
            alpha=0.75,
            rasterized=True,
        )
        if classes <= 20:
            for label, members in part.groupby("label"):
                axis.text(
                    members["x"].median(),
                    members["y"].median(),
                    str(label),
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    fontweight="bold",
                    bbox={
                        "boxstyle": "circle,pad=0.2",
                        "facecolor": "white",
                        "edgecolor": style.class_colour(int(str(label)), classes),
                        "linewidth": 1.2,
                        "alpha": 0.85,
                    },
                )
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(True)
        axis.spines[:].set_color("#bbbbbb")
    empty = pd.DataFrame(columns=["series", "row", "label", "x", "y"])
    return figure, pd.concat(tables, ignore_index=True) if tables else empty
