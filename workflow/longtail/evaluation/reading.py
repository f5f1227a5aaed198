"""What the jobs of this room read: embeddings, splits, assignments, and the settings they are told."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from longtail.errors import LongtailError, unknown
from longtail.files import read_json, read_table


@dataclass(frozen=True)
class Split:
    """The true classes of a split.

    Attributes:
        labels: class of each row, (N,) int64.
        shots: ``many``, ``medium`` or ``few`` per class, (K,).
    """

    labels: np.ndarray
    shots: np.ndarray


def read_split(path: str | os.PathLike[str]) -> Split:
    """Read a split.

    Raises:
        LongtailError: if columns or rows are missing, labels are negative, or a class stands in two shot groups.
    """
    table = read_table(path, ["row", "label", "shot"])
    order = _order(table, path)
    labels = _integers(table, "label", path)[order]
    if (labels < 0).any():
        raise LongtailError(f"{path} has negative labels; classes are numbered from 0.")
    shots_N = np.array(table["shot"].to_pylist())[order]
    shots = np.full(labels.max() + 1, "", dtype=shots_N.dtype)
    shots[labels] = shots_N
    if (shots[labels] != shots_N).any():
        raise LongtailError(f"{path} puts a class into more than one of its many, medium and few shots.")
    return Split(labels, shots)


def read_class_sizes(path: str | os.PathLike[str]) -> np.ndarray:
    """Training images of each class that a split has a row of, (K,) int64; 0 for classes without one.

    Raises:
        LongtailError: if columns are missing, or a class has two sizes.
    """
    table = read_table(path, ["label", "class_size"])
    labels, of_row = _integers(table, "label", path), _integers(table, "class_size", path)
    sizes = np.zeros(labels.max() + 1, dtype=np.int64)
    sizes[labels] = of_row
    if (sizes[labels] != of_row).any():
        raise LongtailError(f"{path} gives a class more than one size. Delete it and run the workflow again.")
    return sizes


def read_weights(path: str | os.PathLike[str]) -> np.ndarray:
    """The weights of a linear classifier, (K, d) float32.

    Raises:
        LongtailError: if there is none behind the features.
    """
    table = read_table(path, ["class", "weight"])
    if not len(table):
        raise LongtailError(f"{path} holds no classifier: behind the features there is none that is linear.")
    return np.stack(table.sort_by("class")["weight"].to_numpy()).astype(np.float32)


def read_predictions(path: str | os.PathLike[str], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Predicted class of each row, (N,) int64, and its probability, (N,) float64.

    Raises:
        LongtailError: if columns are missing, not each of the ``rows`` has one, a class is negative, or a probability
            is none.
    """
    table = read_table(path, ["row", "prediction", "confidence"])
    order = _order(table, path)
    if len(order) != rows:
        raise LongtailError(f"{path} predicts {len(order)} rows, the split has {rows}. Classify this split again.")
    predictions = _integers(table, "prediction", path)[order]
    if (predictions < 0).any():
        raise LongtailError(f"{path} predicts the class {predictions.min()}; classes are numbered from 0.")
    confidences = np.asarray(table["confidence"].to_numpy(), dtype=np.float64)[order]
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise LongtailError(f"{path}: 'confidence' must hold a probability, from 0 to 1, in each row.")
    return predictions, confidences


def read_seconds(path: str | os.PathLike[str]) -> np.ndarray:
    """Seconds of each epoch of a training, (E,) float64.

    Raises:
        LongtailError: if there is no epoch, or one that took no time.
    """
    seconds = np.asarray(read_table(path, ["seconds"])["seconds"].to_numpy(), dtype=np.float64)
    if not len(seconds) or not (seconds > 0).all():
        raise LongtailError(f"{path}: 'seconds' must hold how long each epoch took. Delete the file and train again.")
    return seconds


def read_corruption_errors(path: str | os.PathLike[str]) -> dict[tuple[str, int], float]:
    """Share of wrongly classified images of each corruption and severity, in [0, 1].

    Raises:
        LongtailError: if columns are missing, or there are no images, or more right ones than images.
    """
    table = read_table(path, ["corruption", "severity", "class", "images", "right"])
    severity, images, right = (_integers(table, name, path) for name in ("severity", "images", "right"))
    if not len(images) or (right < 0).any() or (right > images).any():
        raise LongtailError(f"{path}: 'right' must count some of the 'images' in each row. Delete it and test again.")
    counts: dict[tuple[str, int], list[int]] = {}
    for corruption, *numbers in zip(table["corruption"].to_pylist(), severity, images, right, strict=True):
        found = counts.setdefault((corruption, int(numbers[0])), [0, 0])
        found[0] += int(numbers[1])
        found[1] += int(numbers[2])
    empty = [f"{corruption} {step}" for (corruption, step), (there, _) in counts.items() if not there]
    if empty:
        raise LongtailError(f"{path} has no image of {', '.join(empty)}. Delete it and test again.")
    return {condition: 1 - right / there for condition, (there, right) in counts.items()}


