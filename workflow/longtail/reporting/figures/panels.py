"""What the ways of drawing share: panels, axes of classes, a cell's colour and marker, one legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from longtail.reporting.figures import style
from longtail.reporting.figures.values import over_seeds

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


def new_panels(count: int, aspect: float = 0.7, columns: int = 3) -> tuple[Figure, list[Axes]]:
    """A row of panels, wrapped after ``columns``; never none, so that a figure without data says so in its place.

    Args:
        count: of panels; one is as wide as a column of a paper, several as a page.
        aspect: height of a panel, relative to its width.
        columns: most panels beside each other.
    """
    count = max(count, 1)
    down = -(-count // columns)
    across = -(-count // down)
    width = style.COLUMN if count == 1 else style.PAGE
    figure, axes = plt.subplots(down, across, figsize=(width, width / across * aspect * down), squeeze=False)
    for spare in axes.flat[count:]:
        spare.set_axis_off()
    return figure, list(axes.flat[:count])


def say_nothing(axis: Axes) -> None:
    """A panel of which nothing is computed says so."""
    axis.set_axis_off()
    axis.text(0.5, 0.5, "nothing computed yet", ha="center", va="center", color=style.EMPTY, transform=axis.transAxes)


CLASS_AXIS = "class, from the largest to the smallest"

MOST_DIGITS = 150
"""Fields of a heat map that still have room for digits."""


def heat_map(axis: Axes, values: np.ndarray, digits: np.ndarray, **colours: Any) -> AxesImage:
    """A matrix of classes in colour, with digits where there is room for them.

    Args:
        axis: is changed.
        values: what colours stand for, (rows, columns).
        digits: what is printed in the fields, (rows, columns) of text.
        colours: how values become colours, as ``imshow`` takes it.
    """
    image = axis.imshow(values, cmap=style.SEQUENTIAL, **colours)
    if values.size <= MOST_DIGITS:
        for (row, column), text in np.ndenumerate(digits):
            colour = style.readable_on(image.to_rgba(values[row, column]))
            axis.text(column, row, text, ha="center", va="center", fontsize=style.SMALLEST, color=colour)
        axis.set_xticks(range(values.shape[1]))
        axis.set_yticks(range(values.shape[0]))
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return image


def error_bars(drawn: pd.DataFrame) -> np.ndarray | None:
    """Standard deviations over the seeds, None where no value has more than one."""
    return drawn["std"].to_numpy() if (drawn["seeds"] > 1).any() else None


def by_size(lines: pd.DataFrame, classes: Sequence[int]) -> list[int]:
    """Classes from the largest to the smallest, as far as their sizes were measured; equal ones in the given order.

    Args:
        lines: merged metrics with ``metric``, ``class`` and ``value``.
        classes: their labels.
    """
    measured = lines[lines["metric"].isin(["class_size", "training_size"])]
    sizes = measured.groupby("class")["value"].mean().to_dict()
    return sorted(classes, key=lambda label: -sizes.get(label, 0.0))


def class_axis(axis: Axes, classes: Sequence[int]) -> None:
    """A horizontal axis of classes; few are ticked one by one."""
    axis.set_xlabel(CLASS_AXIS)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    if len(classes) <= 20:
        axis.set_xticks(list(classes))


def place_of(plan: FigurePlan, label: str) -> int:
    """Which of the labels a cell has: it keeps colour and marker whether or not the others are there."""
    return list(dict.fromkeys(cell.label for cell in plan.cells)).index(label)


def draw_line(axis: Axes, at: pd.Series, points: pd.DataFrame, label: str, place: int) -> None:
    """A line with error bars over the seeds.

    Args:
        axis: to draw on.
        at: where its points are.
        points: their ``value``, ``std`` and ``seeds``.
        label: for the legend.
        place: of the line among all, which gives colour and marker.
    """
    axis.errorbar(
        at,
        points["value"],
        yerr=error_bars(points),
        label=label,
        color=style.colour(place),
        marker=style.marker(place),
    )


def legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for panels that share their series, in as many columns as the figure is wide."""
    shown: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    for rows in range(1, len(shown) + 1):
        columns = -(-len(shown) // rows)
        fitted = figure.legend(list(shown.values()), list(shown), loc="center", ncols=columns)
        if columns == 1 or fitted.get_window_extent().width < figure.bbox.width:
            return
        fitted.remove()


def share_labels(figure: Figure) -> None:
    """Say once what all panels have on their horizontal axis, and once in a row what all have on the vertical one."""
    places = [(axis, axis.get_subplotspec()) for axis in figure.axes if axis.axison]
    rows = {axis: place.rowspan.start for axis, place in places if place}  # colour bars are in none
    shown = list(rows)
    if len(shown) > 1 and len({axis.get_xlabel() for axis in shown}) == 1:
        figure.supxlabel(shown[0].get_xlabel())
        for axis in shown:
            axis.set_xlabel("")
    if len({axis.get_ylabel() for axis in shown}) == 1:
        for axis, before in zip(shown[1:], shown, strict=False):
            if rows[axis] == rows[before]:
                axis.set_ylabel("")


def over_labels(
    plan: FigurePlan, lines: pd.DataFrame, metrics: Sequence[str], columns: int
) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]], pd.DataFrame]:
    """A panel per group, whose horizontal axis has the labels of the group's cells.

    Returns:
        The figure; the panels in which there is something, each with its values, of which ``at`` is the place of the
        label; and all values.
    """
    whole = lines[lines["metric"].isin(metrics) & lines["class"].isna() & lines["cluster"].isna()]
    drawn = over_seeds(whole, ["panel", "series", "metric"])
    groups = list(dict.fromkeys(cell.group for cell in plan.cells))
    figure, axes = new_panels(len(groups), 0.75 if len(groups) == 1 else 1.05, columns)
    panels = []
    for axis, group in zip(axes, groups, strict=True):
        part = drawn[drawn["panel"] == group]
        axis.set_title(group)
        if part.empty:
            say_nothing(axis)
            continue
        ticks = list(dict.fromkeys(cell.label for cell in plan.cells if cell.group == group))
        panels.append((axis, part.assign(at=[ticks.index(label) for label in part["series"]])))
        axis.set_xticks(range(len(ticks)), ticks)
        axis.set_xlim(-0.3, len(ticks) - 0.7)
        axis.set_xlabel(plan.options["axis"])
    return figure, panels, drawn
