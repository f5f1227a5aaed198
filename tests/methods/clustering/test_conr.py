from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from longtail.errors import LongtailError
from longtail.methods.base import Context
from longtail.methods.clustering.conr import CoNR, boundary_ratios, concordance, contextual_neighbours, within_boundary
from tests.methods.pieces import (
    ROWS,
    TheseImages,
    TinyBackbone,
    a_batch,
    assert_same_updates,
    step_without_values,
)

SETTINGS = CoNR.Settings(
    hidden_width=7, projection_width=4, target_momentum=0.9, target_schedule="constant",
    target_update="after_forward", predictor_learning_rate_scale=0.1, learning_rate_scale=0.2, context_size=4,
    propagation_size=2, neighbours=3, kept_at_start=0.8, kept_ramp_epochs=4, kmeans_seed=0, kmeans_inits=4,
)  # fmt: skip
CLASSES = 3


def objective(settings=SETTINGS) -> CoNR:
    torch.manual_seed(0)
    return CoNR(settings, Context(TinyBackbone, classes=CLASSES, rows=ROWS)).double()


# the formulas with loops


def length(v):
    return math.sqrt(sum(x * x for x in v))


def largest(values, count, first=None):
    """Positions of the largest values, the earlier of equals first; ``first`` before all."""
    order = sorted(range(len(values)), key=lambda j: (j != first, -values[j]))
    return order[:count]


def slow_neighbours(k, k1, k2, count):
    rows = range(len(k))
    s = [[sum(a * b for a, b in zip(k[i], k[j], strict=True)) for j in rows] for i in rows]
    context = [[1.0 if j in largest(s[i], k1, i) else 0.0 for j in rows] for i in rows]
    for _ in range(2):
        both = [[context[i][j] + context[j][i] for j in rows] for i in rows]
        context = []
        for i in rows:
            row = [sum(s[i][n] ** 2 * both[n][j] for n in largest(s[i], k2, i)) for j in rows]
            context.append([x / length(row) for x in row])
    affinity = [[sum(a * b for a, b in zip(context[i], context[j], strict=True)) for j in rows] for i in rows]
    return affinity, [largest(affinity[i], count) for i in rows]


@given(
    rows=st.integers(1, 9), width=st.integers(2, 4), k1=st.integers(1, 6), k2=st.integers(1, 3),
    count=st.integers(1, 10), seed=st.integers(0, 10**6),
)  # fmt: skip
def test_contextual_neighbours_are_those_of_the_loops(rows, width, k1, k2, count, seed):
    k = torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    k = nn.functional.normalize(k, dim=1)
    affinity, expected = slow_neighbours(k.tolist(), k1, k2, count)
    found = contextual_neighbours(k, k1, k2, count)
    assert found.shape == (rows, min(count, rows))
    for i in range(rows):
        assert len(set(found[i].tolist())) == found.shape[1]
        # rounding may swap rows whose affinities agree
        assert [affinity[i][j] for j in found[i]] == pytest.approx([affinity[i][j] for j in expected[i]])


def test_of_equals_the_image_itself_and_then_the_earlier_comes_first():
    k = torch.ones(6, 1)
    assert contextual_neighbours(k, 1, 1, 2)[:, 0].tolist() == list(range(6))
    assert contextual_neighbours(torch.zeros(5, 2), 3, 2, 3).shape == (5, 3)


