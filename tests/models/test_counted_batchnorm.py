from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from longtail.models.counted_batchnorm import CountedBatchNorm2d

COUNTED = torch.tensor([True, True, False, True, False])


def layers():
    """A layer that counts, and one of torch with the same weights, in float64."""
    torch.manual_seed(0)
    layer, plain = CountedBatchNorm2d(3).double(), nn.BatchNorm2d(3).double()
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    plain.load_state_dict(layer.state_dict())
    return layer, plain


def test_maps_that_count_are_normalised_as_if_there_were_no_others():
    layer, plain = layers()
    x = (5 + torch.randn(5, 3, 2, 4, dtype=torch.float64)).requires_grad_()
    same = x.detach()[COUNTED].requires_grad_()
    pull = torch.randn(5, 3, 2, 4, dtype=torch.float64)
    layer.counted = COUNTED
    found, expected = layer(x)[COUNTED], plain(same)
    torch.testing.assert_close(found, expected)
    (found * pull[COUNTED]).sum().backward()
    (expected * pull[COUNTED]).sum().backward()
    torch.testing.assert_close(x.grad[COUNTED], same.grad)
    assert not x.grad[~COUNTED].any()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(layer.state_dict()[name], value)
    for one, other in zip(layer.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_the_others_are_normalised_by_the_same_statistics():
    layer, _ = layers()
    x = torch.randn(5, 3, 2, 4, dtype=torch.float64)
    x[2] = x[0]
    layer.counted = COUNTED
    output = layer(x)
    torch.testing.assert_close(output[2], output[0])


@pytest.mark.parametrize("training", [True, False])
def test_it_is_torchs_where_all_count_and_in_eval_mode(training):
    layer, plain = layers()
    x = torch.randn(5, 3, 2, 4, dtype=torch.float64)
    layer.counted = None if training else COUNTED
    assert torch.equal(layer.train(training)(x), plain.train(training)(x))
    assert torch.equal(layer.running_var, plain.running_var)


def test_bfloat16_comes_out_as_it_came_and_statistics_are_float32():
    layer = CountedBatchNorm2d(3)
    layer.counted = COUNTED
    x = torch.randn(5, 3, 2, 4).bfloat16()
    wide = copy.deepcopy(layer)
    found = layer(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, wide(x.float()).bfloat16())
    torch.testing.assert_close(layer.running_var, wide.running_var)
