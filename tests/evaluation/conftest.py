from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from longtail.files import write_table

SIZES = (40, 25, 12, 6)
SHOTS = ("many", "medium", "medium", "few")


@pytest.fixture
def labels() -> np.ndarray:
    return np.repeat(np.arange(len(SIZES)), SIZES)


@pytest.fixture
def vectors(labels: np.ndarray) -> np.ndarray:
    """Embeddings whose classes lie apart, of different lengths."""
    random = np.random.default_rng(0)
    means = np.eye(len(SIZES), 6)
    scale = random.uniform(0.5, 2, (len(labels), 1))
    return (scale * (means[labels] + 0.15 * random.normal(size=(len(labels), 6)))).astype(np.float32)


@pytest.fixture
def split(tmp_path: Path, labels: np.ndarray) -> Path:
    path = tmp_path / "train.parquet"
    columns = {"row": np.arange(len(labels)), "label": labels, "shot": [SHOTS[label] for label in labels]}
    write_table(path, pa.table({**columns, "class_size": [SIZES[label] for label in labels]}))
    return path


@pytest.fixture
def write_embeddings(tmp_path: Path) -> Callable[..., Path]:
    def write(vectors: np.ndarray, labels: np.ndarray, logits: np.ndarray | None = None) -> Path:
        columns = {"row": pa.array(np.arange(len(labels))), "label": pa.array(labels)}
        for name, values in {"embedding": vectors, "logits": logits}.items():
            if values is not None:
                flat = pa.array(values.astype(np.float32).ravel())
                columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        path = tmp_path / "embeddings.parquet"
        write_table(path, pa.table(columns), identity="abc")
        return path

    return write


@pytest.fixture
def embeddings(write_embeddings: Callable[..., Path], vectors: np.ndarray, labels: np.ndarray) -> Path:
    return write_embeddings(vectors, labels, logits=vectors[:, :4])
