from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from longtail.errors import LongtailError
from longtail.methods.base import Context
from longtail.methods.clustering.secu import SeCu, assign, centre_loss, next_duals, representation_loss
from tests.methods.pieces import ROWS, TinyBackbone, a_batch, step_without_values

SETTINGS = SeCu.Settings(
    projection_width=4, heads=2, representation_temperature=0.1, centre_temperature=0.2, label_weight=0.3,
    dual_learning_rate=0.1, size_ratio=0.9, centre_learning_rate=1.2,
)  # fmt: skip
CLASSES = 3


def objective() -> SeCu:
    torch.manual_seed(0)
    return SeCu(SETTINGS, Context(TinyBackbone, classes=CLASSES, rows=ROWS)).double()


def draw(rows, clusters, seed, count=2):
    generator = torch.Generator().manual_seed(seed)
    matrices = [torch.randn(rows, clusters, dtype=torch.float64, generator=generator) for _ in range(count)]
    return [m.requires_grad_() for m in matrices], torch.randint(clusters, (rows,), generator=generator)


SIZES = {"rows": st.integers(1, 6), "clusters": st.integers(1, 5), "seed": st.integers(0, 10**6)}


# the formulas with loops


def log_softmax(z, c):
    return z[c] - torch.log(sum(torch.exp(z[j]) for j in range(len(z))))


@given(**SIZES)
def test_representation_loss_is_the_formula(rows, clusters, seed):
    (one, two), labels = draw(rows, clusters, seed)
    expected = torch.zeros((), dtype=torch.float64)
    for own, other in ((one, two), (two, one)):
        for i in range(rows):
            for c in range(clusters):
                target = 0.7 * torch.exp(log_softmax(other[i], c)).detach() + 0.3 * (c == labels[i])
                expected = expected - target * log_softmax(own[i], c) / (2 * rows)
    loss = representation_loss(one, two, labels, 0.3)
    torch.testing.assert_close(loss, expected)
    for found, wanted in zip(
        torch.autograd.grad(loss, (one, two)), torch.autograd.grad(expected, (one, two)), strict=True
    ):
        torch.testing.assert_close(found, wanted)


@given(**SIZES)
def test_centre_loss_is_the_formula(rows, clusters, seed):
    (cosine,), labels = draw(rows, clusters, seed, 1)
    expected = torch.zeros((), dtype=torch.float64)
    for i in range(rows):
        own = [cosine[i, c] if c == labels[i] else cosine[i, c].detach() for c in range(clusters)]
        expected = expected - log_softmax([v / 0.2 for v in own], int(labels[i])) / rows
    loss = centre_loss(cosine, labels, 0.2)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, cosine)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, cosine)[0])
    assigned = nn.functional.one_hot(labels, clusters).bool()
    assert not gradient[~assigned].any()


