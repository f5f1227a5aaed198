"""Heat maps of classes against clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from longtail.reporting.figures.panels import MOST_DIGITS, heat_map, new_panels, say_nothing
from longtail.reporting.figures.values import one_run

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def confusion_matrices(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Heat maps of true classes against clusters, one per cell: colour is the share of the class, digits are counts.

    Shows the first clustering trial of the first seed; the scorer has numbered the clusters by the class they match.
    """
    counted = lines[lines["metric"] == "count"]
    columns = 2 if counted["value"].max() >= 1000 else 3  # so that digits have room
    figure, axes = new_panels(len(plan.cells), 0.95, columns)
    tables, image, drawn_axes = [], None, []
    for axis, cell in zip(axes, plan.cells, strict=True):
        axis.set_title(cell.label)
        part = counted[counted["series"] == cell.label]
        if part.empty:
            say_nothing(axis)
            continue
        drawn_axes.append(axis)
        part = one_run(part)[["series", "class", "cluster", "value"]]
        tables.append(part)
        matrix = part.pivot(index="class", columns="cluster", values="value")
        counts = matrix.to_numpy()
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = heat_map(axis, share, np.char.mod("%d", counts.astype(int)), vmin=0, vmax=1, aspect="auto")
        if counts.size <= MOST_DIGITS:
            axis.set_xticks(range(counts.shape[1]), [str(int(name)) for name in matrix.columns])
            axis.set_yticks(range(counts.shape[0]), [str(int(name)) for name in matrix.index])
        axis.set_xlabel("cluster, by the class it matches")
        axis.set_ylabel("class, from the largest\nto the smallest")
    if image is not None:
        figure.colorbar(image, ax=drawn_axes, label="share of the class", shrink=0.85, pad=0.01)
    empty = pd.DataFrame(columns=["series", "class", "cluster", "value"])
    drawn = pd.concat(tables, ignore_index=True)[list(empty.columns)] if tables else empty
    return figure, drawn
