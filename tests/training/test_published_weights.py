"""A training whose backbone starts from published weights, from the file that the workflow fetches."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from longtail.files import read_provenance
from longtail.models.backbones import new_backbone

CE = {"noise": None, "classifier_init": "default", "views": 1, "batch_size": 20}
STILL = {**CE, "learning_rate": 0.0, "final_learning_rate": 0.0, "weight_decay": 0.0}


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(7)
    found = new_backbone("resnet_small", "cifar", 1).state_dict()
    path = tmp_path / "model.safetensors"
    save_file(found, path, metadata={"sha256": "0123"})
    return path, found


def stage(tools, kind="reweighting:CrossEntropy", **options):
    made = tools.stretch(options.pop("objective", "ce"), **{"last": 2, "clock": 2, **STILL, **options})
    return {**made, "implementation": f"longtail.methods.recognition.{kind}"}


def spec(tools, *lineage):
    made = tools.spec(*lineage)
    return {**made, "backbone": {**made["backbone"], "weights": "TINY_V1"}}


def parameters_of(checkpoint, before="network.embedder."):
    found = checkpoint["objective"].items()
    return {name.removeprefix(before): value for name, value in found if name.startswith(before)}


def learned(state):
    return {name: value for name, value in state.items() if name.endswith(("weight", "bias"))}


def test_a_training_starts_from_the_weights_and_says_which(desk, tools, weights):
    path, published = weights
    assert desk.train(spec(tools, stage(tools)), weights=path) == 0
    found = learned(parameters_of(desk.checkpoint()))
    assert found.keys() == learned(published).keys()
    assert all(torch.equal(value, published[name]) for name, value in found.items())
    assert read_provenance(desk.folder / "run" / "history.parquet")["image_weights"] == "0123"
    assert desk.train(tools.spec(stage(tools)), "anew") == 0
    assert "image_weights" not in read_provenance(desk.folder / "anew" / "history.parquet")
    anew = parameters_of(desk.checkpoint("anew"))
    assert not torch.equal(anew["conv1.weight"], published["conv1.weight"])


def test_what_goes_on_from_a_checkpoint_needs_no_file_and_what_makes_networks_does(desk, tools, weights, capsys):
    path, published = weights
    first = stage(tools, last=1)
    assert desk.train(spec(tools, first), "first") == 1
    assert "ce starts from the weights TINY_V1 of resnet_small" in capsys.readouterr().err
    assert desk.train(spec(tools, first), "first", weights=path) == 0
    assert desk.train(spec(tools, stage(tools)), "longer", parent="first") == 0
    found = learned(parameters_of(desk.checkpoint("longer")))
    assert all(torch.equal(value, published[name]) for name, value in found.items())
    second = stage(
        tools, "two_stage:ClassifierRetraining", objective="crt", start="transfer", last=1, clock=1, frozen_bn="eval"
    )
    assert desk.train(spec(tools, first, second), "second", parent="first") == 1
    assert "crt starts from the weights TINY_V1" in capsys.readouterr().err
    assert desk.train(spec(tools, first, second), "second", parent="first", weights=path) == 0
    for name, value in parameters_of(desk.checkpoint("second")).items():
        assert torch.equal(value, parameters_of(desk.checkpoint("first"))[name]), name


def test_weights_that_do_not_fit_are_said_in_one_message(desk, tools, weights, capsys):
    path, published = weights
    save_file({name: value for name, value in published.items() if "layer3" not in name}, path)
    assert desk.train(spec(tools, stage(tools)), weights=path) == 1
    text = capsys.readouterr().err
    assert "The weights in" in text
    assert "layer3.bn1.bias is absent in the file" in text
    assert "Traceback" not in text
