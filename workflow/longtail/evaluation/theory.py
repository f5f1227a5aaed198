"""What the papers prove: what theorems speak of, measured on embeddings or counted, beside what they state.

ConMix, Theorem 1 (Sec. 4, App. C): let two representations of one class have the similarity s_w, two of different
classes s_b < s_w, and let all mixes be of one size and of the classes' overall shares. Then mixing lowers what a
representation of a large class adds to the loss relative to one of a small class:
h_CM(v_h) - h_CM(v_t) < h_CL(v_h) - h_CL(v_t).

MiniClustering, Theorem 1 (Sec. 3.1, App. L): if every mini-cluster has at least the purity ρ, a class i larger than a
class j dominates more mini-clusters where ρ > N_j S_max / ((N_i - ε_i) S_min).

GloCo, Proposition 1 (Sec. 3.1): between a class i and a smaller class j, the ratio of the numbers of ways to draw k
positives is no larger in the whole training set than in a batch that has the same share of every class.

Everything here is a function of arrays. Shape suffixes: N rows, V = 2N representations, D dimensions, K classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from longtail.evaluation.analyses import geometry
from longtail.evaluation.metrics import contingency
from longtail.evaluation.reading import unit_rows


def contrastive_contributions(views: np.ndarray) -> np.ndarray:
    """h_CL of each representation, (V,): its part in the contrastive loss (ConMix Eq. 6).

    Args:
        views: (V, D), the two views of image i in rows i and i + N.
    """
    total, positive = views @ views.sum(axis=0), _positives(views)
    return total - _squares(views) - (len(views) - 1) * positive


def mixed_contributions(views: np.ndarray, tags: np.ndarray, mixes: int) -> np.ndarray:
    """h_CM of each representation, (V,): its part in ConMix's loss, mixes taken without normalisation (ConMix Eq. 8).

    Args:
        views: (V, D), the two views of image i in rows i and i + N.
        tags: the mix that each image belongs to, (N,) int64 in [0, mixes); both views share it.
        mixes: M, mixes per view.
    """
    first, second = np.split(views, 2)
    own, other = np.empty_like(views), np.empty_like(views)
    for half, (view, opposite) in enumerate(((first, second), (second, first))):
        rows = slice(half * len(tags), (half + 1) * len(tags))
        own[rows] = _sums(view, tags, mixes)[tags]
        other[rows] = _sums(opposite, tags, mixes)[tags]
    total = views @ views.sum(axis=0)
    return total - (views * own).sum(axis=1) - (2 * mixes + 1) * (views * other).sum(axis=1)


def expected_contributions(views: np.ndarray, mixes: int) -> np.ndarray:
    """The mean of :func:`mixed_contributions` over tags that are drawn uniformly and independently, (V,).

    Such mixes have, in expectation, the size N/M and the classes' overall shares, as Theorem 1 of ConMix assumes.
    """
    first, second = np.split(views, 2)
    own = np.concatenate([first @ first.sum(axis=0), second @ second.sum(axis=0)])
    other = np.concatenate([first @ second.sum(axis=0), second @ first.sum(axis=0)])
    squares, positive = _squares(views), _positives(views)
    with_own = squares + (own - squares) / mixes
    with_other = positive + (other - positive) / mixes
    return own + other - with_own - (2 * mixes + 1) * with_other


@dataclass(frozen=True)
class LossGap:
    """The largest class less the smallest in their mean part in a loss, all divided by the number V of representations.

    Dividing both sides of the inequality leaves it as it is, and lets data sets of different sizes be compared.

    Attributes:
        contrastive: measured gap of h_CL.
        mixed: measured gap of h_CM, mean over draws of the tags.
        contrastive_stated: what Eq. 11 makes of the gap of h_CL, with the mean similarities of this embedding.
        mixed_stated: what Eq. 13 makes of the gap of h_CM, each mix being of N/M rows and of the overall shares.
        pairs: share of the pairs of a row of the largest and a row of the smallest class for which the inequality
            holds, in [0, 1], h_CM being the mean over all tags.
    """

    contrastive: float
    mixed: float
    contrastive_stated: float
    mixed_stated: float
    pairs: float

    @property
    def holds(self) -> bool:
        """Whether the inequality of the theorem holds for the two classes' means."""
        return self.mixed < self.contrastive


