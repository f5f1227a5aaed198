"""GloCo and ProCo against their formulas in float64, and what they are with a module switched off."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.methods.clustering.moco import info_nce
from longtail.methods.losses.global_contrast import adaptive_temperatures, global_contrast, prototype_contrast
from longtail.methods.losses.key_contrast import kcl, queue_positives
from longtail.methods.losses.numerics import unit
from longtail.splits import class_sizes
from tests.methods.golden import directions, golden, near

Y = torch.tensor([0, 0, 1])
N = torch.tensor([5, 3, 2])


def units(seed: int, rows: int, learned: bool = False) -> torch.Tensor:
    values = torch.randn(rows, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (values / values.norm(dim=1, keepdim=True)).requires_grad_(learned)


def bits(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.5


def none(rows: int, columns: int) -> torch.Tensor:
    return torch.zeros(rows, columns, dtype=torch.bool)


def assert_same(found, expected, *inputs):
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        torch.autograd.grad(found, inputs), torch.autograd.grad(expected, inputs), rtol=1e-8, atol=1e-10
    )


# --- The formulas, term by term ---------------------------------------------------------------------------------------


def slow_global(v, keys, others, same, tau, competitors):
    """Eq. 1; positives among the others, and the own key beside them, have the denominator of the base loss."""
    total = torch.zeros((), dtype=v.dtype)
    for i in range(len(v)):
        negatives = sum(torch.exp(v[i] @ others[a] / tau[i]) for a in range(len(others)) if competitors[i][a])
        terms = []
        for key in keys:
            top = torch.exp(v[i] @ key[i] / tau[i])
            terms.append(torch.log(top / (top + negatives)))
        below = torch.exp(v[i] @ keys[0][i] / tau[i]) + negatives
        terms += [torch.log(torch.exp(v[i] @ others[a] / tau[i]) / below) for a in range(len(others)) if same[i][a]]
        total = total - sum(terms) / len(terms)
    return total / len(v)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 999),
    k=st.integers(0, 3),
    rows=st.integers(1, 3),
    size=st.integers(1, 4),
    some=st.booleans(),
    base=st.booleans(),
)
def test_the_loss_is_the_formula(seed, k, rows, size, some, base):
    v, others = units(seed, rows, True), units(seed + 1, size)
    keys = [units(seed + 2 + j, rows) for j in range(k + 1)]
    competitors = bits(seed, rows, size) | (torch.arange(size) == 0) if some else None
    same = bits(seed + 1, rows, size) & base & (torch.tensor(True) if competitors is None else competitors)
    tau = torch.linspace(0.1, 1, rows, dtype=torch.float64)
    found = global_contrast(v, keys, others, same, tau, competitors)
    every = torch.ones(rows, size, dtype=torch.bool)
    assert_same(found, slow_global(v, keys, others, same, tau, every if competitors is None else competitors), v)


@settings(max_examples=25)
@given(seed=st.integers(0, 999), rows=st.integers(1, 3), classes=st.integers(2, 4))
def test_the_prototype_loss_is_the_formula(seed, rows, classes):
    views = units(seed, rows, True), units(seed + 1, rows, True)
    sets = units(seed + 2, classes), units(seed + 3, classes)
    y = torch.randint(classes, (rows,), generator=torch.Generator().manual_seed(seed))
    tau = torch.linspace(0.1, 1, rows, dtype=torch.float64)
    expected = torch.zeros((), dtype=torch.float64)
    for i in range(rows):
        for v in views:
            for prototypes in sets:
                terms = [torch.exp(v[i] @ c / tau[i]) for c in prototypes]
                expected = expected - torch.log(terms[y[i]] / sum(terms))
    assert_same(prototype_contrast(views, sets, y, tau), expected / (4 * rows), *views)


# --- Members ----------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 999), rows=st.integers(1, 5), size=st.integers(1, 6))
def test_without_global_positives_at_a_constant_temperature_it_is_moco(seed, rows, size):
    q, key, past = units(seed, rows, True), units(seed + 1, rows), units(seed + 2, size)
    found = global_contrast(q, [key], past, none(rows, size), torch.full((rows,), 0.07, dtype=torch.float64))
    assert_same(found, info_nce(q, key, past, 0.07), q)


@given(seed=st.integers(0, 999), rows=st.integers(1, 5), size=st.integers(1, 6), k=st.sampled_from([1, 2, None]))
def test_without_global_positives_on_the_base_of_kcl_it_is_kcl(seed, rows, size, k):
    q, key, past = units(seed, rows, True), units(seed + 1, rows), units(seed + 2, size)
    labels, past_labels = torch.arange(rows) % 2, torch.arange(size) % 3
    same = queue_positives(labels, past_labels, k, torch.Generator().manual_seed(seed))[:, 1:]
    found = global_contrast(q, [key], past, same, torch.full((rows,), 0.2, dtype=torch.float64))
    expected = kcl(q, key, labels, past, past_labels, k, 0.2, torch.Generator().manual_seed(seed))
    assert_same(found, expected, q)


# --- Golden values ----------------------------------------------------------------------------------------------------


def test_golden_temperatures():
    assert adaptive_temperatures(N, 0.07).tolist() == pytest.approx([1, 0.628, 0.442], abs=1e-12)
    sizes = torch.tensor(class_sizes(500, 100, 100))
    found = adaptive_temperatures(sizes, 0.07)
    assert found[[0, 1, 50, 99]].tolist() == pytest.approx([1, 0.957220, 0.159280, 0.079300], abs=6e-7)
    assert adaptive_temperatures(sizes, 1.0).tolist() == [1.0] * 100


def test_golden_values_of_gloco():
    """A denominator that positives share would give 2.411557; the four sets of negatives are those of the cards."""
    z1, z2, queue = directions(3, 4, 0), directions(3, 4, 100).detach(), directions(6, 4, 200).detach()
    positives = [z2, directions(3, 4, 700).detach(), directions(3, 4, 800).detach()]
    tau = adaptive_temperatures(N, 0.07)[Y]
    constant = torch.full((3,), 0.07, dtype=torch.float64)
    found = global_contrast(unit(z1), positives, queue, none(3, 6), tau)
    assert golden(found, z1) == near(2.184489, 0.195778)
    found = global_contrast(unit(z1), positives, queue, none(3, 6), constant)
    assert golden(found, z1) == near(11.011334, 3.764180)
    assert global_contrast(z1, [z2], queue, none(3, 6), constant).item() == pytest.approx(9.683756, abs=6e-7)

    itself, q = torch.eye(3, dtype=torch.bool), unit(z1)
    found = global_contrast(q, positives, q, none(3, 3), tau, ~itself)
    assert golden(found, z1) == near(1.118507, 0.535568)
    q = unit(z1)
    both = torch.cat([q, z2])
    found = global_contrast(q, positives, both, none(3, 6), tau, torch.cat([~itself, torch.ones_like(itself)], 1))
    assert golden(found, z1) == near(1.974185, 0.378086)
    q = unit(z1)
    found = global_contrast(q, positives, torch.cat([q, z2]), none(3, 6), tau, torch.cat([~itself, ~itself], 1))
    assert golden(found, z1) == near(1.800580, 0.386642)


def test_golden_values_of_proco():
    z1, z2 = directions(3, 4, 0), directions(3, 4, 100)
    sets = directions(3, 4, 300).detach(), directions(3, 4, 900).detach()
    for tau, value, first, second in (
        (adaptive_temperatures(N, 0.07)[Y], 1.164925, 0.071245, 0.092224),
        (torch.full((3,), 0.07, dtype=torch.float64), 5.494134, 2.665549, 2.249814),
    ):
        for inputs, norm in ((z1, first), (z2, second)):
            assert golden(prototype_contrast([unit(z1), unit(z2)], sets, Y, tau), inputs) == near(value, norm)


def test_golden_value_of_both():
    z1, z2, queue = directions(3, 4, 0), directions(3, 4, 100), directions(6, 4, 200)
    tau = adaptive_temperatures(N, 0.07)[Y]
    contrast = global_contrast(z1, [z2, directions(3, 4, 700), directions(3, 4, 800)], queue, none(3, 6), tau)
    prototypes = prototype_contrast([z1, z2], [directions(3, 4, 300), directions(3, 4, 900)], Y, tau)
    assert (0.5 * contrast + 0.5 * prototypes).item() == pytest.approx(1.674707, abs=6e-7)


def test_half_precision_is_left_for_full():
    q = directions(3, 4, 0).detach().bfloat16()
    tau = adaptive_temperatures(N, 0.07)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert global_contrast(q, [q, q], q, none(3, 3), tau).dtype == torch.float32
        assert prototype_contrast([q, q], [q, q], Y, tau).dtype == torch.float32
