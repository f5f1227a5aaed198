"""``python -m longtail job score``: metrics of assignments, predictions, embeddings, weights, counts, histories.

A scorer says which of them it reads. Assignments are scored trial by trial; of all else there is one trial, 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from longtail.clusterers.bounded_kmeans import spherical_kmeans
from longtail.errors import LongtailError, unknown
from longtail.evaluation.pace import seconds_per_epoch
from longtail.evaluation.reading import (
    Split,
    call,
    read_assignments,
    read_class_sizes,
    read_corruption_errors,
    read_embeddings,
    read_predictions,
    read_seconds,
    read_settings,
    read_split,
    read_weights,
)
from longtail.evaluation.threads import threads
from longtail.files import read_provenance, write_table


class Metric(NamedTuple):
    """One line of a metrics file; ``class_``, ``cluster`` and ``parameter`` are None where they do not apply."""

    metric: str
    value: float
    unit: str
    class_: int | None = None
    cluster: int | None = None
    parameter: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--split", type=Path, required=True, metavar="PATH", help="the split with the true labels")
    parser.add_argument("--scorer", required=True, metavar="JSON", help="name and settings of the scorer")
    parser.add_argument("--scored", type=Path, required=True, metavar="PATH", help="what the scorer reads")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="metrics file to write")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")


def run(arguments: argparse.Namespace) -> None:
    """Score and write trial, metric, class, cluster, parameter, value and unit."""
    settings = read_settings(arguments.scorer, "scorer")
    name, reads = settings["name"], settings.get("reads")
    rest = {key: value for key, value in settings.items() if key not in ("name", "reads")}
    if reads not in SCORERS:
        raise unknown(f"kind of file (scorer {name!r}, reads)", reads, SCORERS)
    if name not in SCORERS[reads]:
        raise unknown(f"scorer of {reads}", name, SCORERS[reads])
    split, scorer, kind = read_split(arguments.split), SCORERS[reads][name], f"scorer {name!r}"
    if reads == "assignments":
        trials = read_assignments(arguments.scored, len(split.labels))
        metrics = {trial: call(kind, scorer, rest, split.labels, clusters) for trial, clusters in trials.items()}
    elif reads == "predictions":
        predicted = read_predictions(arguments.scored, len(split.labels))
        metrics = {0: call(kind, scorer, rest, *predicted, split, read_class_sizes(arguments.split))}
    elif reads == "history":
        metrics = {0: call(kind, scorer, rest, read_seconds(arguments.scored))}
    elif reads == "weights":
        metrics = {0: call(kind, scorer, rest, read_weights(arguments.scored), read_class_sizes(arguments.split))}
    elif reads == "corruptions":
        metrics = {0: call(kind, scorer, rest, read_corruption_errors(arguments.scored))}
    else:
        vectors, _ = read_embeddings(arguments.scored, split=split)
        sizes = [read_class_sizes(arguments.split)] if name in SIZED else []
        with threads(arguments.threads):
            metrics = {0: call(kind, scorer, rest, vectors, split, *sizes)}
    write_table(arguments.out, _table(metrics), scorer=settings, scored=read_provenance(arguments.scored))


def score_assignment(labels: np.ndarray, clusters: np.ndarray) -> list[Metric]:
    """ACC, CAA, NMI, ARI and the recall of each class, in percent.

    Args:
        labels: true class of each row, (N,) int64.
        clusters: cluster of each row, (N,) int64.
    """
    from longtail.evaluation.metrics import contingency, scores

    found = scores(contingency(labels, clusters))
    whole = {"ACC": found.acc, "CAA": found.caa, "NMI": found.nmi, "ARI": found.ari}
    return [
        *(Metric(name, value, "percent") for name, value in whole.items()),
        *(Metric("recall", value, "percent", class_=k) for k, value in _defined(found.recall)),
    ]


def score_predictions(
    predictions: np.ndarray, confidences: np.ndarray, split: Split, sizes: np.ndarray, *, bins: int
) -> list[Metric]:
    """Accuracy, the mean recall of shot groups by either definition, calibration error, recall and size of each class.

    Args:
        predictions: class of each row, (N,) int64.
        confidences: its probability, (N,) float64.
        split: the true classes, and the shot groups by the sizes of the groups.
        sizes: training images of each class, (K,) int64, by which the strict shot groups are.
        bins: of the calibration error.
    """
    from longtail.evaluation.recognition import by_shots, scores, strict_shots

    found = scores(split.labels, predictions, confidences, len(sizes), bins)
    groups = {"strict": strict_shots(sizes), "index": split.shots}
    return [
        Metric("accuracy", found.accuracy, "percent"),
        Metric("calibration_error", found.calibration_error, "percent"),
        *(
            Metric(f"{group} ({definition})", value, "percent")
            for definition, shots in groups.items()
            for group, value in by_shots(found.recall, shots).items()
        ),
        *(Metric("recall", value, "percent", class_=k) for k, value in _defined(found.recall)),
        *(Metric("training_size", int(size), "images", class_=k) for k, size in enumerate(sizes)),
    ]


def _queue_contents(
    predictions: np.ndarray, confidences: np.ndarray, split: Split, sizes: np.ndarray, *, keys_per_class: int
) -> list[Metric]:
    """Of the sizes of the classes in training alone; what is predicted of them does not matter."""
    from longtail.evaluation.queues import KINDS, expected_keys

    return [
        Metric("queue_keys", value, "keys", class_=k, parameter=f"queue={kind}")
        for kind in KINDS
        for k, value in enumerate(expected_keys(sizes, kind, keys_per_class))
    ]


def _geometry(vectors: np.ndarray, split: Split) -> list[Metric]:
    """A value that is not defined, such as the similarity of a class of one row, has no line."""
    from longtail.evaluation.analyses import compactness, geometry

    found = geometry(vectors, split.labels)
    by_class = {
        "class_similarity": found.similarity,
        "class_similarity_with_self": found.similarity_with_self,
        "class_dissimilarity": found.dissimilarity,
    }
    return [
        *(Metric(name, value, "ratio", class_=k) for name, values in by_class.items() for k, value in _defined(values)),
        *(Metric("class_size", size, "images", class_=k) for k, size in enumerate(found.sizes)),
        *(
            Metric(name, value, "ratio")
            for name, value in compactness(found.similarity, split.shots).items()
            if np.isfinite(value)
        ),
    ]


def _class_geometry(vectors: np.ndarray, split: Split) -> list[Metric]:
    from longtail.evaluation.analyses import class_geometry

    found = class_geometry(vectors, split.labels)
    return [Metric(name, value, "distance") for name, value in found.items() if np.isfinite(value)]


def _purity(vectors: np.ndarray, split: Split, *, clusters: Sequence[int], inits: int, seed: int) -> list[Metric]:
    from longtail.evaluation.analyses import purity

    found = {}
    for k in clusters:
        assignment = spherical_kmeans(vectors, k, seed=seed, inits=inits).labels
        found[k] = purity(split.labels, assignment)
    return [Metric("purity", 100 * value, "percent", parameter=f"k={k}") for k, value in found.items()]


def _mini_clusters(
    vectors: np.ndarray, split: Split, *, settings: Sequence[Mapping[str, Any]], inits: int, seed: int
) -> list[Metric]:
    """Per true class, and per K-means target cluster under its matched class; the paper does not say which it shows."""
    from longtail.evaluation.analyses import as_classes, assigned_mini_clusters

    for setting in settings:
        if set(setting) != {"mini_clusters", "delta"}:
            raise LongtailError(f"A setting of mini_clusters has mini_clusters and delta, not {', '.join(setting)}.")
    classes = len(split.shots)
    assignments = {
        number: spherical_kmeans(vectors, number, seed=seed, inits=inits).labels
        for number in {classes, *(setting["mini_clusters"] for setting in settings)}
    }
    targets = {
        "assigned_mini_clusters": split.labels,
        "assigned_mini_clusters_matched": as_classes(split.labels, assignments[classes]),
    }
    return [
        Metric(name, count, "clusters", class_=k, parameter=f"M={setting['mini_clusters']},delta={setting['delta']:g}")
        for setting in settings
        for name, target in targets.items()
        for k, count in enumerate(
            assigned_mini_clusters(target, assignments[setting["mini_clusters"]], setting["delta"])
        )
    ]


def _confusion(vectors: np.ndarray, split: Split, *, inits: int, seed: int) -> list[Metric]:
    from longtail.evaluation.analyses import confusion

    assignment = spherical_kmeans(vectors, len(split.shots), seed=seed, inits=inits).labels
    counts = confusion(split.labels, assignment)
    return [Metric("count", count, "images", class_=int(k), cluster=int(j)) for (k, j), count in np.ndenumerate(counts)]


def _loss_gap(vectors: np.ndarray, split: Split, *, tags: int, samples: int, seed: int) -> list[Metric]:
    """Where no class has two rows, or there is one class only, no similarity and so no statement is defined."""
    from longtail.evaluation.theory import loss_gap

    found = loss_gap(vectors, split.labels, tags=tags, samples=samples, seed=seed)
    gaps = {
        "h_cl_gap": found.contrastive,
        "h_cm_gap": found.mixed,
        "h_cl_gap_stated": found.contrastive_stated,
        "h_cm_gap_stated": found.mixed_stated,
    }
    return [
        *(Metric(name, value, "cosine") for name, value in gaps.items() if np.isfinite(value)),
        Metric("h_gap_holds", 100 * found.holds, "percent"),
        Metric("h_gap_pairs", 100 * found.pairs, "percent"),
    ]


def _domination(vectors: np.ndarray, split: Split, *, mini_clusters: int, inits: int, seed: int) -> list[Metric]:
    """Without classes of different sizes there are no pairs; without a class that dominates there is no bound."""
    from longtail.evaluation.theory import domination

    found = domination(split.labels, spherical_kmeans(vectors, mini_clusters, seed=seed, inits=inits).labels)
    bounds = found.bounds[found.larger]
    shares = {
        "pairs_out_of_reach": bounds >= 1,
        "pairs_covered": found.covered[found.larger],
        "pairs_ordered": found.ordered[found.larger],
    }
    by_class = {
        "dominated_mini_clusters": found.dominated,
        "dominated_at_least": found.at_least,
        "dominated_at_most": found.at_most,
    }
    return [
        Metric("minimum_purity", found.purity, "ratio"),
        Metric("size_spread", found.largest / found.smallest, "ratio"),
        *(Metric("lowest_bound", value, "ratio") for value in [bounds.min(initial=np.inf)] if np.isfinite(value)),
        *(Metric(name, 100 * share.mean(), "percent") for name, share in shares.items() if len(share)),
        Metric("bound_violations", found.violations, "pairs"),
        *(
            Metric(name, value, "clusters", class_=k)
            for name, values in by_class.items()
            for k, value in enumerate(values)
        ),
    ]


def _pace(seconds: np.ndarray) -> list[Metric]:
    return [Metric("seconds_per_epoch", seconds_per_epoch(seconds), "s")]


def _weight_norms(weights: np.ndarray, sizes: np.ndarray) -> list[Metric]:
    from longtail.evaluation.weight_norms import weight_norms

    norms, places = weight_norms(weights, sizes)
    return [
        Metric("weight_norm", norm, "length", class_=k, parameter=f"rank={place}")
        for k, (norm, place) in enumerate(zip(norms, places, strict=True))
    ]


def _corruptions(errors: Mapping[tuple[str, int], float], *, alexnet_errors: Mapping[str, float]) -> list[Metric]:
    from longtail.evaluation.corruptions import accuracy_by_severity, mean_error, normalized_error

    return [
        Metric("mean_corruption_error", 100 * mean_error(errors, alexnet_errors), "percent"),
        Metric("normalized_corruption_error", 100 * normalized_error(errors, alexnet_errors), "percent"),
        *(
            Metric("corruption_accuracy", 100 * value, "percent", parameter=f"severity={severity}")
            for severity, value in accuracy_by_severity(errors, alexnet_errors).items()
        ),
    ]


def _selection_space(vectors: np.ndarray, split: Split, *, batch_size: int, positives: int) -> list[Metric]:
    """Of the sizes of classes in the split alone; where all have one size, or none fills a batch, there is no ratio.

    A small budget may leave fewer images than a batch has; then all of them are a batch.
    """
    from longtail.evaluation.theory import selection_space

    found = selection_space(split.labels, batch_size=min(batch_size, len(split.labels)), positives=positives)
    ratios = {"selection_ratio_batch": found.batch_ratio, "selection_ratio_global": found.global_ratio}
    return [
        *(Metric(name, np.log10(value), "decades") for name, value in ratios.items() if np.isfinite(value)),
        *(Metric("selection_pairs", 100 * found.defined / found.pairs, "percent") for _ in range(found.pairs > 0)),
        Metric("selection_violations", found.violations, "pairs"),
    ]


def _pair_frequencies(
    vectors: np.ndarray, split: Split, *, epochs: int, batch_size: int, queue_size: int, seed: int
) -> list[Metric]:
    """The rows' classes alone; what they are embedded as does not matter. No line for what was never met."""
    from longtail.evaluation.pairs import pair_counts

    counts = pair_counts(split.labels, epochs=epochs, batch_size=batch_size, queue_size=queue_size, seed=seed)
    sizes, own = np.bincount(split.labels), np.diag(counts)
    there = sizes > 0
    imbalance = {"pair_imbalance_stated": (sizes.max() / sizes[there].min()) ** 2}
    if own[there].all():
        imbalance["pair_imbalance"] = own.max() / own[there].min()
    largest = max(int(own[sizes.argmax()]), 1)
    return [
        *(Metric(name, value, "ratio") for name, value in imbalance.items()),
        *(
            Metric("pair_frequency", count / largest, "ratio", class_=int(k), cluster=int(j))
            for (k, j), count in np.ndenumerate(counts)
        ),
    ]


