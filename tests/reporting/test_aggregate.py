"""Averages, spreads and tests against plain Python."""

from __future__ import annotations

import math
import statistics
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.errors import LongtailError
from longtail.reporting.aggregate import FRAME_TYPES, tidy
from longtail.reporting.spread import allowed_difference

from .makers import cell, entry, lines, metrics, plan

percentages = st.floats(0, 100, allow_nan=False)
runs = st.integers(1, 4).flatmap(
    lambda trials: st.lists(st.lists(percentages, min_size=trials, max_size=trials), min_size=1, max_size=4)
)


@given(values=runs)
def test_means_over_seeds_of_means_over_trials(values: list[list[float]]) -> None:
    each = entry("SimCLR", published="53.3")
    shown = tidy(plan(each, seeds=tuple(range(len(values)))), metrics(lines(each.cell, "ACC", values))).iloc[0]

    per_seed = [sum(trials) / len(trials) for trials in values]
    mean = sum(per_seed) / len(per_seed)
    assert shown["computed"] == pytest.approx(mean, abs=1e-9)
    assert shown["difference"] == pytest.approx(mean - 53.3, abs=1e-9)
    assert (shown["seeds"], shown["trials"], shown["status"], shown["reason"]) == (
        len(values),
        len(values[0]),
        "computed",
        "",
    )
    if len(values) > 1:
        assert shown["computed_std"] == pytest.approx(statistics.stdev(per_seed), abs=1e-6)
    else:
        assert math.isnan(shown["computed_std"])
    if len(values[0]) > 1:
        pooled = math.sqrt(sum(statistics.variance(trials) for trials in values) / len(values))
        assert shown["trial_std"] == pytest.approx(pooled, abs=1e-6)
    else:
        assert math.isnan(shown["trial_std"])


def test_a_seed_with_more_trials_does_not_weigh_more() -> None:
    each = entry("SimCLR")
    shown = tidy(plan(each, seeds=(0, 1)), metrics(lines(each.cell, "ACC", [[10.0], [20.0, 20.0, 20.0]])))
    assert shown["computed"].item() == 15.0


def test_cells_are_told_apart_by_every_key() -> None:
    base = cell("conmix")
    others = {
        "method": "sdclr", "settings": '{"conmix":{"tags":50}}', "dataset": "cifar20", "ratio": 5, "split": "test",
        "features": "backbone", "backbone": "resnet34", "readout": "gmm-k", "scorer": "geometry",
    }  # fmt: skip
    assert set(others) == set(base)
    noise = [lines({**base, key: value}, "ACC", [[99.0]]) for key, value in others.items()]
    shown = tidy(plan(entry("ConMix", cell=base)), metrics(*noise, lines(base, "ACC", [[50.0]])))
    assert shown["computed"].item() == 50.0
    assert tidy(plan(entry("ConMix", cell=base)), metrics(*noise))["status"].item() == "missing"


def test_values_of_classes_clusters_and_parameters_are_not_averaged_in() -> None:
    each = entry("SimCLR")
    frame = metrics(lines(each.cell, "ACC", [[50.0]]))
    extra = pd.concat(
        [
            frame.assign(value=0.0, **{name: value})
            for name, value in (("class", 0), ("cluster", 0), ("parameter", "k=1"))
        ]
    )
    assert tidy(plan(each), pd.concat([frame, extra]))["computed"].item() == 50.0


def test_ratios_match_whatever_their_type() -> None:
    each = entry("SimCLR")
    frame = metrics(lines(each.cell, "ACC", [[50.0]])).astype({"ratio": "float64"})
    assert tidy(plan(each), frame)["computed"].item() == 50.0


def test_a_missing_value_says_why_and_shows_no_number() -> None:
    there, planned, unmeasured, broken, waiting = (
        entry("SimCLR", published="39.4"),
        entry("CC", published="40.6", missing="CC is not implemented yet"),
        entry("SDCLR", published="38.9"),
        entry("MoCo", published="37.0"),
        entry("ConMix", published="53.3"),
    )
    data = metrics(
        lines(there.cell, "ACC", [[40.0]]),
        lines(unmeasured.cell, "NMI", [[20.0]]),
        lines(broken.cell, "ACC", [[math.nan]]),
    )
    shown = tidy(plan(there, planned, unmeasured, broken, waiting), data)
    assert list(shown["status"]) == ["computed", "missing", "missing", "missing", "missing"]
    assert list(shown["reason"]) == [
        "",
        "CC is not implemented yet",
        "not among the computed metrics",
        "the computed value is not a finite number",
        "not computed yet",
    ]
    assert shown.loc[1:, ["computed", "computed_std", "trial_std", "difference"]].isna().all(axis=None)
    assert list(shown.loc[1:, "seeds"]) == [0, 0, 0, 0]
    assert list(shown["published"]) == [39.4, 40.6, 38.9, 37.0, 53.3]


