from __future__ import annotations

import pytest
import torch
from torch import nn

from longtail.errors import LongtailError
from longtail.training.optimizer import new_optimizer, restore_optimizer
from longtail.training.settings import split_settings


class Grouped(nn.Module):
    """Two layers, in an order and with scales of choice."""

    def __init__(self, *order):
        super().__init__()
        self.a, self.b = nn.Linear(2, 3), nn.Linear(3, 1)
        self.order = order

    def parameter_groups(self):
        return [
            {"params": list(getattr(self, name).parameters()), "learning_rate_scale": scale}
            for name, scale in self.order
        ]


def step(module, optimizer):
    optimizer.zero_grad()
    module.b(module.a(torch.arange(8, dtype=module.a.weight.dtype).view(4, 2))).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("change", [{}, {"optimizer": "adam", "momentum": None}])
def test_moments_follow_the_names_and_the_rest_is_the_new_groups(tools, change):
    settings, _ = split_settings(tools.stretch(**change))
    first = Grouped(("a", 1.0), ("b", 10.0))
    before = new_optimizer(first, settings)
    step(first, before)
    second = Grouped(("b", 0.1), ("a", 0.1))
    after = new_optimizer(second, settings)
    restore_optimizer(after, before.state_dict())
    for name, parameter in second.named_parameters():
        moments = before.state[first.get_parameter(name)]
        assert tools.same(dict(after.state[parameter]), dict(moments))
    assert [group["learning_rate_scale"] for group in after.param_groups] == [0.1, 0.1]


def test_sgd_against_the_formula(tools):
    """v = momentum v + (g + weight_decay w), w = w - lr v, on biases too."""
    settings, _ = split_settings(tools.stretch(weight_decay=0.01))
    torch.manual_seed(0)
    module = Grouped(("a", 1.0), ("b", 1.0)).double()
    optimizer = new_optimizer(module, settings)
    velocity = {name: torch.zeros_like(parameter) for name, parameter in module.named_parameters()}
    for _ in range(3):
        expected = {}
        before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
        step(module, optimizer)
        for name, parameter in module.named_parameters():
            velocity[name] = 0.9 * velocity[name] + parameter.grad + 0.01 * before[name]
            expected[name] = before[name] - 0.1 * velocity[name]
            torch.testing.assert_close(parameter.detach(), expected[name], rtol=1e-12, atol=1e-12)


def test_adam_takes_betas(tools):
    settings, _ = split_settings(tools.stretch(optimizer="adam", momentum=None, betas=[0.5, 0.6]))
    assert new_optimizer(Grouped(("a", 1.0)), settings).param_groups[0]["betas"] == (0.5, 0.6)


def test_a_state_that_does_not_fit(tools):
    settings, _ = split_settings(tools.stretch())
    optimizer = new_optimizer(Grouped(("a", 1.0)), settings)
    with pytest.raises(LongtailError, match="does not fit"):
        restore_optimizer(optimizer, {"state": {}, "param_groups": [{"params": [0]}]})