def _pair_gradients(
    vectors: np.ndarray, split: Split, *, keys_per_class: int, temperature: float, seed: int
) -> list[Metric]:
    from longtail.evaluation.pairs import pair_gradients

    positive, negative = pair_gradients(
        vectors, split.labels, keys_per_class=keys_per_class, temperature=temperature, seed=seed
    )
    return [
        Metric(name, value, "gradient", parameter=f"rank={rank}")
        for name, values in (("positive_gradient", positive), ("negative_gradient", negative))
        for rank, value in enumerate(values, 1)
    ]


def _pair_similarities(vectors: np.ndarray, split: Split, sizes: np.ndarray, *, bins: int) -> list[Metric]:
    """By shot groups of numbers of training images; a bin is named by its lower end."""
    from longtail.evaluation.pairs import pair_similarities
    from longtail.evaluation.recognition import strict_shots

    found = pair_similarities(vectors, split.labels, strict_shots(sizes), bins)
    return [
        *(Metric(f"similarity_{group}", mean, "cosine") for group, (_, mean) in found.items()),
        *(
            Metric(f"pairs_{group}", count, "pairs", parameter=f"from={2 * bin_ / bins - 1:.6g}")
            for group, (counts, _) in found.items()
            for bin_, count in enumerate(counts)
        ),
    ]