@given(rows=st.integers(1, 7), width=st.integers(1, 4), classes=st.integers(2, 4), seed=st.integers(0, 10**6))
def test_boundary_ratios_are_the_formula(rows, width, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    k = torch.randn(rows, width, dtype=torch.float64, generator=generator)
    centres = torch.randn(classes, width, dtype=torch.float64, generator=generator)
    labels = torch.randint(classes, (rows,), generator=generator)
    found = boundary_ratios(k, labels, centres)
    for i in range(rows):
        distances = [length([a - b for a, b in zip(k[i].tolist(), c, strict=True)]) for c in centres.tolist()]
        own = distances.pop(int(labels[i]))
        assert found[i].item() == pytest.approx(own / min(distances))


@given(rows=st.integers(1, 40), thousandths=st.integers(0, 1000), seed=st.integers(0, 10**6))
def test_the_boundary_leaves_out_what_lies_beyond_the_rank(rows, thousandths, seed):
    share = thousandths / 1000
    ratios = torch.rand(rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    kept = within_boundary(ratios, torch.tensor(share, dtype=torch.float64))
    cut = sorted(ratios.tolist())[max(int(share * rows), 1) - 1]
    assert kept.tolist() == [r < cut for r in ratios.tolist()]


@given(rows=st.integers(1, 6), width=st.integers(2, 4), count=st.integers(1, 3), seed=st.integers(0, 10**6))
def test_concordance_is_the_formula(rows, width, count, seed):
    generator = torch.Generator().manual_seed(seed)
    p, k = (torch.randn(rows, width, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(2))
    kept = torch.rand(rows, generator=generator) < 0.6
    neighbours = torch.randint(rows, (rows, count), generator=generator)
    k_unit = nn.functional.normalize(k, dim=1)
    expected = torch.zeros((), dtype=torch.float64)
    for i in range(rows):
        for j in neighbours[i].tolist():
            cosine = sum(p[i, d] * k_unit[j, d].detach() for d in range(width)) / torch.sqrt(sum(p[i] ** 2))
            expected = expected - 2 * (cosine if kept[i] else 0 * cosine) / (rows * count)
    loss = concordance(p, k_unit, kept, neighbours)
    torch.testing.assert_close(loss, expected)
    gradient, into_target = torch.autograd.grad(loss, (p, k), allow_unused=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, p)[0])
    assert into_target is None


def slow_loss(conr, batch):
    """In the first epoch of its own."""
    labels, total = conr.labels[batch.rows[0]], 0.0
    for view, other in (batch.views, batch.views[::-1]):
        p = conr.predictor(conr.projector(conr.backbone(view)))
        k = nn.functional.normalize(conr.target_projector(conr.target_backbone(other)), dim=1).detach()
        ratios = boundary_ratios(k, labels, conr.centres)
        kept = within_boundary(ratios, torch.tensor(0.85, dtype=torch.float64))
        assert kept.sum() == 5
        total = total + concordance(p, k, kept, contextual_neighbours(k, 4, 2, 3)) / 2
    return total


def begun(settings=SETTINGS) -> CoNR:
    conr = objective(settings)
    conr.prepare(TheseImages())
    conr.start_epoch(800, TheseImages())
    return conr


def test_the_loss_is_the_mean_of_both_directions():
    conr = begun()
    expected = slow_loss(copy.deepcopy(conr), a_batch())
    parts = conr.loss(a_batch())
    torch.testing.assert_close(parts["loss"], expected)
    assert parts["kept"] == 5 / 8
    parts["loss"].backward()
    assert all((p.grad is None) == name.startswith("target_") for name, p in conr.named_parameters())


@pytest.mark.parametrize("target_update", ["after_forward", "after_step"])
def test_updates_are_those_of_the_official_code(target_update):
    """Which moves the target at the end of the forward pass, with an m that grows; the paper of BYOL after the step."""
    changed = {"target_update": target_update, "target_schedule": "cosine"}
    assert_same_updates(begun(CoNR.Settings(**{**vars(SETTINGS), **changed})), slow_loss)


def test_the_boundary_widens_with_the_epochs_of_this_objective():
    conr, images, shares = objective(), TheseImages(), []
    conr.prepare(images)
    for epoch in range(800, 806):
        conr.start_epoch(epoch, images)
        shares.append(conr.kept_share.item())
    assert shares == pytest.approx([0.85, 0.9, 0.95, 1.0, 1.0, 1.0])
    embedded = nn.functional.normalize(images.encode(conr.encoder("target_projection")), dim=1)
    for c in range(CLASSES):
        torch.testing.assert_close(conr.centres[c].float(), embedded[conr.labels == c].mean(0), atol=1e-5, rtol=1e-5)


def test_a_collapsed_target_gives_finite_losses_and_gradients():
    conr = objective()
    for parameter in conr.target_projector.parameters():
        parameter.data.zero_()
    conr.rate.zero_()
    conr.prepare(TheseImages())
    conr.start_epoch(0, TheseImages())
    loss = conr.loss(a_batch())["loss"]
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in conr.parameters() if p.grad is not None)


def test_both_learning_rates_are_lowered():
    rest, own = objective().parameter_groups()
    assert (rest["learning_rate_scale"], own["learning_rate_scale"]) == (0.2, 0.1)


def test_it_builds_the_networks_of_byol():
    from longtail.methods.clustering.byol import BYOL

    fields = BYOL.Settings.__dataclass_fields__
    settings = BYOL.Settings(**{name: getattr(SETTINGS, name) for name in fields})
    torch.manual_seed(0)
    byol = BYOL(settings, Context(TinyBackbone, classes=CLASSES, rows=ROWS)).double()
    own = dict(objective().named_parameters())
    assert own.keys() == dict(byol.named_parameters()).keys()
    assert all(torch.equal(own[name], parameter) for name, parameter in byol.named_parameters())


def test_a_step_never_asks_for_a_value():
    own = objective()
    step_without_values(own, 8, 2, 5, 5)


@pytest.mark.parametrize(
    ("name", "value"), [("kept_at_start", 1.2), ("kept_ramp_epochs", 0), ("neighbours", 0), ("kmeans_inits", 0)]
)
def test_impossible_settings_are_named(name, value):
    with pytest.raises(LongtailError, match=name):
        CoNR.Settings(**{**vars(SETTINGS), name: value})
