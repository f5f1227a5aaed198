"""What ResCom says of the pairs that supervised contrast is made of (Zhong et al., arXiv 2022).

Proposition (Sec. 3.1): let batches be drawn without replacement, and a queue be filled by the batches before. Then
class k has n_k^2 Q / N positive pairs an epoch in expectation, and the largest class has (n_1 / n_K)^2 times as many as
the smallest: the imbalance of classification, squared. Fig. 1 shows it by simulation, and beside it that the easiest
pairs hardly have a gradient (Eq. 4), which is why only the hardest are to count. Fig. 5 shows the similarities of
positive pairs.

Everything here is a function of arrays. Shape suffixes: N rows, D dimensions, K classes.
"""

from __future__ import annotations

import numpy as np

from longtail.evaluation.reading import unit_rows

_ROWS = 1000  # anchors at a time


def pair_counts(labels: np.ndarray, *, epochs: int, batch_size: int, queue_size: int, seed: int) -> np.ndarray:
    """How often an anchor of class k met a key of class j, (K, K) int64 (Fig. 1, centre).

    Epochs are shuffled and their incomplete last batch is left out; the queue is empty at first, and a batch enters it
    after it was compared.

    Args:
        labels: class of each row, (N,) int64.
        epochs: how many are simulated.
        batch_size: B; all rows where there are fewer.
        queue_size: Q, the keys that a first-in first-out queue keeps.
        seed: of the order of rows.
    """
    classes, size = np.eye(labels.max() + 1, dtype=np.int64), min(batch_size, len(labels))
    random = np.random.default_rng(seed)
    counts, queue = np.zeros_like(classes), labels[:0]
    for _ in range(epochs):
        seen = random.permutation(labels)[: len(labels) // size * size]
        stream = np.concatenate([queue, seen])
        before = np.concatenate([np.zeros_like(classes[:1]), classes[stream].cumsum(axis=0)])
        batches = np.arange(len(queue), len(stream), size)
        anchors = before[batches + size] - before[batches]
        keys = before[batches] - before[np.maximum(batches - queue_size, 0)]
        counts += anchors.T @ keys
        queue = stream[-queue_size:]
    return counts


def pair_gradients(
    vectors: np.ndarray, labels: np.ndarray, *, keys_per_class: int, temperature: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean length of what each key adds to an anchor's gradient, from the most similar on (Eq. 4; Fig. 1, right).

    That is |P_ip - 1/Q| / tau of the Q keys of the anchor's class and P_in / tau of the others, for keys of length 1.
    Q rows of each class stand in for the balanced queue; the others are the anchors, each of which counts alike.

    Args:
        vectors: (N, D) floating point, of any length per row.
        labels: class of each row, (N,) int64.
        keys_per_class: Q; half of the smallest class where that is less.
        temperature: tau.
        seed: of the draw of the keys.

    Returns:
        (Q,) and ((K - 1) Q,) float64; both empty where some class has fewer than two rows.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    count = min(keys_per_class, int(sizes.min()) // 2)
    random = np.random.default_rng(seed)
    keys = np.concatenate([random.permutation(np.flatnonzero(labels == k))[:count] for k in classes])
    positive, negative = np.zeros(count), np.zeros((len(classes) - 1) * count)
    if not count:
        return positive, negative
    rows = unit_rows(vectors.astype(np.float64))
    anchors = np.setdiff1d(np.arange(len(labels)), keys)
    for some in np.array_split(anchors, -(-len(anchors) // _ROWS)):
        similarities = rows[some] @ rows[keys].T / temperature
        exponentials = np.exp(similarities - similarities.max(axis=1, keepdims=True))
        shares = exponentials / exponentials.sum(axis=1, keepdims=True)
        same = labels[some, None] == labels[keys]
        # the larger the similarity, the larger the share
        own, others = (-np.sort(-shares[of].reshape(len(some), -1), axis=1) for of in (same, ~same))
        positive += np.abs(own - 1 / count).sum(axis=0)
        negative += others.sum(axis=0)
    scale = temperature * len(anchors)
    return positive / scale, negative / scale


def pair_similarities(
    vectors: np.ndarray, labels: np.ndarray, shots: np.ndarray, bins: int
) -> dict[str, tuple[np.ndarray, float]]:
    """How alike the images of one class are, by the class's shot group: every pair counts once.

    Args:
        vectors: (N, D), of any length but 0.
        labels: class of each row, (N,) int64.
        shots: ``many``, ``medium`` or ``few`` per class, (K,).
        bins: equal ones over the cosines from -1 to 1, [low, high) but for the last, which has its end.

    Returns:
        For each group with a pair, how many pairs fall into each bin, (bins,) int64, and the mean cosine.
    """
    rows = unit_rows(vectors).astype(np.float64)
    counts: dict[str, np.ndarray] = {}
    sums: dict[str, float] = {}
    for label in np.unique(labels):
        own = rows[labels == label]
        cosines = (own @ own.T)[np.triu_indices(len(own), 1)].clip(-1, 1)
        group = str(shots[label])
        found, _ = np.histogram(cosines, bins=bins, range=(-1, 1))
        counts[group] = counts.get(group, 0) + found
        sums[group] = sums.get(group, 0.0) + float(cosines.sum())
    return {group: (found, sums[group] / found.sum()) for group, found in counts.items() if found.sum()}
