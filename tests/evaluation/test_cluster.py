from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

import longtail
from longtail.__main__ import main
from longtail.errors import LongtailError
from longtail.evaluation.cluster import cluster
from longtail.evaluation.metrics import contingency, scores
from longtail.evaluation.reading import read_assignments
from longtail.files import read_provenance

PACKAGE = Path(longtail.__file__).parent
CATALOG = yaml.safe_load((PACKAGE.parent / "catalog" / "readouts.yaml").read_text())


def run(embeddings: Path, settings: dict, out: Path, classes: int = 4) -> int:
    arguments = ["--embeddings", str(embeddings), "--clusterer", json.dumps(settings), "--out", str(out)]
    return main(["job", "cluster", *arguments, "--classes", str(classes)])


@pytest.mark.parametrize("name", CATALOG["clusterers"])
def test_every_clusterer_of_the_catalogue_separates_what_lies_apart(
    name: str, embeddings: Path, labels: np.ndarray, tmp_path: Path
) -> None:
    settings = {"name": name, **CATALOG["clusterers"][name]}
    assert run(embeddings, settings, tmp_path / "a.parquet") == 0
    trials = read_assignments(tmp_path / "a.parquet", len(labels))
    assert list(trials) == list(range(len(settings.get("trial_seeds", [0]))))
    found = [scores(contingency(labels, clusters)) for clusters in trials.values()]
    if name in ("kmeans", "kmeans-seed0", "argmax"):
        assert all(trial.acc > 90 for trial in found)
    elif name == "agglomerative":
        assert found[0].acc > 90
    else:  # mixtures of so few rows may end anywhere, but not every time at chance
        assert max(trial.acc for trial in found) > 60
    facts = read_provenance(tmp_path / "a.parquet")
    assert facts["clusterer"] == settings
    assert facts["embeddings"]["identity"] == "abc"


def test_the_ten_trials_are_those_of_the_official_code() -> None:
    assert CATALOG["clusterers"]["kmeans"]["trial_seeds"] == [9361, 533, 7026, 7906, 9471, 243, 3376, 7578, 8049, 4546]


@pytest.mark.parametrize("name", ["kmeans-seed0", "gmm-k", "gmm-r"])
def test_the_same_job_gives_the_same_clusters(name: str, embeddings: Path) -> None:
    settings = {"name": name, **CATALOG["clusterers"][name], "trial_seeds": [3]}
    np.testing.assert_array_equal(cluster(embeddings, settings, 4), cluster(embeddings, settings, 4))


@pytest.mark.parametrize("name", ["kmeans-seed0", "agglomerative", "gmm-k"])
def test_length_of_rows_is_irrelevant(
    name: str, vectors: np.ndarray, labels: np.ndarray, write_embeddings: Callable[..., Path]
) -> None:
    settings = {"name": name, **CATALOG["clusterers"][name]}
    first = cluster(write_embeddings(vectors, labels), settings, 4)
    scaled = vectors * 2.0 ** (np.arange(len(labels)) % 4)[:, None]
    np.testing.assert_array_equal(first, cluster(write_embeddings(scaled, labels), settings, 4))


def test_argmax_takes_the_logits(embeddings: Path, vectors: np.ndarray) -> None:
    (found,) = cluster(embeddings, {"name": "argmax", "algorithm": "argmax"}, 4)
    np.testing.assert_array_equal(found, vectors[:, :4].argmax(axis=1))


def test_argmax_needs_a_head_of_as_many_outputs(
    embeddings: Path, vectors: np.ndarray, labels: np.ndarray, write_embeddings: Callable[..., Path]
) -> None:
    with pytest.raises(LongtailError, match="4 outputs, but 5"):
        cluster(embeddings, {"name": "argmax", "algorithm": "argmax"}, 5)
    with pytest.raises(LongtailError, match="no column 'logits'"):
        cluster(write_embeddings(vectors, labels), {"name": "argmax", "algorithm": "argmax"}, 4)


@pytest.mark.parametrize("name", ["kmeans", "gmm-k", "agglomerative"])
def test_fewer_rows_than_clusters_is_an_error(name: str, embeddings: Path) -> None:
    with pytest.raises(LongtailError, match="83 rows, fewer than the 84"):
        cluster(embeddings, {"name": name, **CATALOG["clusterers"][name]}, 84)


def test_a_failed_job_leaves_nothing_behind(
    vectors: np.ndarray,
    labels: np.ndarray,
    write_embeddings: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    vectors[0] = np.nan
    out = tmp_path / "assignments" / "kmeans.parquet"
    settings = {"name": "kmeans", **CATALOG["clusterers"]["kmeans"]}
    assert run(write_embeddings(vectors, labels), settings, out) == 1
    assert "NaN" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "k", "algorithm": "kmean"}, "no algorithm"),
        ({"name": "k"}, "no algorithm"),
        ({"name": "k", "algorithm": "spherical_kmeans", "inits": 10}, "'trial_seeds'"),
        ({"name": "k", "algorithm": "argmax", "inits": 10}, "no setting"),
        ({"name": "k", "algorithm": "agglomerative", "linkage": "wart"}, "wart"),
    ],
)
def test_bad_settings_are_named(settings: dict, message: str, embeddings: Path) -> None:
    with pytest.raises(LongtailError, match=message):
        cluster(embeddings, settings, 4)


def test_threads_must_be_positive(embeddings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "job",
        "cluster",
        "--embeddings",
        str(embeddings),
        "--clusterer",
        '{"name": "a", "algorithm": "argmax"}',
    ]
    assert main([*arguments, "--classes", "4", "--out", str(tmp_path / "a.parquet"), "--threads", "0"]) == 1
    assert "at least one thread" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("clusterer", "unwanted"),
    [
        ("argmax", ["torch", "sklearn", "scipy"]),
        ("kmeans", ["torch", "sklearn", "scipy"]),
        ("agglomerative", ["torch", "sklearn"]),
        ("gmm-k", ["torch"]),
    ],
)
def test_jobs_load_only_what_they_need(clusterer: str, unwanted: list[str], embeddings: Path, tmp_path: Path) -> None:
    settings = json.dumps({"name": clusterer, **CATALOG["clusterers"][clusterer]})
    program = (
        "import sys; from longtail.__main__ import main\n"
        f"assert main(['job', 'cluster', '--embeddings', {str(embeddings)!r}, '--clusterer', {settings!r},"
        f" '--classes', '4', '--out', {str(tmp_path / 'a.parquet')!r}]) == 0\n"
        f"loaded = [name for name in {unwanted!r} if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": str(PACKAGE.parent)})
