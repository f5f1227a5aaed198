"""NT-Xent against versions that are slow and obvious."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from longtail.methods.losses.nt_xent import nt_xent
from longtail.methods.losses.numerics import unit
from tests.methods.pieces import nt_xent_by_hand


def nt_xent_of_differences(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """ConMix Eq. 5, by f_CL(v_i, v_k, v_i^+) = v_i (v_k - v_i^+)."""
    v = [row / row.norm() for row in (*a, *b)]
    count = len(a)
    total = torch.zeros((), dtype=a.dtype)
    for i in range(2 * count):
        partner = v[(i + count) % (2 * count)]
        total = total + torch.log(
            sum(torch.exp(v[i] @ (v[k] - partner) / temperature) for k in range(2 * count) if k != i)
        )
    return total / (2 * count)


def random_pair(rows: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(rows, width, dtype=torch.float64, generator=draws) for _ in range(2))
    return a.requires_grad_(), b.requires_grad_()


@pytest.mark.parametrize("by_hand", [nt_xent_by_hand, nt_xent_of_differences])
@pytest.mark.parametrize(("rows", "width", "temperature"), [(1, 3, 0.2), (2, 2, 1.0), (7, 5, 0.2), (4, 9, 0.5)])
def test_nt_xent_and_its_gradient_are_those_of_the_formula(
    by_hand: Any, rows: int, width: int, temperature: float
) -> None:
    a, b = random_pair(rows, width, seed=rows)
    loss, expected = nt_xent(a, b, temperature), by_hand(a, b, temperature)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(loss, (a, b)), torch.autograd.grad(expected, (a, b)), rtol=1e-9, atol=1e-12
    )


@given(present=st.lists(st.booleans(), min_size=1, max_size=8).filter(any), seed=st.integers(0, 99))
def test_absent_rows_are_as_good_as_dropped(present: list[bool], seed: int) -> None:
    a, b = random_pair(len(present), 4, seed)
    keep = torch.tensor(present)
    loss, expected = nt_xent(a, b, 0.2, keep), nt_xent_by_hand(a[keep], b[keep], 0.2)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(loss, (a, b)), torch.autograd.grad(expected, (a, b)), rtol=1e-9, atol=1e-12
    )


def test_absent_rows_of_zeros_give_no_nan() -> None:
    a, b = random_pair(5, 4, 0)
    keep = torch.tensor([True, False, True, True, False])
    grads = torch.autograd.grad(nt_xent(a * keep[:, None], b * keep[:, None], 0.2, keep), (a, b))
    assert all(bool(torch.isfinite(g).all()) and bool((g[~keep] == 0).all()) for g in grads)


@given(seed=st.integers(0, 99), rows=st.integers(2, 9))
def test_nt_xent_knows_no_order(seed: int, rows: int) -> None:
    a, b = random_pair(rows, 6, seed)
    loss = nt_xent(a, b, 0.2)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(nt_xent(b, a, 0.2), loss)
    torch.testing.assert_close(nt_xent(a[order], b[order], 0.2), loss)
    torch.testing.assert_close(nt_xent(3 * a, 0.1 * b, 0.2), loss)


def test_nt_xent_where_it_can_be_worked_out() -> None:
    a, b = random_pair(1, 4, 0)
    assert nt_xent(a, b, 0.2).item() == 0.0
    same = torch.ones(6, 3)
    assert nt_xent(same, same, 0.2).item() == pytest.approx(math.log(11), abs=1e-5)
    corners = torch.eye(5)
    assert nt_xent(corners, corners, 0.2).item() == pytest.approx(math.log(1 + 8 * math.exp(-5)), abs=1e-6)


def test_nt_xent_leaves_autocast() -> None:
    a, b = (v.float() for v in random_pair(8, 16, 0))
    expected = nt_xent(a.bfloat16().float(), b.bfloat16().float(), 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        loss = nt_xent(a.bfloat16(), b.bfloat16(), 0.05)
        assert unit(a.bfloat16()).dtype == torch.float32
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
