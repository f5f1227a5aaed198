"""Splits whose rows come from several parts of an image set, on the real workflow."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

SIZES = (8, 5, 3, 2)
FIELD = {
    "images": {
        "name": "field",
        "title": "Field",
        "source": {"kind": "imagefolder", "folders": {"train": "train", "test": "test"}, "obtain": "Ask the group."},
        "parts": {"train": sum(SIZES), "test": 2 * len(SIZES)},
        "classes": len(SIZES),
        "image_size": 8,
        "channels": 3,
        "normalization": {"mean": [0.5] * 3, "std": [0.5] * 3},
        "test_transform": {"resize": None, "crop": None},
        "backbone": {"name": "resnet_small", "stem": "cifar"},
        "precision": "float32",
        "resources": {"threads": 1, "mem_mb": 2000},
    },
    "datasets": {
        "field": {"construction": "longtail", "pool": ["train"], "test": ["test"], "head_class_rows": 8},
        "field-all": {"construction": "longtail", "pool": ["train", "test"], "test": None, "head_class_rows": 10},
    },
}


@pytest.fixture
def field(checkout):
    """A checkout with images in two parts, below a folder whose name looks like a wildcard of Snakemake."""
    config = {"targets": ["digits"], "budget": "smoke", "data_root": "data/{mine}"}
    (checkout.folder / "config.yaml").write_text(yaml.safe_dump(config))
    draws = np.random.default_rng(0)
    for part, sizes in (("train", SIZES), ("test", [2] * len(SIZES))):
        for label, size in enumerate(sizes):
            folder = checkout.folder / "data/{mine}" / part / f"class{label}"
            folder.mkdir(parents=True)
            for row in range(size):
                Image.fromarray(draws.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{row}.png")
    (checkout.folder / "workflow/catalog/datasets/field.yaml").write_text(yaml.safe_dump(FIELD))
    return checkout


def test_a_test_split_and_a_pool_of_two_parts(field):
    cell = "results/smoke/cells/pixels/field-all-ir4/seed0.parquet"
    scores = "results/controls/field-ir4/pixels/seed0/pixels/test/metrics/kmeans.parquet"
    field.succeed(scores, cell)
    field.succeed("plan")  # of a configuration with a name in braces
    test = pq.read_table(field.folder / "results/datasets/field-ir4/test.parquet").to_pandas()
    assert test["label"].value_counts().to_dict() == dict.fromkeys(range(4), 2)
    assert set(test["part"]) == {"test"}
    pooled = pq.read_table(field.folder / "results/datasets/field-all-ir4/train.parquet").to_pandas()
    assert pooled["label"].value_counts().sort_index().tolist() == [10, 6, 3, 2]
    assert set(pooled["part"]) == {"train", "test"}
    for found in (scores, cell):
        metrics = pq.read_table(field.folder / found).to_pandas()
        assert metrics.loc[metrics["metric"] == "ACC", "value"].between(0, 100).all()
