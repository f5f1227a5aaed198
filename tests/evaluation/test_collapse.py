"""A method may map every image to one point, as ConMix Table 1 shows of CC; it is measured all the same."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from longtail.__main__ import main
from longtail.files import read_table
from longtail.study.catalog import load

CATALOG = load()
FEWER = {"purity": {"clusters": [4, 40]}}  # than there are rows here


@pytest.fixture(params=[0.0, 1.0, 1e-30], ids=["zero", "one", "tiny"])
def collapsed(request: pytest.FixtureRequest, write_embeddings: Callable[..., Path], labels: np.ndarray) -> Path:
    """The same embedding, and the same logits, for all images."""
    point = request.param * np.arange(1, 7, dtype=np.float32)
    vectors = np.tile(point, (len(labels), 1))
    return write_embeddings(vectors, labels, logits=vectors[:, :4])


def scored(path: Path, scorer: str, split: Path, out: Path) -> list[dict]:
    settings = json.dumps({**CATALOG.scorers[scorer], **FEWER.get(scorer, {})})
    assert (
        main(["job", "score", "--scored", str(path), "--split", str(split), "--scorer", settings, "--out", str(out)])
        == 0
    )
    rows = read_table(out).to_pylist()
    assert all(math.isfinite(row["value"]) for row in rows)
    return rows


@pytest.mark.parametrize("clusterer", sorted(CATALOG.clusterers))
def test_every_clusterer(collapsed: Path, split: Path, labels: np.ndarray, tmp_path: Path, clusterer: str) -> None:
    settings, out = json.dumps(CATALOG.clusterers[clusterer]), tmp_path / "assignments.parquet"
    options = ["--clusterer", settings, "--classes", "4", "--out", str(out)]
    assert main(["job", "cluster", "--embeddings", str(collapsed), *options]) == 0
    rows = scored(out, "clustering", split, tmp_path / "metrics.parquet")
    found = {row["metric"]: row["value"] for row in rows if row["class"] is None and row["cluster"] is None}
    assert {"ACC", "CAA", "NMI", "ARI"} <= set(found)
    if len(set(read_table(out)["cluster"].to_pylist())) == 1:
        assert found["ACC"] == pytest.approx(100 * np.bincount(labels).max() / len(labels))
        assert found["CAA"] == pytest.approx(100 / 4)
        assert found["NMI"] == found["ARI"] == pytest.approx(0, abs=1e-9)


MEASURES = sorted(name for name, scorer in CATALOG.scorers.items() if scorer["reads"] == "embeddings")


@pytest.mark.parametrize("scorer", MEASURES)
def test_every_measure_of_an_embedding(collapsed: Path, split: Path, tmp_path: Path, scorer: str) -> None:
    assert scored(collapsed, scorer, split, tmp_path / "metrics.parquet")
