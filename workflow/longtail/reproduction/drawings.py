"""The drawings of the page, as SVG: printed against recorded numbers, and the curves of the recorded trainings."""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from longtail.records.record import Record
from longtail.reporting.aggregate import COMPUTED, DIFFERS, REPRODUCED
from longtail.reporting.figures import pictures, style
from longtail.reporting.figures.panels import new_panels, share_labels
from longtail.reproduction.compared import LARGE, Compared

LOOKS = {
    REPRODUCED: (0, "reproduced"),
    DIFFERS: (2, "trained as printed, and differs"),
    COMPUTED: (1, "not trained as printed in all respects"),
}
"""Which of the style's colours and markers values have by their status, and words for it."""

MOST_POINTS = 200
"""Of one curve; longer ones are thinned out."""

LETTERS = 24
"""In a line above a panel of curves."""


def scatter(found: Sequence[Compared], titles: Mapping[str, str]) -> str:
    """Printed (x) against recorded (y) percentages, a panel for each paper; empty without any.

    Error bars are the standard deviations over seeds, where there are several; the band is :data:`LARGE` points wide to
    either side of the diagonal.
    """
    by_paper: dict[str, list[Compared]] = defaultdict(list)
    for one in found:
        if one.unit == "percent":
            by_paper[one.paper].append(one)
    if not by_paper:
        return ""
    with style.applied():
        figure, axes = new_panels(len(by_paper), 1.0)
        shown: dict[str, None] = {}
        for axis, (paper, values) in zip(axes, by_paper.items(), strict=True):
            ends = [one.published_value for one in values] + [one.value.mean for one in values]
            low, high = min(ends) - 4, max(ends) + 4
            axis.fill_between([low, high], [low - LARGE, high - LARGE], [low + LARGE, high + LARGE], color="#eeeeee")
            axis.plot([low, high], [low, high], color=style.INK, linewidth=0.6)
            for status, (place, _) in LOOKS.items():
                some = [one for one in values if one.value.status == status]
                if some:
                    shown[status] = None
                    axis.errorbar(
                        [one.published_value for one in some],
                        [one.value.mean for one in some],
                        xerr=[one.published_std or 0.0 for one in some],
                        yerr=[0.0 if math.isnan(one.value.std) else one.value.std for one in some],
                        linestyle="",
                        marker=style.marker(place),
                        color=style.colour(place),
                        alpha=0.8,
                        elinewidth=0.7,
                    )
            axis.set(xlim=(low, high), ylim=(low, high), aspect="equal", title=f"{titles[paper]} ({len(values)})")
            axis.set(xlabel="printed, %", ylabel="recorded, %")
            for side in (axis.xaxis, axis.yaxis):
                side.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
            axis.grid(axis="both")
        handles = [
            plt.Line2D([], [], linestyle="", marker=style.marker(place), color=style.colour(place), label=words)
            for status, (place, words) in LOOKS.items()
            if status in shown
        ]
        figure.legend(handles=handles, loc="center", ncols=len(handles))
        return _drawn(figure, "scatter", "Printed against recorded percentages")


def curves(records: Sequence[Record], titles: Mapping[str, str]) -> str:
    """The loss by epoch, a panel for each kind of training with its seeds overlaid; empty without records.

    Where a recipe goes on with another objective, whose loss is another quantity, a dotted line stands.
    """
    by_training: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        by_training[record.cut, record.kin].append(record)
    if not by_training:
        return ""
    with style.applied():
        plt.rcParams["axes.titlesize"] = style.SMALL
        figure, axes = new_panels(len(by_training), 0.85, columns=4)
        for axis, ((cut, kin), alike) in zip(axes, by_training.items(), strict=True):
            for number, record in enumerate(alike):
                epochs, losses, borders = whole_curve(record)
                kept = np.unique(np.linspace(0, len(epochs) - 1, MOST_POINTS).astype(int))
                axis.plot(
                    epochs[kept],
                    losses[kept],
                    color=style.colour(record.seed),
                    linestyle=style.dashes(sum(one.seed == record.seed for one in alike[:number])),
                    linewidth=0.9,
                    label=f"seed {record.seed}",
                )
                for border in borders:
                    axis.axvline(border, color=style.FAINT, linewidth=0.6, linestyle=":")
            axis.set_title("\n".join([*textwrap.wrap(titles[f"{cut}/{kin}"], LETTERS), cut]))
            axis.set(xlabel="epoch", ylabel="loss")
        seeds = sorted({record.seed for record in records})
        handles = [plt.Line2D([], [], color=style.colour(seed), label=f"seed {seed}") for seed in seeds]
        figure.legend(handles=handles, loc="center", ncols=len(handles))
        return _drawn(figure, "curves", "The loss of the recorded trainings by epoch")


def whole_curve(record: Record) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The loss over all trainings behind a record.

    Returns:
        Epochs since the first began (E,) int64; loss (E,) float64; after which of the epochs another objective begins.
    """
    epochs, losses, borders = [], [], []
    done, last, objective = 0, 0, ""
    for training, name, at, values in record.curves():
        if name != "loss":
            continue
        if at[0] <= last:  # another clock
            done, last = done + last, 0
        minimised = training["training"].rsplit("-", 2)[0]
        if objective and minimised != objective:
            borders.append(int(done + last))
        epochs.append(at + done)
        losses.append(values)
        last, objective = int(at[-1]), minimised
    if not epochs:
        return np.zeros(0, np.int64), np.zeros(0), []
    return np.concatenate(epochs), np.concatenate(losses), borders


def _drawn(figure: Figure, name: str, title: str) -> str:
    share_labels(figure)
    style.arrange(figure)
    try:
        return pictures.svg(figure, f"reproduction-{name}", title)
    finally:
        plt.close(figure)
