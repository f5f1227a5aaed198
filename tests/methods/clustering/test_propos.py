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
from longtail.methods.clustering.byol import regression_loss
from longtail.methods.clustering.propos import ProPos, prototype_scattering, standard_normal
from longtail.methods.clustering.sdclr import SDCLR
from tests.methods.pieces import (
    ROWS,
    TheseImages,
    TinyBackbone,
    a_batch,
    assert_same_updates,
    step_without_values,
)

OFFICIAL = ProPos.Settings(
    hidden_width=7, projection_width=4, target_momentum=0.9, target_schedule="constant",
    target_update="after_forward", predictor_learning_rate_scale=10.0, noise=0.5, temperature=0.5,
    prototype_weight=0.1, prototype_start_epochs=2, absent_classes="minus_ten", views_together=False,
    balanced_sampling=False, kmeans_seed=0, kmeans_inits=4,
)  # fmt: skip
CLASSES = 3


def changed(**settings) -> ProPos.Settings:
    return ProPos.Settings(**{**vars(OFFICIAL), **settings})


def objective(settings=OFFICIAL, parent=None) -> ProPos:
    torch.manual_seed(0)
    return ProPos(settings, Context(TinyBackbone, classes=CLASSES, rows=ROWS), parent).double()


def images(seed=1) -> TheseImages:
    return TheseImages(torch.randn(ROWS, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))


# the loss, from the formula with loops over classes and images


def dot(a, b):
    return sum(a[d] * b[d] for d in range(len(a)))


def scaled(a):
    length = torch.sqrt(dot(a, a))
    return [a[d] / length for d in range(len(a))]


def slow_prototype(v, labels, c):
    members = [scaled(v[i]) for i in range(len(v)) if labels[i] == c]
    return scaled([sum(member[d] for member in members) / len(members) for d in range(v.shape[1])])


def slow_scattering(q, k, labels, classes, temperature, absent):
    present = [c for c in range(classes) if c in labels]
    mu = {c: slow_prototype(q, labels, c) for c in present}
    other = {c: slow_prototype(k.detach(), labels, c) for c in present}
    losses = []
    for c in present:
        positive = dot(mu[c], other[c]) / temperature
        total = torch.exp(positive)
        for j in range(classes):
            if j != c and j in present:
                total = total + torch.exp(dot(mu[c], mu[j]) / temperature)
            elif j != c and absent == "minus_ten":
                total = total + math.exp(-10)
        losses.append(torch.log(total) - positive)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("absent", ["minus_ten", "left_out"])
