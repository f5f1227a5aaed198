from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import pytest
import torch
from scipy import stats

from longtail.methods.base import Batch, Context
from longtail.methods.clustering.contrastive import Contrastive
from longtail.methods.clustering.mixup import (
    InputMixup,
    ManifoldMixup,
    PairwiseConMix,
    draw_mixture,
    interpolate,
    interpolated_output,
)
from longtail.methods.losses.nt_xent import nt_xent
from longtail.methods.losses.numerics import unit
from longtail.models.backbones import new_backbone

ROWS = 16


def objective(kind: type[Contrastive]) -> Any:
    torch.manual_seed(0)
    context = Context(functools.partial(new_backbone, "resnet_small", "cifar", 1), classes=4, rows=ROWS)
    return kind(kind.Settings(temperature=0.2, projection_width=8, alpha=1.0), context)  # type: ignore[call-arg]


def batch(seed: int) -> Batch:
    views = torch.randn(2, ROWS, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return Batch((views[0], views[1]), (torch.arange(ROWS),) * 2, torch.Generator().manual_seed(seed))


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


def test_interpolation_is_equation_2_row_by_row() -> None:
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


def test_input_mixup_contrasts_mixed_images() -> None:
    trained = objective(InputMixup)
    lam, permutation = draw_mixture(ROWS, 1.0, torch.Generator().manual_seed(5))
    a, b = (trained.network(lam * x + (1 - lam) * x[permutation]) for x in batch(5).views)
    torch.testing.assert_close(trained.loss(batch(5))["loss"], nt_xent(a, b, 0.2))


def test_pairwise_conmix_contrasts_mixed_unit_representations() -> None:
    trained = objective(PairwiseConMix)
    lam, permutation = draw_mixture(ROWS, 1.0, torch.Generator().manual_seed(5))
    v1, v2 = (unit(trained.network(x)) for x in batch(5).views)
    a, b = (torch.stack([lam * v[i] + (1 - lam) * v[permutation[i]] for i in range(ROWS)]) for v in (v1, v2))
    torch.testing.assert_close(trained.loss(batch(5))["loss"], nt_xent(a, b, 0.2))


def forward_mixed_at(
    network: Any, depth: int, x: torch.Tensor, lam: torch.Tensor, permutation: torch.Tensor
) -> torch.Tensor:
    """The network layer by layer, mixed at one depth: 0 the images, 1 and 2 after that residual stage."""
    stages = network.backbone
    x = lam * x + (1 - lam) * x[permutation] if depth == 0 else x
    x = stages.layer1(stages.relu(stages.bn1(stages.conv1(x))))
    x = lam * x + (1 - lam) * x[permutation] if depth == 1 else x
    x = stages.layer2(x)
    x = lam * x + (1 - lam) * x[permutation] if depth == 2 else x
    return network.head(stages.avgpool(stages.layer3(x)).flatten(1))


def test_manifold_mixup_mixes_at_one_of_three_depths() -> None:
    trained = objective(ManifoldMixup)
    seen = set()
    for seed in range(12):
        draws = torch.Generator().manual_seed(seed)
        lam, permutation = draw_mixture(ROWS, 1.0, draws)
        depth = int(torch.randint(3, (), generator=draws))
        a, b = (forward_mixed_at(trained.network, depth, x, lam, permutation) for x in batch(seed).views)
        torch.testing.assert_close(trained.loss(batch(seed))["loss"], nt_xent(a, b, 0.2), rtol=1e-5, atol=1e-5)
        seen.add(depth)
    assert seen == {0, 1, 2}


def test_manifold_mixup_leaves_the_network_as_it_was() -> None:
    trained = objective(ManifoldMixup)
    x = batch(0).views[0]
    before = trained.network(x)
    trained.loss(batch(3))
    assert torch.equal(trained.network(x), before)