def test_fewer_seeds_than_asked_for_are_reported() -> None:
    each = entry("SimCLR")
    shown = tidy(plan(each, seeds=(0, 1, 2, 3, 4)), metrics(lines(each.cell, "ACC", [[50.0], [52.0]])))
    assert shown["reason"].item() == "2 of 5 training seeds"
    assert shown["status"].item() == "computed"


def judged(value: float, published: str | None, **changes: Any) -> pd.Series:
    """The line of a value of one seed that was trained as the printed one."""
    each = entry("SimCLR", **{"published": published, "as_printed": True, **changes})
    return tidy(plan(each), metrics(lines(each.cell, "ACC", [[value]]))).iloc[0]


@pytest.mark.parametrize(
    ("value", "status"),
    [(53.3, "reproduced"), (55.85, "reproduced"), (50.75, "reproduced"), (55.86, "differs"), (50.74, "differs")],
)
def test_a_value_is_reproduced_within_the_tolerance_and_half_a_printed_digit(value: float, status: str) -> None:
    shown = judged(value, "53.3")
    assert (shown["status"], shown["tolerance"]) == (status, pytest.approx(2.55))
    assert bool(shown["reason"]) is (status == "differs")
    assert judged(53.3 + 2.505, "53.30")["tolerance"] == pytest.approx(2.505)


@given(value=percentages, published=percentages, as_printed=st.booleans(), printed=st.booleans())
def test_nothing_is_reproduced_unless_it_was_printed_and_trained_so(
    value: float, published: float, as_printed: bool, printed: bool
) -> None:
    text = f"{published:.1f}"
    shown = judged(value, text if printed else None, as_printed=as_printed)
    distance = abs(value - float(text))
    if not (as_printed and printed):
        assert (shown["status"], math.isnan(shown["tolerance"])) == ("computed", True)
    elif shown["status"] == "reproduced":
        assert distance <= 2.55 + 1e-6
    else:
        assert shown["status"] == "differs"
        assert distance >= 2.55 - 1e-6


def test_a_value_of_fewer_seeds_than_the_paper_has_is_only_computed() -> None:
    each = entry("SeCu", published="53.1", published_std=0.9, as_printed=True)
    data = metrics(lines(each.cell, "ACC", [[53.0], [53.2]]))
    for seeds in ((0, 1), (0, 1, 2, 3, 4)):  # whether no more were asked for, or the others are not there yet
        assert tidy(plan(each, seeds=seeds, printed_seeds=5), data)["status"].item() == "computed"


def test_a_column_of_one_training_is_judged_by_one() -> None:
    """ICCL prints means of three trainings on CIFAR-LT and single ones on the large sets, in one table."""
    several, single = (entry("ICCL", published="53.1", as_printed=True, ratio=ratio) for ratio in (100, 256))
    single.cell, single.seeds, single.printed_seeds = cell("iccl", ratio=256), (0,), 1
    data = metrics(lines(several.cell, "ACC", [[53.0]]), lines(single.cell, "ACC", [[53.0]]))
    found = tidy(plan(several, single, seeds=(0, 1, 2), printed_seeds=3), data)
    assert found["status"].tolist() == ["computed", "reproduced"]
    assert found["reason"].tolist() == ["1 of 3 training seeds", ""]


def test_beside_a_printed_spread_the_tolerance_is_what_both_spreads_allow() -> None:
    each = entry("SeCu", published="53.1", published_std=0.9, as_printed=True)
    values = [52.0, 53.0, 54.0, 53.5, 52.5]

    def shown(shift: float) -> pd.Series:
        data = metrics(lines(each.cell, "ACC", [[value + shift] for value in values]))
        return tidy(plan(each, seeds=tuple(range(5)), printed_seeds=5), data).iloc[0]

    assert shown(0)["tolerance"] == pytest.approx(allowed_difference(statistics.stdev(values), 5, 0.9, 5, 0.95) + 0.05)
    assert shown(0)["tolerance"] < 2.5
    assert (shown(0)["status"], shown(1.0)["status"], shown(2.0)["status"]) == ("reproduced", "reproduced", "differs")


def average_plan() -> tuple[SimpleNamespace, list[SimpleNamespace]]:
    first, second = entry("ConMix"), entry("ConMix", dataset="CIFAR-20", cell=cell("conmix", dataset="cifar20"))
    both = entry("ConMix", group="Average", ratio=None, published="47.0", cell=None, members=(first.cell, second.cell))
    return plan(first, second, both, seeds=(0, 1)), [first, second]


