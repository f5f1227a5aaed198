"""Points that are measured and lines that a theorem states, over a setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from longtail.reporting.figures import style
from longtail.reporting.figures.panels import draw_line, legend, over_labels

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def measured_and_stated(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """What is measured (points) and what a theorem states of it (dashed), one point per cell at its label, per group.

    Options: ``axis`` names what the labels are, ``value`` what is measured; ``curves`` lists the measured ``metric``,
    the ``stated`` one and the ``title`` of both. The panels have one scale, on which noise looks like noise.
    """
    curves = plan.options["curves"]
    metrics = [curve[which] for curve in curves for which in ("metric", "stated")]
    figure, panels, drawn = over_labels(plan, lines, metrics, columns=4)
    for axis, part in panels:
        axis.axhline(0, color=style.INK, linewidth=0.6)
        for index, curve in enumerate(curves):
            measured, stated = (part[part["metric"] == curve[which]] for which in ("metric", "stated"))
            colour = style.colour(index)
            draw_line(axis, measured["at"], measured, f"{curve['title']}, measured", index)
            axis.plot(stated["at"], stated["value"], label=f"{curve['title']}, stated", color=colour, linestyle="--")
        axis.set_ylabel(plan.options["value"])
    shown = [axis.get_ylim() for axis, _ in panels]
    for axis, _ in panels:
        axis.set_ylim(min(low for low, _ in shown), max(high for _, high in shown))
    legend(figure, figure.axes)
    return figure, drawn