SCORERS: dict[str, dict[str, Callable[..., list[Metric]]]] = {
    "assignments": {"clustering": score_assignment},
    "predictions": {"classification": score_predictions, "queue_contents": _queue_contents},
    "history": {"pace": _pace},
    "weights": {"weight_norms": _weight_norms},
    "corruptions": {"corruptions": _corruptions},
    "embeddings": {
        "geometry": _geometry,
        "class_geometry": _class_geometry,
        "purity": _purity,
        "mini_clusters": _mini_clusters,
        "confusion": _confusion,
        "loss_gap": _loss_gap,
        "domination": _domination,
        "selection_space": _selection_space,
        "pair_frequencies": _pair_frequencies,
        "pair_gradients": _pair_gradients,
        "pair_similarities": _pair_similarities,
    },
}
"""Scorers by what they read and by name; their keyword arguments are the settings of readouts.yaml."""

SIZED = ("pair_similarities",)
"""Scorers of embeddings that are also given the training images of each class, (K,) int64."""


def _defined(values: np.ndarray) -> Iterator[tuple[int, float]]:
    return ((k, float(value)) for k, value in enumerate(values) if np.isfinite(value))


def _table(metrics: Mapping[int, Sequence[Metric]]) -> pa.Table:
    lines = [(trial, line) for trial, found in metrics.items() for line in found]
    return pa.table(
        {
            "trial": pa.array([trial for trial, _ in lines], pa.int64()),
            "metric": pa.array([line.metric for _, line in lines], pa.string()),
            "class": pa.array([line.class_ for _, line in lines], pa.int64()),
            "cluster": pa.array([line.cluster for _, line in lines], pa.int64()),
            "parameter": pa.array([line.parameter for _, line in lines], pa.string()),
            "value": pa.array([float(line.value) for _, line in lines], pa.float64()),
            "unit": pa.array([line.unit for _, line in lines], pa.string()),
        }
    )
