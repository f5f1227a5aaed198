"""Spherical K-means, as the official codes of ConMix, MiniClustering, ProPos and LFSS run it on their embeddings.

Rows are normalised, distances are cosine distances, a centre is the arithmetic mean of its rows (its length is
irrelevant to the assignment), a cluster without rows becomes the zero vector, a zero row has cosine 0 to every centre.

Initial centres come from greedy k-means++ with 2 + floor(ln K) candidates a step, drawn in proportion to the cosine
distance. A start stops when its labels no longer change (its centres then stand still), when the summed cosine shift of
its centres is at most 1e-4 of the mean feature variance, or after 300 iterations. The labels and centres of the lowest
inertia over all iterations of all starts of a trial are kept. Source: ConMix App. A (ten trials); the algorithm is read
off the official codes (LZX-001/ConMix, Hzzone/ProPos).

It is written twice: :mod:`longtail.clusterers.kmeans` in torch, with all starts side by side, for objectives that
cluster on their device while they train; :mod:`longtail.clusterers.bounded_kmeans` in numpy, which is faster on a CPU
and loads in no time, for jobs that hold arrays. From the same seeds both find the same clusters, up to the rounding of
float32 products. This module is what they share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from longtail.errors import LongtailError

MAX_ITERATIONS = 300
TOLERANCE = 1e-4  # of the mean feature variance, as in scikit-learn


def draws(seed: int, rows: int, clusters: int) -> tuple[int, np.ndarray]:
    """The random numbers of one start, which depend on its seed alone.

    They are made of the words of a Mersenne Twister, whose sequence no release of numpy changes, in the way of torch's
    generator on the CPU: what ``torch.randint(rows, ())`` and then ``torch.rand(K - 1, L, dtype=torch.float64)`` draw.

    Args:
        seed: in 0..2**32 - 1.
        rows: number of rows N.
        clusters: number of clusters K.

    Returns:
        The row of the first centre, in 0..N-1, and (K - 1, L) float64 in [0, 1) for the L candidates of each further
        centre.
    """
    steps, candidates = clusters - 1, 2 + int(math.log(clusters))
    words = np.random.RandomState(seed).randint(2**32, size=1 + 2 * steps * candidates, dtype=np.uint32)
    pairs = words[1:].astype(np.uint64).reshape(steps, candidates, 2)
    return int(words[0]) % rows, ((pairs[..., 0] << 32 | pairs[..., 1]) & (2**53 - 1)) * 2.0**-53


def check(
    shape: Sequence[int], dtype: object, clusters: int, inits: int, floating: bool, finite: Callable[[], bool]
) -> None:
    """Refuse what cannot be clustered.

    Args:
        shape: of the embeddings.
        dtype: of the embeddings, as it shall be named.
        clusters: number of clusters.
        inits: number of starts.
        floating: whether the embeddings are floating point numbers.
        finite: tells whether all of them are finite.

    Raises:
        LongtailError: if there are fewer rows than clusters, or the embeddings are not a finite matrix.
    """
    if len(shape) != 2 or not floating:
        raise LongtailError(f"K-means needs a floating point matrix (rows, dimensions), not {tuple(shape)} of {dtype}.")
    if clusters < 1 or inits < 1:
        raise LongtailError(f"K-means needs at least one cluster and one start, not {clusters} and {inits}.")
    if shape[0] < clusters:
        raise LongtailError(
            f"K-means cannot make {clusters} clusters of {shape[0]} rows; ask for fewer clusters or more rows."
        )
    if not finite():
        raise LongtailError("K-means was given embeddings with NaN or infinite values; the network has diverged.")
