"""A dataset whose backbone starts from published weights: fetched once, checked, and started from."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
import yaml

from longtail.files import read_provenance
from longtail.models.backbones import new_backbone

CELL = "results/custom/cells/crt/digits-lt-ir10/seed0.parquet"


@pytest.fixture
def pretrained(checkout):
    """A checkout whose digits start from a small network of ours, and the file that it is published as."""
    torch.manual_seed(5)
    network = new_backbone("resnet_small", "cifar", 1)
    file = checkout.folder / "mine.pth"
    torch.save({**network.state_dict(), "fc.weight": torch.ones(10, 64)}, file)
    url = f"https://site.invalid/resnet_small-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth"
    catalog = checkout.folder / "workflow" / "catalog"
    for path, own in [
        (catalog / "datasets" / "digits.yaml", lambda entry: entry["images"]["backbone"].update(weights="TINY_V1")),
        (catalog / "backbones.yaml", lambda entry: entry["resnet_small"].update(weights={"TINY_V1": url})),
    ]:
        document = yaml.safe_load(path.read_text())
        own(document)
        path.write_text(yaml.safe_dump(document))
    return checkout, file


def configure(checkout, **config):
    usual = {"targets": ["digits"], "budget": {"epochs": 0.02}, "seeds": [0]}
    (checkout.folder / "config.yaml").write_text(yaml.safe_dump({**usual, **config}))


def test_a_cell_starts_from_the_file_that_the_configuration_names(pretrained):
    checkout, file = pretrained
    configure(checkout, image_weights={"resnet_small": str(file)})
    checkout.succeed(CELL)
    specs = [
        json.loads(path.read_text()) for path in checkout.folder.glob("results/phases/digits-lt-ir10/*/*/spec.json")
    ]
    assert [spec["backbone"]["weights"] for spec in specs] == ["TINY_V1"] * 2
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    for history in checkout.folder.glob("results/phases/digits-lt-ir10/ce-*/seed0/history.parquet"):
        assert read_provenance(history)["image_weights"] == digest
    file.unlink()
    assert "Nothing to be done" in checkout.succeed(CELL)


def test_a_file_that_is_another_stops_before_any_training(pretrained):
    checkout, file = pretrained
    file.write_bytes(file.read_bytes()[:-1])
    configure(checkout, image_weights={"resnet_small": str(file)})
    output = checkout.fail(CELL)
    assert "its SHA-256 begins with" in output
    assert not list(checkout.folder.glob("results/phases/*/*/*/checkpoint.pt"))


def test_what_is_missing_is_said_before_the_first_job(pretrained):
    checkout, _ = pretrained
    configure(checkout, image_weights={"resnet_small": "none.pth"})
    assert "none.pth does not exist. Correct `image_weights`" in checkout.succeed(CELL, "--dry-run")
    configure(checkout)
    output = checkout.fail(CELL)
    assert "must be downloaded from https://site.invalid, which cannot be reached" in output
    assert not (checkout.folder / "results" / "datasets").exists()
