"""One function per kind of figure: from the metrics of its cells to a drawing and a table of what was drawn."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from longtail.errors import LongtailError, unknown
from longtail.reporting import style
from longtail.reporting.aggregate import CELL_KEYS, METRIC_COLUMNS, cell_key

if TYPE_CHECKING:
    from longtail.study.plan import FigurePlan

RUN_KEYS = tuple(key for key in CELL_KEYS if key != "scorer")
"""What identifies the embedding a figure cell is about; a figure may read several scorers of it."""

PROJECTION_COLUMNS = ("row", "label", "x", "y", "seed", *RUN_KEYS)
"""The columns of merged projections that a figure reads."""


def collect(plan: FigurePlan, data: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The lines of ``data`` that belong to the plan's cells, with ``series`` and ``panel``, and what is missing.

    Args:
        plan: what the figure shows.
        data: merged metrics or projections, possibly without a line.

    Returns:
        The lines in the order of the cells, ``series`` being a cell's label and ``panel`` its group, and one sentence
        for every cell that cannot be drawn.
    """
    by_run = {}
    if len(data):
        for key, lines in data.groupby(list(RUN_KEYS), sort=False):
            by_run[cell_key(dict(zip(RUN_KEYS, key, strict=True)), RUN_KEYS)] = lines
    parts: list[pd.DataFrame] = []
    missing: list[str] = []
    for cell in plan.cells:
        found = by_run.get(cell_key(cell.cell, RUN_KEYS)) if cell.cell is not None else None
        if found is None:
            place = f"{cell.group}, {cell.label}" if cell.group else cell.label
            missing.append(f"Not drawn: {place} ({cell.missing or 'not computed yet'}).")
        else:
            parts.append(found.assign(series=cell.label, panel=cell.group))
    if parts:
        return pd.concat(parts, ignore_index=True), missing
    columns = dict.fromkeys([*METRIC_COLUMNS, *PROJECTION_COLUMNS, "series", "panel"])
    return pd.DataFrame(columns=list(columns)), missing