@given(rows=st.integers(1, 7), width=st.integers(2, 5), classes=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_prototype_scattering_is_the_formula(absent, rows, width, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    q, k = (torch.randn(rows, width, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(2))
    labels = torch.randint(classes, (rows,), generator=generator)
    expected = slow_scattering(q, k, labels.tolist(), classes, 0.5, absent)
    loss = prototype_scattering(q, k, labels, classes, 0.5, absent)
    torch.testing.assert_close(loss, expected)
    gradient, into_target = torch.autograd.grad(loss, (q, k), allow_unused=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, q)[0])
    assert into_target is None


def test_collapsed_projections_have_a_finite_loss_and_gradient():
    q = torch.ones(6, 4, requires_grad=True)
    zero = torch.zeros(6, 4, requires_grad=True)
    labels = torch.tensor([0, 0, 0, 2, 2, 2])
    for v in (q, zero):
        loss = prototype_scattering(v, torch.ones(6, 4), labels, 3, 0.5)
        (gradient,) = torch.autograd.grad(loss, v)
        assert loss.isfinite()
        assert gradient.isfinite().all()


def slow_parts(propos, batch):
    """PSA and PSL of two pseudo-classes, each the mean of both directions."""
    together, warmed_up = propos.settings.views_together, propos.warmed_up.item()

    def each(network, inputs):
        return network(torch.cat(inputs)).split(8) if together else [network(part) for part in inputs]

    q = each(lambda v: propos.projector(propos.backbone(v)), batch.views)
    k = each(lambda v: propos.target_projector(propos.target_backbone(v)).detach(), batch.views)
    moved = [v + 0.5 * warmed_up * standard_normal(v, batch.generator) for v in q]
    h = each(propos.predictor, moved)
    labels = propos.labels[batch.rows[0]].tolist()
    psa = (regression_loss(h[0], k[1]) + regression_loss(h[1], k[0])) / 2
    psl = sum(slow_scattering(q[i], k[1 - i], labels, CLASSES, 0.5, "minus_ten") for i in range(2)) / 2
    return psa, psl


def slow_loss(propos, batch):
    psa, psl = slow_parts(propos, batch)
    return psa + 0.1 * propos.warmed_up * psl


def halved(settings, warmed_up=1.0):
    """With two pseudo-classes, which take turns."""
    propos = objective(settings)
    propos.labels.copy_(torch.arange(ROWS) % 2)
    propos.warmed_up.fill_(warmed_up)
    return propos


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("warmed_up", [0.0, 1.0])
def test_the_loss_is_both_parts_in_both_directions(together, warmed_up):
    propos = halved(changed(views_together=together), warmed_up)
    psa, psl = slow_parts(copy.deepcopy(propos), a_batch())
    parts = propos.loss(a_batch())
    torch.testing.assert_close(parts["loss"], psa + 0.1 * warmed_up * psl)
    torch.testing.assert_close(parts["L_PSL"], psl.detach())
    parts["loss"].backward()
    assert all((p.grad is None) == name.startswith("target_") for name, p in propos.named_parameters())


CIFAR10 = {"views_together": False, "target_update": "after_forward", "target_schedule": "constant"}
CIFAR20 = {"views_together": True, "target_update": "before_forward", "target_schedule": "cosine"}


@pytest.mark.parametrize("configuration", [CIFAR10, CIFAR20], ids=["CIFAR-10", "CIFAR-20"])
def test_updates_are_those_of_the_official_code(configuration):
    """The target moves at the end of the forward pass for CIFAR-10, at the beginning of the other one for CIFAR-20."""
    assert_same_updates(halved(changed(**configuration)), slow_loss)


def test_pseudo_labels_are_clusters_of_the_targets_embeddings_once_they_are_read():
    propos, split = objective(), images()
    propos.start_epoch(1, split)
    assert not propos.warmed_up
    assert not propos.labels.any()
    propos.start_epoch(2, split)
    assert propos.warmed_up
    embedded = torch.nn.functional.normalize(split.encode(propos.encoder("target_projection")), dim=1)
    centres = torch.stack([embedded[propos.labels == c].mean(0) for c in range(CLASSES)])
    nearest = (embedded @ torch.nn.functional.normalize(centres, dim=1).T).argmax(1)
    assert torch.equal(nearest, propos.labels)
    before = propos.labels.clone()
    propos.start_epoch(3, split)
    assert torch.equal(before, propos.labels)


def test_balanced_sampling_gives_every_cluster_the_same_share():
    assert objective().sampling_weights() is None
    propos = objective(changed(balanced_sampling=True))
    propos.start_epoch(0, images())
    weights = propos.sampling_weights()
    shares = [weights[propos.labels == c].sum().item() for c in range(CLASSES)]
    assert shares == pytest.approx([ROWS] * CLASSES)


def test_it_takes_over_the_dense_branch_of_a_trained_network():
    torch.manual_seed(3)
    context = Context(TinyBackbone, classes=CLASSES, rows=ROWS)
    parent = SDCLR(SDCLR.Settings(temperature=0.2, projection_width=4, prune_ratio=0.5), context)
    for parameter in parent.parameters():
        nn.init.normal_(parameter)
    parent.network(a_batch().views[0].float())
    parent.double().eval()
    propos = objective(parent=parent).eval()
    x = a_batch().views[0]
    expected = parent.network.backbone(x)
    torch.testing.assert_close(propos.backbone(x), expected, rtol=0, atol=0)
    torch.testing.assert_close(propos.target_backbone(x), expected, rtol=0, atol=0)
    assert propos.state_dict().keys() == objective().state_dict().keys()
    propos.backbone[0].weight.data.zero_()
    assert parent.network.backbone[0].weight.any()


def test_the_pseudo_labels_are_part_of_the_checkpoint():
    propos = objective(changed(prototype_start_epochs=0))
    propos.start_epoch(0, images())
    restored = objective(changed(prototype_start_epochs=0))
    restored.load_state_dict(propos.state_dict())
    first, second = propos.loss(a_batch(9)), restored.loss(a_batch(9))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_step_never_asks_for_a_value():
    own = objective()
    step_without_values(own, 8, 2, 5, 5)


@pytest.mark.parametrize(
    ("name", "value"), [("temperature", 0.0), ("noise", -1.0), ("absent_classes", "kept"), ("kmeans_inits", 0)]
)
def test_impossible_settings_are_named(name, value):
    with pytest.raises(LongtailError, match=name):
        changed(**{name: value})