def read_embeddings(
    path: str | os.PathLike[str], column: str = "embedding", split: Split | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read the vectors of all rows, in the order of the rows.

    Args:
        path: the file of an embedding job.
        column: ``embedding`` or ``logits``.
        split: the split that was embedded, if it shall be checked to be the same.

    Returns:
        Vectors (N, D) float32 and labels (N,) int64.

    Raises:
        LongtailError: if columns, rows or values are missing, a value is not finite, or the labels are not the split's.
    """
    table = read_table(path, ["row", "label", column])
    order = _order(table, path)
    labels = _integers(table, "label", path)[order]
    vectors = table[column].combine_chunks()
    if not pa.types.is_fixed_size_list(vectors.type) or vectors.null_count:
        raise LongtailError(f"{path}: {column!r} must hold one fixed-size list per row, it is {vectors.type}.")
    values = vectors.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    matrix = values.reshape(len(vectors), vectors.type.list_size)[order]
    bad = ~np.isfinite(matrix).all(axis=1)
    if bad.any():
        raise LongtailError(
            f"{path}: {bad.sum()} of {len(bad)} rows of {column!r} hold NaN or infinite values, the first is row "
            f"{bad.argmax()}. The training that they come from has diverged."
        )
    if split is not None and not np.array_equal(labels, split.labels):
        raise LongtailError(
            f"{path} holds {len(labels)} rows that are not the {len(split.labels)} rows of the split, or not in its "
            "order; embed this split again."
        )
    return matrix, labels


def read_assignments(path: str | os.PathLike[str], rows: int) -> dict[int, np.ndarray]:
    """Read the cluster of each row, (N,) int64, per trial.

    Raises:
        LongtailError: if columns are missing, a trial does not assign each of the ``rows`` once, or a cluster is
            negative.
    """
    table = read_table(path, ["trial", "row", "cluster"])
    trial, row, cluster = (_integers(table, name, path) for name in ("trial", "row", "cluster"))
    if not len(trial):
        raise LongtailError(f"{path} holds no assignment.")
    if (cluster < 0).any():
        raise LongtailError(f"{path} has negative clusters; clusters are numbered from 0.")
    assignments = {}
    for number in np.unique(trial).tolist():
        these = trial == number
        order = np.argsort(row[these])
        if not np.array_equal(row[these][order], np.arange(rows)):
            raise LongtailError(
                f"{path}: trial {number} assigns {these.sum()} rows, the split has rows 0 to {rows - 1}, each once. "
                "Cluster this split again."
            )
        assignments[number] = cluster[these][order]
    return assignments


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows of length one, (N, D) in the dtype of ``vectors``; a zero row stays zero (its cosine to anything is 0)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def read_settings(text: str, kind: str) -> dict[str, Any]:
    """An entry of the catalogue as a job is told it: a JSON object with a ``name``.

    Raises:
        LongtailError: if it is anything else.
    """
    settings = read_json(text, f"The {kind}")
    if not isinstance(settings.get("name"), str):
        raise LongtailError(f'The {kind} must have a name, such as {{"name": "kmeans"}}: {text}')
    return settings


def call(kind: str, function: Callable[..., Any], settings: Mapping[str, Any], *arguments: Any) -> Any:
    """``function(*arguments, **settings)`` for a function whose keyword-only parameters are its settings.

    Raises:
        LongtailError: if a setting is missing or not known.
    """
    known = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for name in settings:
        if name not in known:
            raise unknown(f"setting of {kind}", name, known)
    missing = [name for name in known if name not in settings]
    if missing:
        raise LongtailError(f"{kind} lacks the setting {', '.join(map(repr, missing))}; see catalog/readouts.yaml.")
    return function(*arguments, **settings)


def _order(table: pa.Table, path: object) -> np.ndarray:
    """The permutation that sorts the rows, which must be 0 to N-1."""
    row = _integers(table, "row", path)
    order = np.argsort(row, kind="stable")
    if not len(row) or not np.array_equal(row[order], np.arange(len(row))):
        raise LongtailError(f"{path}: 'row' must count the rows from 0 to N-1, each once; {len(row)} rows do not.")
    return order


def _integers(table: pa.Table, name: str, path: object) -> np.ndarray:
    column = table[name]
    if not pa.types.is_integer(column.type) or column.null_count:
        raise LongtailError(f"{path}: {name!r} must hold an integer in each row.")
    return column.to_numpy().astype(np.int64, copy=False)
