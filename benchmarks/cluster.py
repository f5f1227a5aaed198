"""``python -m benchmarks.cluster``: time and memory of the clusterers, beside scikit-learn as it comes.

Every measurement has a process of its own, so that its peak of memory is its own, too. This module therefore loads
nothing heavy before it is in such a process.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.report import (
    Row,
    growth,
    machine,
    median,
    memory_in_use,
    parser,
    peak_memory,
    ratio,
    report,
    usable_cores,
)
from longtail.study import catalog
from longtail.training.arguments import positive

if TYPE_CHECKING:
    import numpy as np

SPREAD = {"tight": 0.1, "loose": 0.5}
"""Standard deviation per coordinate around class centres of length one; half the way between two centres is 0.7."""

IMBALANCE = 10
IMPLEMENTATIONS = ("ours", "scikit-learn")


@dataclass(frozen=True)
class Case:
    """What is clustered, and how often.

    Attributes:
        clusterer: a name of ``catalog/readouts.yaml``.
        settings: its entry there.
        embeddings: a key of :data:`SPREAD`.
        rows: N.
        dimensions: D.
        clusters: K, which is also the number of classes.
        trials: clusterings; agglomerative clustering draws nothing and has one.
        inits: starts of each K-means.
    """

    clusterer: str
    settings: Mapping[str, Any]
    embeddings: str
    rows: int
    dimensions: int
    clusters: int
    trials: int
    inits: int

    @property
    def algorithm(self) -> str:
        """As the catalogue calls it."""
        return str(self.settings["algorithm"])


@dataclass(frozen=True)
class Cost:
    """What one measurement found.

    Attributes:
        seconds: for all trials.
        peak_mb: most memory of the process.
        added_mb: how much of it came after libraries and embeddings were in place.
        inertia: squared Euclidean distances to the clusters' means, summed over the rows; median of the trials.
        cosine_inertia: cosine distances to the same means, likewise.
    """

    seconds: float
    peak_mb: float
    added_mb: float
    inertia: float
    cosine_inertia: float


def main() -> None:
    """Measure every case with both implementations in turn, and report."""
    arguments = command_line().parse_args()
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(arguments.threads)  # read by the processes that are started
    described = machine(arguments.threads)
    rows: list[Row] = []
    for case in cases(arguments):
        costs: defaultdict[str, list[Cost]] = defaultdict(list)
        for _ in range(arguments.repeats):
            for implementation in IMPLEMENTATIONS:
                costs[implementation].append(in_a_process(case, implementation))
        rows += [row(case, name, costs, rows) for name in IMPLEMENTATIONS]
    report("cluster", {"clusterers": rows}, described=described, settings=vars(arguments), out=arguments.out)


def command_line() -> argparse.ArgumentParser:
    """The options."""
    options = parser("Time and memory of the clusterers, beside scikit-learn as it comes.")
    known = [name for name, entry in catalog.load().clusterers.items() if entry["algorithm"] != "argmax"]
    default = ["kmeans", "gmm-k", "agglomerative"]
    options.add_argument("--clusterers", nargs="+", choices=known, default=default, help="of catalog/readouts.yaml")
    options.add_argument(
        "--embeddings", nargs="+", choices=SPREAD, default=list(SPREAD), help="how compact classes are"
    )
    options.add_argument("--rows", type=positive, default=20_431, help="clustered in every number of dimensions")
    options.add_argument("--dimensions", nargs="+", type=positive, default=[128, 512])
    sizes = [5_000, 10_000, 20_000, 40_000]
    options.add_argument(
        "--growth", nargs="*", type=positive, default=sizes, help="rows, in the first of the dimensions"
    )
    options.add_argument("--agglomerative-limit", type=positive, default=20_431, help="most rows that take N^2 memory")
    options.add_argument("--clusters", type=positive, default=10)
    options.add_argument("--trials", type=positive, default=10)
    options.add_argument("--inits", type=positive, default=10, help="starts of each K-means")
    options.add_argument("--threads", type=positive, default=usable_cores(), help="of numpy, scikit-learn and torch")
    return options


def cases(arguments: argparse.Namespace) -> Iterator[Case]:
    """What is measured: sizes that grow in the first number of dimensions, then ``rows`` in each."""
    sizes = [(rows, arguments.dimensions[0]) for rows in sorted(arguments.growth)]
    sizes += [(arguments.rows, dimensions) for dimensions in arguments.dimensions]
    known = catalog.load().clusterers
    for name in arguments.clusterers:
        settings = {key: value for key, value in known[name].items() if key not in ("name", "trial_seeds")}
        agglomerative = settings["algorithm"] == "agglomerative"
        for embeddings in arguments.embeddings:
            for rows, dimensions in dict.fromkeys(sizes):
                if not (agglomerative and rows > arguments.agglomerative_limit):
                    trials = 1 if agglomerative else arguments.trials
                    yield Case(
                        name, settings, embeddings, rows, dimensions, arguments.clusters, trials, arguments.inits
                    )


def row(case: Case, implementation: str, costs: Mapping[str, Sequence[Cost]], before: Sequence[Row]) -> Row:
    """One line: medians over the repeats, and the growth since the same with fewer rows."""
    seconds = {name: [cost.seconds for cost in found] for name, found in costs.items()}
    taken, own = median(seconds[implementation]), costs[implementation]
    keys = {
        "clusterer": case.clusterer,
        "embeddings": case.embeddings,
        "dimensions": case.dimensions,
        "implementation": implementation,
    }
    smaller = [
        line for line in before if line["rows"] < case.rows and all(line[key] == value for key, value in keys.items())
    ]
    sizes, times = [line["rows"] for line in smaller], [line["seconds"] for line in smaller]
    return {
        **keys,
        "rows": case.rows,
        "clusters": case.clusters,
        "trials": case.trials,
        "inits": case.inits if case.algorithm == "spherical_kmeans" else 1,
        "seconds": taken,
        "slowest": max(seconds[implementation]),
        "fastest": min(seconds[implementation]),
        "times_scikit_learn": ratio(seconds[implementation], seconds["scikit-learn"]),
        "ms_per_row": 1000 * taken / case.rows,
        "growth": growth([*sizes, case.rows], [*times, taken]),
        "peak_mb": median([cost.peak_mb for cost in own]),
        "added_mb": median([cost.added_mb for cost in own]),
        "inertia": median([cost.inertia for cost in own]),
        "cosine_inertia": median([cost.cosine_inertia for cost in own]),
    }


def in_a_process(case: Case, implementation: str) -> Cost:
    """:func:`measure` in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, case, implementation).result()


