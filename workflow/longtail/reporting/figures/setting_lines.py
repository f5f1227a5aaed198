"""Lines over a setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from longtail.reporting.figures.panels import draw_line, legend, over_labels

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def setting_lines(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Metrics over a setting, one point per cell at its label, one panel per group.

    Options: ``axis`` names the setting, ``metrics`` lists what is drawn, or maps it to what the legend calls it, and
    ``value`` says what it is measured in, percent unless given.
    """
    listed = plan.options["metrics"]
    titles = listed if isinstance(listed, Mapping) else {metric: metric for metric in listed}
    figure, panels, drawn = over_labels(plan, lines, list(titles), columns=4)
    for axis, part in panels:
        for index, (metric, title) in enumerate(titles.items()):
            points = part[part["metric"] == metric]
            draw_line(axis, points["at"], points, title, index)
        axis.set_ylabel(plan.options.get("value", "percent"))
    legend(figure, figure.axes)
    return figure, drawn
