from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from longtail.errors import LongtailError
from longtail.methods.base import Batch, Context
from longtail.methods.clustering.instance import (
    DMICC,
    EPSILON,
    IDFD,
    LEAST_JOINT,
    decorrelation_loss,
    discrimination_loss,
    feature_information,
    instance_information,
)
from longtail.models.memory_bank import MemoryBank
from tests.methods.pieces import step_without_values


class Flat(nn.Flatten):
    width = 12


SHARED = {"projection_width": 5, "instance_temperature": 1.0, "memory_momentum": 0.5}
IDFD_SETTINGS = IDFD.Settings(**SHARED, feature_temperature=2.0, feature_reduction="mean")
DMICC_SETTINGS = DMICC.Settings(
    **SHARED, feature_weight=1e-2, instance_weight=1e-2, regularization=10.0, joint_of="features"
)
BOTH = [IDFD_SETTINGS, DMICC_SETTINGS]


def objective(settings, seed: int = 0):
    torch.manual_seed(seed)
    kind = IDFD if isinstance(settings, IDFD.Settings) else DMICC
    return kind(settings, Context(Flat, classes=3, rows=9)).double()


def a_batch(settings, rows=(4, 0, 7), seed: int = 0) -> Batch:
    draws = torch.Generator().manual_seed(seed)
    count = 1 if isinstance(settings, IDFD.Settings) else 2
    views = tuple(torch.randn(len(rows), 3, 2, 2, dtype=torch.float64, generator=draws) for _ in range(count))
    return Batch(views, (torch.tensor(rows),) * 2, torch.Generator())


def unit_rows(rows: int, width: int, seed: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(rows, width, dtype=torch.float64, generator=draws), dim=1)