def loss_gap(vectors: np.ndarray, labels: np.ndarray, *, tags: int, samples: int, seed: int) -> LossGap:
    """Both sides of ConMix's Theorem 1 on an embedding.

    Embeddings hold one unaugmented vector per image, so both views of an image are the same here; the theorem takes
    positive pairs of all classes for equally similar, and its proof drops them (Eq. 11). s_w and s_b are plain means
    over the classes of :func:`~longtail.evaluation.analyses.geometry`.

    Args:
        vectors: (N, D) floating point, of any length per row.
        labels: class of each row, (N,) int64. Of classes of the same size, the head is the first and the tail the last.
        tags: M, mixes per view.
        samples: h_CM varies with the tags far more than its gap is wide, so tags are drawn until this many values of
            images of the tail are averaged.
        seed: of the draws.
    """
    found = geometry(vectors, labels)
    classes = np.flatnonzero(found.sizes)
    head = classes[found.sizes[classes].argmax()]
    tail = classes[::-1][found.sizes[classes[::-1]].argmin()]
    rows = unit_rows(vectors.astype(np.float64))
    views = np.concatenate([rows, rows])

    def gap(contributions: np.ndarray) -> float:
        both = np.concatenate([labels, labels])
        return float(contributions[both == head].mean() - contributions[both == tail].mean()) / len(views)

    random = np.random.default_rng(seed)
    draws = -(-samples // int(found.sizes[tail]))
    drawn = [gap(mixed_contributions(views, random.integers(0, tags, len(rows)), tags)) for _ in range(draws)]
    contrastive = contrastive_contributions(views)
    lowered = (expected_contributions(views, tags) - contrastive)[: len(rows)]
    below = np.searchsorted(np.sort(lowered[labels == tail]), lowered[labels == head], side="right")
    outside = 2 * (len(rows) - found.sizes)
    similarities = _mean(found.similarity) - _mean(found.dissimilarity)
    stated = float(outside[tail] - outside[head]) * similarities / len(views)
    return LossGap(
        contrastive=gap(contrastive),
        mixed=float(np.mean(drawn)),
        contrastive_stated=stated,
        mixed_stated=-stated / tags,
        pairs=float((found.sizes[tail] - below).mean() / found.sizes[tail]),
    )


@dataclass(frozen=True)
class Domination:
    """Which mini-clusters the classes dominate, and what the proof of MiniClustering's Theorem 1 says of it.

    Attributes:
        purity: ρ, the smallest share that the most frequent class of a mini-cluster has of it.
        smallest, largest: S_min and S_max, rows of the smallest and largest mini-cluster that has any.
        sizes: N_k, rows of each class, (K,) int64.
        dominated: m_k, mini-clusters of which a class has at least the share ρ, (K,) int64.
        outside: ε_k, rows of a class outside the mini-clusters that it dominates, (K,) int64.
        bounds: what ρ must exceed for class i to be sure of more mini-clusters than class j, (K, K) float64;
            infinite where i dominates none, NaN where i is not larger than j.
        covered: whether it does, (K, K) bool.
    """

    purity: float
    smallest: int
    largest: int
    sizes: np.ndarray
    dominated: np.ndarray
    outside: np.ndarray
    bounds: np.ndarray
    covered: np.ndarray

    @property
    def at_least(self) -> np.ndarray:
        """(N_k - ε_k) / S_max, below which m_k cannot lie, (K,)."""
        return (self.sizes - self.outside) / self.largest

    @property
    def at_most(self) -> np.ndarray:
        """N_k / (ρ S_min), above which m_k cannot lie, (K,)."""
        return self.sizes / (self.purity * self.smallest)

    @property
    def larger(self) -> np.ndarray:
        """N_i > N_j, (K, K) bool: the pairs that the theorem speaks of."""
        return self.sizes[:, None] > self.sizes

    @property
    def ordered(self) -> np.ndarray:
        """N_i > N_j and m_i > m_j, (K, K) bool."""
        return self.larger & (self.dominated[:, None] > self.dominated)

    @property
    def violations(self) -> int:
        """Pairs that satisfy the condition of the theorem and not its conclusion. The theorem says: none."""
        return int((self.covered & ~self.ordered).sum())


def domination(labels: np.ndarray, clusters: np.ndarray) -> Domination:
    """MiniClustering's Theorem 1 on an assignment to mini-clusters; those without rows are left out.

    Comparisons are of whole numbers, so that no rounding makes a pair at the bound a violation.

    Args:
        labels: class of each row, (N,) int64.
        clusters: mini-cluster of each row, (N,) int64.
    """
    table = contingency(labels, clusters)
    table = table[:, table.any(axis=0)]
    rows, most = table.sum(axis=0), table.max(axis=0)
    least = int((most / rows).argmin())
    share, whole = int(most[least]), int(rows[least])  # ρ = share / whole
    dominates = table * whole >= share * rows
    sizes = table.sum(axis=1)
    inside = (table * dominates).sum(axis=1)
    smallest, largest = int(rows.min()), int(rows.max())
    larger = sizes[:, None] > sizes
    needed, given = np.broadcast_arrays(sizes * largest, (inside * smallest)[:, None])
    bounds = np.divide(needed, given, out=np.full(larger.shape, np.inf), where=given > 0)
    return Domination(
        purity=share / whole,
        smallest=smallest,
        largest=largest,
        sizes=sizes,
        dominated=dominates.sum(axis=1),
        outside=sizes - inside,
        bounds=np.where(larger, bounds, np.nan),
        covered=larger & (share * given > needed * whole),
    )


@dataclass(frozen=True)
class SelectionSpace:
    """How many sets of k positives classes offer in a batch and in the whole set, compared between two classes.

    Attributes:
        batch_ratio: Br_b = C(|B_i|, k) / C(|B_j|, k), with i a largest class and j a smallest one of those that have k
            images in a batch; NaN where no smaller class has them.
        global_ratio: Br_g = C(|X_i|, k) / C(|X_j|, k) of the same two.
        pairs: of classes of different sizes.
        defined: how many of those have a Br_b, which is where the smaller class has k images in a batch.
        violations: how many of those have Br_b < Br_g. The proposition says: none.
    """

    batch_ratio: float
    global_ratio: float
    pairs: int
    defined: int
    violations: int


def selection_space(labels: np.ndarray, *, batch_size: int, positives: int) -> SelectionSpace:
    """GloCo's Proposition 1 on the sizes of classes; a batch has |X_k| B / N images of a class, as in the proof.

    Where these are no whole numbers, C(m, k) = m (m - 1) ... (m - k + 1) / k!. The proof says of every pair what is
    undefined where |B_j| < k: there is no set to draw. Comparisons are of whole numbers, N^k times both sides.

    Args:
        labels: class of each row of the training set, (N,) int64.
        batch_size: B.
        positives: k.
    """
    sizes, classes = np.unique(np.bincount(labels)[np.unique(labels)], return_counts=True)
    whole, rows = [int(size) for size in sizes], len(labels)
    inside = [math.prod(size * batch_size - h * rows for h in range(positives)) for size in whole]
    overall = [math.prod(size - h for h in range(positives)) for size in whole]
    pairs = [(i, j, int(classes[i] * classes[j])) for i in range(len(whole)) for j in range(i)]
    defined = [(i, j, count) for i, j, count in pairs if whole[j] * batch_size >= positives * rows]
    smallest = min((j for _, j, _ in defined), default=None)
    return SelectionSpace(
        batch_ratio=np.nan if smallest is None else inside[-1] / inside[smallest],
        global_ratio=np.nan if smallest is None else overall[-1] / overall[smallest],
        pairs=sum(count for *_, count in pairs),
        defined=sum(count for *_, count in defined),
        violations=sum(n for i, j, n in defined if inside[i] * overall[j] < overall[i] * inside[j]),
    )


def _positives(views: np.ndarray) -> np.ndarray:
    return (views * np.roll(views, len(views) // 2, axis=0)).sum(axis=1)


def _squares(views: np.ndarray) -> np.ndarray:
    return (views**2).sum(axis=1)


def _sums(view: np.ndarray, tags: np.ndarray, mixes: int) -> np.ndarray:
    """The sum of the rows of each mix, (mixes, D)."""
    order = np.argsort(tags, kind="stable")
    present, starts = np.unique(tags[order], return_index=True)
    sums = np.zeros((mixes, view.shape[1]))
    sums[present] = np.add.reduceat(view[order], starts, axis=0)
    return sums


def _mean(values: np.ndarray) -> float:
    """Of the classes that have a value, NaN if none has."""
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else float("nan")
