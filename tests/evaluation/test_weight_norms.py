"""Lengths of a classifier's weights against loops, and the places of classes by size."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from longtail.__main__ import main
from longtail.embedding.embeddings import write_weights
from longtail.errors import LongtailError
from longtail.evaluation.weight_norms import weight_norms
from longtail.files import read_table, write_table

SCORER = '{"name": "weight_norms", "reads": "weights"}'


@given(
    weights=arrays(np.float32, (6, 3), elements=st.floats(-100, 100, width=32)),
    sizes=arrays(np.int64, 6, elements=st.integers(1, 4)),
)
def test_norms_and_places_are_what_loops_find(weights: np.ndarray, sizes: np.ndarray) -> None:
    norms, places = weight_norms(weights, sizes)
    for k in range(6):
        assert norms[k] == pytest.approx(math.sqrt(sum(float(value) ** 2 for value in weights[k])))
        before = [j for j in range(6) if sizes[j] > sizes[k] or (sizes[j] == sizes[k] and j < k)]
        assert places[k] == 1 + len(before)


@pytest.mark.parametrize("sizes", [[5, 3], [5, 3, 0], [5, 3, 2, 1]])
def test_a_class_without_a_size_has_no_place(sizes: list[int]) -> None:
    with pytest.raises(LongtailError, match="weights of 3"):
        weight_norms(np.ones((3, 2)), np.array(sizes))


def score(folder: Path, weights: np.ndarray | None) -> int:
    sizes = np.array([20, 90, 40])
    labels = np.array([0, 1, 1, 2])
    columns = {"row": range(4), "label": labels, "class_size": sizes[labels], "shot": ["many", "few", "few", "many"]}
    write_table(folder / "test.parquet", pa.table(columns))
    write_weights(folder / "weights.parquet", weights, None, identity="abc")
    files = ["--split", str(folder / "test.parquet"), "--scored", str(folder / "weights.parquet")]
    return main(["job", "score", *files, "--scorer", SCORER, "--out", str(folder / "out.parquet")])


def test_the_command_says_of_each_class_how_long_its_weights_are_and_its_place(tmp_path: Path) -> None:
    assert score(tmp_path, np.array([[3, 4], [0, 2], [6, 8]])) == 0
    lines = read_table(tmp_path / "out.parquet").to_pylist()
    assert [(line["class"], line["parameter"], line["value"], line["unit"]) for line in lines] == [
        (0, "rank=3", 5, "length"),
        (1, "rank=1", 2, "length"),
        (2, "rank=2", 10, "length"),
    ]


def test_features_without_a_classifier_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(tmp_path, None) == 1
    assert "holds no classifier" in capsys.readouterr().err
