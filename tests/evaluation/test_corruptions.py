"""Errors on corrupted images against formulas written out, and what a file of counts must hold."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.__main__ import main
from longtail.errors import LongtailError
from longtail.evaluation.corruptions import accuracy_by_severity, mean_error, normalized_error
from longtail.evaluation.reading import read_corruption_errors
from longtail.files import read_table
from longtail.study.catalog import load
from longtail.study.phases import canonical
from tests.corrupted import CORRUPTIONS

SCORER = load().scorers["corruptions"]
ALEXNET = SCORER["alexnet_errors"]


def test_alexnet_errors_are_those_of_the_fifteen_corruptions():
    assert list(ALEXNET) == CORRUPTIONS
    assert np.mean(list(ALEXNET.values())) == pytest.approx(0.788993, abs=5e-7)


def drawn(seed=0):
    draws = np.random.default_rng(seed)
    return {(c, s): float(draws.uniform()) for c in CORRUPTIONS for s in range(1, 6)}


def test_both_means_are_the_formulas():
    e = drawn()
    total, normalized = 0.0, 0.0
    for c in CORRUPTIONS:
        over, under = 0.0, 0.0
        for s in (1, 2, 3, 4, 5):
            total += e[c, s]
            over += e[c, s]
            under += ALEXNET[c]
        normalized += over / under
    assert mean_error(e, ALEXNET) == pytest.approx(total / 75, abs=1e-12)
    assert normalized_error(e, ALEXNET) == pytest.approx(normalized / 15, abs=1e-12)
    for s in (1, 2, 3, 4, 5):
        right = sum(1 - e[c, s] for c in CORRUPTIONS) / 15
        assert accuracy_by_severity(e, ALEXNET)[s] == pytest.approx(right, abs=1e-12)


def test_alexnet_itself_is_one():
    assert normalized_error({(c, s): ALEXNET[c] for c in CORRUPTIONS for s in range(1, 6)}, ALEXNET) == pytest.approx(1)


def test_the_means_that_rescom_prints_are_those_two():
    """A network as much better than AlexNet on every corruption has a quotient of the mean of AlexNet's errors."""
    for printed, normalized in ((71.4, 91.4), (71.1, 91.2), (69.4, 89.2)):
        alike = {(c, s): normalized / 100 * ALEXNET[c] for c in CORRUPTIONS for s in range(1, 6)}
        assert 100 * normalized_error(alike, ALEXNET) == pytest.approx(normalized)
        assert 100 * mean_error(alike, ALEXNET) == pytest.approx(printed, abs=1.1)


@pytest.mark.parametrize("function", [mean_error, normalized_error, accuracy_by_severity])
def test_what_is_missing_or_unknown_is_named(function):
    e = drawn()
    del e["fog", 3]
    with pytest.raises(LongtailError, match=r"each at every severity \(missing: fog 3\)"):
        function(e, ALEXNET)
    with pytest.raises(LongtailError, match=r"unknown: spatter"):
        function({**drawn(), ("spatter", 1): 0.5}, ALEXNET)
    with pytest.raises(LongtailError, match=r"missing: gaussian_noise 1, shot_noise 1"):
        function({}, ALEXNET)


CLASSES = 3


def counts(seed=1):
    draws = np.random.default_rng(seed)
    lines = []
    for corruption, severity, label in itertools.product(CORRUPTIONS, range(1, 6), range(CLASSES)):
        images = int(draws.integers(1, 9))
        right = int(draws.integers(0, images + 1))
        lines.append({"corruption": corruption, "severity": severity, "class": label, "images": images, "right": right})
    return lines


@pytest.fixture
def split(tmp_path):
    path = tmp_path / "test.parquet"
    columns = {"row": [0, 1, 2], "part": ["test"] * 3, "source_row": [0, 1, 2], "label": [0, 1, 2]}
    pq.write_table(pa.table(columns | {"class_size": [5, 3, 1], "shot": ["few"] * 3}), path)
    return path


def score(tmp_path, split, lines):
    pq.write_table(pa.Table.from_pylist(lines), tmp_path / "counts")
    options = ["--split", str(split), "--scorer", canonical(SCORER), "--out", str(tmp_path / "out.parquet")]
    return main(["job", "score", "--scored", str(tmp_path / "counts"), *options])


def test_counts_become_metrics(tmp_path, split):
    lines = counts()
    assert score(tmp_path, split, lines) == 0
    found = {(line["metric"], line["parameter"]): line for line in read_table(tmp_path / "out.parquet").to_pylist()}
    wrong = {}
    for c, s in itertools.product(CORRUPTIONS, range(1, 6)):
        here = [line for line in lines if (line["corruption"], line["severity"]) == (c, s)]
        wrong[c, s] = 1 - sum(line["right"] for line in here) / sum(line["images"] for line in here)
    mce = 100 * sum(wrong.values()) / 75
    nmce = 100 * sum(sum(wrong[c, s] for s in range(1, 6)) / 5 / ALEXNET[c] for c in CORRUPTIONS) / 15
    assert found["mean_corruption_error", None]["value"] == pytest.approx(mce)
    assert found["normalized_corruption_error", None]["value"] == pytest.approx(nmce)
    for s in range(1, 6):
        expected = 100 * sum(1 - wrong[c, s] for c in CORRUPTIONS) / 15
        assert found["corruption_accuracy", f"severity={s}"]["value"] == pytest.approx(expected)
    assert len(found) == 7
    metrics = load().metrics
    assert {name for name, _ in found} == {name for name, entry in metrics.items() if entry["scorer"] == "corruptions"}
    assert all(line["unit"] == metrics[name]["unit"] for (name, _), line in found.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"right": -1}, "'right' must count some of the 'images'"),
        ({"right": 100}, "'right' must count some of the 'images'"),
        ({"corruption": "spatter"}, "unknown: spatter"),
        ({"severity": 6}, "(missing: brightness 6, contrast 6"),
    ],
)
def test_counts_that_cannot_be_are_refused(tmp_path, split, capsys, change, message):
    lines = counts()
    lines[0] = {**lines[0], **change}
    assert score(tmp_path, split, lines) == 1
    assert message in capsys.readouterr().err


def test_a_condition_without_an_image_is_named(tmp_path, split, capsys):
    lines = counts()
    for line in lines[:CLASSES]:
        line.update(images=0, right=0)
    assert score(tmp_path, split, lines) == 1
    assert "has no image of gaussian_noise 1" in capsys.readouterr().err
    pq.write_table(pa.Table.from_pylist(lines).slice(0, 0), tmp_path / "none")
    with pytest.raises(LongtailError, match="must count some of the 'images'"):
        read_corruption_errors(tmp_path / "none")
