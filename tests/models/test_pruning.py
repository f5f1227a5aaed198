from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from longtail.errors import LongtailError
from longtail.models.backbones import new_backbone
from longtail.models.pruning import PruningMask, convolution_weights


def small_network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(8, 2))


@given(seed=st.integers(0, 1000), ratio=st.floats(0, 0.95))
def test_keeps_what_a_full_sort_keeps(seed: int, ratio: float) -> None:
    torch.manual_seed(seed)
    network = small_network()
    mask = PruningMask(network)
    mask.refresh(network, ratio)
    magnitudes = sorted(abs(value) for _, weight in convolution_weights(network) for value in weight.flatten().tolist())
    threshold = magnitudes[math.ceil(ratio * len(magnitudes))]
    for name, masked in mask.masked(network).items():
        weight = network.get_parameter(name)
        for kept, value in zip(masked.flatten().tolist(), weight.flatten().tolist(), strict=True):
            assert kept == (value if abs(value) >= threshold else 0.0)


def test_density_is_one_tenth_over_all_convolutions_together_and_not_per_layer() -> None:
    torch.manual_seed(0)
    network = new_backbone("resnet_small", "cifar", 1)
    mask = PruningMask(network)
    mask.refresh(network, 0.9)
    kept = torch.cat([buffer.flatten() for buffer in mask.buffers()])
    assert abs(int(kept.sum()) - 0.1 * len(kept)) <= 1
    shares = [buffer.float().mean().item() for buffer in mask.buffers()]
    assert max(shares) > 0.2
    assert min(shares) < 0.09


def test_prunes_convolutions_only_and_leaves_the_weights_alone() -> None:
    network = small_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    mask = PruningMask(network)
    mask.refresh(network, 0.5)
    assert set(mask.masked(network)) == {"0.weight", "2.weight"}
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)


def test_keeps_everything_before_the_first_refresh_and_at_ratio_zero() -> None:
    network = small_network()
    mask = PruningMask(network)
    assert all(bool(buffer.all()) for buffer in mask.buffers())
    mask.refresh(network, 0.0)
    assert all(bool(buffer.all()) for buffer in mask.buffers())


def test_masks_are_part_of_the_state() -> None:
    network = small_network()
    mask, other = PruningMask(network), PruningMask(network)
    mask.refresh(network, 0.7)
    other.load_state_dict(mask.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(mask.buffers(), other.buffers(), strict=True))
    assert len(mask.state_dict()) == 2


def test_a_ratio_that_keeps_nothing_is_refused() -> None:
    network = small_network()
    with pytest.raises(LongtailError, match=r"prune ratio of 1\.0 keeps none of 33"):
        PruningMask(network).refresh(network, 1.0)
