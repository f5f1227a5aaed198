"""Heat maps of classes against classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from longtail.reporting.figures.panels import heat_map, new_panels, say_nothing
from longtail.reporting.figures.values import over_seeds

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def pair_matrices(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """How often a class meets a class, relative to the largest with itself: a heat map per cell, logarithmic.

    Options: ``metric``, whose class is the anchor's and whose cluster is the key's.
    """
    drawn = over_seeds(lines[lines["metric"] == plan.options["metric"]], ["series", "class", "cluster"])
    figure, axes = new_panels(len(plan.cells), 0.85, columns=2)
    image, shown = None, []
    lowest = drawn.loc[drawn["value"] > 0, "value"].min()
    for axis, cell in zip(axes, plan.cells, strict=True):
        axis.set_title(cell.label)
        part = drawn[drawn["series"] == cell.label]
        if part.empty:
            say_nothing(axis)
            continue
        shown.append(axis)
        matrix = part.pivot(index="class", columns="cluster", values="value").to_numpy()
        met = np.ma.masked_equal(matrix, 0)  # what was never met has no logarithm, and stays blank
        digits = np.vectorize(_digits, otypes=[str])(matrix)
        image = heat_map(axis, met, digits, norm=LogNorm(min(lowest, 0.1), 1))
        axis.set_xlabel("class of the key")
        axis.set_ylabel("class of the anchor")
    if image is not None:
        figure.colorbar(image, ax=shown, label="pairs, relative to the largest class", shrink=0.85, pad=0.01)
    return figure, drawn


def _digits(frequency: float) -> str:
    """What seldom happens is not printed as what never does."""
    return "<.01" if 0 < frequency < 0.005 else f"{frequency:z.2f}"
