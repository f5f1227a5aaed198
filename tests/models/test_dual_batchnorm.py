from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from longtail.errors import LongtailError
from longtail.models.dual_batchnorm import DualBatchNorm1d, DualBatchNorm2d, branch, dense_branch, projection_head


@pytest.mark.parametrize(("kind", "shape"), [(DualBatchNorm1d, (6, 3)), (DualBatchNorm2d, (6, 3, 4, 4))])
def test_each_branch_is_a_batch_normalisation_of_its_own(kind: type, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    dual = kind(3)
    nn.init.normal_(dual.pruned.weight)
    alone = copy.deepcopy(dual.pruned)
    untouched = copy.deepcopy(dual.dense.state_dict())
    x = torch.randn(shape) * 2 + 1
    with branch(dual, "pruned"):
        torch.testing.assert_close(dual(x), alone(x), rtol=0, atol=0)
    torch.testing.assert_close(dual.pruned.running_mean, alone.running_mean, rtol=0, atol=0)
    torch.testing.assert_close(dict(dual.dense.state_dict()), dict(untouched), rtol=0, atol=0)
    torch.testing.assert_close(dual(x), nn.functional.batch_norm(x, None, None, training=True))


def test_branch_reaches_all_layers_and_ends_with_the_block() -> None:
    head = projection_head(4, 2)
    layers = [module for module in head if isinstance(module, DualBatchNorm1d)]
    with branch(head, "pruned"):
        assert [layer.branch for layer in layers] == ["pruned"] * 3
    assert [layer.branch for layer in layers] == ["dense"] * 3


def test_branch_ends_with_an_error_too() -> None:
    layer = DualBatchNorm1d(3)
    with pytest.raises(ValueError, match="expected 2D or 3D"), branch(layer, "pruned"):
        layer(torch.randn(3))
    assert layer.branch == "dense"


def test_unknown_branch_is_refused() -> None:
    with pytest.raises(LongtailError, match="no branch 'prune'"), branch(DualBatchNorm1d(2), "prune"):
        pass


def test_head_is_the_one_of_the_official_code() -> None:
    head = projection_head(16, 8)
    linears = [module for module in head if isinstance(module, nn.Linear)]
    assert [(m.in_features, m.out_features, m.bias is not None) for m in linears] == [
        (16, 16, True),
        (16, 16, False),
        (16, 8, False),
    ]
    assert isinstance(head[-1], DualBatchNorm1d)
    assert head(torch.randn(5, 16)).shape == (5, 8)


def test_the_dense_branch_alone() -> None:
    torch.manual_seed(0)
    head = projection_head(4, 2)
    with branch(head, "pruned"):
        head(torch.randn(5, 4))
    alone = dense_branch(head)
    assert not any(isinstance(module, DualBatchNorm1d) for module in alone.modules())
    x = torch.randn(5, 4)
    assert torch.equal(alone(x), head(x))
    assert not {id(p) for p in alone.parameters()} & {id(p) for p in head.parameters()}
    assert isinstance(head[1], DualBatchNorm1d)
