"""Points of projected embeddings, in the colours of their classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from longtail.reporting.figures import style
from longtail.reporting.figures.panels import legend, new_panels, say_nothing
from longtail.reporting.figures.values import one_run

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan

WEIGHTS = "weights"
"""The part of a projection that holds weights of a classifier; all others hold images."""

STAR: dict[str, Any] = {"marker": "*", "s": 60, "edgecolors": "black", "linewidths": 0.5}


def projected_points(plan: FigurePlan, points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Projected embeddings, coloured by class; few classes are also named, at their median points.

    There is a panel per cell, or one above the other on one scale where training images were projected, too. The
    weights of classes are stars, which ``options.weights`` may name. Shows the first seed.
    """
    projected = set(points["part"]) if len(points) else set()
    trained = "training" in projected
    parts = ["training", "split"] if trained else ["split"]
    figure, axes = new_panels(len(plan.cells) * len(parts), 0.95)
    tables = []
    colours = _colours(points)
    for number, cell in enumerate(plan.cells):
        of_cell = axes[number :: len(plan.cells)]
        shown = points[points["series"] == cell.label]
        if shown.empty:
            for axis in of_cell:
                axis.set_title(cell.label)
                say_nothing(axis)
            continue
        shown = one_run(shown)
        tables.append(shown[["series", "part", "row", "label", "x", "y"]])
        for axis, part in zip(of_cell, parts, strict=True):
            images = "training images" if part == "training" else f"{shown['split'].iloc[0]} images"
            axis.set_title(f"{cell.label}, {images}" if trained else cell.label)
            _scatter(axis, shown[shown["part"] == part], shown[shown["part"] == WEIGHTS], colours)
        for axis in of_cell[1:]:
            axis.sharex(of_cell[0])
            axis.sharey(of_cell[0])
            axis.autoscale()
    if len(colours) > len(style.CLASSES):
        classes = ScalarMappable(Normalize(min(colours), max(colours)), style.CONTINUOUS)
        figure.colorbar(classes, ax=axes, label="class", shrink=0.85, pad=0.01)
    if WEIGHTS in projected:
        axes[0].scatter([], [], **STAR, c="white", label=plan.options.get("weights", "weights of the classes"))
        legend(figure, axes)
    empty = pd.DataFrame(columns=["series", "part", "row", "label", "x", "y"])
    return figure, pd.concat(tables, ignore_index=True) if tables else empty


def _colours(points: pd.DataFrame) -> dict[int, Any]:
    """Of each class that is shown anywhere in the figure."""
    classes = sorted(points["label"].unique()) if len(points) else []
    return {int(label): style.class_colour(place, len(classes)) for place, label in enumerate(classes)}


def _scatter(axis: Axes, images: pd.DataFrame, weights: pd.DataFrame, colours: dict[int, Any]) -> None:
    order = np.argsort(images["row"].to_numpy() * 2654435761 % 2**32)  # no class lies on top only because it is last
    images = images.iloc[order]
    size = float(np.clip(4000 / max(len(images), 1), 0.8, 8))
    of_images, of_weights = ([colours[label] for label in part["label"]] for part in (images, weights))
    axis.scatter(
        images["x"], images["y"], s=size, c=of_images, linewidths=0, alpha=0.75, rasterized=style.dense(images)
    )
    axis.scatter(weights["x"], weights["y"], **STAR, c=of_weights, zorder=4)
    if len(colours) <= 20:
        for label, members in images.groupby("label"):
            axis.annotate(
                str(label),
                (members["x"].median(), members["y"].median()),
                xytext=(0, 11 if len(weights) else 0),  # not over the star, which is near
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=style.SMALL,
                fontweight="bold",
                bbox={
                    "boxstyle": "circle,pad=0.2",
                    "facecolor": "white",
                    "edgecolor": colours[int(str(label))],
                    "linewidth": 0.9,
                    "alpha": 0.85,
                },
            )
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(True)
    axis.spines[:].set_color("#bbbbbb")
