"""What is measured on predictions, against slow loops and the calibration error of dvlab-research/MiSLAS."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import longtail
from longtail.__main__ import main
from longtail.errors import LongtailError
from longtail.evaluation.reading import read_predictions
from longtail.evaluation.recognition import by_shots, expected_calibration_error, scores, strict_shots
from longtail.files import read_table, write_table

CATALOG = Path(longtail.__file__).parents[1] / "catalog"
SCORERS = yaml.safe_load((CATALOG / "readouts.yaml").read_text())["scorers"]
METRICS = yaml.safe_load((CATALOG / "metrics.yaml").read_text())
CLASSIFICATION = json.dumps({"name": "classification", **SCORERS["classification"]})


def sure(rows: int) -> np.ndarray:
    return np.ones(rows)


def test_predictions_are_taken_as_they_are() -> None:
    """A clustering that is shifted by one class would be perfect."""
    labels = np.repeat(np.arange(4), [4, 3, 2, 1])
    right, shifted = (scores(labels, (labels + shift) % 4, sure(10), 4, 15) for shift in (0, 1))
    assert right.accuracy == 100
    assert right.recall.tolist() == [100] * 4
    assert shifted.accuracy == 0
    assert shifted.recall.tolist() == [0] * 4
    one = scores(labels, np.zeros(10, dtype=int), sure(10), 4, 15)
    assert (one.accuracy, one.calibration_error) == (pytest.approx(40), pytest.approx(60))
    assert one.recall.tolist() == [100, 0, 0, 0]


def test_a_class_without_rows_has_no_recall_and_one_beyond_the_classes_is_an_error() -> None:
    labels = np.array([0, 0, 2])
    assert np.isnan(scores(labels, labels, sure(3), 4, 15).recall).tolist() == [False, True, False, True]
    beyond = np.array([0, 0, 4])
    for true, predictions in ((labels, beyond), (beyond, labels)):
        with pytest.raises(LongtailError, match="4, but there are 4 classes"):
            scores(true, predictions, sure(3), 4, 15)


pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


@given(pairs=pairs)
def test_accuracy_and_recall_are_what_counting_gives(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = map(np.array, zip(*pairs, strict=True))
    found = scores(labels, predictions, sure(len(pairs)), 5, 15)
    assert found.accuracy == pytest.approx(100 * sum(a == b for a, b in pairs) / len(pairs))
    for k in range(5):
        of_class = [b == k for a, b in pairs if a == k]
        expected = 100 * sum(of_class) / len(of_class) if of_class else math.nan
        assert found.recall[k] == pytest.approx(expected, nan_ok=True)
    # As recall is by the true class, it is the accuracy in the mean over the rows.
    assert found.accuracy == pytest.approx(np.nanmean(found.recall[labels]))


def slow_calibration_error(right: list[bool], confidences: list[Fraction], bins: int) -> float:
    """ECE by going through the bins (lo, hi] in exact arithmetic."""
    total = Fraction(0)
    for b in range(bins):
        lo, hi = Fraction(b, bins), Fraction(b + 1, bins)
        inside = [(r, c) for r, c in zip(right, confidences, strict=True) if lo < c <= hi]
        if inside:
            accuracy = Fraction(sum(r for r, _ in inside), len(inside))
            confidence = sum(c for _, c in inside) / len(inside)
            total += Fraction(len(inside), len(right)) * abs(accuracy - confidence)
    return float(total)


def test_the_calibration_error_of_mislas() -> None:
    confidences = np.array([0.05, 0.2, 0.3333, 0.5, 0.62, 0.8, 0.95, 1])
    right = np.array([0, 0, 1, 0, 1, 1, 1, 1], dtype=bool)
    assert expected_calibration_error(right, confidences, 15) == pytest.approx(0.255838, abs=1e-6)


# A prime number of steps, so that no confidence but 1 lies on the edge of a bin
@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(1, 997)), min_size=1, max_size=50),
    bins=st.sampled_from([1, 10, 15]),
)
def test_the_calibration_error_is_what_bins_give(rows: list[tuple[bool, int]], bins: int) -> None:
    right, confidences = [r for r, _ in rows], [Fraction(c, 997) for _, c in rows]
    found = expected_calibration_error(np.array(right), np.array([float(c) for c in confidences]), bins)
    assert found == pytest.approx(slow_calibration_error(right, confidences, bins), abs=1e-12)


def test_the_edge_of_a_bin_belongs_to_the_lower_one() -> None:
    for bins in (10, 15):
        for edge in range(1, bins):
            # half a bin below, at, and half a bin above the edge: wrong, right and wrong
            confidences = np.array([edge - 0.5, edge, edge + 0.5]) / bins
            right = np.array([False, True, False])
            expected = slow_calibration_error(
                right.tolist(), [Fraction(2 * edge + shift, 2 * bins) for shift in (-1, 0, 1)], bins
            )
            assert expected_calibration_error(right, confidences, bins) == pytest.approx(expected, abs=1e-12)


def test_strict_groups_are_by_images() -> None:
    assert (
        strict_shots(np.array([500, 101, 100, 20, 19, 1])).tolist()
        == ["many"] + ["many"] + ["medium"] * 2 + ["few"] * 2
    )
    assert set(strict_shots(np.array([90, 50]))) == {"medium"}


def test_a_group_without_classes_has_no_value() -> None:
    recall, shots = np.array([90.0, 70.0, 20.0]), np.array(["many", "many", "few"])
    assert by_shots(recall, shots) == {"many": 80, "few": 20, "head": 80, "tail": 20}
    # nor has one whose classes have no rows; a class without rows counts for nothing
    assert by_shots(np.array([90, np.nan, np.nan]), shots) == {"many": 90, "head": 90}


@given(
    groups=st.lists(
        st.tuples(st.sampled_from(["many", "medium", "few"]), st.floats(0, 100) | st.just(math.nan)),
        min_size=1,
        max_size=12,
    )
)
def test_groups_are_means_over_their_classes(groups: list[tuple[str, float]]) -> None:
    shots, recall = (np.array(values) for values in zip(*groups, strict=True))
    found = by_shots(recall, shots)
    parts = {"many": ["many"], "medium": ["medium"], "few": ["few"], "head": ["many"], "tail": ["medium", "few"]}
    for name, members in parts.items():
        values = [value for group, value in groups if group in members and not math.isnan(value)]
        assert (name in found) == bool(values)
        if values:
            assert found[name] == pytest.approx(sum(values) / len(values))


# --- the command ----------------------------------------------------------------------------------------------------

SIZES = np.array([200, 90, 30, 10, 5])
INDEX = np.array(["many", "many", "medium", "few", "few"])


@pytest.fixture
def test_split(tmp_path: Path) -> Path:
    """Two images of each class, and what the training split knows of it."""
    labels = np.repeat(np.arange(5), 2)
    table = {"row": np.arange(10), "label": labels, "shot": INDEX[labels], "class_size": SIZES[labels]}
    write_table(tmp_path / "test.parquet", pa.table(table))
    return tmp_path / "test.parquet"


def predicted(folder: Path, predictions: list[int], confidence: float = 0.5) -> Path:
    table = {"row": range(len(predictions)), "prediction": predictions, "confidence": [confidence] * len(predictions)}
    write_table(folder / "predictions.parquet", pa.table(table))
    return folder / "predictions.parquet"


def score(split: Path, scored: Path, scorer: str = CLASSIFICATION) -> int:
    paths = ["--split", split, "--scored", scored, "--out", split.with_name("metrics.parquet")]
    return main(["job", "score", "--scorer", scorer, *map(str, paths)])


def metrics(split: Path, scored: Path) -> pd.DataFrame:
    assert score(split, scored) == 0
    return read_table(split.with_name("metrics.parquet")).to_pandas()


def test_predictions_come_in_the_order_of_the_rows(tmp_path: Path) -> None:
    table = {"row": [2, 0, 1], "prediction": [5, 3, 4], "confidence": [0.5, 0.3, 0.4]}
    write_table(tmp_path / "p.parquet", pa.table(table))
    predictions, confidences = read_predictions(tmp_path / "p.parquet", 3)
    assert predictions.tolist() == [3, 4, 5]
    assert confidences.tolist() == [0.3, 0.4, 0.5]


def test_both_definitions_of_shots_are_measured(test_split: Path, tmp_path: Path) -> None:
    frame = metrics(test_split, predicted(tmp_path, [0, 0, 1, 0, 2, 2, 3, 0, 0, 0]))
    whole = frame[frame["class"].isna()].set_index("metric")["value"]
    assert whole.to_dict() == pytest.approx(
        {
            "accuracy": 60,
            "calibration_error": 10,
            "many (strict)": 100,
            "medium (strict)": 75,
            "few (strict)": 25,
            "head (strict)": 100,
            "tail (strict)": 50,
            "many (index)": 75,
            "medium (index)": 100,
            "few (index)": 25,
            "head (index)": 75,
            "tail (index)": 50,
        }
    )
    recall = frame[frame["metric"] == "recall"]
    assert recall.set_index("class")["value"].to_dict() == {0: 100, 1: 50, 2: 100, 3: 50, 4: 0}
    sizes = frame[frame["metric"] == "training_size"].set_index("class")["value"]
    assert sizes.to_dict() == dict(enumerate(SIZES))
    assert set(frame["trial"]) == {0}
    for metric, unit in frame[["metric", "unit"]].drop_duplicates().itertuples(index=False):
        name, _, definition = metric.partition(" (")
        of = METRICS[name] if name != "recall" else METRICS["recall"] | {"scorer": "classification"}
        assert (of["scorer"], of["unit"], bool(definition)) == ("classification", unit, of.get("of_shots", False))


def test_a_group_without_classes_has_no_line(tmp_path: Path) -> None:
    labels = np.arange(3)
    table = {"row": labels, "label": labels, "shot": ["many", "medium", "few"], "class_size": [90, 60, 30]}
    write_table(tmp_path / "test.parquet", pa.table(table))
    frame = metrics(tmp_path / "test.parquet", predicted(tmp_path, [0, 1, 1]))
    groups = set(frame.loc[frame["metric"].str.contains("(", regex=False), "metric"])
    of_index = {f"{group} (index)" for group in ("many", "medium", "few", "head", "tail")}
    assert groups == {"medium (strict)", "tail (strict)", *of_index}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"row": range(9), "prediction": [0] * 9, "confidence": [1.0] * 9}, "predicts 9 rows, the split has 10"),
        ({"row": range(10), "prediction": [0] * 10}, "no column 'confidence'"),
        ({"row": range(10), "prediction": [0.0] * 10, "confidence": [1.0] * 10}, "'prediction' must hold an integer"),
        ({"row": range(10), "prediction": [5] * 10, "confidence": [1.0] * 10}, "5, but there are 5 classes"),
        ({"row": range(10), "prediction": [-1] * 10, "confidence": [1.0] * 10}, "-1"),
        ({"row": range(10), "prediction": [0] * 10, "confidence": [math.nan] * 10}, "'confidence'"),
        ({"row": range(10), "prediction": [0] * 10, "confidence": [None] * 10}, "'confidence'"),
    ],
)
def test_bad_predictions_are_named(
    test_split: Path, tmp_path: Path, table: dict, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(tmp_path / "predictions.parquet", pa.table(table))
    assert score(test_split, tmp_path / "predictions.parquet") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "metrics.parquet").exists()


def test_a_scorer_refuses_what_it_does_not_read(
    test_split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = predicted(tmp_path, [0] * 10)
    clustering = json.dumps({"name": "clustering", **SCORERS["clustering"]})
    assert score(test_split, predictions, clustering) == 1
    assert "no column 'trial'" in capsys.readouterr().err
    write_table(tmp_path / "assignments.parquet", pa.table({"trial": [0] * 10, "row": range(10), "cluster": [0] * 10}))
    assert score(test_split, tmp_path / "assignments.parquet") == 1
    assert "no column 'prediction'" in capsys.readouterr().err
    for reads, name in (("assignments", "classification"), ("predictions", "clustering"), ("assignments", "geometry")):
        assert score(test_split, predictions, json.dumps({"name": name, "reads": reads})) == 1
        assert f"There is no scorer of {reads} {name!r}" in capsys.readouterr().err
    assert score(test_split, predictions, json.dumps({"name": "clustering", "reads": "cluster"})) == 1
    assert "There is no kind of file (scorer 'clustering', reads) 'cluster'" in capsys.readouterr().err
    assert not (tmp_path / "metrics.parquet").exists()
