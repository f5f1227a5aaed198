from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

import longtail
from longtail.__main__ import main
from longtail.errors import LongtailError
from longtail.evaluation.project import tsne, umap
from longtail.files import read_table, write_table

CATALOG = Path(longtail.__file__).parent.parent / "catalog" / "readouts.yaml"


def settings_of(name: str) -> str:
    return json.dumps({"name": name, **yaml.safe_load(CATALOG.read_text())["projections"][name]})


@pytest.fixture
def project(embeddings: Path, split: Path, tmp_path: Path) -> Callable[..., pa.Table]:
    def run(name: str, **files: Path) -> pa.Table:
        out = tmp_path / "projected.parquet"
        command = ["job", "project", "--embeddings", embeddings, "--split", split, "--projection", settings_of(name)]
        command += [part for option, path in files.items() for part in (f"--{option}", path)]
        assert main([str(part) for part in [*command, "--out", out]]) == 0
        return read_table(out)

    return run


@pytest.mark.parametrize("name", ["umap", "tsne"])
def test_there_is_a_point_per_row_twice_the_same(
    name: str, project: Callable[..., pa.Table], labels: np.ndarray
) -> None:
    tables = [project(name), project(name)]
    assert tables[0].column_names == ["part", "row", "label", "x", "y"]
    assert tables[0].equals(tables[1])
    assert set(tables[0]["part"].to_pylist()) == {"split"}
    np.testing.assert_array_equal(tables[0]["row"], np.arange(len(labels)))
    np.testing.assert_array_equal(tables[0]["label"], labels)
    points = np.stack([tables[0]["x"], tables[0]["y"]], axis=1)
    assert np.isfinite(points).all()
    nearest = [np.argsort(np.linalg.norm(points - point, axis=1))[1] for point in points]
    assert (labels[nearest] == labels).mean() > 0.8


def test_weights_of_classes_are_projected_with_the_rows(
    project: Callable[..., pa.Table], vectors: np.ndarray, labels: np.ndarray, tmp_path: Path
) -> None:
    """Each is near its class, as the centroids of ICCL; their lengths do not count."""
    means = np.stack([vectors[labels == k].mean(0) for k in range(4)]) * [[0.1], [1], [5], [20]]
    weights = pa.array(means.astype(np.float32).tolist(), pa.list_(pa.float32()))
    path = tmp_path / "weights.parquet"
    write_table(path, pa.table({"class": np.arange(4), "weight": weights, "bias": pa.nulls(4, pa.float32())}))
    table = project("tsne-weights", weights=path)
    rows, found = (table.filter(pc.equal(table["part"], part)).to_pandas() for part in ("split", "weights"))
    assert len(rows) == len(labels)
    assert found["row"].tolist() == found["label"].tolist() == [0, 1, 2, 3]
    for weight in found.itertuples():
        nearest = np.hypot(rows["x"] - weight.x, rows["y"] - weight.y).nsmallest(3).index
        assert set(labels[nearest]) == {weight.label}


def test_training_rows_are_projected_with_those_of_the_split(
    project: Callable[..., pa.Table], vectors: np.ndarray, labels: np.ndarray, embeddings: Path, tmp_path: Path
) -> None:
    """The same vectors lie in the same place."""
    training = tmp_path / "training.parquet"
    training.write_bytes(embeddings.read_bytes())
    table = project("tsne-training", training=training).to_pandas()
    assert table["part"].tolist() == ["split"] * len(labels) + ["training"] * len(labels)
    here, there = (table.loc[table["part"] == part, ["x", "y"]].to_numpy() for part in ("split", "training"))
    assert np.abs(here - there).max() < 0.05 * np.ptp(here)


def test_the_smallest_classes_are_projected_alone(
    project: Callable[..., pa.Table], split: Path, write_embeddings: Callable[..., Path]
) -> None:
    """By their training images; of classes of one size the last."""
    sizes = np.array([30, 9, 9, 9, 9, 40, 9])
    labels = np.repeat(np.arange(7), 12)
    columns = {"row": np.arange(84), "label": labels, "class_size": sizes[labels], "shot": ["few"] * 84}
    write_table(split, pa.table(columns))
    write_embeddings(np.random.default_rng(0).normal(size=(84, 3)), labels)
    table = project("tsne-smallest")
    assert sorted(set(table["label"].to_pylist())) == [2, 3, 4, 6]
    assert table["row"].to_pylist() == np.flatnonzero(np.isin(labels, [2, 3, 4, 6])).tolist()


@pytest.mark.parametrize(
    ("name", "words"), [("tsne-weights", "with --weights"), ("tsne-training", "training images with --training")]
)
def test_what_is_not_given_is_named(
    name: str, words: str, embeddings: Path, split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--embeddings", embeddings, "--training", embeddings, "--split", split, "--out", tmp_path / "p.parquet"]
    assert main([str(part) for part in ["job", "project", "--projection", settings_of(name), *given]]) == 1
    assert words in capsys.readouterr().err


def test_too_few_rows_are_named() -> None:
    with pytest.raises(LongtailError, match="15 rows are too few"):
        umap(np.eye(15, dtype=np.float32), seed=0)
    with pytest.raises(LongtailError, match="perplexity 30 needs more rows than that; 30 are too few"):
        tsne(np.eye(30, dtype=np.float32), perplexity=30.0, seed=0)


def test_an_unknown_algorithm_is_named(
    embeddings: Path, split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.parquet"
    arguments = ["--embeddings", str(embeddings), "--split", str(split), "--out", str(out)]
    assert main(["job", "project", "--projection", '{"name": "mine", "algorithm": "pca"}', *arguments]) == 1
    assert "algorithm (projection 'mine') 'pca'" in capsys.readouterr().err
    assert not out.exists()
