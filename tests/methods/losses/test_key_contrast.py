"""KCL against its formula in float64, drawn positives and all."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.methods.clustering.moco import info_nce
from longtail.methods.losses.contrastive import supcon
from longtail.methods.losses.key_contrast import (
    batch_kcl,
    batch_positives,
    drawn,
    kcl,
    queue_columns,
    queue_positives,
)
from longtail.methods.losses.nt_xent import nt_xent
from longtail.methods.losses.numerics import unit
from tests.methods.golden import directions, golden, near


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def units(seed: int, rows: int, learned: bool = True) -> torch.Tensor:
    values = torch.randn(rows, 4, dtype=torch.float64, generator=seeded(seed))
    return (values / values.norm(dim=1, keepdim=True)).requires_grad_(learned)


def classes(seed: int, rows: int, least: int = 0) -> torch.Tensor:
    return torch.randint(least, 3, (rows,), generator=seeded(seed))


# --- Which keys -------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 999), k=st.integers(0, 7), columns=st.integers(1, 6))
def test_as_many_are_drawn_as_there_are_up_to_k(seed, k, columns):
    candidates = torch.rand(5, columns, generator=seeded(seed)) < 0.5
    found = drawn(candidates, k, seeded(seed))
    assert not (found & ~candidates).any()
    assert found.sum(1).tolist() == candidates.sum(1).clamp(max=k).tolist()
    assert torch.equal(drawn(candidates, None, seeded(seed)), candidates)


def test_every_key_of_the_class_is_drawn_as_often_and_anew_for_each_anchor():
    found = drawn(torch.arange(6).expand(6000, 6) > 1, 2, seeded(0)).double().mean(0)
    assert found[:2].tolist() == [0, 0]
    assert found[2:].tolist() == pytest.approx([0.5] * 4, abs=0.03)
    pairs = torch.tensor([[True] * 4]).expand(6000, 4)
    assert len({tuple(row) for row in drawn(pairs, 2, seeded(1)).tolist()}) == 6


def test_places_of_the_queue_without_a_key_match_nobody():
    """Trap 21: else tail classes would be drawn towards the random vectors that the queue starts from."""
    found = queue_positives(torch.tensor([0, 1]), torch.tensor([-1, 1, -1, 0]), None, seeded(0))
    assert found.tolist() == [[True, False, False, False, True], [True, False, True, False, False]]


# --- The formula, term by term ----------------------------------------------------------------------------------------


def slow_kcl(q, key, past, temperature, chosen):
    """-1 / (1 + k') sum over the own key and the chosen ones of log of the softmax over the own key and the queue."""
    total = torch.zeros((), dtype=q.dtype)
    for i in range(len(q)):
        keys = [key[i], *past]
        below = sum(torch.exp(q[i] @ b / temperature) for b in keys)
        positives = [keys[a] for a in range(len(keys)) if chosen[i][a]]
        total = total - sum(torch.log(torch.exp(q[i] @ a / temperature) / below) for a in positives) / len(positives)
    return total / len(q)


def slow_batch_kcl(a, b, temperature, chosen):
    z = [*a, *b]
    total = torch.zeros((), dtype=a.dtype)
    for i in range(len(z)):
        below = sum(torch.exp(z[i] @ z[j] / temperature) for j in range(len(z)) if j != i)
        positives = [z[j] for j in range(len(z)) if chosen[i][j]]
        total = total - sum(torch.log(torch.exp(z[i] @ p / temperature) / below) for p in positives) / len(positives)
    return total / len(z)


def assert_same(found, expected, *inputs):
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        torch.autograd.grad(found, inputs), torch.autograd.grad(expected, inputs), rtol=1e-8, atol=1e-10
    )


@given(seed=st.integers(0, 999), k=st.sampled_from([0, 1, 2, None]), rows=st.integers(1, 4), size=st.integers(1, 6))
def test_kcl_is_the_formula(seed, k, rows, size):
    q, key, past = units(seed, rows), units(seed + 1, rows, False), units(seed + 2, size, False)
    labels, past_labels = classes(seed, rows), classes(seed + 1, size, -1)
    chosen = queue_positives(labels, past_labels, k, seeded(seed)).tolist()
    for i, row in enumerate(chosen):
        of_class = [1 + j for j in range(size) if past_labels[j] == labels[i]]
        assert row[0]
        assert sum(row) == 1 + (len(of_class) if k is None else min(k, len(of_class)))
        assert {j for j in range(1, 1 + size) if row[j]} <= {*of_class}
    found = kcl(q, key, labels, past, past_labels, k, 0.3, seeded(seed))
    assert_same(found, slow_kcl(q, key, past, 0.3, chosen), q)


