from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

import longtail
from longtail.__main__ import main
from longtail.errors import LongtailError
from longtail.evaluation.project import umap
from longtail.files import read_table

CATALOG = Path(longtail.__file__).parent.parent / "catalog" / "readouts.yaml"


def test_umap_writes_a_point_per_row_twice_the_same(embeddings: Path, labels: np.ndarray, tmp_path: Path) -> None:
    seed = yaml.safe_load(CATALOG.read_text())["projections"]["umap"]["seed"]
    settings = f'{{"name": "umap", "seed": {seed}}}'
    tables = []
    for name in ("one.parquet", "two.parquet"):
        out = tmp_path / name
        assert main(["project", "--embeddings", str(embeddings), "--projection", settings, "--out", str(out)]) == 0
        tables.append(read_table(out))
    assert tables[0].column_names == ["row", "label", "x", "y"]
    assert tables[0].equals(tables[1])
    np.testing.assert_array_equal(tables[0]["label"], labels)
    points = np.stack([tables[0]["x"], tables[0]["y"]], axis=1)
    assert np.isfinite(points).all()
    nearest = [np.argsort(np.linalg.norm(points - point, axis=1))[1] for point in points]
    assert (labels[nearest] == labels).mean() > 0.8


def test_too_few_rows_are_named() -> None:
    with pytest.raises(LongtailError, match="15 rows are too few"):
        umap(np.eye(15, dtype=np.float32), seed=0)


def test_an_unknown_projection_is_named(embeddings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "p.parquet"
    arguments = ["--embeddings", str(embeddings), "--out", str(out)]
    assert main(["project", "--projection", '{"name": "tsne"}', *arguments]) == 1
    assert "no projection 'tsne'" in capsys.readouterr().err
    assert not out.exists()
