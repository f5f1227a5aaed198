"""Agglomerative clustering (ConMix Table 8, AC)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from longtail.errors import LongtailError


def agglomerative(points: np.ndarray, clusters: int, *, linkage: Literal["ward", "average", "complete"]) -> np.ndarray:
    """Cut of the merge tree into ``clusters``, (N,) int64; deterministic. The paper does not name its linkage.

    All pairwise distances are held twice, 8·N² bytes in all: 0.9 GB at 10,000 rows, 3.5 GB at 20,431.

    Args:
        points: (N, D) floating point, finite.
        clusters: number of clusters K.
        linkage: which clusters are merged next, as in scikit-learn.

    Raises:
        LongtailError: if N < K, ``linkage`` is unknown, or the distances do not fit into memory.
    """
    from sklearn.cluster import AgglomerativeClustering

    if len(points) < clusters:
        raise LongtailError(f"{len(points)} rows cannot be merged into {clusters} clusters.")
    if len(points) == 1:
        return np.zeros(1, dtype=np.int64)
    try:
        return AgglomerativeClustering(clusters, linkage=linkage).fit_predict(points).astype(np.int64)
    except MemoryError as error:
        raise LongtailError(
            f"Agglomerative clustering of {len(points)} rows needs about {8e-9 * len(points) ** 2:.0f} GB of memory; "
            "give the job more."
        ) from error
    except ValueError as error:
        raise LongtailError(f"Agglomerative clustering with {linkage!r} linkage cannot run: {error}") from error
