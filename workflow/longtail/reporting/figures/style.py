"""How every figure looks: sizes and type as papers print them, and colours that survive colour blindness and grey."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from longtail.reporting.markup import SERIES

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan

COLUMN, PAGE = 3.25, 6.75
"""Widths of figures in inches: one column of a paper, and two."""

CLASSES = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
"""For ten classes: the sequence of M. A. Petroff (arXiv:2107.02270). Classes are also named where they lie."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))
"""Dashes of lines that have no markers. As their number, and that of markers, share no factor with the colours', series
beyond the seventh do not look like earlier ones."""

SEQUENTIAL, CONTINUOUS = "cividis", "viridis"
"""Maps of shares and frequencies, and of more classes than have colours of their own: both perceptually uniform."""

MOST_VECTORS = 500
"""Points of a cloud or band in vector pictures."""

INK, FAINT, EMPTY = "#333333", "#555555", "#888888"
"""Axes and error bars, small print, and what says that there is nothing."""

SMALL, SMALLEST = 7.0, 6.5
"""Sizes in points: of small print, and of digits within the fields of a heat map."""

PARAMETERS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.5,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "errorbar.capsize": 1.5,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "longtail",
}

_LINE = 1.35  # heights of a line of text, in its size
_MARGIN = 0.06  # inches around the picture and between its parts


def colour(place: int) -> str:
    """The colour of the series at a place among all."""
    return SERIES[place % len(SERIES)]


def marker(place: int) -> str:
    """The marker of the series at a place among all."""
    return MARKERS[place % len(MARKERS)]


def dashes(place: int) -> Any:
    """The dashes of the series at a place among all, where it has no markers."""
    return LINES[place % len(LINES)]


def class_colour(index: int, classes: int) -> Any:
    """The colour of a class; beyond ten classes neighbours on a continuous scale."""
    if classes <= len(CLASSES):
        return CLASSES[index]
    return plt.get_cmap(CONTINUOUS)(index / (classes - 1))


def dense(drawn: Sized) -> bool:
    """Whether so much is drawn that it is to be an image within the picture, which would open slowly otherwise."""
    return len(drawn) > MOST_VECTORS


def luminance(shown: Any) -> float:
    """Of a colour in sRGB, from 0 for black to 1 for white."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(shown)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def readable_on(background: Any) -> str:
    """Black or white, whichever has the greater contrast to a colour."""
    return "black" if luminance(background) > 0.179 else "white"


def arrange(figure: Figure, head: float = 0.0, foot: float = 0.0) -> float:
    """Give panels the size that the figure has, and let it grow by all that stands above and below them.

    Args:
        figure: with its panels drawn, perhaps a label that they share (``supxlabel``) and a legend in its center.
        head: inches for what is written above the panels.
        foot: inches for what is written below the legend.

    Returns:
        The height of the figure in inches.
    """
    width, height = figure.get_size_inches()
    points, text = PARAMETERS["axes.labelsize"], figure.get_supxlabel()
    shared = _inches([text], points) if text else 0.0
    legends = max((legend.get_window_extent().height / figure.dpi for legend in figure.legends), default=0.0)
    below = shared + legends + foot
    total = head + height + below
    figure.set_size_inches(width, total)
    panels = (0, below / total, 1, height / total)  # constrained layout knows nothing of what is above and below
    figure.set_layout_engine("constrained", rect=panels, w_pad=_MARGIN, h_pad=_MARGIN, wspace=0.03, hspace=0.05)
    if text:
        figure.supxlabel(text, y=below / total, va="top", fontsize=points, in_layout=False)
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0, foot / total, 1, legends / total), transform=figure.transFigure)
    return total


def frame(figure: Figure, plan: FigurePlan, remarks: list[str]) -> None:
    """Write what the figure is and what keeps it from being a reproduction above the panels, what is missing below.

    Args:
        figure: with its panels drawn.
        plan: what the figure shows, and whether its title is wanted; all else is always there.
        remarks: sentences for the foot.
    """
    width = figure.get_figwidth()
    heads: list[tuple[str, float, dict[str, Any]]] = [
        (plan.title, PARAMETERS["axes.titlesize"] + 1, {"fontweight": "bold"}),
        (plan.paper_title, SMALL, {"color": FAINT}),
    ]
    titles = [(_wrapped(text, width, points), points, how) for text, points, how in heads if plan.titled]
    label = _wrapped(plan.label, width - 0.2, SMALL)
    lines = [line for remark in remarks for line in _wrapped(remark, width, SMALL)]
    head = _MARGIN + sum(_inches(title, points) for title, points, _ in titles)
    foot = _inches(lines, SMALL) + _MARGIN if lines else 0.0
    total = arrange(figure, head + (_inches(label, SMALL) + 0.2 if label else 0.0), foot)

    def write(text: list[str], points: float, inches: float, indent: float = 0.0, **how: Any) -> None:
        place = ((_MARGIN + indent) / width, 1 - inches / total)
        figure.text(*place, "\n".join(text), ha="left", va="top", fontsize=points, **how)

    at = _MARGIN
    for title, points, how in titles:
        write(title, points, at, **how)
        at += _inches(title, points)
    if label:
        box = {"facecolor": "#fff3d6", "edgecolor": "#e3a008", "linewidth": 0.6, "boxstyle": "square,pad=0.4"}
        write(label, SMALL, head + 0.1, indent=0.06, color="#7a4a00", bbox=box)
    write(lines, SMALL, total - foot, color=FAINT)


def _wrapped(text: str, width: float, points: float) -> list[str]:
    """The lines of a text in a figure of some inches; a letter is some 0.58 of its size wide."""
    return textwrap.wrap(text, int((width - 2 * _MARGIN) * 72 / (0.58 * points)))


def _inches(lines: list[str], points: float) -> float:
    return len(lines) * _LINE * points / 72


@contextmanager
def applied() -> Iterator[None]:
    """The context in which figures are drawn and saved, whatever a ``matplotlibrc`` of the user says."""
    with plt.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(cast(Any, PARAMETERS))
        yield
