"""``longtail.embeddings``: the embeddings of a finished cell as arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from longtail.errors import LongtailError, unknown
from longtail.files import read_table
from longtail.interface.asked import Asked, Settings, results_in
from longtail.splits import SPLITS


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What a trained network, or a control, makes of a split.

    Attributes:
        embeddings: (N, d) float32, as the network gives them.
        labels: (N,) int64, the true classes.
        rows: (N,) int64, places in the split's file.
        logits: (N, K) float32 of the head behind the features; None where they have none.
        path: the file.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    logits: np.ndarray | None
    path: Path

    def __len__(self) -> int:
        return len(self.rows)


def embeddings(
    method: str,
    dataset: str,
    ratio: int,
    seed: int = 0,
    *,
    features: str | None = None,
    split: str = "train",
    budget: str | Mapping[str, Any] | None = None,
    protocol: str | None = None,
    results: str | os.PathLike[str] = "results",
    config: Settings | None = None,
) -> Embeddings:
    """The embeddings of a cell that is finished.

    Args:
        method: of the catalogue, such as ``"conmix"``.
        dataset: likewise, such as ``"digits"``.
        ratio: the imbalance, images of the largest class over those of the smallest.
        seed: of the training.
        features: which tensor of the network, such as ``"projection"`` or ``"backbone"``; the method's own if None.
        split: ``"train"``, ``"val"`` or ``"test"``.
        budget: of the training, by name or in numbers of your own; the configuration's if None.
        protocol: ``"official"`` or ``"paper"``; the configuration's if None.
        results: the folder of all results.
        config: of the study; ``config.yaml`` of the working directory if None, or the default study without one.

    Raises:
        LongtailError: for unknown names, a wrong configuration, or embeddings that are not there, with what makes them.
    """
    asked = Asked(config, budget, protocol)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    with results_in(results):
        _, measurement = asked.measurement(method, dataset, ratio, seed)
        own = measurement.keys["features"]
        path = measurement.run.embeddings(features or own, split)
    if not Path(path).exists():
        raise LongtailError(
            f"{path} is not there. The workflow computes it, in a checkout: {asked.command(path)}\n"
            f"longtail.train(...) computes a cell with the embeddings that it is measured by "
            f"({own}, {measurement.keys['split']})."
        )
    lines = read_table(path)
    return Embeddings(
        embeddings=_matrix(lines["embedding"]),
        labels=lines["label"].to_numpy(),
        rows=lines["row"].to_numpy(),
        logits=_matrix(lines["logits"]) if "logits" in lines.column_names else None,
        path=Path(path),
    )


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    """(N, d) of a column of lists that are all as long."""
    return column.combine_chunks().flatten().to_numpy().reshape(len(column), -1)
