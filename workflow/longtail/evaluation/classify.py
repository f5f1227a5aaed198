"""``python -m longtail job classify``: from the features of a classifier to the class of each row.

The rules are post-hoc: none of them trains. What they predict is scored as it is, without a matching. What a rule
leaves open is chosen by the validation images, and never by those that are predicted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import softmax

from longtail.errors import LongtailError, unknown
from longtail.evaluation.reading import (
    call,
    read_class_sizes,
    read_embeddings,
    read_settings,
    read_split,
    read_weights,
    unit_rows,
)
from longtail.files import read_provenance, write_table


@dataclass(frozen=True)
class Files:
    """What a rule may read.

    Attributes:
        embeddings: of the rows to predict, with logits where the features have a classifier.
        split: of the same rows; it knows how many training images each class has.
        training: embeddings of the training images by the same network.
        weights: of the classifier.
        validation: embeddings of the validation images by the same network.
    """

    embeddings: Path
    split: Path
    training: Path | None = None
    weights: Path | None = None
    validation: Path | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--embeddings", type=Path, required=True, metavar="PATH", help="embeddings.parquet of a split")
    parser.add_argument("--split", type=Path, required=True, metavar="PATH", help="the split that was embedded")
    parser.add_argument("--classifier", required=True, metavar="JSON", help="an entry of readouts.yaml, with its name")
    parser.add_argument("--training", type=Path, metavar="PATH", help="embeddings of the training split")
    parser.add_argument("--weights", type=Path, metavar="PATH", help="weights.parquet of the classifier")
    parser.add_argument("--validation", type=Path, metavar="PATH", help="embeddings of the validation split")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="predictions to write")


def run(arguments: argparse.Namespace) -> None:
    """Classify and write row, prediction and confidence; the provenance says what was chosen by validation images."""
    settings = read_settings(arguments.classifier, "classifier")
    apart = ("name", "algorithm", "needs", "on_validation")
    rest = {key: value for key, value in settings.items() if key not in apart}
    name, algorithm = settings["name"], settings.get("algorithm")
    if algorithm not in ALGORITHMS:
        raise unknown(f"algorithm (classifier {name!r})", algorithm, ALGORITHMS)
    files = Files(arguments.embeddings, arguments.split, arguments.training, arguments.weights, arguments.validation)
    read_embeddings(files.embeddings, split=read_split(files.split))
    facts: dict[str, Any] = {}
    for setting, values in settings.get("on_validation", {}).items():
        found = validated(name, ALGORITHMS[algorithm], rest, setting, values, files)
        rest[setting] = values[int(np.argmax(found))]
        facts = {"chosen": {setting: rest[setting]}, "validation_accuracy": [round(each, 4) for each in found]}
    decision, logits = call(f"classifier {name!r}", ALGORITHMS[algorithm], rest, files)
    prediction = decision.argmax(axis=1)
    table = pa.table(
        {
            "row": np.arange(len(logits)),
            "prediction": prediction.astype(np.int64),
            "confidence": softmax(logits.astype(np.float64), axis=1)[np.arange(len(logits)), prediction],
        }
    )
    write_table(arguments.out, table, classifier=settings, embeddings=read_provenance(files.embeddings), **facts)


def validated(
    name: str,
    rule: Callable[..., Decided],
    rest: Mapping[str, Any],
    setting: str,
    values: Sequence[float],
    files: Files,
) -> list[float]:
    """Mean class accuracy on the validation images, in percent, with each of some values of a setting.

    Args:
        name: of the classifier, for messages.
        rule: what decides.
        rest: its other settings.
        setting: the one that is open.
        values: to be compared.
        files: what the rule may read; of ``embeddings`` nothing is.

    Raises:
        LongtailError: if there are no validation images.
    """
    if files.validation is None:
        raise LongtailError(
            f"The {setting} of the classifier {name!r} is chosen by validation images: give their embeddings with "
            "--validation."
        )
    on_validation = replace(files, embeddings=files.validation)
    _, labels = read_embeddings(files.validation)
    rows = np.bincount(labels)
    accuracies = []
    for value in values:
        decision, _ = call(f"classifier {name!r}", rule, {**rest, setting: value}, on_validation)
        right = np.bincount(labels[decision.argmax(axis=1) == labels], minlength=len(rows))
        accuracies.append(100 * float((right[rows > 0] / rows[rows > 0]).mean()))
    return accuracies


Decided = tuple[np.ndarray, np.ndarray]
"""What the prediction is the largest of, and the logits whose softmax is its confidence, each (N, K)."""


def _argmax(files: Files) -> Decided:
    logits, _ = read_embeddings(files.embeddings, "logits")
    return logits, logits


def _logit_adjusted(files: Files, *, tau: float) -> Decided:
    """s_k - tau log pi_k (Menon et al., ICLR 2021, Eq. 9); the confidence is that of s, without the shift."""
    (logits, _), sizes = _argmax(files), read_class_sizes(files.split)
    if len(sizes) != logits.shape[1] or not sizes.all():
        raise LongtailError(
            f"{files.split} knows the training images of {np.count_nonzero(sizes)} classes, but there are "
            f"{logits.shape[1]} logits. Adjusting them needs the size of each class."
        )
    return logits - tau * np.log(sizes / sizes.sum()), logits


def _tau_normalized(files: Files, *, tau: float) -> Decided:
    """The products h w_k / |w_k|^tau, without the bias (facebookresearch/classifier-balancing)."""
    if files.weights is None:
        raise LongtailError("tau-normalisation needs the weights of the classifier: give them with --weights.")
    weights = read_weights(files.weights)
    features = _features(files.embeddings, weights.shape[1], files.weights)
    lengths = np.linalg.norm(weights, axis=1, keepdims=True)
    if tau > 0 and not lengths.all():
        raise LongtailError(
            f"The weights of class {int(np.argmin(lengths))} in {files.weights} are all zero, and have no direction "
            "that tau-normalisation could keep: the classifier was not trained, or its weight decay is too large."
        )
    logits = features @ (weights / lengths**tau).T
    return logits, logits


def _nearest_class_mean(files: Files) -> Decided:
    """Negative squared distances to the class means of the training features (facebookresearch/classifier-balancing).

    Features are centred by the mean of the training features and scaled to length one; class means are not scaled.
    """
    if files.training is None:
        raise LongtailError("The nearest class mean needs the features of the training images: give --training.")
    training, labels = read_embeddings(files.training)
    features = _features(files.embeddings, training.shape[1], files.training)
    centre = training.mean(axis=0, dtype=np.float64)
    features = unit_rows(features - centre)
    rows = np.bincount(labels)
    if not rows.all():
        raise LongtailError(f"{files.training} has no row of class {int(np.argmin(rows))}, which so has no mean.")
    means = np.zeros((len(rows), training.shape[1]))
    for at in range(0, len(training), ROWS_AT_ONCE):  # iNaturalist's in double precision are 7 GB
        some = slice(at, at + ROWS_AT_ONCE)
        np.add.at(means, labels[some], unit_rows(training[some] - centre))
    means /= rows[:, None]
    nearness = -((features**2).sum(1)[:, None] - 2 * features @ means.T + (means**2).sum(1))
    return nearness, nearness


ROWS_AT_ONCE = 1 << 15


def _features(path: Path, width: int, other: Path) -> np.ndarray:
    """Features that are as wide as what another file holds, (N, d) float32."""
    features, _ = read_embeddings(path)
    if features.shape[1] != width:
        raise LongtailError(
            f"{path} has embeddings of {features.shape[1]} numbers, {other} is for such of {width} numbers. Embed both "
            "by the same network."
        )
    return features


ALGORITHMS: dict[str, Callable[..., Decided]] = {
    "argmax": _argmax,
    "logit_adjusted": _logit_adjusted,
    "tau_normalized": _tau_normalized,
    "nearest_class_mean": _nearest_class_mean,
}
"""Rules by the name that readouts.yaml gives them."""
