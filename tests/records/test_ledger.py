"""Which records a table may use: those of what the catalogue trains and measures now, wherever the images came from."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from longtail.records.ledger import Ledger, Match, groups, merged
from longtail.records.record import Record, read_all
from longtail.study.study import Study

from .makers import SHIPPED, record, study


@pytest.fixture(scope="module")
def asking() -> Study:
    return study()


def matched(
    asking: Study, *records: Record, method: str = "ce", cut: str = "digits-lt-ir10", seed: int = 0
) -> list[Match]:
    (measurement,) = asking.cell_measurements(method, cut, seed)
    named = [dataclasses.replace(one, path=f"record{number}") for number, one in enumerate(records)]
    return Ledger(named, asking).matches(measurement)


def changed(spec: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """A specification with other settings in its last stretch."""
    *before, last = spec["lineage"]
    return {**spec, "lineage": [*before, {**last, "settings": {**last["settings"], **settings}}]}


def test_a_record_of_what_is_asked_for_is_current(asking):
    (match,) = matched(asking, record(asking, "ce", "digits-lt-ir10"))
    assert match.current


@pytest.mark.parametrize(("cut", "seed"), [("digits-lt-ir20", 0), ("digits-lt-ir10", 1)])
def test_a_record_of_another_cell_is_none_of_this(asking, cut, seed):
    assert matched(asking, record(asking, "ce", cut, seed)) == []
    assert matched(asking, record(asking, "balanced-softmax", "digits-lt-ir10")) == []


def test_images_from_elsewhere_are_the_same_training(asking):
    plain = record(asking, "ce", "digits-lt-ir10")
    other = record(asking, "ce", "digits-lt-ir10", source="Parquet, exact pixels")
    assert other.spec["identity"] != plain.spec["identity"]
    (match,) = matched(asking, other)
    assert match.current


def test_a_study_of_images_from_elsewhere_finds_it_too(asking):
    elsewhere = study(data={"digits": {"kind": "parquet", "name": "mine"}})
    (match,) = matched(elsewhere, record(asking, "ce", "digits-lt-ir10"))
    assert match.current


def test_what_is_trained_otherwise_now_is_outdated(asking):
    old = record(asking, "ce", "digits-lt-ir10")
    other = record(asking, "ce", "digits-lt-ir10", spec=changed(dict(old.spec), learning_rate=0.123))
    (match,) = matched(asking, other)
    assert not match.current
    assert groups([match]) == {}


def test_what_is_measured_otherwise_now_is_outdated(asking):
    one = record(asking, "simclr", "digits-ir10")
    (measured,) = one.measured
    old = dataclasses.replace(measured, settings=measured.settings.replace('"inits":10', '"inits":1'))
    assert old != measured
    (match,) = matched(asking, dataclasses.replace(one, measured=(old,)), method="simclr", cut="digits-ir10")
    assert not match.current


def test_what_was_never_a_cell_of_the_catalogue_is_no_match(asking):
    one = record(asking, "ce", "digits-lt-ir10")
    stranger = record(asking, "ce", "digits-lt-ir10", spec=changed(dict(one.spec), learning_rate=0.123), methods=())
    assert matched(asking, stranger) == []


def test_a_smaller_budget_is_not_the_papers_own(asking):
    smoke = record(study(budget={"epochs": 0.1}), "ce", "digits-lt-ir10")
    (match,) = matched(asking, smoke)
    assert not match.current


def test_the_same_cell_twice_shows_both(asking):
    twice = [record(asking, "ce", "digits-lt-ir10", created=f"2026-01-0{day}T00:00:00+00:00") for day in (1, 2)]
    found = groups(matched(asking, *twice))
    assert [group.copy for group in found] == [0, 1]
    assert [len(matches) for matches in found.values()] == [1, 1]


def test_machines_and_sources_are_kept_apart(asking):
    records = [
        record(asking, "ce", "digits-lt-ir10"),
        record(asking, "ce", "digits-lt-ir10", device="H200"),
        record(asking, "ce", "digits-lt-ir10", source="mine", label="Digits images: mine"),
    ]
    found = groups(matched(asking, *records))
    assert [str(group) for group in found] == [
        "H200 in float32",
        "some CPU in float32",
        "some CPU in float32; Digits images: mine",
    ]


def test_values_are_merged_with_the_keys_of_their_cells(asking):
    values = {"accuracy": [91.0], "calibration_error": [3.0]}
    matches = matched(asking, record(asking, "ce", "digits-lt-ir10", values=values))
    lines = merged(matches)
    assert dict(zip(lines["metric"], lines["value"], strict=True)) == {"accuracy": 91.0, "calibration_error": 3.0}
    assert set(lines["method"]) == {"ce"}
    assert set(lines["seed"]) == {0}
    assert merged([]).empty


def test_controls_have_no_records(asking):
    (measurement,) = asking.cell_measurements("pixels", "digits-ir10", 0)
    assert Ledger([record(asking, "ce", "digits-lt-ir10")], asking).matches(measurement) == []


def test_every_shipped_record_is_of_a_cell_of_the_catalogue():
    """As it has that cell now or, where it trains or measures it otherwise by now, as one that is outdated."""
    records = read_all(str(SHIPPED))
    assert records
    whole = study()
    ledger = Ledger(records, whole)
    found = {
        match.record.path
        for target in whole.catalog.papers
        for paper, _, name in whole.artefacts(target)
        for match in ledger.of(paper, name)
    }
    assert found == {one.path for one in records}
