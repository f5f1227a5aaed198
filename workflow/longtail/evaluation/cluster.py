"""``python -m longtail job cluster``: from embeddings to clusters, once per trial.

Every clusterer but ``argmax`` sees rows of length one, as the papers cluster them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from longtail.clusterers.agglomerative import Linkage, agglomerative
from longtail.clusterers.bounded_kmeans import spherical_kmeans_trials
from longtail.errors import LongtailError, unknown
from longtail.evaluation.reading import call, read_embeddings, read_settings, unit_rows
from longtail.evaluation.threads import threads
from longtail.files import read_provenance, write_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--embeddings", type=Path, required=True, metavar="PATH", help="embeddings.parquet of a split")
    parser.add_argument("--clusterer", required=True, metavar="JSON", help="an entry of readouts.yaml, with its name")
    parser.add_argument("--classes", type=int, required=True, metavar="K", help="number of classes, and of clusters")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="assignments.parquet to write")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")


def run(arguments: argparse.Namespace) -> None:
    """Cluster and write trial, row and cluster."""
    settings = read_settings(arguments.clusterer, "clusterer")
    with threads(arguments.threads):
        trials = cluster(arguments.embeddings, settings, arguments.classes)
    rows = len(trials[0])
    table = pa.table(
        {
            "trial": np.repeat(np.arange(len(trials)), rows),
            "row": np.tile(np.arange(rows), len(trials)),
            "cluster": np.concatenate(trials).astype(np.int64),
        }
    )
    source = read_provenance(arguments.embeddings)
    write_table(arguments.out, table, clusterer=settings, classes=arguments.classes, embeddings=source)


def cluster(path: Path, settings: Mapping[str, Any], classes: int) -> list[np.ndarray]:
    """The clusters of the rows of an embeddings file, (N,) int64 per trial.

    Args:
        path: embeddings with columns row, label and embedding, or logits for ``argmax``.
        settings: ``name``, ``algorithm`` (a key of :data:`ALGORITHMS`) and the settings of the algorithm.
        classes: number of clusters K.

    Raises:
        LongtailError: if the file or the settings are not what they should be, or there are fewer rows than clusters.
    """
    name = settings["name"]
    rest = {key: value for key, value in settings.items() if key not in ("name", "algorithm")}
    algorithm = settings.get("algorithm")
    if algorithm not in ALGORITHMS:
        raise unknown(f"algorithm (clusterer {name!r})", algorithm, ALGORITHMS)
    if algorithm == "argmax":
        vectors, _ = read_embeddings(path, "logits")
    else:
        vectors, _ = read_embeddings(path)
        vectors = unit_rows(vectors)
        if len(vectors) < classes:
            raise LongtailError(f"{path} has {len(vectors)} rows, fewer than the {classes} clusters asked for.")
    return call(f"clusterer {name!r}", ALGORITHMS[algorithm], rest, vectors, classes)


def _spherical_kmeans(vectors: np.ndarray, classes: int, *, inits: int, trial_seeds: Sequence[int]) -> list[np.ndarray]:
    return [result.labels for result in spherical_kmeans_trials(vectors, classes, trial_seeds, inits)]


def _euclidean_kmeans(vectors: np.ndarray, classes: int, *, inits: int, trial_seeds: Sequence[int]) -> list[np.ndarray]:
    from longtail.clusterers.euclidean import euclidean_kmeans

    return [euclidean_kmeans(vectors, classes, seed=seed, inits=inits) for seed in trial_seeds]


def _gaussian_mixture(
    vectors: np.ndarray,
    classes: int,
    *,
    start: Literal["kmeans", "random"],
    inits: int,
    covariance_floor: float,
    tolerance: float,
    max_iterations: int,
    trial_seeds: Sequence[int],
) -> list[np.ndarray]:
    from longtail.clusterers.mixture import gaussian_mixture

    return [
        gaussian_mixture(
            vectors,
            classes,
            seed=seed,
            start=start,
            inits=inits,
            covariance_floor=covariance_floor,
            tolerance=tolerance,
            max_iterations=max_iterations,
        )
        for seed in trial_seeds
    ]


def _agglomerative(vectors: np.ndarray, classes: int, *, linkage: Linkage) -> list[np.ndarray]:
    return [agglomerative(vectors, classes, linkage=linkage)]


def _argmax(logits: np.ndarray, classes: int) -> list[np.ndarray]:
    if logits.shape[1] != classes:
        raise LongtailError(f"The head has {logits.shape[1]} outputs, but {classes} clusters were asked for.")
    return [logits.argmax(axis=1)]


ALGORITHMS: dict[str, Callable[..., list[np.ndarray]]] = {
    "spherical_kmeans": _spherical_kmeans,
    "euclidean_kmeans": _euclidean_kmeans,
    "gaussian_mixture": _gaussian_mixture,
    "agglomerative": _agglomerative,
    "argmax": _argmax,
}
"""Algorithms by the name that readouts.yaml gives them, imported when they run."""