@given(seed=st.integers(0, 999), k=st.sampled_from([0, 1, 2, None]), rows=st.integers(1, 4))
def test_kcl_in_a_batch_is_the_formula(seed, k, rows):
    a, b, labels = units(seed, rows), units(seed + 1, rows), classes(seed, rows)
    chosen = batch_positives(labels, k, seeded(seed))[0].tolist()
    for i, row in enumerate(chosen):
        twin = (i + rows) % (2 * rows)
        same = {j for j in range(2 * rows) if labels[j % rows] == labels[i % rows]} - {i, twin}
        assert row[twin]
        assert {j for j in range(2 * rows) if row[j]} - {twin} <= same
        assert sum(row) == 1 + (len(same) if k is None else min(k, len(same)))
    found = batch_kcl(a, b, labels, k, 0.3, seeded(seed))
    assert_same(found, slow_batch_kcl(a, b, 0.3, chosen), a, b)


# --- Members ----------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 999), rows=st.integers(1, 5), size=st.integers(1, 6))
def test_without_more_positives_it_is_moco(seed, rows, size):
    """k = 0 is the own key alone; LTH14/targeted-supcon calls all of the class 0."""
    q, key, past = units(seed, rows), units(seed + 1, rows, False), units(seed + 2, size, False)
    found = kcl(q, key, classes(seed, rows), past, classes(seed, size), 0, 0.07, seeded(0))
    assert_same(found, info_nce(q, key, past, 0.07), q)


@given(seed=st.integers(0, 999), rows=st.integers(1, 5))
def test_in_a_batch_it_lies_between_nt_xent_and_supcon(seed, rows):
    a, b, labels = units(seed, rows), units(seed + 1, rows), classes(seed, rows)
    assert_same(batch_kcl(unit(a), unit(b), labels, 0, 0.2, seeded(0)), nt_xent(a, b, 0.2), a, b)
    assert_same(batch_kcl(unit(a), unit(b), labels, None, 0.2, seeded(0)), supcon(a, b, labels, 0.2), a, b)


def test_golden_values():
    """Those of a draw that may fall out in one way only, and of all keys of the class."""
    z1, z2, past = directions(3, 4, 0), directions(3, 4, 100).detach(), directions(6, 4, 200).detach()
    q, y = unit(z1), torch.tensor([0, 0, 1])
    everything = kcl(q, z2, y, past, torch.tensor([0, 0, 0, 1, 1, -1]), None, 0.1, seeded(0))
    assert golden(everything, z1) == near(5.129950, 2.171278)
    # keys 0 and 2 and keys 3 and 4 are the only ones of their class, so that k = 2 draws them
    two = kcl(unit(z1), z2, y, past, torch.tensor([0, 2, 0, 1, 1, -1]), 2, 0.1, seeded(0))
    assert golden(two, z1) == near(5.377409, 3.171153)
    moco = kcl(unit(z1), z2, y, past, torch.tensor([0, 0, 0, 1, 1, -1]), 0, 0.1, seeded(0))
    assert golden(moco, z1) == near(6.933901, 5.766542)


def test_half_precision_is_left_for_full():
    q = directions(3, 4, 0).detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert batch_kcl(q, q, torch.tensor([0, 0, 1]), 1, 0.1, seeded(0)).dtype == torch.float32
        assert kcl(q, q, torch.arange(3), q, torch.arange(3), 1, 0.1, seeded(0)).dtype == torch.float32


def test_temperatures_may_be_of_anchors():
    q, key, past = units(0, 3), units(1, 3), units(2, 2)
    taus = torch.tensor([[1.0], [0.5], [0.1]], dtype=torch.float64)
    each = torch.cat([queue_columns(q[i : i + 1], key[i : i + 1], past, taus[i].item()) for i in range(3)])
    torch.testing.assert_close(queue_columns(q, key, past, taus), each)