def test_an_average_is_over_its_members_seed_by_seed() -> None:
    shown_plan, (first, second) = average_plan()
    runs = [[50.0, 52.0], [53.0]], [[40.0], [43.0, 47.0]]
    data = metrics(*(lines(each.cell, "ACC", values) for each, values in zip((first, second), runs, strict=True)))
    shown = tidy(shown_plan, data).iloc[2]
    per_seed = [(51 + 40) / 2, (53 + 45) / 2]
    assert shown["computed"] == pytest.approx(statistics.fmean(per_seed))
    assert shown["computed_std"] == pytest.approx(statistics.stdev(per_seed))
    assert shown["difference"] == pytest.approx(statistics.fmean(per_seed) - 47)
    assert (shown["status"], shown["reason"], shown["seeds"]) == ("computed", "", 2)
    assert math.isnan(shown["trial_std"])
    assert math.isnan(shown["ratio"])


@pytest.mark.parametrize("second_has", [[], [math.nan]])
def test_an_average_is_not_shown_unless_all_of_it_is_there(second_has: list[float]) -> None:
    shown_plan, (first, second) = average_plan()
    there = [lines(second.cell, "ACC", [second_has])] if second_has else []
    shown = tidy(shown_plan, metrics(lines(first.cell, "ACC", [[50.0]]), *there)).iloc[2]
    assert shown["status"] == "missing"
    assert shown[["computed", "difference"]].isna().all()
    assert shown["reason"] == (
        "the computed value is not a finite number"
        if second_has
        else "not all values that it is made from are computed yet"
    )


def test_an_average_is_over_the_seeds_that_all_its_members_have() -> None:
    shown_plan, (first, second) = average_plan()
    fewer = lines(second.cell, "ACC", [[10.0], [40.0]])[1:]
    shown = tidy(shown_plan, metrics(lines(first.cell, "ACC", [[50.0], [60.0]]), fewer)).iloc[2]
    assert (shown["computed"], shown["seeds"], shown["reason"]) == (50.0, 1, "1 of 2 training seeds")
    apart = metrics(lines(first.cell, "ACC", [[50.0]]), fewer)
    assert tidy(shown_plan, apart).iloc[2]["status"] == "missing"


def compared_plan(**changes: object) -> tuple[SimpleNamespace, list[SimpleNamespace]]:
    rows = [entry(name) for name in ("ResCom", "PaCo", "MiSLAS")]
    members = tuple(each.cell for each in rows)
    made = entry("ResCom", "gain", cell=None, members=members, measured="ACC", published="2.0", **changes)
    return plan(*rows, made, seeds=(0, 1)), rows


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"combined": "difference"}, [60 - 55, 62 - 53]),  # the second is best over both seeds, not in each
        ({"combined": "difference", "lowest_is_best": True}, [60 - 48, 62 - 58]),
        ({"combined": "increase"}, [100 * (60 / 55 - 1), 100 * (62 / 53 - 1)]),
    ],
)
def test_a_gain_is_over_the_best_of_the_others_seed_by_seed(changes: dict, expected: list[float]) -> None:
    shown_plan, rows = compared_plan(**changes)
    runs = [[60.0], [62.0]], [[55.0], [53.0]], [[48.0], [58.0]]
    data = metrics(*(lines(each.cell, "ACC", values) for each, values in zip(rows, runs, strict=True)))
    shown = tidy(shown_plan, data).iloc[3]
    assert shown["computed"] == pytest.approx(statistics.fmean(expected))
    assert shown["computed_std"] == pytest.approx(statistics.stdev(expected))
    assert tidy(shown_plan, data[data["method"] != "mislas"]).iloc[3]["status"] == "missing"


def test_an_increase_is_in_percent_whatever_it_is_of() -> None:
    shown_plan, rows = compared_plan(combined="increase")
    data = metrics(
        *(lines(each.cell, "ACC", [[value]], unit="ms") for each, value in zip(rows, (3, 2, 1), strict=True))
    )
    assert tidy(plan(shown_plan.entries[3]), data).iloc[0]["computed"] == pytest.approx(50)


def test_without_any_metrics_the_frame_has_its_columns_and_types() -> None:
    for empty in (pd.DataFrame(), metrics()):
        shown = tidy(plan(entry("CC", published="40.6", missing="no")), empty)
        assert {name: str(kind) for name, kind in shown.dtypes.items()} == FRAME_TYPES
        assert shown["status"].item() == "missing"


def test_a_repeated_trial_is_an_error() -> None:
    each = entry("SimCLR")
    with pytest.raises(LongtailError, match=r"ACC of simclr .*seed 0, trial 0.* twice"):
        tidy(plan(each), metrics(lines(each.cell, "ACC", [[50.0]]), lines(each.cell, "ACC", [[50.0]])))


