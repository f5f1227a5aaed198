from __future__ import annotations

import functools
from typing import Any

import torch

from longtail.methods.base import Batch, Context
from longtail.methods.clustering.contrastive import Contrastive
from longtail.methods.clustering.mixup import InputMixup, ManifoldMixup, PairwiseConMix
from longtail.methods.losses.nt_xent import nt_xent
from longtail.methods.losses.numerics import unit
from longtail.methods.mixing import draw_mixture
from longtail.models.backbones import new_backbone
from tests.methods.pieces import mixed_forward

ROWS = 16


def objective(kind: type[Contrastive]) -> Any:
    torch.manual_seed(0)
    context = Context(functools.partial(new_backbone, "resnet_small", "cifar", 1), classes=4, rows=ROWS)
    return kind(kind.Settings(temperature=0.2, projection_width=8, alpha=1.0), context)  # type: ignore[call-arg]


def batch(seed: int) -> Batch:
    views = torch.randn(2, ROWS, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return Batch((views[0], views[1]), (torch.arange(ROWS),) * 2, torch.Generator().manual_seed(seed))


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


def test_manifold_mixup_mixes_at_one_of_three_depths() -> None:
    trained = objective(ManifoldMixup)
    seen = set()
    for seed in range(12):
        draws = torch.Generator().manual_seed(seed)
        lam, permutation = draw_mixture(ROWS, 1.0, draws)
        depth = int(torch.randint(3, (), generator=draws))
        a, b = (
            trained.network.head(mixed_forward(trained.network.backbone, depth, x, lam, permutation))
            for x in batch(seed).views
        )
        torch.testing.assert_close(trained.loss(batch(seed))["loss"], nt_xent(a, b, 0.2), rtol=1e-5, atol=1e-5)
        seen.add(depth)
    assert seen == {0, 1, 2}


def test_manifold_mixup_leaves_the_network_as_it_was() -> None:
    trained = objective(ManifoldMixup)
    x = batch(0).views[0]
    before = trained.network(x)
    trained.loss(batch(3))
    assert torch.equal(trained.network(x), before)
