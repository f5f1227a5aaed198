"""What is mixed, with whom and where."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from scipy import stats

from longtail.methods.mixing import (
    beta_variate,
    draw_mixture,
    interpolate,
    interpolated_at_a_depth,
    interpolated_output,
)
from longtail.models.backbones import new_backbone
from tests.methods.pieces import mixed_forward


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_lambda_follows_the_beta_distribution(alpha: float) -> None:
    draws = torch.Generator().manual_seed(0)
    sample = [draw_mixture(1, alpha, draws)[0].item() for _ in range(2000)]
    assert stats.kstest(sample, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_permutation_is_one_and_any() -> None:
    draws = torch.Generator().manual_seed(0)
    seen = Counter(tuple(draw_mixture(3, 1.0, draws)[1].tolist()) for _ in range(600))
    assert len(seen) == 6
    assert min(seen.values()) > 60
    assert all(sorted(permutation) == [0, 1, 2] for permutation in seen)


def test_interpolation_is_the_formula_row_by_row() -> None:
    x = torch.randn(4, 2, 3, 3, dtype=torch.float64)
    permutation = torch.tensor([2, 0, 1, 3])
    mixed = interpolate(x, torch.tensor(0.3, dtype=torch.float64), permutation)
    for i in range(4):
        torch.testing.assert_close(mixed[i], 0.3 * x[i] + 0.7 * x[permutation[i]])
    assert torch.equal(interpolate(x, torch.tensor(1.0), permutation), x)
    assert interpolate(x.bfloat16(), torch.tensor(0.3), permutation).dtype == torch.bfloat16


def test_interpolated_output_ends_with_the_block() -> None:
    layer = torch.nn.Identity()
    x = torch.arange(3.0)[:, None]
    with interpolated_output(layer, torch.tensor(0.0), torch.tensor([1, 2, 0])):
        assert layer(x).flatten().tolist() == [1.0, 2.0, 0.0]
    assert torch.equal(layer(x), x)


def test_a_backbone_mixes_at_one_of_three_depths_alike_often():
    """Layer by layer at each depth; the draw comes from the generator and nowhere else."""
    torch.manual_seed(0)
    backbone = new_backbone("resnet_small", "cifar", 1)
    x, lam, permutation = torch.randn(4, 1, 8, 8), torch.tensor(0.3), torch.tensor([2, 0, 3, 1])
    before = backbone(x)
    candidates = [mixed_forward(backbone, depth, x, lam, permutation) for depth in range(3)]
    draws, seen = torch.Generator().manual_seed(0), Counter()
    for _ in range(90):
        with interpolated_at_a_depth(backbone, lam, permutation, draws) as mixed:
            found = backbone(mixed(x))
        (depth,) = (d for d, expected in enumerate(candidates) if torch.allclose(found, expected, atol=1e-5))
        seen[depth] += 1
    assert set(seen) == {0, 1, 2}
    assert min(seen.values()) > 15
    assert torch.equal(backbone(x), before)


@pytest.mark.parametrize(("a", "b"), [(0.2, 1.0), (0.2, 0.2), (1.0, 1.0), (2.0, 2.0)])
def test_a_variate_follows_any_beta_distribution(a, b):
    draws = torch.Generator().manual_seed(0)
    sample = [beta_variate(a, b, draws).item() for _ in range(1000)]
    assert stats.kstest(sample, stats.beta(a, b).cdf).pvalue > 0.01
