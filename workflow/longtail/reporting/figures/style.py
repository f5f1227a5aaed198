"""How every figure looks: type, colours that survive colour blindness, and the lines that say what a figure is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan

SERIES = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777")
"""Paul Tol's bright scheme, for the few series of a plot."""

CLASSES = (
    "#332288", "#ddaa33", "#117733", "#cc3311", "#aa4499", "#88ccee", "#999933", "#666666", "#44aa99", "#ee99aa",
)  # fmt: skip
"""Ten colours for ten classes, after Paul Tol's muted scheme; classes are also named where they lie."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SEQUENTIAL = "cividis"

PARAMETERS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "errorbar.capsize": 2,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
    "svg.hashsalt": "longtail",
}

_LINE = 0.17  # inches of one line of small print


def class_colour(index: int, classes: int) -> Any:
    """The colour of a class; beyond ten classes neighbours on a continuous scale."""
    if classes <= len(CLASSES):
        return CLASSES[index]
    return plt.get_cmap("turbo")(index / (classes - 1))


def frame(figure: Figure, plan: FigurePlan, remarks: list[str]) -> None:
    """Write what the figure is and what keeps it from being a reproduction above the panels, what is missing below.

    Args:
        figure: with its panels drawn.
        plan: what the figure shows.
        remarks: sentences for the foot.
    """
    width, height = figure.get_size_inches()
    wrap = int(width * 14)
    title = textwrap.wrap(plan.paper_title, wrap)
    label = textwrap.wrap(plan.label, wrap)
    foot = [line for remark in remarks for line in textwrap.wrap(remark, wrap)]
    heading = 0.3 + _LINE * len(title)
    top = heading + (_LINE * len(label) + 0.3 if label else 0.05)
    bottom = _LINE * len(foot) + (0.15 if foot else 0)
    legends = 0.25 if figure.legends else 0.0
    total = height + top + legends + bottom
    figure.set_size_inches(width, total)
    panels = (0, (bottom + legends) / total, 1, height / total)
    figure.set_layout_engine("constrained", rect=panels, w_pad=0.08, h_pad=0.06)
    for legend in figure.legends:  # below the panels and above the foot, which constrained layout knows nothing of
        legend.set_bbox_to_anchor((0, bottom / total, 1, legends / total), transform=figure.transFigure)

    def write(inches: float, text: str, **how: Any) -> None:
        figure.text(0.1 / width, 1 - inches / total, text, ha="left", va="top", **how)

    write(0.1, plan.title, fontsize=10, fontweight="bold")
    write(0.3, "\n".join(title), fontsize=8, color="#666666")
    if label:
        box = {"facecolor": "#fff3d6", "edgecolor": "#e3a008", "linewidth": 0.8, "boxstyle": "round,pad=0.4"}
        figure.text(
            0.15 / width,
            1 - (heading + 0.12) / total,
            "\n".join(label),
            ha="left",
            va="top",
            fontsize=8,
            color="#7a4a00",
            bbox=box,
        )
    if foot:
        write(total - bottom + 0.03, "\n".join(foot), fontsize=7.5, color="#555555")


@contextmanager
def applied() -> Iterator[None]:
    """The context in which figures are drawn and saved, whatever a ``matplotlibrc`` of the user says."""
    with plt.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(cast(Any, PARAMETERS))
        yield


def save(figure: Figure, path: Path) -> None:
    """Write a picture whose bytes depend on what it shows and the library versions alone."""
    metadata: dict[str, Any] = {"CreationDate": None} if path.suffix == ".pdf" else {}
    figure.savefig(path, dpi=150, metadata=metadata)
