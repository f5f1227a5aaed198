from __future__ import annotations

import functools

import torch

from longtail.methods.base import Batch, Context
from longtail.methods.clustering.simclr import SimCLR
from longtail.methods.losses.nt_xent import nt_xent
from longtail.models.backbones import new_backbone


def test_contrasts_the_dense_outputs_of_two_separate_forwards() -> None:
    torch.manual_seed(0)
    context = Context(functools.partial(new_backbone, "resnet_small", "cifar", 1), classes=4, rows=16)
    simclr = SimCLR(SimCLR.Settings(temperature=0.5, projection_width=8), context)
    x1, x2 = torch.randn(2, 16, 1, 8, 8)
    loss = simclr.loss(Batch((x1, x2), (torch.arange(16),) * 2, torch.Generator()))["loss"]
    torch.testing.assert_close(loss, nt_xent(simclr.network(x1), simclr.network(x2), 0.5))
    joint = simclr.network(torch.cat([x1, 5 * x2 + 1]))
    assert not torch.allclose(
        nt_xent(*joint.chunk(2), 0.5), nt_xent(simclr.network(x1), simclr.network(5 * x2 + 1), 0.5)
    )
