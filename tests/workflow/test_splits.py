"""Splits whose rows come from several parts of an image set, on the real workflow."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
import yaml

from .field import SIZES, add_field


@pytest.fixture
def field(checkout):
    """A checkout with images in two parts, below a folder whose name looks like a wildcard of Snakemake."""
    config = {"targets": ["digits"], "budget": "smoke", "data_root": "data/{mine}"}
    (checkout.folder / "config.yaml").write_text(yaml.safe_dump(config))
    add_field(
        checkout.folder,
        checkout.folder / "data/{mine}",
        folders={"train": "train", "val": "val", "test": "test"},
        sizes={"train": SIZES, "val": [1] * len(SIZES), "test": [2] * len(SIZES)},
        field={"pool": ["train"], "test": ["test"], "head_class_rows": 8},
        field_list={"construction": "list", "pool": ["train"], "val": ["val"]},
        field_all={"pool": ["train", "test"], "test": None, "head_class_rows": 10},
    )
    return checkout


def test_a_test_split_a_list_with_a_validation_split_and_a_pool_of_two_parts(field):
    cell = "results/smoke/cells/pixels/field-all-ir4/seed0.parquet"
    scores = "results/controls/field-ir4/pixels/seed0/pixels/test/metrics/kmeans/clustering.parquet"
    chosen_by = "results/controls/field-list-ir4/pixels/seed0/pixels/val/metrics/kmeans/clustering.parquet"
    field.succeed(scores, cell, chosen_by)
    field.succeed("plan")  # of a configuration with a name in braces
    test = pq.read_table(field.folder / "results/datasets/field-ir4/test.parquet").to_pandas()
    assert test["label"].value_counts().to_dict() == dict.fromkeys(range(4), 2)
    assert set(test["part"]) == {"test"}
    pooled = pq.read_table(field.folder / "results/datasets/field-all-ir4/train.parquet").to_pandas()
    assert pooled["label"].value_counts().sort_index().tolist() == [10, 6, 3, 2]
    assert set(pooled["part"]) == {"train", "test"}
    listed = pq.read_table(field.folder / "results/datasets/field-list-ir4/val.parquet").to_pandas()
    assert listed[["part", "label", "class_size"]].to_numpy().tolist() == [["val", k, n] for k, n in enumerate(SIZES)]
    for found in (scores, cell, chosen_by):
        metrics = pq.read_table(field.folder / found).to_pandas()
        assert metrics.loc[metrics["metric"] == "ACC", "value"].between(0, 100).all()
