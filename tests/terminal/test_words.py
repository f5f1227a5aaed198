from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_logger_plugin_longtail.jobs import job_of
from snakemake_logger_plugin_longtail.words import clock, duration, several

from .events import HASH, START, started


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (3.44, "3.4 s"), (59.4, "59 s"), (59.6, "1 min"), (3569, "59 min"), (3600, "1.0 h"), (90000, "25 h"),
     (200000, "2.3 days")],
)  # fmt: skip
def test_durations(seconds, words):
    assert duration(seconds) == words


@given(st.floats(-1e3, 1e12))
def test_any_duration_is_short(seconds):
    assert len(duration(seconds)) <= 14


def test_a_time_of_another_day_has_its_date():
    assert len(clock(START + 1, START)) == 5
    assert len(clock(START + 86400, START)) == 12


def test_names_are_told_until_they_are_many():
    assert several(["b", "", "a", "b"], "methods") == "b, a"
    assert several("abcd", "methods") == "4 methods"


@pytest.mark.parametrize(
    ("rule", "wildcards", "words"),
    [
        ("train", {"cut": "digits-lt-ir20", "phase": f"ride-reweighted-40-{HASH}", "seed": "2"},
         "train ride-reweighted to epoch 40, digits-lt ratio 20, seed 2"),
        ("score", {"kind": "controls", "cut": "digits-ir10", "run": "pixels", "seed": "0", "features": "pixels",
                   "split": "train", "readout": "kmeans", "scorer": "clustering"},
         "score pixels, digits ratio 10, seed 0, pixels train kmeans clustering"),
        ("store", {"image_set": "digits", "part": "train"}, "store digits, train"),
        ("table", {"paper": "conmix", "table": "table2"}, "table conmix table2"),
        ("plan", {}, "plan"),
        ("theirs", {"sample": "A"}, "theirs A"),
    ],
)  # fmt: skip
def test_a_job_in_words(rule, wildcards, words):
    assert job_of(started(1, rule, wildcards=wildcards)).words == words
