from __future__ import annotations

import torch
from torch import nn

from longtail.models.mlp import predictor, projector


def test_layers_and_shapes_of_a_projector():
    network = projector(5, 16, 3)
    assert [type(layer) for layer in network] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert network(torch.randn(4, 5)).shape == (4, 3)
    assert network[0].out_features == 16


def test_a_predictor_starts_small():
    torch.manual_seed(0)
    network = predictor(64, 256)
    assert network(torch.randn(4, 64)).shape == (4, 64)
    for layer in (network[0], network[3]):
        weights = layer.weight.detach()
        assert abs(weights.std() - 0.01) < 5e-4
        assert abs(weights.mean()) < 5e-4
        assert torch.equal(layer.bias, torch.zeros_like(layer.bias))
