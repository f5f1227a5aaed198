"""What is drawn is what was computed, and says so."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from matplotlib.colors import to_rgb

from longtail import files
from longtail.errors import LongtailError
from longtail.reporting.figures.draw import KINDS, draw
from longtail.reporting.figures.figure import write_figure
from longtail.reporting.figures.style import CLASSES
from longtail.reporting.figures.values import PROJECTION_COLUMNS, parameters
from longtail.study import documents

from .makers import METRIC_COLUMNS, cell, figure_plan, metrics

LABEL = "budget smoke (toy length)"
FIRST, SECOND = cell("simclr"), cell("conmix")


@pytest.fixture(autouse=True)
def _close_figures() -> Any:
    yield
    plt.close("all")


def line(keys: dict[str, Any], metric: str, value: float, **changes: Any) -> dict[str, Any]:
    blank = {"trial": 0, "class": None, "cluster": None, "parameter": None, "unit": "percent", "seed": 0}
    return {**blank, "metric": metric, "value": value, **keys, **changes}


def texts(figure: plt.Figure) -> str:
    found = [text.get_text() for text in figure.texts]
    for axis in figure.axes:
        found += [axis.get_title(), axis.get_xlabel(), axis.get_ylabel(), *(text.get_text() for text in axis.texts)]
    return "\n".join(found)


BARS = {"panels": [{"metric": "class_similarity", "title": "Similarity", "axis": "cosine"}]}


def test_bars_average_over_seeds_and_show_their_deviation() -> None:
    values = {0: [0.1, 0.3, 0.2], 1: [0.5, 0.6, 0.1]}
    data = metrics(
        [
            line(FIRST, "class_similarity", value, seed=seed, **{"class": index})
            for index, seeds in values.items()
            for seed, value in enumerate(seeds)
        ],
        [line(FIRST, "class_dissimilarity", 9.0, **{"class": 0}), line(FIRST, "class_similarity", 9.0)],
    )
    figure, drawn = draw(figure_plan("class_bars", ("SimCLR", FIRST), options=BARS, seeds=(0, 1, 2)), data)
    assert list(drawn["class"]) == [0, 1]
    assert list(drawn["value"]) == pytest.approx([statistics.fmean(values[0]), statistics.fmean(values[1])])
    assert list(drawn["std"]) == pytest.approx([statistics.stdev(values[0]), statistics.stdev(values[1])])
    assert [patch.get_height() for patch in figure.axes[0].patches] == pytest.approx(list(drawn["value"]))
    assert "Means over 3 training seeds" in texts(figure)


def test_bars_stand_by_the_sizes_of_the_classes_in_training() -> None:
    of = cell("ce", readout="classifier", scorer="classification")
    recalls, sizes = [10.0, 20.0, 30.0, 40.0], [5, 50, 20, 50]
    data = metrics(
        [line(of, "recall", value, **{"class": k}) for k, value in enumerate(recalls)],
        [line(of, "training_size", value, **{"class": k}) for k, value in enumerate(sizes)],
    )
    options = {"panels": [{"metric": "recall", "title": "Recall", "axis": ""}]}
    figure, drawn = draw(figure_plan("class_bars", ("CE", of), options=options), data)
    places = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in figure.axes[0].patches}
    assert [places[at] for at in range(4)] == [20, 40, 30, 10]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1", "3", "2", "0"]
    assert drawn["metric"].unique().tolist() == ["recall"]


def test_two_readouts_of_one_training_are_kept_apart() -> None:
    classifier, ncm = (cell("ce", readout=name, scorer="classification") for name in ("classifier", "ncm"))
    embeddings = cell("ce", readout="embeddings", scorer="geometry")
    lines = [line(of, "recall", value, **{"class": 0}) for of, value in ((classifier, 90.0), (ncm, 40.0))]
    data = metrics(lines, [line(embeddings, "class_similarity", 0.5, **{"class": 0})])
    panels = [{"metric": name, "title": name, "axis": ""} for name in ("recall", "class_similarity")]
    shown = figure_plan("class_bars", ("CE", classifier), ("NCM", ncm), options={"panels": panels})
    _, drawn = draw(shown, data)
    values = drawn.set_index(["metric", "series"])["value"].to_dict()
    assert values == {
        ("recall", "CE"): 90,
        ("recall", "NCM"): 40,
        ("class_similarity", "CE"): 0.5,
        ("class_similarity", "NCM"): 0.5,
    }
    figure, drawn = draw(shown, metrics(lines[:1]))
    assert drawn["series"].tolist() == ["CE"]
    assert "NCM (not computed yet)" in texts(figure)


def test_the_settings_of_a_cell_keep_it_apart_on_lines_over_it() -> None:
    cells = {tags: cell("conmix", settings=f'{{"conmix":{{"tags":{tags}}}}}') for tags in (50, 200)}
    data = metrics(
        *(
            [line(cells[tags], "ACC", tags / 10 + trial, trial=trial) for trial in range(2)]
            + [line(cells[tags], "NMI", 1.0), line(cells[tags], "ARI", 2.0)]
            for tags in cells
        )
    )
    shown = figure_plan(
        "setting_lines",
        *((str(tags), keys) for tags, keys in cells.items()),
        options={"axis": "tags", "metrics": ["ACC", "NMI"]},
    )
    figure, drawn = draw(shown, data)
    assert drawn[["series", "metric", "value"]].values.tolist() == [
        ["50", "ACC", 5.5], ["50", "NMI", 1.0], ["200", "ACC", 20.5], ["200", "NMI", 1.0],
    ]  # fmt: skip
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["50", "200"]
    assert figure.axes[0].get_xlabel() == "tags"


def test_confusion_matrices_show_one_clustering() -> None:
    counts = np.array([[5, 1], [2, 7]])
    data = metrics(
        [
            line(
                FIRST,
                "count",
                float(count) + 100 * (seed + trial),
                seed=seed,
                trial=trial,
                **{"class": i, "cluster": j},
            )
            for (i, j), count in np.ndenumerate(counts)
            for seed in (0, 1)
            for trial in (0, 1)
        ]
    )
    figure, drawn = draw(figure_plan("confusion_matrices", ("SimCLR", FIRST)), data)
    assert drawn[["class", "cluster", "value"]].values.tolist() == [[0, 0, 5], [0, 1, 1], [1, 0, 2], [1, 1, 7]]
    assert np.allclose(figure.axes[0].images[0].get_array(), [[5 / 6, 1 / 6], [2 / 9, 7 / 9]])
    assert [text.get_text() for text in figure.axes[0].texts] == ["5", "1", "2", "7"]


def test_purity_is_drawn_over_the_number_of_clusters_in_order() -> None:
    data = metrics(
        [line(FIRST, "purity", value, parameter=f"k={k}") for k, value in ((100, 80.0), (20, 60.0))],
        [line(SECOND, "purity", 50.0, parameter="k=20")],
    )
    figure, drawn = draw(figure_plan("purity_lines", ("SimCLR", FIRST), ("ConMix", SECOND)), data)
    first = drawn[drawn["series"] == "SimCLR"]
    assert first[["clusters", "value"]].values.tolist() == [[20, 60.0], [100, 80.0]]
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[20, 60.0], [100, 80.0]]
    assert "One training seed" in texts(figure)


def test_mini_clusters_vary_one_thing_per_panel() -> None:
    settings = [(20, 0.3), (40, 0.3), (40, 0.5)]
    data = metrics(
        [
            line(
                keys,
                "assigned_mini_clusters",
                shift + m + 10 * delta + k,
                parameter=f"M={m},delta={delta:g}",
                **{"class": k},
            )
            for keys, shift in ((FIRST, 0), (SECOND, 1000))
            for m, delta in settings
            for k in (0, 1)
        ]
    )
    options = {"default": {"label": "SimCLR", "M": 40, "delta": 0.3}}
    figure, drawn = draw(
        figure_plan("mini_cluster_lines", ("SimCLR", FIRST), ("ConMix", SECOND), options=options), data
    )
    head = drawn[drawn["class"] == 0]
    by_panel = {
        panel: lines[["series", "M", "delta", "value"]].values.tolist() for panel, lines in head.groupby("panel")
    }
    assert by_panel == {
        "Methods": [["SimCLR", 40.0, 0.3, 43.0], ["ConMix", 40.0, 0.3, 1043.0]],
        "Number of mini-clusters M": [["SimCLR", 20.0, 0.3, 23.0], ["SimCLR", 40.0, 0.3, 43.0]],
        "Threshold δ": [["SimCLR", 40.0, 0.3, 43.0], ["SimCLR", 40.0, 0.5, 45.0]],
    }
    legends = [[text.get_text() for text in axis.get_legend().get_texts()] for axis in figure.axes]
    assert legends == [["SimCLR", "ConMix"], ["M = 20", "M = 40"], ["δ = 0.3", "δ = 0.5"]]


GAPS = {
    "axis": "ratio",
    "value": "gap",
    "curves": [{"metric": "h_cl_gap", "stated": "h_cl_gap_stated", "title": "h_CL"}],
}


def test_what_a_theorem_states_is_dashed_beside_what_is_measured() -> None:
    cells = {ratio: cell("simclr", ratio=ratio) for ratio in (5, 10)}
    data = metrics(
        *(
            [
                line(cells[ratio], "h_cl_gap", ratio + 0.5, unit="cosine"),
                line(cells[ratio], "h_cl_gap_stated", ratio, unit="cosine"),
                line(cells[ratio], "h_cm_gap", 9.0, unit="cosine"),
            ]
            for ratio in (10, 5)
        )
    )
    shown = figure_plan("measured_and_stated", *((str(r), keys) for r, keys in cells.items()), options=GAPS)
    figure, drawn = draw(shown, data)
    assert drawn[["series", "metric", "value"]].values.tolist() == [
        ["5", "h_cl_gap", 5.5], ["5", "h_cl_gap_stated", 5.0],
        ["10", "h_cl_gap", 10.5], ["10", "h_cl_gap_stated", 10.0],
    ]  # fmt: skip
    (stated,) = [each for each in figure.axes[0].lines if each.get_linestyle() == "--"]
    assert stated.get_xydata().tolist() == [[0, 5.0], [1, 10.0]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["h_CL, stated", "h_CL, measured"]
    assert figure.axes[0].get_ylabel() == "gap"
    shown.cells[1].group = "another"
    apart, _ = draw(shown, data)
    assert [axis.get_title() for axis in apart.axes] == ["", "another"]
    assert apart.axes[0].get_ylim() == apart.axes[1].get_ylim()
    assert apart.axes[0].get_ylim()[1] > 10


def test_pairs_of_classes_are_relative_to_one() -> None:
    data = metrics(
        [
            line(FIRST, "pair_frequency", value + seed / 100, seed=seed, unit="ratio", **{"class": k, "cluster": j})
            for (k, j), value in np.ndenumerate(np.array([[1.0, 0.3], [0.3, 0.0]]))
            for seed in (0, 2)
        ],
        [line(FIRST, "pair_imbalance", 9.0)],
    )
    shown = figure_plan("pair_matrices", ("IF 10", FIRST), options=OPTIONS["pair_matrices"], seeds=(0, 2))
    figure, drawn = draw(shown, data)
    assert drawn[["class", "cluster", "value"]].values.tolist() == [
        [0, 0, 1.01],
        [0, 1, 0.31],
        [1, 0, 0.31],
        [1, 1, 0.01],
    ]
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.01", "0.31", "0.31", "0.01"]
    assert np.allclose(figure.axes[0].images[0].get_array(), [[1.01, 0.31], [0.31, 0.01]])


def test_gradients_are_drawn_in_the_order_of_their_ranks() -> None:
    data = metrics(
        [
            line(FIRST, "positive_gradient", value + seed, seed=seed, parameter=f"rank={rank}")
            for rank, value in ((10, 1.0), (9, 3.0))
            for seed in (0, 2)
        ]
    )
    shown = figure_plan("rank_lines", ("SupCon", FIRST), options=OPTIONS["rank_lines"], seeds=(0, 2))
    figure, drawn = draw(shown, data)
    assert drawn[["rank", "value"]].values.tolist() == [[9, 4], [10, 2]]
    (axis,) = figure.axes
    assert axis.lines[0].get_xydata().tolist() == [[9, 4], [10, 2]]
    assert axis.get_ylabel() == "length"
    assert all(tick == int(tick) for tick in axis.get_xticks())


def test_a_panel_of_ranks_may_be_of_one_group_of_cells() -> None:
    """ICCL Fig. 2: one metric, before and after rebalancing."""
    data = metrics(
        [
            line(keys, "positive_gradient", value, unit="gradient", parameter=f"rank={rank}", **{"class": 7 - rank})
            for keys, values in ((FIRST, (3.0, 2.0)), (SECOND, (8.0, 5.0)))
            for rank, value in enumerate(values, 1)
        ]
    )
    panel = {"metric": "positive_gradient", "axis": "rank"}
    options = {"value": "length", "panels": [{**panel, "title": t, "group": t} for t in ("before", "after")]}
    shown = figure_plan("rank_lines", ("CE", FIRST), ("cRT", SECOND), options=options)
    for each, group in zip(shown.cells, ("before", "after"), strict=True):
        each.group = group
    figure, _ = draw(shown, data)
    drawn = {axis.get_title(): [each.get_xydata().tolist() for each in axis.lines] for axis in figure.axes}
    assert drawn == {"before": [[[1, 3], [2, 2]]], "after": [[[1, 8], [2, 5]]]}


def test_dominated_mini_clusters_stand_between_what_the_proof_allows() -> None:
    ends = {"dominated_mini_clusters": [4.0, 2.0], "dominated_at_least": [3.0, 1.5], "dominated_at_most": [90.0, 2.5]}
    data = metrics(
        [
            line(FIRST, metric, value + seed, seed=seed, unit="clusters", **{"class": k})
            for metric, values in ends.items()
            for k, value in enumerate(values)
            for seed in (0, 2)
        ]
    )
    figure, drawn = draw(figure_plan("dominated_bars", ("SimCLR", FIRST), ("ConMix", SECOND), seeds=(0, 2)), data)
    assert drawn[["class", "value", "at_least", "at_most"]].values.tolist() == [[0, 5, 4, 91], [1, 3, 2.5, 3.5]]
    assert [patch.get_height() for patch in figure.axes[0].patches] == [5, 3]
    assert figure.axes[0].get_ylim()[1] < 91
    assert "nothing computed yet" in texts(figure)


def test_queues_are_drawn_from_the_largest_class_on_with_their_accuracy_above() -> None:
    held = {"original": [1.0, 6.0, 2.0], "reversed": [4.0, 1.0, 2.0]}
    cells = {kind: cell("supcon", settings=kind, readout="classifier", scorer="queue_contents") for kind in held}
    data = metrics(
        *(
            [
                line(keys, "queue_keys", value, unit="keys", parameter=f"queue={kind}", seed=seed, **{"class": k})
                for kind, values in held.items()
                for k, value in enumerate(values)
                for seed in (0, 1)
            ]
            for keys in cells.values()
        ),
        [line(cells["reversed"], "accuracy", 50.0 + seed, seed=seed) for seed in (0, 1)],
        [line(cells["reversed"], "calibration_error", 7.25)],
        [line(cells["reversed"], "recall", 99.0, **{"class": 0})],
    )
    shown = figure_plan("queue_bars", *cells.items(), ("balanced", None), options=OPTIONS["queue_bars"], seeds=(0, 1))
    figure, drawn = draw(shown, data)
    keys = drawn[drawn["metric"] == "queue_keys"]
    assert keys[["series", "rank", "label", "value"]].values.tolist() == [
        ["original", 0, 1, 6], ["original", 1, 2, 2], ["original", 2, 0, 1],
        ["reversed", 0, 1, 1], ["reversed", 1, 2, 2], ["reversed", 2, 0, 4],
    ]  # fmt: skip
    whole = drawn[drawn["metric"] != "queue_keys"]
    assert whole[["series", "metric", "value", "seeds"]].values.tolist() == [
        ["reversed", "accuracy", 50.5, 2],
        ["reversed", "calibration_error", 7.25, 1],
    ]
    assert [axis.get_title() for axis in figure.axes] == [
        "original", f"reversed\nTop-1 50.5, ECE {7.25:.1f}", "balanced",
    ]  # fmt: skip
    (steps,) = figure.axes[1].patches
    assert [each.tolist() for each in steps.get_data()[:2]] == [[1, 2, 4], [-0.5, 0.5, 1.5, 2.5]]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert "nothing computed yet" in texts(figure)


def test_groups_of_cells_are_lines_over_their_labels() -> None:
    places = [("SupCon", "1000", 5.0), ("SupCon", "4000", 7.0), ("MoCo", "4000", 6.0)]
    cells = [cell(group, settings=label) for group, label, _ in places]
    data = metrics(
        [line(keys, "accuracy", value) for keys, (_, _, value) in zip(cells, places, strict=True)],
        [line(cells[0], "accuracy", 99.0, **{"class": 0}), line(cells[0], "calibration_error", 99.0)],
    )
    named = [(label, keys) for keys, (_, label, _) in zip(cells, places, strict=True)]
    shown = figure_plan("group_lines", *named, options=OPTIONS["group_lines"])
    for place, (group, _, _) in zip(shown.cells, places, strict=True):
        place.group = group
    figure, drawn = draw(shown, data)
    assert drawn[["panel", "series", "value"]].values.tolist() == [list(place) for place in places]
    (axis,) = figure.axes
    assert [one[0].get_xydata().tolist() for one in axis.containers] == [[[0, 5], [1, 7]], [[1, 6]]]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["1000", "4000"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["SupCon", "MoCo"]


def test_a_metric_is_drawn_over_its_parameter() -> None:
    data = metrics(
        [
            line(keys, "corruption_accuracy", value + seed, parameter=f"severity={severity}", seed=seed)
            for keys, values in ((FIRST, {10: 1.0, 9: 3.0}), (SECOND, {9: 2.0}))
            for severity, value in values.items()
            for seed in (0, 2)
        ],
        [line(FIRST, "corruption_accuracy", 99.0), line(FIRST, "corruption_accuracy", 99.0, parameter="blur=1")],
    )
    shown = figure_plan(
        "parameter_lines", ("A", FIRST), ("B", SECOND), options=OPTIONS["parameter_lines"], seeds=(0, 2)
    )
    figure, drawn = draw(shown, data)
    assert drawn[["series", "severity", "value"]].values.tolist() == [["A", 10, 2], ["A", 9, 4], ["B", 9, 3]]
    (axis,) = figure.axes
    assert [one[0].get_xydata().tolist() for one in axis.containers] == [[[9, 4], [10, 2]], [[9, 3]]]
    assert all(tick == int(tick) for tick in axis.get_xticks())


def test_histograms_are_shares_of_the_pairs_of_a_group() -> None:
    counts = {"many": {-1.0: 1, 0.0: 3}, "few": {-1.0: 4, 0.0: 4}}
    data = metrics(
        [
            line(FIRST, f"pairs_{group}", count, unit="pairs", parameter=f"from={low:g}")
            for group, bins in counts.items()
            for low, count in reversed(bins.items())
        ],
        [line(FIRST, "similarity_many", 0.4, unit="cosine"), line(FIRST, "pairs_medium", 9.0, parameter="from=0")],
    )
    shown = figure_plan("similarity_histograms", ("A", FIRST), options=OPTIONS["similarity_histograms"])
    figure, drawn = draw(shown, data)
    shares = drawn[drawn["metric"].str.startswith("pairs")]
    assert shares[["metric", "lower", "value"]].values.tolist() == [
        ["pairs_many", -1, 25], ["pairs_many", 0, 75], ["pairs_few", -1, 50], ["pairs_few", 0, 50],
    ]  # fmt: skip
    head, tail = figure.axes
    values, edges, _ = head.patches[0].get_data()
    assert (values.tolist(), edges.tolist()) == ([25, 75], [-1, 0, 1])
    assert [list(mean.get_xdata()) for mean in head.lines] == [[0.4]]
    assert not tail.lines


def points(keys: dict[str, Any], seed: int, shift: float, part: str = "split") -> list[dict[str, Any]]:
    return [
        {"part": part, "row": row, "label": row % 3, "x": row + shift, "y": float(row % 4), "seed": seed, **keys}
        for row in range(12)
    ]


def test_scatter_plots_show_every_point_of_the_first_seed() -> None:
    data = pd.DataFrame([*points(FIRST, 0, 0.0), *points(FIRST, 1, 50.0), *points(SECOND, 0, 7.0)])
    shown = figure_plan("projected_points", ("Before", FIRST), ("After", SECOND), projection="umap")
    figure, drawn = draw(shown, data)
    before = drawn[drawn["series"] == "Before"]
    assert before[["row", "label", "x", "y"]].values.tolist() == [[r, r % 3, r, r % 4] for r in range(12)]
    offsets = figure.axes[0].collections[0].get_offsets()
    assert sorted(map(tuple, np.asarray(offsets).tolist())) == [(float(r), float(r % 4)) for r in range(12)]
    assert [text.get_text() for text in figure.axes[0].texts] == ["0", "1", "2"]


def test_weights_of_classes_are_stars() -> None:
    weights = points(FIRST, 0, 0.5, "weights")[:3]
    data = pd.DataFrame([*points(FIRST, 0, 0.0), *weights])
    shown = figure_plan(
        "projected_points", ("ICCL", FIRST), projection="tsne-weights", options={"weights": "centroids"}
    )
    figure, drawn = draw(shown, data)
    (axis,) = figure.axes
    images, stars, _ = axis.collections
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["centroids"]
    assert len(images.get_offsets()) == 12
    assert np.asarray(stars.get_offsets()).tolist() == [[row + 0.5, float(row)] for row in range(3)]
    assert stars.get_facecolors().tolist() != images.get_facecolors()[:3].tolist()
    assert (drawn["part"] == "weights").sum() == 3


def test_training_images_have_a_panel_of_their_own_on_the_same_scale() -> None:
    first, second = ({**keys, "split": "test"} for keys in (FIRST, SECOND))
    data = pd.DataFrame([*points(first, 0, 0.0), *points(first, 0, 5.0, "training"), *points(second, 0, 7.0)])
    shown = figure_plan("projected_points", ("Before", first), ("After", second), projection="tsne-training")
    figure, _ = draw(shown, data)
    before, _, tested, _ = figure.axes
    assert [before.get_title(), tested.get_title()] == ["Before, training images", "Before, test images"]
    assert before.get_xlim() == tested.get_xlim()
    assert before.get_xlim()[0] < 0 < 16 < before.get_xlim()[1]


def test_a_few_classes_have_the_colours_of_few() -> None:
    """Classes 96 to 99 of a hundred would be neighbours on a scale."""
    data = pd.DataFrame([{**line, "label": line["label"] + 97} for line in points(FIRST, 0, 0.0)])
    figure, _ = draw(figure_plan("projected_points", ("KCL", FIRST), projection="tsne-smallest"), data)
    colours = {tuple(colour[:3]) for colour in figure.axes[0].collections[0].get_facecolors().tolist()}
    assert colours == {to_rgb(colour) for colour in CLASSES[:3]}
    assert [text.get_text() for text in figure.axes[0].texts] == ["97", "98", "99"]


OPTIONS = {
    "class_bars": BARS,
    "setting_lines": {"axis": "tags", "metrics": ["ACC"]},
    "measured_and_stated": GAPS,
    "pair_matrices": {"metric": "pair_frequency"},
    "rank_lines": {
        "value": "length",
        "panels": [{"metric": "positive_gradient", "title": "Positives", "axis": "rank"}],
    },
    "group_lines": {"axis": "keys", "metric": "accuracy", "value": "top-1"},
    "parameter_lines": {"axis": "severity", "metric": "corruption_accuracy", "parameter": "severity", "value": "top-1"},
    "queue_bars": {"above": {"accuracy": "Top-1", "calibration_error": "ECE"}, "order": "original"},
    "similarity_histograms": {"panels": {"many": "head", "few": "tail"}},
    "mini_cluster_lines": {"default": {"label": "SimCLR", "M": 40, "delta": 0.3}},
}


def validate(kind: str, options: dict[str, Any]) -> None:
    """Check a paper with one figure against the schema."""
    figure = {"title": "Figure 1", "caption": "-", "seeds": 1, "scorers": ["geometry"], "cells": [{}]}
    figures = {"figure1": {**figure, "kind": kind, "options": options}}
    documents.validate({"paper": "own", "title": "Own", "figures": figures}, "paper", "own.yaml")


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_without_an_option_that_it_needs_is_refused_before_anything_is_trained(kind: str) -> None:
    options = OPTIONS.get(kind, {})
    validate(kind, options)
    for needed in options:
        with pytest.raises(LongtailError, match=needed):
            validate(kind, {name: value for name, value in options.items() if name != needed})


def test_a_kind_that_nobody_draws_is_refused_by_name() -> None:
    with pytest.raises(LongtailError, match="pie_chart"):
        validate("pie_chart", {})
    figures = documents.schema("paper").schema["properties"]["figures"]["additionalProperties"]
    assert set(figures["properties"]["kind"]["enum"]) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "empty",
    [pd.DataFrame(), pd.DataFrame(columns=METRIC_COLUMNS), pd.DataFrame(columns=list(PROJECTION_COLUMNS))],
    ids=["no columns", "no metrics", "no points"],
)
def test_every_kind_says_what_is_missing(kind: str, empty: pd.DataFrame, tmp_path: Path) -> None:
    shown = figure_plan(kind, ("SimCLR", FIRST), ("CC", None), options=OPTIONS.get(kind, {}), label=LABEL)
    figure, drawn = draw(shown, empty)
    assert drawn.empty
    assert "Not drawn: SimCLR (not computed yet)." in texts(figure)
    assert "Not drawn: CC (not implemented yet)." in texts(figure)
    assert "nothing computed yet" in texts(figure)
    assert LABEL in texts(figure)


def test_the_label_is_in_the_picture_and_the_file_only_when_there_is_one(tmp_path: Path) -> None:
    data = metrics([line(FIRST, "purity", 60.0, parameter="k=20")])
    for label in (LABEL, ""):
        shown = figure_plan("purity_lines", ("SimCLR", FIRST), label=label)
        figure, _ = draw(shown, data)
        assert ("budget" in texts(figure)) == bool(label)
        write_figure(shown, data, tmp_path, f"figure{len(label)}")
        path = tmp_path / f"figure{len(label)}.parquet"
        assert pq.read_table(path).column("label_of_run").to_pylist() == [label]
        assert files.read_provenance(path)["label"] == label


def test_writing_twice_gives_the_same_pictures(tmp_path: Path) -> None:
    data = pd.DataFrame([*points(FIRST, 0, 0.0), *points(SECOND, 0, 7.0)])
    shown = figure_plan("projected_points", ("Before", FIRST), ("After", SECOND), projection="umap", label=LABEL)
    for folder in ("first", "second"):
        write_figure(shown, data, tmp_path / folder, "figure")
    for suffix in ("pdf", "svg", "png"):
        first, second = ((tmp_path / folder / f"figure.{suffix}").read_bytes() for folder in ("first", "second"))
        assert first == second
    assert not plt.get_fignums()


def test_a_colour_does_not_depend_on_what_is_there() -> None:
    cells = (("SimCLR", FIRST), ("ConMix", SECOND))
    lines = [line(keys, "purity", 60.0, parameter="k=20") for _, keys in cells]
    both, _ = draw(figure_plan("purity_lines", *cells), metrics(lines))
    alone, _ = draw(figure_plan("purity_lines", *cells), metrics(lines[1:]))
    assert both.axes[0].lines[1].get_color() == alone.axes[0].lines[0].get_color()
    assert both.axes[0].lines[0].get_color() != alone.axes[0].lines[0].get_color()


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(LongtailError, match=r"kind of figure .*'clas_bars'.*Did you mean 'class_bars'"):
        draw(figure_plan("clas_bars"), pd.DataFrame())


def test_parameters_are_read_by_name() -> None:
    assert parameters("M=40,delta=0.3") == {"M": 40.0, "delta": 0.3}
    assert math.isclose(parameters("k=20")["k"], 20)
    with pytest.raises(LongtailError, match="'k=many'"):
        parameters("k=many")
