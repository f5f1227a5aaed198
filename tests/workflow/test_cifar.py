"""A cell of a paper's table on the images it is about, at a small part of its length."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

TARGET = "results/custom/cells/conmix/cifar10-h200-ir10/seed0.parquet"


@pytest.fixture
def shared_data():
    """The folder of published images, if this machine has one."""
    folder = Path(os.environ.get("LONGTAIL_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (folder / "cifar10" / "train.parquet").exists():
        pytest.skip(f"no CIFAR-10 in {folder}; say where it is with LONGTAIL_SHARED_DATA")
    return folder


@pytest.fixture
def configured(workflow, shared_data):
    """A checkout whose images are the real ones, at a small part of the papers' length."""
    files = {part: f"cifar10/{part}.parquet" for part in ("train", "test")}
    config = {
        "targets": ["conmix_table2"],
        "budget": {"epochs": 0.002, "head_class_rows": 200},
        "seeds": [0],
        "data_root": str(shared_data),
        "data": {"cifar10": {"kind": "parquet", "name": "Parquet, exact pixels", "image": "img", "files": files}},
    }
    (workflow.folder / "config.yaml").write_text(yaml.safe_dump(config))
    return workflow


@pytest.mark.slow
def test_conmix_on_cifar10_from_images_to_metrics(configured):
    workflow = configured
    workflow.succeed(TARGET, "--resources", "gpu=0")
    metrics = pq.read_table(workflow.folder / TARGET).to_pandas()
    overall = metrics[metrics["class"].isna() & metrics["cluster"].isna()].groupby("metric")["value"].mean()
    split = pq.read_table(workflow.folder / "results/datasets/cifar10-h200-ir10/train.parquet")
    assert split["label"].to_numpy().tolist().count(0) == 200
    assert split["label"].to_numpy().tolist().count(9) == 20
    assert overall[["ACC", "CAA", "NMI"]].between(0, 100).all()
    assert set(metrics.loc[metrics["metric"] == "recall", "class"]) == set(range(10))
    assert not workflow.leftovers()


@pytest.mark.slow
def test_ldam_drw_on_cifar10_lt_from_images_to_metrics(configured):
    """The test images are the ten thousand of the papers, whatever the budget cuts of the tail."""
    target = "results/custom/cells/ldam-drw/cifar10-lt-h200-ir100/seed0.parquet"
    configured.succeed(target, "--resources", "gpu=0")
    metrics = pq.read_table(configured.folder / target).to_pandas()
    overall = metrics[metrics["class"].isna()].set_index("metric")["value"]
    recall = metrics[metrics["metric"] == "recall"].set_index("class")["value"]
    sizes = [200, 119, 71, 43, 25, 15, 9, 5, 3, 2]
    split = pq.read_table(configured.folder / "results/datasets/cifar10-lt-h200-ir100/train.parquet")
    assert [split["label"].to_pylist().count(k) for k in range(10)] == sizes
    assert sorted(recall.index) == list(range(10))
    assert overall["accuracy"] == pytest.approx(recall.mean())  # a thousand images of each class
    assert overall["many (strict)"] == pytest.approx(recall[:2].mean())
    assert overall["few (index)"] == pytest.approx(recall[7:].mean())
    assert 0 <= overall["calibration_error"] <= 100
