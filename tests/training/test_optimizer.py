from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import longtail
from longtail.errors import LongtailError
from longtail.training.hyperparameters import parse_settings
from longtail.training.optimizer import Optimizer

PACKAGE = Path(longtail.__file__).parent
SGD = {}
ADAM = {"optimizer": "adam", "momentum": None}


class Grouped(nn.Module):
    """Two layers, in an order and with scales of choice, and one that no loss reaches."""

    def __init__(self, *order):
        super().__init__()
        self.a, self.b, self.idle = nn.Linear(2, 3), nn.Linear(3, 1), nn.Linear(1, 1)
        self.order = order

    def parameter_groups(self):
        return [
            {"params": list(getattr(self, name).parameters()), "learning_rate_scale": scale}
            for name, scale in self.order
        ]


def backward(module):
    module.zero_grad()
    module.b(module.a(torch.arange(8, dtype=module.a.weight.dtype).view(4, 2))).square().mean().backward()


def settings_of(tools, change):
    return parse_settings("toy", tools.stretch(**change)["settings"])[0]


@pytest.mark.parametrize(
    "change",
    [SGD, {"weight_decay": 0.01}, {"momentum": 0.0}, ADAM, {**ADAM, "betas": [0.5, 0.6], "weight_decay": 0.01}],
    ids=["sgd", "weight decay", "no momentum", "adam", "betas"],
)
def test_the_updates_are_those_of_torch(tools, change):
    settings = settings_of(tools, change)
    torch.manual_seed(0)
    ours, theirs = Grouped(("a", 1.0), ("b", 0.1), ("idle", 1.0)), Grouped()
    theirs.load_state_dict(ours.state_dict())
    optimizer = Optimizer(ours, settings)
    groups = [{"params": theirs.a.parameters(), "scale": 1.0}, {"params": theirs.b.parameters(), "scale": 0.1}]
    if settings.optimizer == "sgd":
        reference = torch.optim.SGD(groups, momentum=settings.momentum, weight_decay=settings.weight_decay)
    else:
        betas = settings.betas or (0.9, 0.999)
        reference = torch.optim.Adam(groups, betas=betas, weight_decay=settings.weight_decay)
    idle = ours.idle.weight.detach().clone()
    for rate in (0.1, 0.05, 0.2):
        for module in (ours, theirs):
            backward(module)
        optimizer.step(rate)
        for group in reference.param_groups:
            group["lr"] = rate * group["scale"]
        reference.step()
        for name, parameter in ours.named_parameters():
            torch.testing.assert_close(parameter, theirs.get_parameter(name), rtol=1e-6, atol=1e-7)
    assert torch.equal(ours.idle.weight, idle)
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_sgd_against_the_formula(tools):
    """v = momentum v + (g + weight_decay w), w = w - lr v, on biases too."""
    settings = settings_of(tools, {"weight_decay": 0.01})
    torch.manual_seed(0)
    module = Grouped(("a", 1.0), ("b", 1.0)).double()
    optimizer = Optimizer(module, settings)
    trained = [(name, parameter) for name, parameter in module.named_parameters() if not name.startswith("idle")]
    velocity = {name: torch.zeros_like(parameter) for name, parameter in trained}
    for _ in range(3):
        before = {name: parameter.detach().clone() for name, parameter in trained}
        backward(module)
        optimizer.step(0.1)
        for name, parameter in trained:
            velocity[name] = 0.9 * velocity[name] + parameter.grad + 0.01 * before[name]
            torch.testing.assert_close(parameter.detach(), before[name] - 0.1 * velocity[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("own", [None, 0.0, 0.1], ids=["settings'", "none", "own"])
def test_nesterov_and_decay_by_group_are_those_of_torch_bit_for_bit(tools, nesterov, own):
    settings = settings_of(tools, {"weight_decay": 0.01, "nesterov": nesterov})
    torch.manual_seed(0)
    ours, theirs = Grouped(("a", 1.0), ("b", 0.1)), Grouped()
    theirs.load_state_dict(ours.state_dict())
    decays = {"a": 0.01, "b": 0.01 if own is None else own}
    groups = ours.parameter_groups()
    if own is not None:
        groups[1]["weight_decay"] = own
    ours.parameter_groups = lambda: groups
    optimizer = Optimizer(ours, settings)
    reference = torch.optim.SGD(
        [{"params": getattr(theirs, name).parameters(), "weight_decay": decay} for name, decay in decays.items()],
        momentum=0.9, nesterov=nesterov, fused=True,
    )  # fmt: skip
    for rate in (0.1, 0.05, 0.2):
        for module in (ours, theirs):
            backward(module)
        optimizer.step(rate)
        for group, scale in zip(reference.param_groups, (1.0, 0.1), strict=True):
            group["lr"] = rate * scale
        reference.step()
        assert tools.same(dict(ours.state_dict()), dict(theirs.state_dict()))


def test_nesterov_against_the_formula(tools):
    """v = momentum v + g + weight_decay w, w = w - lr (g + weight_decay w + momentum v)."""
    torch.manual_seed(0)
    module = Grouped(("a", 1.0), ("b", 1.0)).double()
    optimizer = Optimizer(module, settings_of(tools, {"weight_decay": 0.01, "nesterov": True}))
    trained = [(name, parameter) for name, parameter in module.named_parameters() if not name.startswith("idle")]
    velocity = {name: torch.zeros_like(parameter) for name, parameter in trained}
    for _ in range(3):
        before = {name: parameter.detach().clone() for name, parameter in trained}
        backward(module)
        optimizer.step(0.1)
        for name, parameter in trained:
            gradient = parameter.grad + 0.01 * before[name]
            velocity[name] = 0.9 * velocity[name] + gradient
            expected = before[name] - 0.1 * (gradient + 0.9 * velocity[name])
            torch.testing.assert_close(parameter.detach(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("change", [SGD, ADAM])
@pytest.mark.parametrize("moments", [False, True], ids=["first step", "later step"])
def test_a_skipped_step_changes_nothing(tools, change, moments):
    module = Grouped(("a", 1.0), ("b", 1.0))
    optimizer = Optimizer(module, settings_of(tools, change))
    backward(module)
    if moments:
        optimizer.step(0.1)
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    before = {name: {kind: value.clone() for kind, value in kept.items()} for name, kept in optimizer.moments.items()}
    optimizer.step(0.1, skipped=torch.tensor(1.0))
    assert tools.same(dict(module.state_dict()), weights)
    if moments:
        assert tools.same(optimizer.moments, before)
    else:
        assert not any(value.any() for kept in optimizer.moments.values() for value in kept.values())
    optimizer.step(0.1, skipped=torch.tensor(0.0))
    assert not tools.same(dict(module.state_dict()), weights)


@pytest.mark.parametrize("change", [SGD, ADAM])
def test_moments_follow_the_names_and_the_rest_is_the_new_groups(tools, change):
    settings = settings_of(tools, change)
    first = Grouped(("a", 1.0), ("b", 10.0))
    before = Optimizer(first, settings)
    backward(first)
    before.step(0.1)
    second = Grouped(("b", 0.1), ("a", 0.1), ("idle", 1.0))
    after = Optimizer(second, settings)
    after.load_moments(before.moments)
    assert set(after.moments) == {"a.weight", "a.bias", "b.weight", "b.bias"}
    assert tools.same({name: after.moments[name] for name in before.moments}, before.moments)
    assert [group.learning_rate_scale for group in after.groups] == [0.1, 0.1, 1.0]


@pytest.mark.parametrize(
    "moments",
    [
        {"momentum": torch.zeros(2, 3)},
        {"mean": torch.zeros(3, 2), "square": torch.zeros(3, 2), "updates": torch.tensor(1.0)},
        {"momentum": 0.0},
        {},
    ],
    ids=["shape", "adam's", "no tensor", "none"],
)
def test_moments_that_do_not_fit(tools, moments):
    optimizer = Optimizer(Grouped(("a", 1.0)), settings_of(tools, SGD))
    with pytest.raises(LongtailError, match=r"does not fit 'a.weight'"):
        optimizer.load_moments({"a.weight": moments})


def test_training_does_not_import_the_compiler():
    """It would cost every job of the workflow a second."""
    code = """
import sys, torch
from longtail.training import train
from longtail.training.optimizer import Optimizer
from longtail.training.hyperparameters import TrainingSettings
class Objective(torch.nn.Linear):
    def parameter_groups(self): return [{"params": list(self.parameters()), "learning_rate_scale": 1.0}]
for kind, more in (("sgd", {"momentum": 0.9}), ("adam", {})):
    settings = TrainingSettings(kind, 0.1, 0.0, "constant", 4, False, {}, {}, **more)
    objective = Objective(2, 2)
    optimizer = Optimizer(objective, settings)
    optimizer.zero_grad()
    objective(torch.ones(1, 2)).sum().backward()
    optimizer.step(0.1)
    optimizer.load_moments(optimizer.moments)
print([name for name in ("torch._dynamo", "torch._inductor", "sympy", "torchvision") if name in sys.modules])
"""
    environment = {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