def test_fractions_are_not_printed_beside_percentages() -> None:
    each = entry("SimCLR")
    with pytest.raises(LongtailError, match="computed in fraction, but the table is in percent"):
        tidy(plan(each), metrics(lines(each.cell, "ACC", [[0.5]], unit="fraction")))


def welch_p(first: list[float], second: list[float]) -> float:
    """The two-sided Welch test from its formulas; the t distribution by integrating its density."""
    n, m = len(first), len(second)
    a, b = statistics.variance(first) / n, statistics.variance(second) / m
    t = abs(statistics.fmean(first) - statistics.fmean(second)) / math.sqrt(a + b)
    freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    steps = 20000
    width = t / steps
    heights = [scale * (1 + (i * width) ** 2 / freedom) ** (-(freedom + 1) / 2) for i in range(steps + 1)]
    return 1 - 2 * width * (sum(heights) - (heights[0] + heights[-1]) / 2)


def significance_plan(count: int) -> tuple[SimpleNamespace, list[SimpleNamespace]]:
    rows = [entry("SeCu"), entry("ConMix"), entry("Ours", cell=cell("miniclustering"))]
    return plan(*rows, seeds=tuple(range(count)), significance={"against": "miniclustering", "level": 0.95}), rows


def test_p_values_are_those_of_welch() -> None:
    shown_plan, (secu, conmix, ours) = significance_plan(5)
    runs = {
        "secu": [53.1, 54.0, 52.2, 53.3, 52.9],
        "conmix": [64.2, 66.9, 63.0, 67.1, 64.4],
        "ours": [65.1, 64.7, 65.5, 65.2, 64.9],
    }
    data = metrics(
        *(
            lines(each.cell, "ACC", [[value - 1, value + 1] for value in runs[name]])
            for name, each in (("secu", secu), ("conmix", conmix), ("ours", ours))
        )
    )
    p_values = tidy(shown_plan, data)["p_value"]
    assert p_values[0] == pytest.approx(welch_p(runs["secu"], runs["ours"]), abs=1e-6)
    assert p_values[1] == pytest.approx(welch_p(runs["conmix"], runs["ours"]), abs=1e-6)
    assert p_values[0] < 0.05 < p_values[1]
    assert math.isnan(p_values[2])


def test_nothing_is_tested_with_one_seed_without_spread_or_in_another_column() -> None:
    one, (secu, _, ours) = significance_plan(1)
    assert (
        tidy(one, metrics(lines(secu.cell, "ACC", [[1.0]]), lines(ours.cell, "ACC", [[2.0]])))["p_value"].isna().all()
    )
    two, (secu, _, ours) = significance_plan(2)
    flat = metrics(lines(secu.cell, "ACC", [[1.0], [1.0]]), lines(ours.cell, "ACC", [[2.0], [2.0]]))
    assert tidy(two, flat)["p_value"].isna().all()
    elsewhere = entry("SeCu", dataset="CIFAR-20", cell=cell("secu", dataset="cifar20"))
    apart = plan(elsewhere, ours, seeds=(0, 1), significance=two.significance)
    data = metrics(lines(elsewhere.cell, "ACC", [[1.0], [2.0]]), lines(ours.cell, "ACC", [[3.0], [4.0]]))
    assert tidy(apart, data)["p_value"].isna().all()


def shots_plan(definition: str) -> SimpleNamespace:
    """Top-1 and the three shot groups of one classifier, as ``shots: strict`` or ``shots: index`` means them."""
    of = cell("ce", readout="classifier", scorer="classification", features="backbone", split="test")
    groups = [entry("CE", group, measured=f"{group} ({definition})", cell=of) for group in ("many", "medium", "few")]
    return plan(entry("CE", "accuracy", cell=of), *groups)


def test_shot_groups_take_the_values_of_their_own_definition() -> None:
    (of, *_) = (each.cell for each in shots_plan("strict").entries)
    measured = {
        "accuracy": 60.0,
        "many (strict)": 80.0,
        "medium (strict)": 50.0,
        "many (index)": 75.0,
        "medium (index)": 65.0,
        "few (index)": 40.0,
        "few": 1.0,  # of no definition
    }
    data = metrics(*(lines(of, name, [[value]]) for name, value in measured.items()))
    strict, index = (tidy(shots_plan(definition), data) for definition in ("strict", "index"))
    assert index["metric"].tolist() == strict["metric"].tolist() == ["accuracy", "many", "medium", "few"]
    assert index["computed"].tolist() == [60.0, 75.0, 65.0, 40.0]
    assert strict["computed"].tolist()[:3] == [60.0, 80.0, 50.0]
    # A group that no class belongs to has no line, so that its place stays empty
    assert strict["status"].tolist()[3] == "missing"
    assert strict["reason"].tolist()[3].startswith("no class has so many training images")
