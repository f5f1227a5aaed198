from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import save_file

from longtail.errors import LongtailError
from longtail.models.backbones import new_backbone
from longtail.models.pretrained import digest_of, load_pretrained


def file_of(backbone, path, **changes):
    """Its weights as torchvision's first ones are: without the counters of batch normalisation."""
    weights = {k: v for k, v in backbone.state_dict().items() if not k.endswith("num_batches_tracked")}
    weights = {name: value for name, value in {**weights, **changes}.items() if value is not None}
    save_file(weights, path, metadata={"sha256": "abc"})
    return path


@pytest.fixture
def trained():
    torch.manual_seed(1)
    backbone = new_backbone("resnet18", "imagenet", 3)
    with torch.no_grad():
        for value in backbone.state_dict().values():
            value.add_(value.new_ones(()))
    return backbone


def test_all_weights_and_statistics_are_taken(trained, tmp_path):
    torch.manual_seed(0)
    backbone = new_backbone("resnet18", "imagenet", 3)
    path = file_of(trained, tmp_path / "model.safetensors")
    load_pretrained(backbone, path)
    for name, value in trained.state_dict().items():
        assert torch.equal(backbone.state_dict()[name], value) or name.endswith("num_batches_tracked"), name
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(backbone.eval()(images), trained.eval()(images))
    assert digest_of(path) == "abc"


def test_torchvision_has_the_names_of_the_weights_that_the_catalogue_lists():
    """All of its state but the classifier; ``meta`` names the file that is downloaded."""
    from torchvision.models import ResNet152_Weights, resnet152

    from longtail.study import catalog as catalogue

    entry = catalogue.load().backbones["resnet152"]
    assert entry["weights"] == {"IMAGENET1K_V1": ResNet152_Weights.IMAGENET1K_V1.url}
    with torch.device("meta"):
        own, theirs = new_backbone("resnet152", "imagenet", 3).state_dict(), resnet152().state_dict()
    shapes = {name: value.shape for name, value in theirs.items() if not name.startswith("fc.")}
    assert {name: value.shape for name, value in own.items()} == shapes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bn1.weight": None}, r"bn1\.weight is absent in the file and \[64\] in the network, and 0 more"),
        ({"more": torch.ones(2)}, r"more is \[2\] in the file and absent in the network"),
        ({"bn1.weight": torch.ones(3)}, r"bn1\.weight is \[3\] in the file and \[64\] in the network"),
    ],
)
def test_weights_of_another_network_are_refused_whole(trained, tmp_path, change, words):
    backbone = new_backbone("resnet18", "imagenet", 3)
    before = copy.deepcopy(backbone.state_dict())
    with pytest.raises(LongtailError, match=words):
        load_pretrained(backbone, file_of(trained, tmp_path / "model.safetensors", **change))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize("options", [{"experts": 3}, {}])
def test_experts_and_other_stems_have_none(trained, tmp_path, options):
    backbone = new_backbone("resnet18", "imagenet" if options else "cifar", 3, **options)
    with pytest.raises(LongtailError, match="with the stem imagenet and three channels, without experts"):
        load_pretrained(backbone, file_of(trained, tmp_path / "model.safetensors"))


def test_a_file_that_cannot_be_read(trained, tmp_path):
    path = file_of(trained, tmp_path / "model.safetensors")
    for content in (path.read_bytes()[:1000], b""):
        path.write_bytes(content)
        with pytest.raises(LongtailError, match="holds no readable weights"):
            load_pretrained(trained, path)
    with pytest.raises(LongtailError, match="holds no readable weights"):
        load_pretrained(trained, tmp_path / "none")
