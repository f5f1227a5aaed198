"""Features that need no training. They bound every metric: true labels from above, noise from below.

Equal similarities are the assumption under which ConMix's theorem is proven. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from longtail.embedding.embeddings import write_embeddings
from longtail.errors import LongtailError, unknown
from longtail.files import read_table

CONTROLS = ("pixels", "labels", "noise", "similarities")
NOISE_WIDTH = 128
SIMILARITY_WITHIN, SIMILARITY_BETWEEN = 0.5, 0.1
"""s_w and s_b of two images of one class and of two classes. Chosen: far apart, and far from their limits."""


def embed_control(
    control: str,
    classes: int,
    seed: int,
    split: Path,
    stores: Mapping[str, Path],
    path: Path,
    **facts: Any,
) -> None:
    """Write the embedding of a control.

    ``pixels`` are the stored pixels over 255, flattened; ``labels`` the true labels, one-hot, as embedding and as
    logits; ``noise`` standard normal draws for both, the same for the same seed; ``similarities`` those of
    :func:`similarities`.

    Raises:
        LongtailError: for an unknown control, labels beyond the classes, or a missing or short store.
    """
    if control not in CONTROLS:
        raise unknown("control", control, CONTROLS)
    table = read_table(split, ["part", "source_row", "label"])
    labels = table["label"].to_numpy()
    logits: np.ndarray | None = None
    if control == "pixels":
        embedding = pixels(table["part"].to_numpy(zero_copy_only=False), table["source_row"].to_numpy(), stores)
    elif control in ("labels", "similarities"):
        if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
            raise LongtailError(f"{split} has labels up to {labels.max()}, but the dataset has {classes} classes.")
        one_hot = np.eye(classes, dtype=np.float32)[labels]
        if control == "labels":
            embedding = logits = one_hot
        else:
            embedding = similarities(one_hot, seed)
    else:
        draws = np.random.default_rng(seed)
        embedding = draws.standard_normal((len(labels), NOISE_WIDTH), dtype=np.float32)
        logits = draws.standard_normal((len(labels), classes), dtype=np.float32)
    write_embeddings(path, labels, embedding, logits, control=control, seed=seed, **facts)


def similarities(one_hot: np.ndarray, seed: int) -> np.ndarray:
    """Vectors of length one whose expected cosine is the same for all pairs of one class, and for all others.

    What a vector has of its own points in a uniformly random direction, so that a single cosine deviates from what is
    expected by (1 - :data:`SIMILARITY_WITHIN`) / sqrt(:data:`NOISE_WIDTH`).

    Args:
        one_hot: the classes, (N, K) float32.
        seed: of the random directions.

    Returns:
        (N, 1 + K + NOISE_WIDTH) float32: what all have in common, what a class has, and what each has of its own.
    """
    own = np.random.default_rng(seed).standard_normal((len(one_hot), NOISE_WIDTH))
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    shared = np.full((len(one_hot), 1), SIMILARITY_BETWEEN**0.5)
    of_class = (SIMILARITY_WITHIN - SIMILARITY_BETWEEN) ** 0.5 * one_hot
    return np.hstack([shared, of_class, (1 - SIMILARITY_WITHIN) ** 0.5 * own]).astype(np.float32)


def pixels(parts: np.ndarray, source_rows: np.ndarray, stores: Mapping[str, Path]) -> np.ndarray:
    """Stored images of the rows of a split, (N, H * W * C) float32 in [0, 1]."""
    chosen: np.ndarray | None = None
    for part in np.unique(parts):
        if part not in stores:
            raise LongtailError(f"The split has images of part {part!r}. Give their store with --images {part}=PATH.")
        here = parts == part
        try:
            images = np.load(stores[part], mmap_mode="r")[source_rows[here]]
        except (OSError, ValueError, IndexError) as error:
            raise LongtailError(
                f"{stores[part]} does not hold the images of the split ({error}). Delete it and run the workflow again."
            ) from error
        if chosen is None:
            chosen = np.empty((len(parts), images[0].size), dtype=np.float32)
        chosen[here] = images.reshape(len(images), -1)
    if chosen is None:
        raise LongtailError("The split has no rows.")
    chosen /= 255
    return chosen
