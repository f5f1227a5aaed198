from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

import longtail
from longtail.__main__ import main
from longtail.evaluation.analyses import class_geometry, geometry
from longtail.evaluation.pairs import pair_counts, pair_gradients, pair_similarities
from longtail.evaluation.theory import loss_gap
from longtail.files import read_table, write_table

PACKAGE = Path(longtail.__file__).parent
CATALOG = PACKAGE.parent / "catalog"
SCORERS = yaml.safe_load((CATALOG / "readouts.yaml").read_text())["scorers"]
METRICS = yaml.safe_load((CATALOG / "metrics.yaml").read_text())


@pytest.fixture
def assignments(tmp_path: Path, labels: np.ndarray) -> Path:
    """Trial 0 is perfect, trial 3 one cluster."""
    path = tmp_path / "assignments.parquet"
    rows = np.arange(len(labels))
    perfect = pa.table({"trial": np.zeros_like(rows), "row": rows, "cluster": 3 - labels})
    constant = pa.table({"trial": np.full_like(rows, 3), "row": rows, "cluster": np.zeros_like(rows)})
    write_table(path, pa.concat_tables([perfect, constant]))
    return path


def score(split: Path, out: Path, scorer: dict, scored: Path) -> pd.DataFrame:
    arguments = ["--split", str(split), "--scorer", json.dumps(scorer), "--scored", str(scored), "--out", str(out)]
    assert main(["job", "score", *arguments]) == 0
    table = read_table(out)
    assert table.schema.names == ["trial", "metric", "class", "cluster", "parameter", "value", "unit"]
    kinds = [str(kind) for kind in table.schema.types]
    assert kinds == ["int64", "string", "int64", "int64", "string", "double", "string"]
    frame = table.to_pandas()
    assert frame["value"].notna().all()
    assert not frame.duplicated(["trial", "metric", "class", "cluster", "parameter"]).any()
    for metric, unit in frame[["metric", "unit"]].drop_duplicates().itertuples(index=False):
        assert METRICS[metric]["unit"] == unit
        assert METRICS[metric]["scorer"] == scorer["name"]
    return frame


def small(name: str) -> dict:
    """The catalogue's scorer, cut to what eighty rows can bear."""
    settings = {"name": name, **SCORERS[name]}
    if "clusters" in settings:
        settings["clusters"] = settings["clusters"][:4]
    return settings


def test_assignments_are_scored_trial_by_trial(split: Path, assignments: Path, tmp_path: Path) -> None:
    frame = score(split, tmp_path / "m.parquet", small("clustering"), assignments)
    whole = frame[frame["class"].isna()].pivot_table(index="trial", columns="metric", values="value")
    assert whole.loc[0].to_dict() == pytest.approx({"ACC": 100, "CAA": 100, "NMI": 100, "ARI": 100})
    assert whole.loc[3].to_dict() == pytest.approx({"ACC": 100 * 40 / 83, "CAA": 25, "NMI": 0, "ARI": 0})
    recall = frame[frame["metric"] == "recall"]
    assert recall[recall["trial"] == 3]["value"].tolist() == [100, 0, 0, 0]
    assert recall[recall["trial"] == 0]["class"].tolist() == [0, 1, 2, 3]


def test_geometry(split: Path, embeddings: Path, vectors: np.ndarray, labels: np.ndarray, tmp_path: Path) -> None:
    frame = score(split, tmp_path / "m.parquet", small("geometry"), embeddings)
    assert set(frame["trial"]) == {0}
    expected = geometry(vectors, labels)
    by_class = frame[frame["class"].notna()].pivot_table(index="class", columns="metric", values="value")
    np.testing.assert_allclose(by_class["class_similarity"], expected.similarity)
    np.testing.assert_allclose(by_class["class_similarity_with_self"], expected.similarity_with_self)
    np.testing.assert_allclose(by_class["class_dissimilarity"], expected.dissimilarity)
    np.testing.assert_array_equal(by_class["class_size"], [40, 25, 12, 6])
    whole = frame[frame["class"].isna()].set_index("metric")["value"]
    assert whole["compactness_medium"] == pytest.approx(expected.similarity[1:3].mean())
    assert whole["few_many_ratio"] == pytest.approx(expected.similarity[3] / expected.similarity[0])


