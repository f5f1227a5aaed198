"""What gates learn, against loops over gates and images in float64."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.losses.routing import gating, later_experts_help


def slow_help(means, labels):
    experts, rows, _ = means.shape
    right = [[means[e, i].argmax().item() == labels[i].item() for i in range(rows)] for e in range(experts)]
    return [
        [not right[e][i] and any(right[later][i] for later in range(e + 1, experts)) for i in range(rows)]
        for e in range(experts - 1)
    ]


@given(seed=st.integers(0, 999), experts=st.integers(2, 5), rows=st.integers(1, 8))
def test_later_experts_help_where_the_first_are_wrong_and_any_after_them_is_right(seed, experts, rows):
    draws = torch.Generator().manual_seed(seed)
    means = torch.randn(experts, rows, 3, dtype=torch.float64, generator=draws)
    labels = torch.randint(3, (rows,), generator=draws)
    found = later_experts_help(means, labels)
    assert found.dtype == torch.bool
    assert found.tolist() == slow_help(means, labels)


def test_help_may_come_late_and_is_not_asked_for_in_vain():
    right, wrong = [1.0, 0.0], [0.0, 1.0]
    means = torch.tensor([[wrong, wrong, right, wrong], [wrong, right, wrong, wrong], [right, wrong, wrong, wrong]])
    found = later_experts_help(means, torch.zeros(4, dtype=torch.int64))
    assert found.tolist() == [[True, True, False, False], [True, False, False, False]]


@given(
    seed=st.integers(0, 999),
    gates=st.integers(1, 3),
    rows=st.integers(1, 4),
    positive_weight=st.sampled_from([1.0, 20.0, 100.0]),
)
def test_gating_is_the_formula(seed, gates, rows, positive_weight):
    draws = torch.Generator().manual_seed(seed)
    scores = (2 * torch.randn(gates, rows, dtype=torch.float64, generator=draws)).requires_grad_()
    helped = torch.randint(2, (gates, rows), generator=draws) == 1
    total = torch.zeros((), dtype=torch.float64)
    for g in range(gates):
        for i in range(rows):
            passes = 1 / (1 + torch.exp(-scores[g, i]))
            total = total - (positive_weight * torch.log(passes) if helped[g, i] else torch.log(1 - passes))
    found, expected = gating(scores, helped, positive_weight), total / (gates * rows)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, scores)[0] for value in (found, expected)), rtol=1e-8, atol=1e-10
    )


def test_half_precision_is_left_for_full():
    scores = torch.zeros(2, 3, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = gating(scores, torch.ones(2, 3, dtype=torch.bool), 100.0)
    assert loss.dtype == torch.float32
    assert math.isclose(loss.item(), 100 * math.log(2), rel_tol=1e-6)
