"""Lists of what there is, on the real catalogue."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.__main__ import main
from longtail.reporting.estimate import Estimate
from longtail.reporting.finished import Finished
from longtail.reporting.forecast import cost
from longtail.reporting.inventory import KINDS, Inventory, as_text, matching
from longtail.study.catalog import CATALOG
from longtail.study.counting import works
from longtail.study.jobs import Jobs
from longtail.study.study import load_study


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    study = load_study({"targets": ["digits"]})
    return Inventory(study, Estimate(study, Finished()))


def test_every_entry_of_the_catalogue_is_listed_once(inventory: Inventory) -> None:
    catalog = inventory.catalog
    assert [line["method"] for line in inventory.methods()] == [*catalog.methods]
    assert [line["dataset"] for line in inventory.datasets()] == [*catalog.datasets]
    tables = [f"{paper}_{name}" for paper, spec in catalog.papers.items() for name in spec.get("tables", {})]
    assert [line["target"] for line in inventory.tables()] == tables
    targets = [line["target"] for line in inventory.targets()]
    assert len(targets) == len({*targets}) > len(tables)
    for target in targets:
        assert inventory.study.artefacts(str(target))  # Snakemake takes it, too


@pytest.mark.parametrize("target", ["conmix_table2", "iccl_table7", "rescom_figure6", "miniclustering"])
def test_a_target_costs_what_its_plan_says(inventory: Inventory, target: str) -> None:
    study = load_study({"targets": [target]})
    planned = cost(works(Jobs(study), exists=lambda path: False)[-1], Estimate(study, Finished()))
    (line,) = [line for line in inventory.targets() if line["target"] == target]
    assert line["trainings"] == len(planned.work.trainings) > 0
    assert line["GPU-hours"] == pytest.approx(planned.whole["GPU"].known, abs=0.005)
    assert planned.whole["GPU"].unknown == 0


def test_hours_of_an_unknown_pace_are_not_nothing(inventory: Inventory) -> None:
    (line,) = [line for line in inventory.targets() if line["target"] == "digits"]
    assert line["CPU-hours"] is None
    assert "?" in as_text([line], None)


def test_printed_numbers_are_those_of_the_paper(inventory: Inventory) -> None:
    (line,) = [line for line in inventory.tables() if line["target"] == "conmix_table4"]
    with (CATALOG / "papers/conmix/table4.csv").open() as file:
        printed = sum(bool(row["value"]) for row in csv.DictReader(file))
    assert line["printed"] == printed


@pytest.mark.parametrize("kind", KINDS)
def test_all_formats_hold_the_same(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for form in ("json", "csv", "text"):
        assert main(["list", kind, "ConMix", "--format", form]) == 0
        said[form] = capsys.readouterr().out
    lines = json.loads(said["json"])
    rows = list(csv.DictReader(io.StringIO(said["csv"])))
    assert lines
    shown = [{column: "" if value is None else str(value) for column, value in line.items()} for line in lines]
    assert rows == shown
    assert len(said["text"].splitlines()) == len(lines) + 2


def test_what_nothing_fits_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "methods", "no such method"]) == 1
    assert "None of the" in capsys.readouterr().err


def test_words_are_looked_for_in_all_texts_and_together() -> None:
    items = [{"name": "ride", "title": "RIDE (3 experts)"}, {"name": "ce", "title": "Cross-entropy"}]
    assert matching(items, ["EXPERTS", "ride"]) == items[:1]
    assert matching(items, ["ride", "entropy"]) == []
    assert matching(items, []) == items


@given(
    titles=st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=200), min_size=1),
    width=st.integers(60, 200),
)
def test_no_line_is_wider_than_the_terminal(titles: list[str], width: int) -> None:
    text = as_text([{"name": "a", "title": title, "trainings": 3, "hours": 1.25} for title in titles], width)
    assert max(map(len, text.splitlines())) <= width
    assert len(text.splitlines()) == len(titles) + 2