def assert_same(found, expected, *inputs):
    """Value and gradients."""
    torch.testing.assert_close(found, expected)
    gradients = (torch.autograd.grad(value, inputs, retain_graph=True) for value in (found, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


# --- the losses, from their formulas ----------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 7), st.integers(1, 4), st.floats(0.1, 2.0), st.integers(0, 10**6))
def test_discrimination_is_the_formula(batch, rows, width, temperature, seed):
    f, memory = unit_rows(batch, width, seed).requires_grad_(), unit_rows(rows, width, seed + 1)
    image = torch.randint(rows, (batch,), generator=torch.Generator().manual_seed(seed))
    expected = 0.0
    for b in range(batch):
        similar = [torch.exp(sum(memory[i, d] * f[b, d] for d in range(width)) / temperature) for i in range(rows)]
        expected = expected - torch.log(similar[int(image[b])] / sum(similar)) / batch
    assert_same(discrimination_loss(f, memory, image, temperature), expected, f)


@pytest.mark.parametrize("reduction", ["mean", "sums"])
@given(batch=st.integers(1, 5), width=st.integers(1, 5), temperature=st.floats(0.3, 3.0), seed=st.integers(0, 10**6))
def test_decorrelation_is_the_formula(reduction, batch, width, temperature, seed):
    f = unit_rows(batch, width, seed).requires_grad_()
    columns = [[f[b, d] / sum(f[c, d] ** 2 for c in range(batch)) ** 0.5 for b in range(batch)] for d in range(width)]
    expected = 0.0
    for one in range(width):
        alike = [
            torch.exp(sum(columns[one][b] * columns[other][b] for b in range(batch)) / temperature)
            for other in range(width)
        ]
        expected = expected - torch.log(alike[one] / sum(alike))
    expected = expected / (width if reduction == "mean" else batch)
    assert_same(decorrelation_loss(f, temperature, reduction), expected, f)


def raised(value):
    """What a logarithm can be taken of; what is raised has no gradient."""
    return value if value >= EPSILON else 0 * value + EPSILON


@given(st.integers(1, 5), st.integers(1, 5), st.floats(0.0, 12.0), st.integers(0, 10**6))
def test_feature_information_is_the_formula(batch, width, regularization, seed):
    f = unit_rows(batch, width, seed).requires_grad_()
    columns = [[f[b, d] / sum(f[c, d] ** 2 for c in range(batch)) ** 0.5 for b in range(batch)] for d in range(width)]
    C = [[sum(u * v for u, v in zip(columns[i], columns[j], strict=True)) for j in range(width)] for i in range(width)]
    p = [raised(sum(row)) for row in C]
    expected = 0.0
    for i in range(width):
        for j in range(width):
            terms = torch.log(p[j]) + torch.log(p[i])
            expected = expected + raised(C[i][j]) * (torch.log(raised(C[i][j])) - (regularization + 1) * terms)
    assert_same(feature_information(f, regularization), expected / width**2, f)


@pytest.mark.parametrize("softmax", [False, True])
@given(batch=st.integers(1, 5), width=st.integers(1, 4), regularization=st.floats(-12, 12), seed=st.integers(0, 10**6))
def test_instance_information_is_the_formula(softmax, batch, width, regularization, seed):
    f1, f2 = (unit_rows(batch, width, seed + view).requires_grad_() for view in range(2))
    a, b = (f.softmax(1) if softmax else f for f in (f1, f2))
    J = [[sum(a[n, i] * b[n, j] for n in range(batch)) for j in range(width)] for i in range(width)]
    J = [[(J[i][j] + J[j][i]) / 2 for j in range(width)] for i in range(width)]
    total = sum(sum(row) for row in J)
    if abs(total) < LEAST_JOINT:  # in which the official code divides by next to nothing
        total = torch.tensor(math.copysign(LEAST_JOINT, float(total.detach())), dtype=torch.float64)
    J = [[value / total for value in row] for row in J]
    p = [raised(sum(row)) for row in J]
    expected = 0.0
    for i in range(width):
        for j in range(width):
            value, terms = raised(J[i][j]), torch.log(p[j]) + torch.log(p[i])
            expected = expected - value * (torch.log(value) + regularization * terms)
    found = instance_information(a, b, regularization)
    assert_same(found, expected, f1, f2)


@pytest.mark.parametrize("f", [torch.zeros(4, 3), torch.ones(4, 3), torch.eye(3)[[0] * 4], torch.tensor([[1.0, -1.0]])])
def test_what_has_collapsed_stays_finite(f):
    f = f.clone().requires_grad_()
    losses = [
        decorrelation_loss(f, 2.0, "mean"),
        feature_information(f, 10.0),
        instance_information(f, f, 10.0),
        instance_information(f.softmax(1), f.softmax(1), 10.0),
    ]
    for loss in losses:
        assert loss.isfinite()
        assert torch.autograd.grad(loss, f)[0].isfinite().all()


# --- a step -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", BOTH)
def test_images_are_told_apart_by_the_memory_of_before_the_step(settings):
    method, batch = objective(settings), a_batch(settings)
    before = method.memory.vectors.clone()
    f = functional.normalize(method.head(batch.views[0].flatten(1)), dim=1)
    parts = method.loss(batch)
    torch.testing.assert_close(parts["instance"], discrimination_loss(f, before, batch.rows[0], 1.0))
    for row in range(9):
        if row in batch.rows[0]:
            moved = 0.5 * before[row] + 0.5 * f[batch.rows[0].tolist().index(row)]
            torch.testing.assert_close(method.memory.vectors[row], moved / moved.norm())
        else:
            assert torch.equal(method.memory.vectors[row], before[row])
    assert not method.memory.vectors.requires_grad
    parts["loss"].backward()  # although the memory has changed


def test_the_loss_of_idfd_is_the_sum_of_its_parts():
    method, batch = objective(IDFD_SETTINGS), a_batch(IDFD_SETTINGS)
    f = functional.normalize(method.head(batch.views[0].flatten(1)), dim=1)
    memory, weights = method.memory.vectors.clone(), list(method.head.parameters())
    expected = discrimination_loss(f, memory, batch.rows[0], 1.0) + decorrelation_loss(f, 2.0, "mean")
    assert_same(method.loss(batch)["loss"], expected, *weights)


@pytest.mark.parametrize("joint_of", ["features", "softmax"])
def test_the_loss_of_dmicc_weighs_its_parts(joint_of):
    settings = DMICC.Settings(**{**vars(DMICC_SETTINGS), "joint_of": joint_of})
    method, batch = objective(settings), a_batch(settings)
    f1, f2 = (functional.normalize(method.head(view.flatten(1)), dim=1) for view in batch.views)
    memory, weights = method.memory.vectors.clone(), list(method.head.parameters())
    joint = (f1, f2) if joint_of == "features" else (f1.softmax(1), f2.softmax(1))
    expected = discrimination_loss(f1, memory, batch.rows[0], 1.0)
    expected = expected + 1e-2 * feature_information(f1, 10.0) + 1e-2 * instance_information(*joint, 10.0)
    assert_same(method.loss(batch)["loss"], expected, *weights)


@pytest.mark.parametrize("settings", BOTH)
def test_a_step_never_asks_for_a_value(settings):
    method = objective(settings)
    count = len(a_batch(settings).views)
    step_without_values(method, 3, 3, 2, 2, views=count)


@pytest.mark.parametrize("settings", BOTH)
def test_the_checkpoint_holds_the_memory(settings):
    method = objective(settings)
    method.loss(a_batch(settings))
    restored = objective(settings, seed=1)
    restored.load_state_dict(method.state_dict())
    one, other = (m.loss(a_batch(settings, (0, 4, 8), seed=3))["loss"] for m in (method, restored))
    assert torch.equal(one, other)
    assert torch.equal(method.memory.vectors, restored.memory.vectors)


def test_a_new_memory_is_uniform_and_as_long_as_the_code_makes_it():
    torch.manual_seed(0)
    vectors = MemoryBank(2000, 12).vectors
    assert vectors.abs().max() <= 0.5 + 1e-6  # 1 / sqrt(12 / 3)
    assert vectors.std().item() == pytest.approx(1 / 12**0.5, rel=0.02)


@pytest.mark.parametrize("settings", BOTH)
def test_what_can_be_embedded(settings):
    method, images = objective(settings), a_batch(settings).views[0]
    assert method.stored("memory") is method.memory.vectors
    assert method.stored("projection") is None
    torch.testing.assert_close(method.encoder("projection")(images), method.head(images.flatten(1)))
    assert (method.encoder("projection").width, method.encoder("backbone").width) == (5, 12)
    with pytest.raises(LongtailError, match="features of"):
        method.encoder("memory")
    assert set(method.features) == {"memory", "projection", "backbone"}


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (IDFD_SETTINGS, "instance_temperature", 0.0),
        (IDFD_SETTINGS, "feature_temperature", 0.0),
        (IDFD_SETTINGS, "feature_reduction", "none"),
        (IDFD_SETTINGS, "memory_momentum", 1.0),
        (DMICC_SETTINGS, "projection_width", 0),
        (DMICC_SETTINGS, "joint_of", "labels"),
    ],
)
def test_impossible_settings_are_named(settings, name, value):
    with pytest.raises(LongtailError, match=name):
        type(settings)(**{**vars(settings), name: value})
