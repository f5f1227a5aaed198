"""The files between embedding and everything that reads embeddings. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from longtail.errors import LongtailError
from longtail.files import write_table


def write_embeddings(
    path: Path, labels: np.ndarray, embedding: np.ndarray, logits: np.ndarray | None, **facts: Any
) -> None:
    """Write ``embeddings.parquet``.

    Columns: ``row`` and ``label`` int64, ``embedding`` and, if there are, ``logits`` as fixed-size lists of float32.

    Args:
        path: the file.
        labels: (N,) integers.
        embedding: (N, d) floats, in the split's order.
        logits: (N, K) floats, or None where the features have no head.
        facts: provenance.

    Raises:
        LongtailError: if a number is not finite, or the file cannot be written.
    """
    columns = {"row": pa.array(np.arange(len(labels))), "label": pa.array(labels.astype(np.int64))}
    for name, values in (("embedding", embedding), ("logits", logits)):
        if values is None:
            continue
        if not np.isfinite(values).all():
            raise LongtailError(
                f"The {name} for {path} has values that are not finite. The network has diverged; train it anew."
            )
        flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    write_table(path, pa.table(columns), **facts)


def write_weights(path: Path, weight: np.ndarray | None, bias: np.ndarray | None, **facts: Any) -> None:
    """Write ``weights.parquet``.

    Columns: ``class`` int64, ``weight`` list of float32, ``bias`` float32, null where there is none.

    Args:
        path: the file.
        weight: of a linear classifier, (K, d) floats; None where the features have none, which leaves no line.
        bias: (K,) floats, or None.
        facts: provenance.
    """
    classes = 0 if weight is None else len(weight)
    table = pa.table(
        {
            "class": pa.array(np.arange(classes), pa.int64()),
            "weight": pa.array([] if weight is None else list(weight), pa.list_(pa.float32())),
            "bias": pa.array([None] * classes if bias is None else bias, pa.float32()),
        }
    )
    write_table(path, table, **facts)
