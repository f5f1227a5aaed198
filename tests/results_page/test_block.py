"""The block of data: plain JSON that says what the tables' frames say."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from longtail.results_page import block as blocks
from longtail.results_page.block import Strings, block, rounded, scale
from longtail.results_page.collect import Collector
from longtail.results_page.content import Content
from longtail.study.study import load_study
from tests.records.makers import SHIPPED
from tests.reporting.makers import entry, plan


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """All papers, with the records that the checkout carries."""
    folder: Path = tmp_path_factory.mktemp("run")
    shutil.copytree(SHIPPED / "cells", folder / "results/records/cells")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        of = load_study({"targets": ["digits"]})
        whole = load_study({"targets": list(of.catalog.papers)})
        return Collector(whole, Path("results")).collect(None)


@pytest.fixture(scope="module")
def data(content: Content) -> dict[str, Any]:
    return block(content)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_it_is_json_without_numbers_that_json_does_not_know(data: dict[str, Any]) -> None:
    assert json.loads(json.dumps(data, allow_nan=False), parse_constant=refuse) == data


def test_every_place_says_what_the_frame_says(content: Content, data: dict[str, Any]) -> None:
    places, strings = data["places"], data["strings"]
    at = 0
    for number, table in enumerate(content.tables):
        assert table.first == at
        for line in table.frame.to_dict("records"):
            assert places["table"][at] == number
            for name in blocks.NUMBERS:
                value = places[name][at]
                assert (value is None) if math.isnan(line[name]) else math.isclose(value, line[name], rel_tol=1e-5)
            for name in blocks.COUNTS:
                assert places[name][at] == line[name]
            for name in blocks.TEXTS:
                assert (places[name][at] is None and not line[name]) or strings[places[name][at]] == line[name]
            at += 1
    assert {len(column) for column in places.values()} == {at}
    assert at > 2000


def test_every_index_means_something(data: dict[str, Any]) -> None:
    def among(found: Any, what: str) -> None:
        assert {index for index in found if index is not None} <= set(range(len(data[what]))), what

    cells, places = data["cells"], data["places"]
    among((cell for each in places["cells"] for cell in each), "cells")
    assert {cell for each in places["cells"] for cell in each} == set(range(len(cells)))
    for key in ("settings", "log"):
        among((cell[key] for cell in cells), "logs" if key == "log" else key)
    for key in ("curves", "points"):
        among((index for cell in cells for index in cell[key]), key)
    for key in ("column", "metric", "published_text", *blocks.TEXTS):
        among(places[key], "strings")
    for key in ("method", "title", "dataset"):
        among((cell[key] for cell in cells), "strings")
    among((index for each in data["settings"] for setting in each for index in setting), "strings")
    among((point["kind"] for point in data["points"]), "strings")
    assert len(set(data["strings"])) == len(data["strings"])
    assert all(isinstance(text, str) and text for text in data["strings"])


def test_curves_are_short_and_tell_where_they_end(data: dict[str, Any]) -> None:
    assert data["curves"]
    for curve in data["curves"]:
        assert len(curve["epochs"]) == len(curve["loss"]) <= 100
        assert curve["epochs"][-1] <= curve["of"]
        assert all(curve["epochs"][0] <= border <= curve["epochs"][-1] for border in curve["borders"])


def test_a_point_reads_as_sentences(data: dict[str, Any]) -> None:
    assert len(data["points"]) > 100
    for point in data["points"]:
        assert point["heading"].strip()
        assert point["text"].strip()


@given(st.floats() | st.integers(-(10**20), 10**20) | st.none())
@example(-0.0)
def test_numbers_are_rounded_to_what_json_holds(value: float | None) -> None:
    found = rounded(value)
    if value is None or not math.isfinite(value):
        assert found is None
        return
    assert found is not None
    assert math.isclose(found, value, rel_tol=1e-5)
    assert "-0" != json.dumps(found) != "-0.0"
    assert math.isclose(json.loads(json.dumps(found)), found)


@given(st.lists(st.text(max_size=3) | st.none()))
def test_texts_stand_once_and_come_back(texts: list[str | None]) -> None:
    strings = Strings()
    indices = [strings(text) for text in texts]
    known = list(strings.known)
    assert [None if index is None else known[index] for index in indices] == [text or None for text in texts]
    assert len(set(known)) == len(known)


@pytest.mark.parametrize(
    ("stds", "expected"),
    [
        ((1.0, 2.0, math.nan), math.hypot(1 / math.sqrt(5), 2 / math.sqrt(3))),
        ((1.0, math.nan, 4.0), math.hypot(1 / math.sqrt(5), 4 / math.sqrt(3))),
        ((math.nan, 2.0, 4.0), 2.5),
        ((1.0, math.nan, math.nan), 2.5),
        ((1.0, 0.0, math.nan), 2.5),
    ],
)
def test_a_difference_is_measured_by_both_spreads_or_the_tolerance(
    stds: tuple[float, float, float], expected: float
) -> None:
    printed, computed, recorded = stds
    line = {"published_std": printed, "computed_std": computed, "recorded_std": recorded}
    line |= {"seeds": 3, "recorded_seeds": 3}
    assert scale(plan(printed_seeds=5), entry("A"), line) == pytest.approx(expected)
    assert scale(plan(), entry("A", tolerance=None), line) is None
