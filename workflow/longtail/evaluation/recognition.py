"""What is measured on predicted classes: accuracy as it is, by shot groups and classes, and calibration.

A prediction is right if it is the true class. Nothing is matched, as it is for clusters: predictions that are all
shifted by one class are all wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longtail.errors import LongtailError

SHOTS = ("many", "medium", "few")
GROUPS = {**{shot: (shot,) for shot in SHOTS}, "head": SHOTS[:1], "tail": SHOTS[1:]}
"""Groups of classes by name. ICCL Table 4 has two, of which the tail is all that has not many images."""


@dataclass(frozen=True)
class Scores:
    """In percent.

    Attributes:
        accuracy: rows whose prediction is right.
        recall: the same of each class, (K,); NaN for a class without a row.
        calibration_error: see :func:`expected_calibration_error`.
    """

    accuracy: float
    recall: np.ndarray
    calibration_error: float


def scores(labels: np.ndarray, predictions: np.ndarray, confidences: np.ndarray, classes: int, bins: int) -> Scores:
    """Score predictions.

    Args:
        labels: true class of each row, (N,) int64.
        predictions: (N,) int64.
        confidences: probability of the predicted class, (N,) float64.
        classes: K.
        bins: of the calibration error.

    Raises:
        LongtailError: if a class is not one of 0 to K - 1.
    """
    beyond = max(int(labels.max()), int(predictions.max()))
    if beyond >= classes:
        raise LongtailError(f"There is a prediction or label {beyond}, but there are {classes} classes.")
    right = labels == predictions
    rows = np.bincount(labels, minlength=classes)
    found = np.bincount(labels[right], minlength=classes)
    recall = np.divide(100 * found, rows, out=np.full(classes, np.nan), where=rows > 0)
    return Scores(100 * float(right.mean()), recall, 100 * expected_calibration_error(right, confidences, bins))


def expected_calibration_error(right: np.ndarray, confidences: np.ndarray, bins: int) -> float:
    """ECE = sum_b |b| / n |acc_b - conf_b| over equal bins (lo, hi] of the confidence, as dvlab-research/MiSLAS has it.

    Args:
        right: whether each prediction is right, (N,) bool.
        confidences: (N,), in (0, 1].
        bins: how many.
    """
    bin_of = np.clip(np.ceil(confidences * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(bin_of, weights=right - confidences, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))


def by_shots(recall: np.ndarray, shots: np.ndarray) -> dict[str, float]:
    """Mean recall over the classes of each of :data:`GROUPS` that has one.

    Args:
        recall: of each class, (K,).
        shots: ``many``, ``medium`` or ``few`` of each class, (K,).
    """
    groups = {group: recall[np.isin(shots, members) & np.isfinite(recall)] for group, members in GROUPS.items()}
    return {group: float(values.mean()) for group, values in groups.items() if len(values)}


def strict_shots(sizes: np.ndarray) -> np.ndarray:
    """Many, medium or few for every class by how many images it has, as recognition papers mean it.

    Source: zhmiao/OpenLongTailRecognition-OLTR: over 100 images are many, under 20 few. A group may be empty.

    Args:
        sizes: int64 (K,), images of each class in the training split.

    Returns:
        Array (K,) of strings.
    """
    sizes = np.asarray(sizes)
    return np.select([sizes > 100, sizes < 20], [SHOTS[0], SHOTS[2]], SHOTS[1])
