"""What the papers' analyses look at: the geometry of the classes, and K-means with other numbers of clusters.

Everything here is a function of arrays. Vectors are taken with length one, as they are clustered; a zero row stays
zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longtail.evaluation.metrics import contingency, match
from longtail.evaluation.reading import unit_rows


@dataclass(frozen=True)
class Geometry:
    """Mean cosines of each class, all (K,) float64; NaN where there is no pair to average over.

    Attributes:
        similarity: over pairs of two different rows of the class.
        similarity_with_self: over all pairs of the class, a row with itself included.
        dissimilarity: over pairs of a row of the class and a row of another; lower is better.
        sizes: rows per class, (K,) int64.
    """

    similarity: np.ndarray
    similarity_with_self: np.ndarray
    dissimilarity: np.ndarray
    sizes: np.ndarray


def geometry(vectors: np.ndarray, labels: np.ndarray) -> Geometry:
    """Class-wise similarity and dissimilarity (ConMix Fig. 1; its similarity is the compactness of Table 10).

    The paper does not say whether a pair of a row with itself counts; counting it adds ≈ (1 - s)/n, most to small
    classes.

    Args:
        vectors: (N, D) floating point, of any length per row.
        labels: class of each row, (N,) int64.
    """
    rows = unit_rows(vectors.astype(np.float64))
    sizes = np.bincount(labels)
    sums = np.stack([rows[labels == k].sum(axis=0) for k in range(len(sizes))])
    within = (sums**2).sum(axis=1)
    to_themselves = np.bincount(labels, weights=(rows**2).sum(axis=1))
    across = (sums * (sums.sum(axis=0) - sums)).sum(axis=1)
    return Geometry(
        similarity=_ratio(within - to_themselves, sizes * (sizes - 1)),
        similarity_with_self=_ratio(within, sizes**2),
        dissimilarity=_ratio(across, sizes * (len(rows) - sizes)),
        sizes=sizes,
    )


def class_geometry(vectors: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Alignment and uniformity of the classes (GloCo Sec. 4 and Table 1), and the same of distances without squares.

    With the mean of a class for its centre, alignment is twice the variance; GloCo prints it smaller than that. The
    distances that TSC defined these by are not squared. All are plain means over the classes that have a row.

    Args:
        vectors: (N, D) floating point, of any length per row.
        labels: class of each row, (N,) int64.

    Returns:
        ``intra_alignment``, ``class_variance`` and ``inter_uniformity``, each also as ``..._unsquared``, and
        ``improved_uniformity``. Between classes NaN where there is only one; infinite where two have no variance.
    """
    rows = unit_rows(vectors.astype(np.float64))
    members = [rows[labels == k] for k in np.unique(labels)]
    centres = np.stack([own.mean(axis=0) for own in members])
    to_centre = [np.linalg.norm(own - centre, axis=1) for own, centre in zip(members, centres, strict=True)]
    variances = np.array([np.mean(distances**2) for distances in to_centre])
    i, j = np.nonzero(~np.eye(len(centres), dtype=bool))
    between = np.linalg.norm(centres[i] - centres[j], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        improved = 2 * between**2 / (variances[i] + variances[j])
    found = {"class_variance": variances, "inter_uniformity": between**2, "improved_uniformity": improved}
    found["intra_alignment"] = np.array([_mean_distance(own, 2) for own in members])
    found["intra_alignment_unsquared"] = np.array([_mean_distance(own, 1) for own in members])
    found["class_variance_unsquared"] = np.array([distances.mean() for distances in to_centre])
    found["inter_uniformity_unsquared"] = between
    return {name: _mean(values) for name, values in found.items()}


def compactness(similarity: np.ndarray, shots: np.ndarray) -> dict[str, float]:
    """Compactness of the many, medium and few shots, and few over many (ConMix Table 10, F/My).

    The value of a group is the plain mean over its classes; the ratio is taken before any rounding.

    Args:
        similarity: class-wise similarity, (K,).
        shots: ``many``, ``medium`` or ``few`` per class, (K,).

    Returns:
        ``compactness_many``, ``compactness_medium``, ``compactness_few`` and ``few_many_ratio``; NaN for a
        group without classes or with a class of one row.
    """
    means = {shot: _mean(similarity[shots == shot]) for shot in ("many", "medium", "few")}
    ratio = means["few"] / means["many"] if means["many"] else np.nan
    return {**{f"compactness_{shot}": mean for shot, mean in means.items()}, "few_many_ratio": ratio}


def purity(labels: np.ndarray, clusters: np.ndarray) -> float:
    """Mean over the clusters of the share of their most frequent class, in [0, 1] (MiniClustering Fig. 2).

    Every cluster counts alike, whatever its size; clusters without rows are left out.
    """
    table = contingency(labels, clusters)
    sizes = table.sum(axis=0)
    return float((table.max(axis=0)[sizes > 0] / sizes[sizes > 0]).mean())


def assigned_mini_clusters(targets: np.ndarray, minis: np.ndarray, delta: float) -> np.ndarray:
    """How many mini-clusters belong to each target, (K,) int64 (MiniClustering Fig. 3, counted as in Eq. 2).

    Mini-cluster j belongs to target k if more than the share ``delta`` of its rows do, so below one half it may
    belong to several, and an empty one belongs to none.

    Args:
        targets: class or target cluster of each row, (N,) int64.
        minis: mini-cluster of each row, (N,) int64.
        delta: the share, in [0, 1).
    """
    table = contingency(targets, minis)
    return (table / np.maximum(table.sum(axis=0), 1) > delta).sum(axis=1)


def as_classes(labels: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """``clusters`` renumbered by the class they match best as a whole, (N,) int64; the unmatched follow the classes."""
    table = contingency(labels, clusters)
    number = match(table)
    free = number < 0
    number[free] = len(table) + np.arange(free.sum())
    return number[clusters]


def confusion(labels: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Rows of each class in each cluster, columns in the order of the matched classes (MiniClustering Fig. 1).

    Returns:
        (K, max(K, clusters)) int64; clusters without a class come last, a class without a cluster has a
        column of zeros.
    """
    table = contingency(labels, as_classes(labels, clusters))
    return np.pad(table, ((0, 0), (0, max(0, len(table) - table.shape[1]))))


def _mean_distance(rows: np.ndarray, power: int) -> float:
    """Of all pairs of rows, with itself included; a thousand rows at a time, as all pairs may not fit into memory."""
    from scipy.spatial.distance import cdist

    parts = np.array_split(rows, -(-len(rows) // 1000))
    return float(sum((cdist(part, rows) ** power).sum() for part in parts) / len(rows) ** 2)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
