"""Features that need no training. They bound every metric: true labels from above, noise from below.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from longtail.errors import LongtailError, unknown
from longtail.files import read_table
from longtail.training.embeddings import write_embeddings

CONTROLS = ("pixels", "labels", "noise")
NOISE_WIDTH = 128


def embed_control(
    control: str,
    data: Mapping[str, Any],
    seed: int,
    split: Path,
    stores: Mapping[str, Path],
    path: Path,
    **facts: Any,
) -> None:
    """Write the embedding of a control.

    ``pixels`` are the stored pixels over 255, flattened; ``labels`` the true labels, one-hot, as embedding and as
    logits; ``noise`` standard normal draws for both, the same for the same seed.

    Raises:
        LongtailError: for an unknown control, labels beyond the classes, or a missing or short store.
    """
    if control not in CONTROLS:
        raise unknown("control", control, CONTROLS)
    table = read_table(split, ["part", "source_row", "label"])
    labels, classes = table["label"].to_numpy(), data["classes"]
    logits: np.ndarray | None = None
    if control == "pixels":
        embedding = pixels(table["part"].to_numpy(zero_copy_only=False), table["source_row"].to_numpy(), stores)
    elif control == "labels":
        if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
            raise LongtailError(f"{split} has labels up to {labels.max()}, but the dataset has {classes} classes.")
        embedding = logits = np.eye(classes, dtype=np.float32)[labels]
    else:
        draws = np.random.default_rng(seed)
        embedding = draws.standard_normal((len(labels), NOISE_WIDTH), dtype=np.float32)
        logits = draws.standard_normal((len(labels), classes), dtype=np.float32)
    write_embeddings(path, labels, embedding, logits, control=control, seed=seed, **facts)


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
