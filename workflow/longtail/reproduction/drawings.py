"""The drawings of the page, as SVG: printed against recorded numbers, and the curves of the recorded trainings."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from longtail.records.record import Record
from longtail.reporting.aggregate import COMPUTED, DIFFERS, REPRODUCED
from longtail.reporting.curves import of_record
from longtail.reporting.figures import style
from longtail.reproduction.compared import LARGE, Compared

LOOKS = {
    REPRODUCED: ("#228833", "o", "reproduced"),
    DIFFERS: ("#ee6677", "X", "trained as printed, and differs"),
    COMPUTED: ("#4477aa", "o", "not trained as printed in all respects"),
}
"""Colour, marker and words of values by their status."""

MOST_POINTS = 200
"""Of one curve; longer ones are thinned out."""

COLUMNS = 4


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
        plt.rcParams["svg.fonttype"] = "none"
        rows = math.ceil(len(by_paper) / 3)
        columns = min(len(by_paper), 3)
        figure, axes = plt.subplots(rows, columns, figsize=(3.9 * columns, 3.7 * rows + 0.3), squeeze=False)
        for axis in axes.flat[len(by_paper) :]:
            axis.set_visible(False)
        shown: dict[str, None] = {}
        for axis, (paper, values) in zip(axes.flat, by_paper.items(), strict=False):
            ends = [one.published_value for one in values] + [one.value.mean for one in values]
            low, high = min(ends) - 4, max(ends) + 4
            axis.fill_between([low, high], [low - LARGE, high - LARGE], [low + LARGE, high + LARGE], color="#eeeeee")
            axis.plot([low, high], [low, high], color="#333333", linewidth=0.8)
            for status, (colour, marker, _) in LOOKS.items():
                some = [one for one in values if one.value.status == status]
                if some:
                    shown[status] = None
                    axis.errorbar(
                        [one.published_value for one in some],
                        [one.value.mean for one in some],
                        xerr=[one.published_std or 0.0 for one in some],
                        yerr=[0.0 if math.isnan(one.value.std) else one.value.std for one in some],
                        linestyle="",
                        marker=marker,
                        color=colour,
                        alpha=0.8,
                        elinewidth=0.9,
                    )
            axis.set(xlim=(low, high), ylim=(low, high), aspect="equal", title=f"{titles[paper]} ({len(values)})")
            axis.set_xlabel("printed, %")
            axis.set_ylabel("recorded, %")
            axis.grid(axis="both")
        handles = [
            plt.Line2D([], [], linestyle="", marker=LOOKS[status][1], color=LOOKS[status][0], label=LOOKS[status][2])
            for status in LOOKS
            if status in shown
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        return _svg(figure)


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
        plt.rcParams.update({"svg.fonttype": "none", "axes.titlesize": 8, "font.size": 7.5})
        columns = min(COLUMNS, len(by_training))
        rows = math.ceil(len(by_training) / columns)
        figure, axes = plt.subplots(rows, columns, figsize=(2.9 * columns, 2.0 * rows + 0.3), squeeze=False)
        for axis in axes.flat[len(by_training) :]:
            axis.set_visible(False)
        for axis, ((cut, kin), alike) in zip(axes.flat, by_training.items(), strict=False):
            for number, record in enumerate(alike):
                curve = of_record(record).thinned(MOST_POINTS)
                axis.plot(
                    curve.epochs,
                    curve.losses,
                    color=style.SERIES[record.seed % len(style.SERIES)],
                    linestyle=("-", "--", ":")[sum(one.seed == record.seed for one in alike[:number]) % 3],
                    linewidth=1.0,
                    label=f"seed {record.seed}",
                )
                for border in curve.borders:
                    axis.axvline(border, color="#777777", linewidth=0.8, linestyle=":")
            axis.set_title(f"{titles[f'{cut}/{kin}']}\n{cut}")
        for axis in axes[-1]:
            axis.set_xlabel("epoch")
        for axis in axes[:, 0]:
            axis.set_ylabel("loss")
        seeds = sorted({record.seed for record in records})
        handles = [
            plt.Line2D([], [], color=style.SERIES[seed % len(style.SERIES)], label=f"seed {seed}") for seed in seeds
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        return _svg(figure)


def _svg(figure: Figure) -> str:
    """The picture as an element that may stand in a page, or alone in a file."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    plt.close(figure)
    text = buffer.getvalue()
    return "\n".join(line.rstrip() for line in text[text.index("<svg") :].splitlines()) + "\n"
