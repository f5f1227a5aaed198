from __future__ import annotations

import copy
import functools

import pytest
import torch

from longtail.methods.base import Batch, Context
from longtail.methods.clustering.sdclr import SDCLR
from longtail.methods.losses.nt_xent import nt_xent
from longtail.models.backbones import new_backbone


@pytest.fixture
def sdclr() -> SDCLR:
    torch.manual_seed(0)
    context = Context(functools.partial(new_backbone, "resnet_small", "cifar", 1), classes=4, rows=24)
    return SDCLR(SDCLR.Settings(temperature=0.2, projection_width=8, prune_ratio=0.9), context)


@pytest.fixture
def batch() -> Batch:
    views = torch.randn(2, 24, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return Batch((views[0], views[1]), (torch.arange(24),) * 2, torch.Generator())


def masks(sdclr: SDCLR) -> list[torch.Tensor]:
    return [buffer.clone() for buffer in sdclr.network.mask.buffers()]


def test_first_view_is_dense_and_second_is_pruned(sdclr: SDCLR, batch: Batch) -> None:
    sdclr.start_epoch(0, None)  # type: ignore[arg-type]
    x1, x2 = batch.views
    loss = sdclr.loss(batch)["loss"]
    torch.testing.assert_close(loss, nt_xent(sdclr.network(x1), sdclr.network.pruned(x2), 0.2))
    assert not torch.allclose(loss, nt_xent(sdclr.network(x2), sdclr.network.pruned(x1), 0.2))


def test_mask_changes_with_the_epoch_and_not_within_it(sdclr: SDCLR, batch: Batch) -> None:
    optimizer = torch.optim.SGD(sdclr.parameters(), lr=0.5)
    sdclr.start_epoch(0, None)  # type: ignore[arg-type]
    first = masks(sdclr)
    for _ in range(3):
        optimizer.zero_grad()
        sdclr.loss(batch)["loss"].backward()
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(first, masks(sdclr), strict=True))
    sdclr.start_epoch(1, None)  # type: ignore[arg-type]
    assert not all(torch.equal(a, b) for a, b in zip(first, masks(sdclr), strict=True))
    kept = torch.cat([mask.flatten() for mask in masks(sdclr)])
    assert abs(int(kept.sum()) - 0.1 * len(kept)) <= 1


def test_pruned_away_weights_survive_and_keep_learning(sdclr: SDCLR, batch: Batch) -> None:
    sdclr.start_epoch(0, None)  # type: ignore[arg-type]
    weight = sdclr.network.backbone.conv1.weight
    dropped = ~sdclr.network.mask.get_buffer("conv1_weight")
    before = weight[dropped].clone()
    optimizer = torch.optim.SGD(sdclr.parameters(), lr=0.5)
    sdclr.loss(batch)["loss"].backward()
    optimizer.step()
    assert bool((before != 0).all())
    assert bool((weight[dropped] != before).all())
    assert bool((weight[dropped] != 0).all())


def test_joint_gradient_is_the_sum_of_the_two_partial_passes_of_the_official_code(sdclr: SDCLR, batch: Batch) -> None:
    sdclr.start_epoch(0, None)  # type: ignore[arg-type]
    x1, x2 = batch.views
    parameters = list(sdclr.parameters())
    joint = torch.autograd.grad(sdclr.loss(batch)["loss"], parameters)
    dense_alone = nt_xent(sdclr.network(x1), sdclr.network.pruned(x2).detach(), 0.2)
    pruned_alone = nt_xent(sdclr.network(x1).detach(), sdclr.network.pruned(x2), 0.2)
    partial = [torch.autograd.grad(loss, parameters, materialize_grads=True) for loss in (dense_alone, pruned_alone)]
    for whole, first, second in zip(joint, *partial, strict=True):
        torch.testing.assert_close(whole, first + second, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_step_moves_either_set_of_statistics_once(sdclr: SDCLR, batch: Batch, steps: int) -> None:
    """The official code runs the pruned branch twice, for two partial gradients, and so moves its set twice."""
    sdclr.start_epoch(0, None)  # type: ignore[arg-type]
    for _ in range(steps):
        sdclr.loss(batch)
    counts = {
        name.rsplit(".", 2)[1]: buffer.item()
        for name, buffer in sdclr.named_buffers()
        if name.endswith("num_batches_tracked")
    }
    assert counts == {"dense": steps, "pruned": steps}


def test_the_dense_statistics_are_those_of_the_official_order_of_forwards(sdclr: SDCLR, batch: Batch) -> None:
    """Pruned, dense, pruned: the dense set, which alone is read, sees the same."""
    sdclr.start_epoch(0, None)  # type: ignore[arg-type]
    official, (x1, x2) = copy.deepcopy(sdclr), batch.views
    sdclr.loss(batch)
    for forward, x in ((official.network.pruned, x2), (official.network, x1), (official.network.pruned, x2)):
        forward(x)
    for name, buffer in sdclr.named_buffers():
        if ".dense." in name:
            assert torch.equal(buffer, official.get_buffer(name)), name


def test_mid_epoch_resume_is_exact(sdclr: SDCLR, batch: Batch) -> None:
    sdclr.start_epoch(0, None)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in sdclr.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    context = Context(functools.partial(new_backbone, "resnet_small", "cifar", 1), classes=4, rows=24)
    resumed = SDCLR(sdclr.settings, context)
    resumed.load_state_dict(sdclr.state_dict())
    assert torch.equal(resumed.loss(batch)["loss"], sdclr.loss(batch)["loss"])