def test_what_is_not_defined_has_no_line(
    tmp_path: Path, write_embeddings: Callable[..., Path], vectors: np.ndarray
) -> None:
    labels = np.array([0, 0, 0, 1])
    split = tmp_path / "s.parquet"
    write_table(split, pa.table({"row": range(4), "label": labels, "shot": ["many", "many", "many", "few"]}))
    embeddings = write_embeddings(vectors[:4], labels)
    frame = score(split, tmp_path / "m.parquet", small("geometry"), embeddings)
    assert frame[frame["metric"] == "class_similarity"]["class"].tolist() == [0]
    assert "compactness_many" in set(frame["metric"])
    assert not {"compactness_few", "compactness_medium", "few_many_ratio"} & set(frame["metric"])


def test_class_geometry(split: Path, embeddings: Path, vectors: np.ndarray, labels: np.ndarray, tmp_path: Path) -> None:
    frame = score(split, tmp_path / "m.parquet", small("class_geometry"), embeddings)
    found = dict(zip(frame["metric"], frame["value"], strict=True))
    assert found == pytest.approx(class_geometry(vectors, labels))


def test_one_class_has_no_distance_to_others(
    tmp_path: Path, write_embeddings: Callable[..., Path], vectors: np.ndarray
) -> None:
    labels, split = np.zeros(4, dtype=np.int64), tmp_path / "s.parquet"
    write_table(split, pa.table({"row": range(4), "label": labels, "shot": ["many"] * 4}))
    embeddings = write_embeddings(vectors[:4], labels)
    frame = score(split, tmp_path / "m.parquet", small("class_geometry"), embeddings)
    assert not any("uniformity" in name for name in frame["metric"])
    frame = score(split, tmp_path / "m.parquet", small("selection_space"), embeddings)
    assert dict(zip(frame["metric"], frame["value"], strict=True)) == {"selection_violations": 0}


def test_selection_space(split: Path, embeddings: Path, tmp_path: Path) -> None:
    """Sizes 40, 25, 12 and 6 of 83; in batches of 30 the smallest has 2.2 images."""
    scorer = {**small("selection_space"), "batch_size": 30}
    frame = score(split, tmp_path / "m.parquet", scorer, embeddings).set_index("metric")["value"]
    within = [size * 30 / 83 for size in (40, 12)]
    ratios = [within, (40, 12)]
    for name, (i, j) in zip(("batch", "global"), ratios, strict=True):
        expected = i * (i - 1) * (i - 2) / (j * (j - 1) * (j - 2))
        assert frame[f"selection_ratio_{name}"] == pytest.approx(np.log10(expected))
    assert frame["selection_pairs"] == 50
    assert frame["selection_violations"] == 0
    all_of_it = score(split, tmp_path / "m.parquet", small("selection_space"), embeddings).set_index("metric")["value"]
    assert all_of_it["selection_ratio_batch"] == pytest.approx(all_of_it["selection_ratio_global"])
    assert all_of_it["selection_violations"] == 0


def test_purity(split: Path, embeddings: Path, tmp_path: Path) -> None:
    frame = score(split, tmp_path / "m.parquet", small("purity"), embeddings)
    assert frame["parameter"].tolist() == ["k=10", "k=20", "k=30", "k=40"]
    assert frame["value"].between(90, 100).all()


def test_mini_clusters(split: Path, embeddings: Path, tmp_path: Path) -> None:
    frame = score(split, tmp_path / "m.parquet", small("mini_clusters"), embeddings)
    table = frame.pivot_table(index="class", columns=["metric", "parameter"], values="value")
    for metric in ("assigned_mini_clusters", "assigned_mini_clusters_matched"):
        assert set(table[metric]) == {
            *(f"M={m},delta=0.3" for m in (20, 30, 40, 50, 60)),
            *(f"M=40,delta={delta}" for delta in (0.1, 0.5, 0.7)),
        }
        counts = table[metric]
        assert (counts["M=40,delta=0.1"] >= counts["M=40,delta=0.7"]).all()
        assert counts["M=40,delta=0.5"].sum() <= 40
        assert counts["M=40,delta=0.5"].is_monotonic_decreasing  # larger classes have more mini-clusters


