from __future__ import annotations

import copy
import itertools
import math
from typing import get_args, get_type_hints

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.errors import LongtailError
from longtail.methods.base import Batch, Context
from longtail.methods.clustering.byol import BYOL, regression_loss, target_rate
from tests.methods.pieces import TinyBackbone, a_batch, assert_same_updates, step_without_values, updates

RECIPE_M = BYOL.Settings(
    hidden_width=7, projection_width=4, target_momentum=0.9, target_schedule="constant", target_update="after_step",
    predictor_learning_rate_scale=10.0,
)  # fmt: skip
RECIPE_P = BYOL.Settings(**{**vars(RECIPE_M), "target_schedule": "cosine", "target_update": "after_forward"})
RECIPES = pytest.mark.parametrize("settings", [RECIPE_M, RECIPE_P], ids=["M", "P"])
CHOICES = get_type_hints(BYOL.Settings)


def objective(settings: BYOL.Settings) -> BYOL:
    torch.manual_seed(0)
    return BYOL(settings, Context(new_backbone=TinyBackbone, classes=3, rows=20)).double()


@given(rows=st.integers(1, 6), width=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_regression_loss_is_the_formula(rows, width, seed):
    generator = torch.Generator().manual_seed(seed)
    p, k = (torch.randn(rows, width, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(2))
    total = 0.0
    for i in range(rows):
        dot = sum(p[i, d] * k[i, d].detach() for d in range(width))
        lengths = math.sqrt(sum(k[i, d].item() ** 2 for d in range(width))) * sum(p[i] ** 2).sqrt()
        total = total + 2 - 2 * dot / lengths
    expected = total / rows
    loss = regression_loss(p, k)
    torch.testing.assert_close(loss, expected)
    assert -1e-12 <= loss.item() <= 4 + 1e-12
    gradient, into_target = torch.autograd.grad(loss, (p, k), allow_unused=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, p)[0])
    assert into_target is None


def test_regression_loss_at_its_ends():
    v = torch.tensor([[3.0, 4.0]])
    torch.testing.assert_close(regression_loss(v, 2 * v), torch.tensor(0.0))
    torch.testing.assert_close(regression_loss(v, -v), torch.tensor(4.0))


def test_target_rate():
    assert target_rate(0.3, 0.996, "constant") == pytest.approx(0.004)
    assert target_rate(0.0, 0.996, "cosine") == pytest.approx(0.004)
    assert target_rate(0.5, 0.996, "cosine") == pytest.approx(0.002)
    assert target_rate(1.0, 0.996, "cosine") == pytest.approx(0.0)
    assert 1 - target_rate(0.25, 0.996, "cosine") == pytest.approx(1 - 0.004 * (1 + math.cos(math.pi / 4)) / 2)


def slow_loss(byol, batch):
    one, two = batch.views
    total = 0.0
    for view, other in ((one, two), (two, one)):
        prediction = byol.predictor(byol.projector(byol.backbone(view)))
        target = byol.target_projector(byol.target_backbone(other))
        total = total + 0.5 * regression_loss(prediction, target)
    return total


@RECIPES
def test_the_loss_is_the_mean_of_both_directions(settings):
    byol, (one, two) = objective(settings), a_batch().views
    expected = slow_loss(copy.deepcopy(byol), a_batch())
    loss = byol.loss(a_batch())["loss"]
    torch.testing.assert_close(loss, expected)
    swapped = objective(settings).loss(Batch((two, one), (torch.arange(8),) * 2, torch.Generator()))["loss"]
    torch.testing.assert_close(loss, swapped)


@RECIPES
def test_no_gradient_reaches_the_target(settings):
    byol = objective(settings)
    byol.loss(a_batch())["loss"].backward()
    for name, parameter in byol.named_parameters():
        assert (parameter.grad is None) == name.startswith("target_"), name


def trained(settings: BYOL.Settings, steps: int = 3) -> list[BYOL]:
    """The states after 0, 1, ... steps of a plain training."""
    states = [objective(settings)]
    for done in range(steps):
        byol = copy.deepcopy(states[-1])
        updates(byol, [a_batch(done)], after=done, clock=steps)
        states.append(byol)
    return states


def online_and_target(byol: BYOL) -> list[tuple[torch.Tensor, torch.Tensor]]:
    online = [*byol.backbone.parameters(), *byol.projector.parameters()]
    target = [*byol.target_backbone.parameters(), *byol.target_projector.parameters()]
    return list(zip(online, target, strict=True))


def test_recipe_m_moves_the_target_after_each_step():
    states = trained(RECIPE_M)
    for before, after in itertools.pairwise(states):
        for (_, old), (online, new) in zip(online_and_target(before), online_and_target(after), strict=True):
            torch.testing.assert_close(new, 0.9 * old + 0.1 * online, rtol=1e-6, atol=1e-9)


def test_recipe_p_moves_the_target_towards_the_weights_before_the_step_and_ever_less():
    states = trained(RECIPE_P)
    for update, (before, after) in enumerate(itertools.pairwise(states), 1):
        momentum = 1 - 0.1 * (1 + math.cos(math.pi * update / 3)) / 2
        for (online, old), (_, new) in zip(online_and_target(before), online_and_target(after), strict=True):
            torch.testing.assert_close(new, momentum * old + (1 - momentum) * online, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("target_schedule", get_args(CHOICES["target_schedule"]))
@pytest.mark.parametrize("target_update", get_args(CHOICES["target_update"]))
@pytest.mark.parametrize(("count", "momentum"), [(3, 0.0), (3, 0.9), (4, 0.37)])
def test_updates_are_those_of_the_official_codes(target_update, target_schedule, count, momentum):
    """Hzzone/ProPos sets m(n) at the start of update n and moves the target in the forward pass, after the losses."""
    changed = {"target_update": target_update, "target_schedule": target_schedule, "target_momentum": momentum}
    assert_same_updates(objective(BYOL.Settings(**{**vars(RECIPE_M), **changed})), slow_loss, count)


def test_the_losses_of_an_update_are_of_the_target_before_it_moves_or_after():
    losses = {
        target_update: objective(BYOL.Settings(**{**vars(RECIPE_M), "target_update": target_update}))
        for target_update in get_args(CHOICES["target_update"])
    }
    for byol in losses.values():
        for parameter in byol.projector.parameters():
            parameter.data.mul_(2)  # which the target has not followed yet
    found = {name: byol.loss(a_batch())["loss"].item() for name, byol in losses.items()}
    assert found["after_forward"] == found["after_step"] != found["before_forward"]


@RECIPES
def test_a_step_never_asks_for_a_value(settings):
    byol = objective(settings)
    step_without_values(byol, 8, 2, 5, 5)


@RECIPES
def test_the_target_keeps_batch_statistics_of_its_own(settings):
    byol = trained(settings)[-1]
    # two views a step, and a moving average would have left the count at 0
    assert byol.target_backbone[1].num_batches_tracked == 6
    assert not torch.allclose(byol.target_backbone[1].running_mean, byol.backbone[1].running_mean)


@RECIPES
def test_the_checkpoint_continues_exactly(settings):
    byol = trained(settings)[1]
    restored = objective(settings)
    restored.load_state_dict(byol.state_dict())
    assert torch.equal(byol.loss(a_batch(9))["loss"], restored.loss(a_batch(9))["loss"])
    assert all(torch.equal(byol.state_dict()[name], value) for name, value in restored.state_dict().items())


def test_the_predictor_has_a_learning_rate_of_its_own():
    byol = objective(RECIPE_M)
    rest, own = byol.parameter_groups()
    assert own["learning_rate_scale"] == 10.0
    assert set(own["params"]) == set(byol.predictor.parameters())
    assert rest["learning_rate_scale"] == 1.0
    assert set(rest["params"]) | set(own["params"]) == {p for p in byol.parameters() if p.requires_grad}


def test_encoders():
    byol = trained(RECIPE_M)[-1].eval()
    images = a_batch(5).views[0]
    expected = {
        "target_projection": byol.target_projector(byol.target_backbone(images)),
        "projection": byol.projector(byol.backbone(images)),
        "backbone": byol.backbone(images),
        "target_backbone": byol.target_backbone(images),
    }
    assert set(expected) == set(BYOL.features)
    for features, value in expected.items():
        encoder = byol.encoder(features)
        assert torch.equal(encoder(images), value)
        assert encoder.width == value.shape[1]
    with pytest.raises(LongtailError, match="Did you mean 'target_projection'"):
        byol.encoder("target_projections")


@pytest.mark.parametrize(
    ("name", "value"), [("target_schedule", "linear"), ("target_update", "never"), ("target_momentum", -0.1)]
)
def test_impossible_settings_are_named(name, value):
    with pytest.raises(LongtailError, match=name):
        BYOL.Settings(**{**vars(RECIPE_M), name: value})