def over_seeds(lines: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean over the trials of a seed, then mean and standard deviation (ddof 1, missing for one seed) over the seeds.

    Args:
        lines: metric lines with ``seed`` and ``value``.
        by: the columns that tell one drawn value from another.

    Returns:
        ``by``, ``value``, ``std``, ``seeds``, in order of first appearance.
    """
    seeds = lines.groupby([*by, "seed"], sort=False, dropna=False)["value"].mean().reset_index()
    drawn = seeds.groupby(list(by), sort=False, dropna=False)["value"]
    return pd.DataFrame({"value": drawn.mean(), "std": drawn.std(ddof=1), "seeds": drawn.size()}).reset_index()


def parameters(text: str) -> dict[str, float]:
    """``"M=40,delta=0.3"`` as numbers by name.

    Raises:
        LongtailError: if the text is not of this form.
    """
    found = dict(part.split("=", 1) for part in re.split(r"[,;\s]+", text.strip()) if "=" in part)
    try:
        return {name: float(value) for name, value in found.items()}
    except ValueError as error:
        raise LongtailError(f"The metric parameter {text!r} is not of the form 'name=number,name=number'.") from error


def _one_run(lines: pd.DataFrame) -> pd.DataFrame:
    """The first trial of the first seed: what shows one clustering cannot be averaged, cluster numbers mean nothing."""
    lines = lines[lines["seed"] == lines["seed"].min()]
    return lines[lines["trial"] == lines["trial"].min()] if "trial" in lines else lines


def _panels(count: int, width: float, height: float, columns: int = 4) -> tuple[Figure, list[Axes]]:
    """A row of panels, wrapped after ``columns``; never none, so that a figure without data says so in its place."""
    count = max(count, 1)
    across = min(count, columns)
    down = -(-count // across)
    figure, axes = plt.subplots(down, across, figsize=(width * across, height * down), squeeze=False)
    for spare in axes.flat[count:]:
        spare.set_axis_off()
    return figure, list(axes.flat[:count])


def _nothing(axis: Axes) -> None:
    axis.set_axis_off()
    axis.text(0.5, 0.5, "nothing computed yet", ha="center", va="center", color="#888888", transform=axis.transAxes)


def _errors(drawn: pd.DataFrame) -> np.ndarray | None:
    return drawn["std"].to_numpy() if (drawn["seeds"] > 1).any() else None


def _class_axis(axis: Axes, classes: Sequence[int]) -> None:
    axis.set_xlabel("class, from the largest to the smallest")
    axis.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    if len(classes) <= 20:
        axis.set_xticks(list(classes))


def class_bars(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Grouped bars over the classes, one panel per entry of ``options.panels`` (``metric``, ``title``, ``axis``)."""
    panels = plan.options["panels"]
    figure, axes = _panels(len(panels), 4.6, 3.1)
    tables = []
    for axis, panel in zip(axes, panels, strict=True):
        axis.set_title(panel["title"])
        drawn = over_seeds(
            lines[(lines["metric"] == panel["metric"]) & lines["class"].notna()], ["series", "metric", "class"]
        )
        tables.append(drawn)
        if drawn.empty:
            _nothing(axis)
            continue
        labels = list(dict.fromkeys(drawn["series"]))
        width = 0.8 / len(labels)
        for index, (label, bars) in enumerate(drawn.groupby("series", sort=False)):
            axis.bar(
                bars["class"].to_numpy(dtype=float) + (index - (len(labels) - 1) / 2) * width,
                bars["value"],
                width,
                yerr=_errors(bars),
                label=str(label),
                color=_colour(plan, str(label)),
                error_kw={"elinewidth": 0.8, "ecolor": "#333333"},
            )
        axis.axhline(0, color="#333333", linewidth=0.8)
        axis.set_ylabel(panel["axis"])
        _class_axis(axis, sorted(drawn["class"].astype(int).unique()))
        axis.grid(visible=False, axis="x")
    _legend(figure, axes)
    return figure, pd.concat(tables, ignore_index=True)


def _colour(plan: FigurePlan, label: str) -> str:
    """A cell keeps its colour whether or not the others are there."""
    labels = list(dict.fromkeys(cell.label for cell in plan.cells))
    return style.SERIES[labels.index(label) % len(style.SERIES)]


def _marker(plan: FigurePlan, label: str) -> str:
    labels = list(dict.fromkeys(cell.label for cell in plan.cells))
    return style.MARKERS[labels.index(label) % len(style.MARKERS)]


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for panels that share their series."""
    shown: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    if shown:
        figure.legend(list(shown.values()), list(shown), loc="center", ncols=min(len(shown), 6))


def sensitivity(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Metrics over a setting, one point per cell at its label, one panel per group.

    Options: ``axis`` names the setting, ``metrics`` lists what is drawn.
    """
    metrics = plan.options["metrics"]
    figure, panels, drawn = _over_labels(plan, lines, metrics, 4.4, 3.0)
    for axis, part in panels:
        for index, metric in enumerate(metrics):
            points = part[part["metric"] == metric]
            axis.errorbar(
                points["at"],
                points["value"],
                yerr=_errors(points),
                label=metric,
                color=style.SERIES[index % len(style.SERIES)],
                marker=style.MARKERS[index % len(style.MARKERS)],
            )
        axis.set_ylabel("percent")
    _legend(figure, figure.axes)
    return figure, drawn


def _over_labels(
    plan: FigurePlan, lines: pd.DataFrame, metrics: Sequence[str], width: float, height: float
) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]], pd.DataFrame]:
    """A panel per group, whose horizontal axis has the labels of the group's cells.

    Returns:
        The figure; the panels in which there is something, each with its values, of which ``at`` is the place of the
        label; and all values.
    """
    whole = lines[lines["metric"].isin(metrics) & lines["class"].isna() & lines["cluster"].isna()]
    drawn = over_seeds(whole, ["panel", "series", "metric"])
    groups = list(dict.fromkeys(cell.group for cell in plan.cells))
    figure, axes = _panels(len(groups), width, height)
    panels = []
    for axis, group in zip(axes, groups, strict=True):
        part = drawn[drawn["panel"] == group]
        axis.set_title(group)
        if part.empty:
            _nothing(axis)
            continue
        ticks = list(dict.fromkeys(cell.label for cell in plan.cells if cell.group == group))
        panels.append((axis, part.assign(at=[ticks.index(label) for label in part["series"]])))
        axis.set_xticks(range(len(ticks)), ticks)
        axis.set_xlim(-0.3, len(ticks) - 0.7)
        axis.set_xlabel(plan.options["axis"])
    return figure, panels, drawn