def test_confusion(split: Path, embeddings: Path, labels: np.ndarray, tmp_path: Path) -> None:
    frame = score(split, tmp_path / "m.parquet", small("confusion"), embeddings)
    counts = frame.pivot_table(index="class", columns="cluster", values="value")
    assert counts.shape == (4, 4)
    np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(labels))
    assert np.trace(counts) / len(labels) > 0.9


def test_loss_gap(split: Path, embeddings: Path, vectors: np.ndarray, labels: np.ndarray, tmp_path: Path) -> None:
    scorer = {**small("loss_gap"), "samples": 120}
    frame = score(split, tmp_path / "m.parquet", scorer, embeddings)
    found = frame.set_index("metric")["value"]
    expected = loss_gap(vectors, labels, tags=100, samples=120, seed=0)
    assert found["h_cl_gap"] == expected.contrastive
    assert found["h_cm_gap"] == expected.mixed
    assert found["h_cl_gap_stated"] == expected.contrastive_stated
    assert found["h_cm_gap_stated"] == expected.mixed_stated
    assert found["h_gap_holds"] == 100
    assert found["h_gap_pairs"] == 100 * expected.pairs
    assert frame[["class", "cluster", "parameter"]].isna().all(axis=None)


def test_domination(split: Path, embeddings: Path, labels: np.ndarray, tmp_path: Path) -> None:
    frame = score(split, tmp_path / "m.parquet", {**small("domination"), "mini_clusters": 8}, embeddings)
    whole = frame[frame["class"].isna()].set_index("metric")["value"]
    assert whole["bound_violations"] == 0
    assert whole["lowest_bound"] > 0
    assert 0 <= whole["pairs_covered"] <= whole["pairs_ordered"] <= 100
    counts = frame[frame["class"].notna()].pivot_table(index="class", columns="metric", values="value")
    assert counts["dominated_mini_clusters"].between(counts["dominated_at_least"], counts["dominated_at_most"]).all()
    assert counts["dominated_mini_clusters"].sum() >= 8


def test_pair_frequencies(split: Path, embeddings: Path, labels: np.ndarray, tmp_path: Path) -> None:
    frame = score(
        split, tmp_path / "m.parquet", {**small("pair_frequencies"), "epochs": 3, "batch_size": 16}, embeddings
    )
    counts = pair_counts(labels, epochs=3, batch_size=16, queue_size=1000, seed=0)
    found = frame[frame["metric"] == "pair_frequency"].pivot(index="class", columns="cluster", values="value")
    np.testing.assert_allclose(found, counts / counts[0, 0])
    whole = frame[frame["class"].isna()].set_index("metric")["value"]
    assert whole["pair_imbalance"] == counts[0, 0] / counts[3, 3]
    assert whole["pair_imbalance_stated"] == (40 / 6) ** 2


def test_pair_gradients(split: Path, embeddings: Path, vectors: np.ndarray, labels: np.ndarray, tmp_path: Path) -> None:
    frame = score(split, tmp_path / "m.parquet", {**small("pair_gradients"), "keys_per_class": 2}, embeddings)
    expected = pair_gradients(vectors, labels, keys_per_class=2, temperature=0.2, seed=0)
    assert frame["value"].tolist() == [*expected[0], *expected[1]]
    assert frame["parameter"].tolist() == [f"rank={rank}" for rank in (1, 2, 1, 2, 3, 4, 5, 6)]


def test_pair_similarities(
    split: Path, embeddings: Path, vectors: np.ndarray, labels: np.ndarray, tmp_path: Path
) -> None:
    """Sizes 40, 25, 12 and 6 are medium or few by numbers of images, whatever groups the split is cut into."""
    frame = score(split, tmp_path / "m.parquet", {**small("pair_similarities"), "bins": 4}, embeddings)
    shots = np.array(["medium", "medium", "few", "few"])
    expected = pair_similarities(vectors, labels, shots, bins=4)
    for group in ("medium", "few"):
        counts, mean = expected[group]
        assert frame[frame["metric"] == f"pairs_{group}"]["value"].tolist() == counts.tolist()
        assert frame[frame["metric"] == f"similarity_{group}"]["value"].tolist() == [mean]
    parameters = frame[frame["metric"] == "pairs_few"]["parameter"].tolist()
    assert parameters == ["from=-1", "from=-0.5", "from=0", "from=0.5"]
    assert not frame["metric"].str.endswith("many").any()


