"""What the tables print: ACC, CAA, NMI, ARI, and the recall of each class.

All are functions of the contingency table w of shape (classes, clusters), w[i, j] = rows of class i in cluster j. The
numbering of clusters means nothing to any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longtail.errors import LongtailError


@dataclass(frozen=True)
class Scores:
    """Quality of a clustering against the true classes.

    Attributes:
        acc: clustering accuracy, percent of all rows.
        caa: class-average accuracy, mean of ``recall`` over the classes, percent.
        nmi: normalised mutual information, percent.
        ari: adjusted Rand index, percent; 0 is chance, negative is worse.
        recall: percent of each class in the cluster that is matched to it, (K,) float64; NaN for a class without rows.
    """

    acc: float
    caa: float
    nmi: float
    ari: float
    recall: np.ndarray


def contingency(labels: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Rows of each class in each cluster, (max label + 1, max cluster + 1) int64.

    Args:
        labels: true class of each row, (N,) int64, from 0.
        clusters: cluster of each row, (N,) int64, from 0; numbers may be left out.

    Raises:
        LongtailError: if the two differ in length, are empty, or hold negative numbers.
    """
    if labels.shape != clusters.shape or labels.ndim != 1 or not len(labels):
        raise LongtailError(f"Labels {labels.shape} and clusters {clusters.shape} must be two lists of the same rows.")
    if labels.min() < 0 or clusters.min() < 0:
        raise LongtailError("Labels and clusters are numbered from 0; there are negative ones.")
    width = int(clusters.max()) + 1
    cells = np.bincount(labels * width + clusters, minlength=(int(labels.max()) + 1) * width)
    return cells.reshape(-1, width)


def match(table: np.ndarray) -> np.ndarray:
    """The class of each cluster under the one-to-one matching of the highest ACC, (clusters,) int64; -1 for none.

    Where clusters outnumber classes, some stay without a class, and the other way round, as if the table were padded
    with zeros to a square. Of several matchings with the highest ACC, one of the highest CAA is taken, so that
    neither depends on the numbering of the clusters.

    Args:
        table: contingency table, (classes, clusters).
    """
    from scipy.optimize import linear_sum_assignment

    sizes = table.sum(axis=1, keepdims=True)
    recall = table / np.maximum(sizes, 1)
    classes, clusters = linear_sum_assignment(table + recall / (len(table) + 1), maximize=True)
    matched = np.full(table.shape[1], -1, dtype=np.int64)
    matched[clusters] = classes
    return matched


def scores(table: np.ndarray) -> Scores:
    """All metrics of a contingency table.

    ACC is the share of rows in matched cells, CAA the mean over the classes of their recall under that same matching
    (a class without a cluster counts 0); NMI is normalised by the arithmetic mean of the entropies; ARI is Hubert's and
    Arabie's. Source: ConMix Sec. 5.1, MiniClustering Sec. 4.1.

    Args:
        table: contingency table, (classes, clusters), with at least one row counted.
    """
    matched = match(table)
    clusters = np.flatnonzero(matched >= 0)
    hits = np.zeros(len(table), dtype=np.int64)
    hits[matched[clusters]] = table[matched[clusters], clusters]
    sizes = table.sum(axis=1)
    recall = np.full(len(table), np.nan)
    np.divide(hits, sizes, out=recall, where=sizes > 0)
    return Scores(
        acc=100 * float(hits.sum() / table.sum()),
        caa=100 * float(np.nanmean(recall)),
        nmi=100 * normalized_mutual_information(table),
        ari=100 * adjusted_rand_index(table),
        recall=100 * recall,
    )


def normalized_mutual_information(table: np.ndarray) -> float:
    """NMI = 2 I(y; c) / (H(y) + H(c)) in [0, 1]; 1 where both are constant."""
    total = table.sum()
    joint, by_class, by_cluster = table / total, table.sum(axis=1) / total, table.sum(axis=0) / total
    entropies = _entropy(by_class) + _entropy(by_cluster)
    if entropies == 0:
        return 1.0
    return min(1.0, max(0.0, 2 * (entropies - _entropy(joint.ravel())) / entropies))


def adjusted_rand_index(table: np.ndarray) -> float:
    """ARI in [-0.5, 1]: pairs of rows on whose togetherness both agree, corrected for chance; 1 where all agree."""
    together = _pairs(table).sum()
    by_class, by_cluster, pairs = _pairs(table.sum(axis=1)).sum(), _pairs(table.sum(axis=0)).sum(), _pairs(table.sum())
    if by_class == by_cluster == together:
        return 1.0
    expected = by_class * by_cluster / pairs
    return float((together - expected) / ((by_class + by_cluster) / 2 - expected))


def _entropy(probabilities: np.ndarray) -> float:
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log(positive)).sum())


def _pairs(counts: np.ndarray) -> np.ndarray:
    return counts * (counts - 1.0) / 2