@given(**SIZES)
def test_assignments_are_the_formula(rows, clusters, seed):
    (one, two), _ = draw(rows, clusters, seed)
    duals = torch.rand(clusters, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    for i, label in enumerate(assign(one, two, duals).tolist()):
        scores = [-0.5 * (one[i, c] + two[i, c]).item() - duals[c].item() for c in range(clusters)]
        assert label == scores.index(min(scores))


def test_of_equals_the_first_centre_is_taken():
    assert assign(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(3)).tolist() == [0, 0]


@given(**SIZES)
def test_duals_are_the_formula(rows, clusters, seed):
    _, labels = draw(rows, clusters, seed)
    duals = 0.05 * torch.rand(clusters, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    counts = [labels.tolist().count(c) for c in range(clusters)]
    expected = [max(0.0, duals[c].item() - 0.1 * counts[c] / rows + 0.1 * 0.9 / clusters) for c in range(clusters)]
    torch.testing.assert_close(next_duals(duals, labels, 0.1, 0.9), torch.tensor(expected, dtype=torch.float64))


def test_the_loss_over_heads_and_what_it_remembers():
    secu, batch = objective(), a_batch()
    secu.labels[batch.rows[0][:4]] = torch.tensor([1, 4])  # visited before
    secu.start_centres.copy_(torch.randn(4, 9, generator=batch.generator, dtype=torch.float64))
    secu.duals.copy_(torch.linspace(0, 0.2, 9))
    reference = copy.deepcopy(secu)
    parts = secu.loss(batch)

    z = [nn.functional.normalize(reference.network(view), dim=1) for view in batch.views]
    expected_x = expected_c = 0.0
    for head, columns in enumerate((slice(0, 3), slice(3, 9))):
        centres = nn.functional.normalize(reference.centres[:, columns], dim=0)
        start = nn.functional.normalize(reference.start_centres[:, columns], dim=0)
        to_centres = [v.detach() @ centres for v in z]
        labels = assign(to_centres[0].detach(), to_centres[1].detach(), reference.duals[columns])
        known = torch.cat([torch.full((4,), (1, 4)[head]), labels[4:]])
        logits = [v @ start / 0.1 for v in z]
        expected_x = expected_x + representation_loss(logits[0], logits[1], known, 0.3) / 2
        expected_c = expected_c + sum(centre_loss(c, labels, 0.2) for c in to_centres) / 4
        assert torch.equal(secu.labels[batch.rows[0], head], labels)
        torch.testing.assert_close(secu.duals[columns], next_duals(reference.duals[columns], labels, 0.1, 0.9))
    torch.testing.assert_close(parts["loss"], expected_x + expected_c)
    torch.testing.assert_close(parts["L_x"], expected_x.detach())
    unseen = torch.ones(ROWS, dtype=torch.bool)
    unseen[batch.rows[0]] = False
    assert (secu.labels[unseen] == -1).all()

    parts["loss"].backward()
    (expected_x + expected_c).backward()
    for own, other in zip(secu.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)


def test_the_encoder_learns_from_the_centres_of_the_epochs_start():
    secu = objective()
    secu.centres.data.add_(1.0)
    assert not torch.equal(secu.start_centres, secu.centres)
    secu.start_epoch(0, None)
    assert torch.equal(secu.start_centres, secu.centres)


def test_a_collapsed_encoder_stays_finite_and_no_cluster_dies():
    secu = objective()
    for parameter in secu.network.parameters():
        parameter.data.zero_()
    seen = set()
    for step in range(60):
        parts = secu.loss(a_batch(step))
        seen |= set(secu.labels[:, 0].tolist())
    parts["loss"].backward()
    assert parts["loss"].isfinite()
    assert all(p.grad.isfinite().all() for p in secu.parameters())
    assert {0, 1, 2} <= seen


def test_the_prediction_is_the_nearest_centre_of_the_first_head():
    secu = objective().eval()
    x = a_batch().views[0]
    embedding, logits = secu.encoder("cluster_head")(x)
    assert torch.equal(embedding, secu.network(x))
    assert secu.encoder("projection").width == 4
    expected = nn.functional.normalize(embedding, dim=1) @ nn.functional.normalize(secu.centres[:, :3], dim=0)
    torch.testing.assert_close(logits, expected)
    assert secu.encoder("backbone")(x).shape == (8, 6)
    with pytest.raises(LongtailError, match="Did you mean 'cluster_head'"):
        secu.encoder("cluster_heads")


def test_the_centres_keep_their_learning_rate():
    encoder, centres = objective().parameter_groups()
    assert encoder["learning_rate_scale"] == 1.0
    assert centres["learning_rate"] == 1.2
    assert len(centres["params"]) == 1


def test_a_step_never_asks_for_a_value():
    own = objective()
    step_without_values(own, 8, 2, 5, 5)


@pytest.mark.parametrize(("name", "value"), [("heads", 0), ("centre_temperature", 0.0), ("size_ratio", 1.0)])
def test_impossible_settings_are_named(name, value):
    with pytest.raises(LongtailError, match=name):
        SeCu.Settings(**{**vars(SETTINGS), name: value})
