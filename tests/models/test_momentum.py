from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from longtail.models.momentum import follow, momentum_copy


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_a_copy_is_equal_shares_nothing_and_has_no_gradient():
    online = network()
    target = momentum_copy(online)
    for name, value in online.state_dict().items():
        assert torch.equal(target.state_dict()[name], value)
        assert target.state_dict()[name].data_ptr() != value.data_ptr()
    assert all(parameter.requires_grad for parameter in online.parameters())
    assert not any(parameter.requires_grad for parameter in target.parameters())


@pytest.mark.parametrize("as_tensor", [False, True])
def test_following_is_the_moving_average_of_every_parameter(as_tensor):
    torch.manual_seed(0)
    online, target = network().double(), momentum_copy(network().double())
    before, momentum = copy.deepcopy(target), 0.9
    rate = torch.tensor(1 - momentum, dtype=torch.float64) if as_tensor else 1 - momentum
    follow(target, online, rate)
    for name, parameter in target.named_parameters():
        expected = momentum * before.get_parameter(name) + (1 - momentum) * online.get_parameter(name)
        torch.testing.assert_close(parameter, expected, rtol=1e-12, atol=1e-14)


def test_following_leaves_batch_statistics_alone():
    online, target = network(), momentum_copy(network())
    online(torch.randn(8, 3))
    assert online[1].num_batches_tracked == 1
    follow(target, online, 0.5)
    assert target[1].num_batches_tracked == 0
    assert torch.equal(target[1].running_mean, torch.zeros(4))


@pytest.mark.parametrize(("rate", "source"), [(0.0, "target"), (1.0, "online")])
def test_the_ends_of_the_rate(rate, source):
    online, target = network().double(), momentum_copy(network().double())
    expected = copy.deepcopy(online if source == "online" else target)
    follow(target, online, rate)
    for name, parameter in target.named_parameters():
        torch.testing.assert_close(parameter, expected.get_parameter(name), rtol=0, atol=1e-15)