def measure(case: Case, implementation: str) -> Cost:
    """Cluster once; what a first call loads is loaded before."""
    points = mixture(case.rows, case.dimensions, case.clusters, SPREAD[case.embeddings])
    run(case, implementation, points[: 10 * case.clusters], trials=1)
    held, began = memory_in_use(), time.perf_counter()
    found = run(case, implementation, points, case.trials)
    seconds, peak = time.perf_counter() - began, peak_memory()
    inertias = [inertia(points, labels) for labels in found]
    euclidean, cosine = (median(values) for values in zip(*inertias, strict=True))
    return Cost(seconds, peak, max(0.0, peak - held), euclidean, cosine)


def mixture(rows: int, dimensions: int, classes: int, spread: float) -> np.ndarray:
    """A long-tailed mixture on the sphere, float32 (rows, dimensions) with rows of length one; always the same."""
    import numpy as np

    draws = np.random.default_rng(0)
    centres = draws.standard_normal((classes, dimensions))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    share = IMBALANCE ** (-np.arange(classes) / max(1, classes - 1))
    labels = draws.choice(classes, rows, p=share / share.sum())
    points = centres[labels] + spread * draws.standard_normal((rows, dimensions))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def run(case: Case, implementation: str, points: np.ndarray, trials: int) -> list[np.ndarray]:
    """The clusters of ``points``, (N,) per trial."""
    if case.algorithm == "spherical_kmeans":
        return _kmeans(case, implementation, points, trials)
    if case.algorithm == "gaussian_mixture":
        return _gaussian_mixture(case, implementation, points, trials)
    return _agglomerative(case, implementation, points)


def _kmeans(case: Case, implementation: str, points: np.ndarray, trials: int) -> list[np.ndarray]:
    if implementation == "ours":
        from longtail.clusterers.bounded_kmeans import spherical_kmeans_trials

        # The seeds of a trial's starts follow its own, so trials are as far apart as it has starts.
        seeds = range(0, trials * case.inits, case.inits)
        found = spherical_kmeans_trials(points, case.clusters, list(seeds), case.inits)
        return [trial.labels for trial in found]
    from sklearn.cluster import KMeans

    return [KMeans(case.clusters, n_init=case.inits, random_state=trial).fit(points).labels_ for trial in range(trials)]


def _gaussian_mixture(case: Case, implementation: str, points: np.ndarray, trials: int) -> list[np.ndarray]:
    settings = {key: value for key, value in case.settings.items() if key != "algorithm"} | {"inits": 1}
    if implementation == "ours":
        from longtail.clusterers.mixture import gaussian_mixture

        return [gaussian_mixture(points, case.clusters, seed=trial, **settings) for trial in range(trials)]
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [
            GaussianMixture(
                case.clusters, covariance_type="diag", init_params=settings["start"], random_state=trial
            ).fit_predict(points)
            for trial in range(trials)
        ]


def _agglomerative(case: Case, implementation: str, points: np.ndarray) -> list[np.ndarray]:
    if implementation == "ours":
        from longtail.clusterers.agglomerative import agglomerative

        return [agglomerative(points, case.clusters, linkage=case.settings["linkage"])]
    from sklearn.cluster import AgglomerativeClustering

    return [AgglomerativeClustering(case.clusters).fit_predict(points)]


def inertia(points: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """What K-means minimises, by Euclidean and by cosine distance to the mean of each cluster.

    Args:
        points: (N, D) with rows of length one.
        labels: (N,) clusters.
    """
    import numpy as np

    euclidean = cosine = float(len(points))
    for cluster in np.unique(labels):
        members = points[labels == cluster].astype(np.float64)
        length = float(np.linalg.norm(members.sum(axis=0)))
        euclidean -= length**2 / len(members)
        cosine -= length
    return euclidean, cosine


if __name__ == "__main__":
    main()
