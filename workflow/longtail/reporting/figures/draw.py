"""From the metrics of a figure's cells to a drawing and a table of what was drawn, by the kind of figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from longtail.errors import unknown
from longtail.reporting.figures import style
from longtail.reporting.figures.class_bars import class_bars
from longtail.reporting.figures.confusion_matrices import confusion_matrices
from longtail.reporting.figures.dominated_bars import dominated_bars
from longtail.reporting.figures.group_lines import group_lines
from longtail.reporting.figures.measured_and_stated import measured_and_stated
from longtail.reporting.figures.mini_cluster_lines import mini_cluster_lines
from longtail.reporting.figures.pair_matrices import pair_matrices
from longtail.reporting.figures.panels import share_labels
from longtail.reporting.figures.parameter_lines import parameter_lines
from longtail.reporting.figures.projected_points import projected_points
from longtail.reporting.figures.purity_lines import purity_lines
from longtail.reporting.figures.queue_bars import queue_bars
from longtail.reporting.figures.rank_lines import rank_lines
from longtail.reporting.figures.setting_lines import setting_lines
from longtail.reporting.figures.similarity_histograms import similarity_histograms
from longtail.reporting.figures.values import collect

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan

KINDS: Mapping[str, Callable[[FigurePlan, pd.DataFrame], tuple[Figure, pd.DataFrame]]] = {
    "class_bars": class_bars,
    "confusion_matrices": confusion_matrices,
    "dominated_bars": dominated_bars,
    "group_lines": group_lines,
    "measured_and_stated": measured_and_stated,
    "mini_cluster_lines": mini_cluster_lines,
    "pair_matrices": pair_matrices,
    "parameter_lines": parameter_lines,
    "projected_points": projected_points,
    "purity_lines": purity_lines,
    "queue_bars": queue_bars,
    "rank_lines": rank_lines,
    "setting_lines": setting_lines,
    "similarity_histograms": similarity_histograms,
}
"""The kinds that ``kind:`` in a paper's specification may name."""


def _spread(drawn: pd.DataFrame) -> list[str]:
    """What error bars and bands mean, or why there are none."""
    if "seeds" not in drawn or drawn.empty:
        return []
    seeds = int(drawn["seeds"].max())
    if seeds == 1:
        return ["One training seed: no spread between trainings is shown."]
    return [f"Means over {seeds} training seeds; error bars and bands are standard deviations (n − 1)."]


def draw(plan: FigurePlan, data: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw a figure of whatever part of it is computed.

    Args:
        plan: what the figure shows.
        data: merged metrics, or merged projections for the kinds that show points; possibly without a line.

    Returns:
        The figure and, line by line, what was drawn; every line carries paper, figure and the run's label.

    Raises:
        LongtailError: for an unknown kind, or a parameter that cannot be read.
    """
    if plan.kind not in KINDS:
        raise unknown(f"kind of figure ({plan.paper} {plan.name})", plan.kind, KINDS)
    with style.applied():
        lines, missing = collect(plan, data)
        figure, drawn = KINDS[plan.kind](plan, lines)
        share_labels(figure)
        style.frame(figure, plan, [*_spread(drawn), *missing])
    drawn = drawn.astype({name: "int64" for name in ("class", "cluster") if name in drawn})
    drawn = drawn.assign(paper=plan.paper, figure=plan.name, label_of_run=plan.label)
    leading = ["paper", "figure", "label_of_run"]
    return figure, drawn[[*leading, *(name for name in drawn.columns if name not in leading)]].reset_index(drop=True)
