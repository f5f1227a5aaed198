from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from longtail.errors import LongtailError
from longtail.evaluation.reading import (
    call,
    read_assignments,
    read_class_sizes,
    read_embeddings,
    read_settings,
    read_split,
    read_weights,
    unit_rows,
)
from longtail.files import write_table


def test_rows_come_in_order(tmp_path: Path) -> None:
    table = pa.table(
        {"row": [2, 0, 1], "label": [1, 0, 0], "embedding": pa.array([[3.0], [1.0], [2.0]], pa.list_(pa.float32(), 1))}
    )
    write_table(tmp_path / "e.parquet", table)
    vectors, labels = read_embeddings(tmp_path / "e.parquet")
    np.testing.assert_array_equal(vectors[:, 0], [1, 2, 3])
    np.testing.assert_array_equal(labels, [0, 0, 1])
    assert vectors.dtype == np.float32


def test_split_knows_the_shot_of_each_class(split: Path, labels: np.ndarray) -> None:
    found = read_split(split)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.shots.tolist() == ["many", "medium", "medium", "few"]


def test_a_split_knows_the_training_images_of_each_class(tmp_path: Path, split: Path) -> None:
    assert read_class_sizes(split).tolist() == [40, 25, 12, 6]
    write_table(tmp_path / "s.parquet", pa.table({"label": [2, 0, 2], "class_size": [7, 9, 7]}))
    assert read_class_sizes(tmp_path / "s.parquet").tolist() == [9, 0, 7]
    write_table(tmp_path / "s.parquet", pa.table({"label": [2, 0, 2], "class_size": [7, 9, 8]}))
    with pytest.raises(LongtailError, match="more than one size"):
        read_class_sizes(tmp_path / "s.parquet")


def test_weights_come_in_the_order_of_the_classes(tmp_path: Path) -> None:
    table = pa.table({"class": [1, 0], "weight": pa.array([[3.0, 4.0], [1.0, 2.0]], pa.list_(pa.float32()))})
    write_table(tmp_path / "w.parquet", table)
    weights = read_weights(tmp_path / "w.parquet")
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, [[1, 2], [3, 4]])
    write_table(tmp_path / "w.parquet", table.slice(0, 0))
    with pytest.raises(LongtailError, match="holds no classifier"):
        read_weights(tmp_path / "w.parquet")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_must_be_finite(
    write_embeddings: Callable[..., Path], vectors: np.ndarray, labels: np.ndarray, value: float
) -> None:
    vectors[7, 2] = value
    with pytest.raises(LongtailError, match=r"1 of 83 rows .* row 7\."):
        read_embeddings(write_embeddings(vectors, labels))


def test_embeddings_of_another_split_are_refused(
    write_embeddings: Callable[..., Path], vectors: np.ndarray, labels: np.ndarray, split: Path
) -> None:
    with pytest.raises(LongtailError, match="82 rows that are not the 83 rows"):
        read_embeddings(write_embeddings(vectors[1:], labels[1:]), split=read_split(split))
    with pytest.raises(LongtailError, match="not in its order"):
        read_embeddings(write_embeddings(vectors, labels[::-1]), split=read_split(split))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"row": [0, 1], "label": [0, 1]}, "no column 'embedding'"),
        ({"row": [0, 2], "label": [0, 1], "embedding": [[1.0], [1.0]]}, "count the rows"),
        ({"row": [0, 0], "label": [0, 1], "embedding": [[1.0], [1.0]]}, "count the rows"),
        ({"row": [0, 1], "label": [0, None], "embedding": [[1.0], [1.0]]}, "'label'"),
        ({"row": [0, 1], "label": [0.0, 1.0], "embedding": [[1.0], [1.0]]}, "'label'"),
        ({"row": [0, 1], "label": [0, 1], "embedding": [[1.0], [1.0, 2.0]]}, "fixed-size list"),
    ],
)
def test_bad_embeddings_are_named(tmp_path: Path, table: dict, message: str) -> None:
    write_table(tmp_path / "e.parquet", pa.table(table))
    with pytest.raises(LongtailError, match=message):
        read_embeddings(tmp_path / "e.parquet")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"row": [0, 1], "label": [0, 1]}, "no column 'shot'"),
        ({"row": [0, 1], "label": [0, -1], "shot": ["many", "few"]}, "negative"),
        ({"row": [0, 1], "label": [0, 0], "shot": ["many", "few"]}, "more than one"),
    ],
)
def test_bad_splits_are_named(tmp_path: Path, table: dict, message: str) -> None:
    write_table(tmp_path / "s.parquet", pa.table(table))
    with pytest.raises(LongtailError, match=message):
        read_split(tmp_path / "s.parquet")


def test_assignments_come_per_trial_and_in_order(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", pa.table({"trial": [1, 0, 1, 0], "row": [1, 1, 0, 0], "cluster": [5, 6, 7, 8]}))
    found = read_assignments(tmp_path / "a.parquet", 2)
    assert {trial: clusters.tolist() for trial, clusters in found.items()} == {0: [8, 6], 1: [7, 5]}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"trial": [0, 0], "row": [0, 1]}, "no column 'cluster'"),
        ({"trial": [0, 0], "row": [0, 1], "cluster": [0, -1]}, "negative"),
        ({"trial": [0, 0, 0], "row": [0, 1, 2], "cluster": [0, 0, 0]}, "trial 0 assigns 3 rows"),
        ({"trial": [0, 0, 1], "row": [0, 1, 0], "cluster": [0, 0, 0]}, "trial 1 assigns 1 rows"),
        ({"trial": [0, 0], "row": [1, 1], "cluster": [0, 0]}, "each once"),
    ],
)
def test_bad_assignments_are_named(tmp_path: Path, table: dict, message: str) -> None:
    write_table(tmp_path / "a.parquet", pa.table(table))
    with pytest.raises(LongtailError, match=message):
        read_assignments(tmp_path / "a.parquet", 2)


def test_unit_rows_leave_zero_rows_alone() -> None:
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]])
    assert rows.dtype == np.float32


@pytest.mark.parametrize("text", ["kmeans", "[]", "{}", '{"name": 3}'])
def test_bad_settings_are_named(text: str) -> None:
    with pytest.raises(LongtailError, match="clusterer"):
        read_settings(text, "clusterer")


def test_settings_are_called_by_name() -> None:
    def scale(value: float, *, factor: float) -> float:
        return value * factor

    assert call("scaler", scale, {"factor": 3}, 2) == 6
    with pytest.raises(LongtailError, match="Did you mean 'factor'"):
        call("scaler", scale, {"factr": 3}, 2)
    with pytest.raises(LongtailError, match="lacks the setting 'factor'"):
        call("scaler", scale, {}, 2)
