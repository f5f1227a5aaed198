from __future__ import annotations

import torch
from torch import nn

from longtail.models.mlp import plain_projector, predictor, projector


def test_layers_and_shapes_of_a_projector():
    network = projector(5, 16, 3)
    assert [type(layer) for layer in network] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert network(torch.randn(4, 5)).shape == (4, 3)
    assert network[0].out_features == 16


def test_a_plain_projector_is_two_linear_layers_and_the_positive_part_between():
    torch.manual_seed(0)
    network = plain_projector(5, 3).double()
    first, second = network[0], network[2]
    assert (first.weight.shape, second.weight.shape) == ((5, 5), (3, 5))
    x = torch.randn(4, 5, dtype=torch.float64)
    for row, found in zip(x, network(x), strict=True):
        hidden = [
            max(sum(w * v for w, v in zip(first.weight[i], row, strict=True)) + first.bias[i], 0) for i in range(5)
        ]
        for k in range(3):
            expected = sum(second.weight[k, i] * hidden[i] for i in range(5)) + second.bias[k]
            torch.testing.assert_close(found[k], expected)


def test_a_predictor_starts_small():
    torch.manual_seed(0)
    network = predictor(64, 256)
    assert network(torch.randn(4, 64)).shape == (4, 64)
    for layer in (network[0], network[3]):
        weights = layer.weight.detach()
        assert abs(weights.std() - 0.01) < 5e-4
        assert abs(weights.mean()) < 5e-4
        assert torch.equal(layer.bias, torch.zeros_like(layer.bias))
