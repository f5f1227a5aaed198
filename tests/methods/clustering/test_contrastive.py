"""What all objectives of the SimCLR family promise alike."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch._subclasses import FakeTensorMode

from longtail.errors import LongtailError
from longtail.methods.base import Batch, Context
from longtail.methods.clustering.conmix import ConMix
from longtail.methods.clustering.contrastive import Contrastive
from longtail.methods.clustering.mixup import InputMixup, ManifoldMixup, PairwiseConMix
from longtail.methods.clustering.sdclr import SDCLR
from longtail.methods.clustering.simclr import SimCLR
from longtail.models.backbones import new_backbone
from tests.methods.pieces import nt_xent_by_hand

FAMILY: dict[type[Contrastive], dict[str, Any]] = {
    SimCLR: {},
    SDCLR: {"prune_ratio": 0.9},
    ConMix: {"tags": 8},
    PairwiseConMix: {"alpha": 1.0},
    InputMixup: {"alpha": 1.0},
    ManifoldMixup: {"alpha": 2.0},
}
ROWS = 32


def objective(kind: type[Contrastive], seed: int = 0, parent: Any = None, **changes: Any) -> Contrastive:
    torch.manual_seed(seed)
    settings = kind.Settings(**{"temperature": 0.2, "projection_width": 16, **FAMILY[kind], **changes})
    context = Context(functools.partial(new_backbone, "resnet_small", "cifar", 1), classes=4, rows=ROWS)
    return kind(settings, context, parent)


def batch(seed: int = 0, rows: int = ROWS) -> Batch:
    draws = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 1, 8, 8, generator=draws)
    views = (x, x + 0.3 * torch.randn(rows, 1, 8, 8, generator=draws))
    return Batch(views, (torch.arange(rows),) * 2, torch.Generator().manual_seed(seed))


family = pytest.mark.parametrize("kind", FAMILY)


def train(trained: Contrastive, steps: int) -> list[float]:
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for step in range(steps):
        if step % 5 == 0:
            trained.start_epoch(step // 5, None)  # type: ignore[arg-type]
        loss = trained.loss(batch(seed=step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@family
def test_loss_falls_on_a_fixed_batch(kind: type[Contrastive]) -> None:
    losses = train(objective(kind), 30)
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


@family
def test_same_generator_same_loss(kind: type[Contrastive]) -> None:
    trained = objective(kind)
    trained.start_epoch(0, None)  # type: ignore[arg-type]
    first, again, other = (trained.loss(batch(seed))["loss"] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (kind in (SimCLR, SDCLR))


@family
def test_autocast_costs_little_precision(kind: type[Contrastive]) -> None:
    trained = objective(kind)
    trained.start_epoch(0, None)  # type: ignore[arg-type]
    exact = trained.loss(batch())["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        rough = trained.loss(batch())["loss"]
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.05)
    rough.backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in trained.parameters() if p.grad is not None)


@family
def test_no_value_is_fetched_from_the_device(kind: type[Contrastive]) -> None:
    # Fake tensors have shapes and no values, so whatever would wait for the device raises.
    with FakeTensorMode():
        trained = objective(kind)
        x = torch.empty(ROWS, 1, 8, 8)
        trained.start_epoch(0, None)  # type: ignore[arg-type]
        loss = trained.loss(Batch((x, x), (torch.arange(ROWS),) * 2, torch.Generator()))["loss"]
        loss.backward()
    assert loss.shape == ()


@pytest.mark.parametrize("before", FAMILY)
@pytest.mark.parametrize("after", FAMILY)
def test_each_continues_each_other(before: type[Contrastive], after: type[Contrastive]) -> None:
    first, second = objective(before, seed=0), objective(after, seed=1)
    second.load_state_dict(first.state_dict(), strict=True)
    assert [name for name, _ in first.named_parameters()] == [name for name, _ in second.named_parameters()]
    x = batch().views[0]
    torch.testing.assert_close(first.eval().encoder("projection")(x), second.eval().encoder("projection")(x))


@family
def test_encoders_are_the_dense_branch_in_training(kind: type[Contrastive]) -> None:
    trained = objective(kind)
    train(trained, 2)
    trained.eval()
    x = batch().views[0]
    hidden, projected = trained.encoder("backbone"), trained.encoder("projection")
    assert (hidden.width, projected.width) == (64, 16)
    assert hidden(x).shape == (ROWS, 64)
    torch.testing.assert_close(projected(x), trained.network.head(hidden(x)))
    assert {id(p) for p in projected.parameters()} <= {id(p) for p in trained.parameters()}
    with pytest.raises(LongtailError, match=r"no feature of .* 'projektion'"):
        trained.encoder("projektion")


@family
def test_every_parameter_is_trained_but_the_unused_branch(kind: type[Contrastive]) -> None:
    trained = objective(kind)
    trained.start_epoch(0, None)  # type: ignore[arg-type]
    trained.loss(batch())["loss"].backward()
    idle = {name for name, p in trained.named_parameters() if p.grad is None}
    pruned = {name for name, _ in trained.named_parameters() if ".pruned." in name}
    assert idle == (set() if kind is SDCLR else pruned)
    assert [p for group in trained.parameter_groups() for p in group["params"]] == list(trained.parameters())


@family
def test_views_have_batch_statistics_of_their_own(kind: type[Contrastive]) -> None:
    trained = objective(kind)
    trained.start_epoch(0, None)  # type: ignore[arg-type]
    trained.loss(batch())
    stem = trained.network.backbone.bn1
    counts = (int(stem.dense.num_batches_tracked), int(stem.pruned.num_batches_tracked))
    assert counts == ((1, 1) if kind is SDCLR else (2, 0))


@family
def test_gradient_flows_through_both_views(kind: type[Contrastive]) -> None:
    trained, given = objective(kind), batch()
    trained.start_epoch(0, None)  # type: ignore[arg-type]
    views = tuple(x.requires_grad_() for x in given.views)
    first, second = torch.autograd.grad(trained.loss(given)["loss"], views)
    assert first.abs().sum() > 0.1 * second.abs().sum() > 0
    assert second.abs().sum() > 0.1 * first.abs().sum()


@pytest.mark.usefixtures("float64")
def test_simclr_is_the_formula_on_the_networks_outputs() -> None:
    trained = objective(SimCLR)
    x1, x2 = (x.double() for x in batch(rows=6).views)
    loss = trained.loss(Batch((x1, x2), (torch.arange(6),) * 2, torch.Generator()))["loss"]
    expected = nt_xent_by_hand(trained.network(x1), trained.network(x2), 0.2)
    used = [p for name, p in trained.named_parameters() if ".pruned." not in name]
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, used), torch.autograd.grad(expected, used))


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        (SimCLR, "temperature", 0.0),
        (SimCLR, "projection_width", 0),
        (SDCLR, "prune_ratio", 1.0),
        (ConMix, "tags", 0),
        (PairwiseConMix, "alpha", 0.0),
        (SDCLR, "temperature", -1.0),
    ],
)
def test_settings_out_of_range_are_refused(kind: type[Contrastive], setting: str, value: float) -> None:
    with pytest.raises(LongtailError, match=f"setting {setting} is {value}"):
        objective(kind, **{setting: value})


GOLDEN = {
    SimCLR: [1.561549138, 0.637770967, 0.48039953, 0.416886223],
    SDCLR: [4.227008288, 1.145766527, 0.807150232, 0.596939399],
    ConMix: [0.472570217, 0.187399754, 0.183740869, 0.131502799],
    PairwiseConMix: [1.528817152, 0.788309723, 0.570170265, 0.537861675],
    InputMixup: [1.690548593, 0.882289861, 0.649582811, 0.708628126],
    ManifoldMixup: [1.564720921, 0.92646027, 0.660449668, 0.775141694],
}
"""Losses of steps 1, 5, 10 and 20 of :func:`train`. If they change, results do: raise the objective's version."""


@pytest.fixture
def float64() -> Iterator[None]:
    """In float32 twenty steps amplify a different order of additions to the third digit."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@family
@pytest.mark.usefixtures("float64")
def test_loss_curve_is_the_recorded_one(kind: type[Contrastive]) -> None:
    losses = train(objective(kind), 20)
    assert [losses[step - 1] for step in (1, 5, 10, 20)] == pytest.approx(GOLDEN[kind], rel=1e-6)