def test_queue_contents(split: Path, labels: np.ndarray, tmp_path: Path) -> None:
    predictions = tmp_path / "p.parquet"
    columns = {"row": range(len(labels)), "prediction": labels, "confidence": np.full(len(labels), 0.5)}
    write_table(predictions, pa.table(columns))
    frame = score(split, tmp_path / "m.parquet", {**small("queue_contents"), "keys_per_class": 2}, predictions)
    found = frame.pivot(index="class", columns="parameter", values="value")
    assert found["queue=balanced"].tolist() == [2, 2, 2, 2]
    np.testing.assert_allclose(found["queue=original"], np.array([40, 25, 12, 6]) * 8 / 83)
    assert found["queue=reversed"].tolist() == [1, 1, 2, 4]


def test_balanced_classes_have_no_pairs_to_bound(tmp_path: Path, write_embeddings: Callable[..., Path]) -> None:
    labels = np.array([0, 0, 1, 1])
    split = tmp_path / "s.parquet"
    write_table(split, pa.table({"row": range(4), "label": labels, "shot": ["many", "many", "few", "few"]}))
    embeddings = write_embeddings(np.eye(4), labels)
    frame = score(split, tmp_path / "m.parquet", {**small("domination"), "mini_clusters": 2}, embeddings)
    whole = frame[frame["class"].isna()]
    assert set(whole["metric"]) == {"minimum_purity", "size_spread", "bound_violations"}


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        ({"name": "geometri"}, "Did you mean 'geometry'"),
        ({"name": "purity", "clusters": [10], "inits": 1}, "lacks the setting 'seed'"),
        ({"name": "purity", "clusters": [84], "inits": 1, "seed": 0}, "84 clusters of 83 rows"),
        ({"name": "mini_clusters", "settings": [{"M": 3}], "inits": 1, "seed": 0}, "mini_clusters and delta"),
        ({"name": "geometry", "reads": "embedding"}, "Did you mean 'embeddings'"),
    ],
)
def test_bad_scorers_are_named(
    scorer: dict, message: str, split: Path, embeddings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m.parquet"
    arguments = ["--split", str(split), "--scored", str(embeddings), "--out", str(out)]
    assert main(["job", "score", "--scorer", json.dumps({"reads": "embeddings", **scorer}), *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_an_assignment_of_other_rows_is_refused(
    split: Path, assignments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = read_table(assignments)
    write_table(assignments, table.slice(0, 80))
    out = tmp_path / "m.parquet"
    arguments = ["--split", str(split), "--scored", str(assignments), "--out", str(out)]
    assert main(["job", "score", "--scorer", json.dumps(small("clustering")), *arguments]) == 1
    assert "trial 0 assigns 80 rows" in capsys.readouterr().err
    assert not out.exists()


def test_scoring_an_assignment_loads_neither_torch_nor_scikit_learn(
    split: Path, assignments: Path, tmp_path: Path
) -> None:
    program = (
        "import sys; from longtail.__main__ import main\n"
        f"assert main(['job', 'score', '--split', {str(split)!r}, '--scored', {str(assignments)!r},"
        f" '--scorer', {json.dumps(small('clustering'))!r}, '--out', {str(tmp_path / 'm.parquet')!r}]) == 0\n"
        "assert not {'torch', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": str(PACKAGE.parent)})


def test_the_catalogue_describes_each_metric_alike() -> None:
    for metric in METRICS.values():
        keys = {"title", "scorer", "unit", "decimals", "higher_is_better", "description"}
        assert set(metric) - {"tolerance", "of_shots", "of_machine", "derived"} == keys
        assert metric.get("tolerance", 1) > 0
        assert metric["scorer"] in SCORERS
