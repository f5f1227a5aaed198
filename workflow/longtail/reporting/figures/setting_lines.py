"""Lines over a setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from longtail.reporting.figures import style
from longtail.reporting.figures.panels import error_bars, legend, over_labels

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def setting_lines(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Metrics over a setting, one point per cell at its label, one panel per group.

    Options: ``axis`` names the setting, ``metrics`` lists what is drawn.
    """
    metrics = plan.options["metrics"]
    figure, panels, drawn = over_labels(plan, lines, metrics, 4.4, 3.0)
    for axis, part in panels:
        for index, metric in enumerate(metrics):
            points = part[part["metric"] == metric]
            axis.errorbar(
                points["at"],
                points["value"],
                yerr=error_bars(points),
                label=metric,
                color=style.SERIES[index % len(style.SERIES)],
                marker=style.MARKERS[index % len(style.MARKERS)],
            )
        axis.set_ylabel("percent")
    legend(figure, figure.axes)
    return figure, drawn
