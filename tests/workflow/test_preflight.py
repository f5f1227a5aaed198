"""What the workflow says before its first job, on its own command line."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from .said import would_run

TARGETS = (
    "results/smoke/cells/pixels/cifar10-h100-ir10/seed0.parquet",
    "results/smoke/cells/pixels/cifar20-h100-ir10/seed0.parquet",
)


@pytest.fixture
def mine(workflow):
    """A configuration with a file that lacks its labels and another that is missing."""
    data = {
        "cifar10": {"kind": "parquet", "name": "mine", "files": {"train": "train.parquet", "test": "test.parquet"}},
        "cifar20": {"kind": "parquet", "name": "mine", "files": {"train": "none.parquet", "test": "none.parquet"}},
    }
    settings = yaml.safe_load((workflow.folder / "config.yaml").read_text())
    (workflow.folder / "config.yaml").write_text(yaml.safe_dump({**settings, "data_root": ".", "data": data}))
    pq.write_table(pa.table({"img": [b"bytes"] * 3}), workflow.folder / "train.parquet")
    return workflow


def complaints(output):
    return re.findall(r"^  \* (.*)", output, re.M)


def test_all_that_is_wrong_is_told_before_the_first_job(mine):
    output = mine.fail(*TARGETS)
    assert "error: 2 things stand in the way of the first job:" in output
    label, missing = sorted(complaints(output), key=lambda text: "none.parquet" in text)
    assert "no label column" in label
    assert "none.parquet does not exist" in missing
    assert "Traceback" not in output
    assert not mine.files("datasets/**/*")


def test_a_dry_run_tells_the_same_and_what_would_be_done(mine):
    output = mine.succeed("--dry-run", *TARGETS)
    assert len(complaints(output)) == 2
    assert would_run(output)["store"] == 2


def test_results_that_are_a_link_to_nothing_are_told_before_the_first_job(workflow):
    """A disk that is not mounted."""
    (workflow.folder / "results").symlink_to("nowhere")
    message = workflow.refusal("digits_table1", "--dry-run")
    assert message.endswith("results is a link to nowhere, which is not there. Mount or make it, or remove the link.")