def confusion_matrices(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Heat maps of true classes against clusters, one per cell: colour is the share of the class, digits are counts.

    Shows the first clustering trial of the first seed; the scorer has numbered the clusters by the class they match.
    """
    counted = lines[lines["metric"] == "count"]
    figure, axes = _panels(len(plan.cells), 3.7, 3.5)
    tables, image, drawn_axes = [], None, []
    for axis, cell in zip(axes, plan.cells, strict=True):
        axis.set_title(cell.label)
        part = counted[counted["series"] == cell.label]
        if part.empty:
            _nothing(axis)
            continue
        drawn_axes.append(axis)
        part = _one_run(part)[["series", "class", "cluster", "value"]]
        tables.append(part)
        matrix = part.pivot(index="class", columns="cluster", values="value")
        counts = matrix.to_numpy()
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = axis.imshow(share, cmap=style.SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
        if counts.size <= 150:
            for (row, column), count in np.ndenumerate(counts):
                axis.text(
                    column,
                    row,
                    f"{count:.0f}",
                    ha="center",
                    va="center",
                    fontsize=5.5,
                    color="black" if share[row, column] > 0.55 else "white",
                )
            axis.set_xticks(range(counts.shape[1]), [str(int(name)) for name in matrix.columns])
            axis.set_yticks(range(counts.shape[0]), [str(int(name)) for name in matrix.index])
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
        axis.set_xlabel("cluster, by the class it matches")
        axis.set_ylabel("class, from the largest to the smallest")
    if image is not None:
        figure.colorbar(image, ax=drawn_axes, label="share of the class", shrink=0.85, pad=0.01)
    empty = pd.DataFrame(columns=["series", "class", "cluster", "value"])
    drawn = pd.concat(tables, ignore_index=True)[list(empty.columns)] if tables else empty
    return figure, drawn


def purity_lines(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Mean purity over the number of clusters, one line per cell; a band shows the standard deviation over seeds."""
    part = lines[(lines["metric"] == "purity") & lines["cluster"].isna()]
    part = part.assign(clusters=[int(parameters(text)["k"]) for text in part["parameter"]])
    drawn = over_seeds(part, ["series", "clusters"]).sort_values(["clusters"], kind="stable")
    figure, (axis,) = _panels(1, 4.8, 3.2)
    if drawn.empty:
        _nothing(axis)
        return figure, drawn
    for label, points in drawn.groupby("series", sort=False):
        colour = _colour(plan, str(label))
        axis.plot(points["clusters"], points["value"], color=colour, marker=_marker(plan, str(label)), label=str(label))
        if (points["seeds"] > 1).any():
            low, high = points["value"] - points["std"], points["value"] + points["std"]
            axis.fill_between(points["clusters"], low, high, color=colour, alpha=0.15, linewidth=0)
    axis.set_xlabel("number of clusters")
    axis.set_ylabel(f"mean purity ({part['unit'].iloc[0]})")
    _legend(figure, [axis])
    return figure, drawn


def mini_cluster_counts(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """How many mini-clusters each class owns, in three panels: over methods, over M and over the threshold δ.

    Option ``default``: the label, M and delta that hold where they do not vary.
    """
    default = plan.options["default"]
    part = lines[(lines["metric"] == "assigned_mini_clusters") & lines["class"].notna()]
    values = [parameters(text) for text in part["parameter"]]
    part = part.assign(M=[value["M"] for value in values], delta=[value["delta"] for value in values])
    counts = over_seeds(part, ["series", "M", "delta", "class"])
    own = counts["series"] == default["label"]
    usual_number, usual_share = counts["M"] == default["M"], np.isclose(counts["delta"], default["delta"])
    panels = {
        "Methods": counts[usual_number & usual_share].assign(varied=lambda part: part["series"]),
        "Number of mini-clusters M": counts[own & usual_share].assign(varied=lambda part: part["M"]),
        "Threshold δ": counts[own & usual_number].assign(varied=lambda part: part["delta"]),
    }
    figure, axes = _panels(len(panels), 3.7, 3.3)
    tables = []
    for axis, (title, panel) in zip(axes, panels.items(), strict=True):
        axis.set_title(title)
        tables.append(panel.assign(panel=title).drop(columns="varied"))
        if panel.empty:
            _nothing(axis)
            continue
        for index, (varied, points) in enumerate(panel.groupby("varied", sort=title != "Methods")):
            label = str(varied) if title == "Methods" else f"{title[-1]} = {varied:g}"
            axis.errorbar(
                points["class"].astype(int),
                points["value"],
                yerr=_errors(points),
                label=label,
                color=_colour(plan, label) if title == "Methods" else style.SERIES[index % len(style.SERIES)],
                marker=_marker(plan, label) if title == "Methods" else style.MARKERS[index % len(style.MARKERS)],
            )
        axis.set_ylabel("mini-clusters assigned")
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_ylim(bottom=0)
        _class_axis(axis, sorted(panel["class"].astype(int).unique()))
        axis.legend(loc="upper right")
    columns = ["panel", "series", "M", "delta", "class", "value", "std", "seeds"]
    return figure, pd.concat(tables, ignore_index=True)[columns]


def scatter_pairs(plan: FigurePlan, points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Projected embeddings, one panel per cell, coloured by class; every class is also named at its median point.

    Shows the first seed.
    """
    figure, axes = _panels(len(plan.cells), 4.3, 4.1)
    tables = []
    classes = int(points["label"].max()) + 1 if len(points) else 0
    for axis, cell in zip(axes, plan.cells, strict=True):
        axis.set_title(cell.label)
        part = points[points["series"] == cell.label]
        if part.empty:
            _nothing(axis)
            continue
        part = _one_run(part)
        tables.append(part[["series", "row", "label", "x", "y"]])
        colours = np.array([style.class_colour(index, classes) for index in range(classes)], dtype=object)
        size = float(np.clip(12000 / len(part), 1.5, 18))
        order = np.argsort(part["row"].to_numpy() * 2654435761 % 2**32)  # no class lies on top only because it is last
        axis.scatter(
            part["x"].to_numpy()[order],
            part["y"].to_numpy()[order],
            s=size,
            c=list(colours[part["label"].to_numpy()[order]]),
            linewidths=0,
            alpha=0.75,
            rasterized=True,
        )
        if classes <= 20:
            for label, members in part.groupby("label"):
                axis.text(
                    members["x"].median(),
                    members["y"].median(),
                    str(label),
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    fontweight="bold",
                    bbox={
                        "boxstyle": "circle,pad=0.2",
                        "facecolor": "white",
                        "edgecolor": style.class_colour(int(str(label)), classes),
                        "linewidth": 1.2,
                        "alpha": 0.85,
                    },
                )
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(True)
        axis.spines[:].set_color("#bbbbbb")
    empty = pd.DataFrame(columns=["series", "row", "label", "x", "y"])
    return figure, pd.concat(tables, ignore_index=True) if tables else empty


def measured_and_stated(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """What is measured (points) and what a theorem states of it (dashed), one point per cell at its label, per group.

    Options: ``axis`` names what the labels are, ``value`` what is measured; ``curves`` lists the measured ``metric``,
    the ``stated`` one and the ``title`` of both. The panels have one scale, on which noise looks like noise.
    """
    curves = plan.options["curves"]
    metrics = [curve[which] for curve in curves for which in ("metric", "stated")]
    figure, panels, drawn = _over_labels(plan, lines, metrics, 3.4, 3.1)
    for axis, part in panels:
        axis.axhline(0, color="#333333", linewidth=0.8)
        for index, curve in enumerate(curves):
            measured, stated = (part[part["metric"] == curve[which]] for which in ("metric", "stated"))
            colour = style.SERIES[index % len(style.SERIES)]
            axis.errorbar(
                measured["at"],
                measured["value"],
                yerr=_errors(measured),
                label=f"{curve['title']}, measured",
                color=colour,
                marker=style.MARKERS[index % len(style.MARKERS)],
            )
            axis.plot(stated["at"], stated["value"], label=f"{curve['title']}, stated", color=colour, linestyle="--")
        axis.set_ylabel(plan.options["value"])
    shown = [axis.get_ylim() for axis, _ in panels]
    for axis, _ in panels:
        axis.set_ylim(min(low for low, _ in shown), max(high for _, high in shown))
    _legend(figure, figure.axes)
    return figure, drawn


def dominated_counts(plan: FigurePlan, lines: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """How many mini-clusters each class dominates (bars), and between which numbers the proof holds them, per cell.

    The axis follows the bars: an upper end that lies far above them runs out of the panel.
    """
    names = {"dominated_mini_clusters": "value", "dominated_at_least": "at_least", "dominated_at_most": "at_most"}
    part = lines[lines["metric"].isin(names) & lines["class"].notna()]
    values = over_seeds(part, ["series", "metric", "class"])
    counted = values[values["metric"] == "dominated_mini_clusters"].drop(columns="metric")
    ends = values.pivot(index=["series", "class"], columns="metric", values="value").rename(columns=names)
    ends = ends.reindex(columns=["at_least", "at_most"])
    drawn = counted.merge(ends.reset_index(), on=["series", "class"], how="left")
    figure, axes = _panels(len(plan.cells), 3.1, 3.0)
    for axis, cell in zip(axes, plan.cells, strict=True):
        axis.set_title(cell.label)
        bars = drawn[drawn["series"] == cell.label]
        if bars.empty:
            _nothing(axis)
            continue
        classes = bars["class"].astype(int)
        axis.bar(classes, bars["value"], 0.7, yerr=_errors(bars), color=style.SERIES[0], label="dominated")
        axis.vlines(classes, bars["at_least"], bars["at_most"], color=style.SERIES[1], label="allowed by the proof")
        for end in ("at_least", "at_most"):
            axis.plot(classes, bars[end], linestyle="none", marker="_", markersize=9, color=style.SERIES[1])
        axis.set_ylim(0, 1.6 * max(float(bars["value"].max()), 1))
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_ylabel("mini-clusters")
        _class_axis(axis, sorted(classes.unique()))
        axis.grid(visible=False, axis="x")
    _legend(figure, axes)
    return figure, drawn[["series", "class", "value", "std", "seeds", "at_least", "at_most"]]


KINDS: Mapping[str, Callable[[FigurePlan, pd.DataFrame], tuple[Figure, pd.DataFrame]]] = {
    "class_bars": class_bars,
    "confusion_matrices": confusion_matrices,
    "dominated_counts": dominated_counts,
    "measured_and_stated": measured_and_stated,
    "mini_cluster_counts": mini_cluster_counts,
    "purity_lines": purity_lines,
    "scatter_pairs": scatter_pairs,
    "sensitivity": sensitivity,
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
        style.frame(figure, plan, [*_spread(drawn), *missing])
    drawn = drawn.astype({name: "int64" for name in ("class", "cluster") if name in drawn})
    drawn = drawn.assign(paper=plan.paper, figure=plan.name, label_of_run=plan.label)
    leading = ["paper", "figure", "label_of_run"]
    return figure, drawn[[*leading, *(name for name in drawn.columns if name not in leading)]].reset_index(drop=True)
