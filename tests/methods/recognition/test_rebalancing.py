"""Classifier rebalancing: what goes on, what it learns from, and what its sampler shows."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.data.samplers import row_weights, sampled
from longtail.errors import LongtailError
from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.distillation import distillation
from longtail.methods.recognition.iccl import ICCL
from longtail.methods.recognition.rebalancing import Rebalancing
from longtail.methods.recognition.reweighting import CrossEntropy
from longtail.methods.recognition.supcon import SupCon
from tests.methods.golden import golden, near, waves
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import labelled_batch, made, unlearned
from tests.methods.recognition.test_iccl import BRANCHES, two_streams

SETTINGS = {"distillation_weight": 0.5, "distillation_temperature": 10.0}


def first_stage():
    objective = made(ICCL, **BRANCHES).train()
    updates(objective, [two_streams(seed) for seed in range(3)])
    return objective


def test_the_loss_is_equation_9_with_the_first_stage_as_it_was_for_a_teacher():
    first = first_stage()
    teacher, student = copy.deepcopy(first.network).eval(), copy.deepcopy(first.network).train()
    second, batch = made(Rebalancing, first, **SETTINGS).train(), labelled_batch(7)
    images, y = batch.views[0], batch.labels[0]
    s, t = student(images)[1], teacher(images)[1].detach()
    p, q = (torch.softmax(logits / 10, dim=1) for logits in (s, t))
    apart = sum((q[i] * (q[i].log() - p[i].log())).sum() for i in range(len(y))) / len(y)
    expected = 0.5 * torch.nn.functional.cross_entropy(s, y) + 0.5 * 100 * apart
    loss = second.loss(batch)["loss"]
    torch.testing.assert_close(loss, expected)
    found = torch.autograd.grad(loss, [*second.network.parameters()])
    torch.testing.assert_close(found, torch.autograd.grad(expected, [*student.parameters()]))


def test_encoder_and_classifier_go_on_and_the_teacher_stays():
    first = first_stage()
    before = copy.deepcopy(first.network.state_dict())
    second = made(Rebalancing, first, **SETTINGS).train()
    assert second.encoder("backbone").head is first.network.head
    assert not any(name.startswith(("projector", "centroids")) for name in second.state_dict())
    updates(second, [labelled_batch(seed) for seed in range(3, 6)])
    assert all(torch.equal(value, before[name]) for name, value in second.teacher.state_dict().items())
    after = second.network.state_dict()
    for name in ("embedder.0.weight", "embedder.1.weight", "embedder.1.running_mean", "head.weight", "head.bias"):
        assert not torch.equal(after[name], before[name])
    assert {name for name in unlearned(second) if not name.startswith("teacher.")} == set()


def test_without_distillation_it_is_retraining_of_the_trained_classifier():
    """Identity: with omega_d 0 Eq. 9 is the cross-entropy of cRT, which starts from a new classifier, though."""
    second, batch = (
        made(Rebalancing, first_stage(), **{**SETTINGS, "distillation_weight": 0.0}).train(),
        labelled_batch(),
    )
    logits = copy.deepcopy(second).network(batch.views[0])[1]
    torch.testing.assert_close(second.loss(batch)["loss"], cross_entropy(logits, batch.labels[0]))


def test_the_sampler_of_power_0_shows_classes_as_often_as_that_of_retraining():
    """Identity, and checks-b's golden frequencies of Eq. 2: in expectation, as the one draws and the other turns."""
    labels = torch.arange(3).repeat_interleave(torch.tensor([5, 3, 2]))

    def shown(power):
        weights = row_weights({"power": power}, labels)
        return tuple(torch.zeros(3).double().index_add(0, labels, weights / weights.sum()).tolist())

    turns = sampled({"class_aware": 1}, labels.repeat_interleave(3), torch.Generator()).div(3, rounding_mode="floor")
    assert shown(0) == pytest.approx((1 / 3,) * 3)
    assert labels[turns].bincount().tolist() == [10, 10, 10]
    assert shown(0.5) == near(0.258256, 0.333407, 0.408338)
    assert shown(1) == near(0.193548, 0.322581, 0.483871)


@pytest.mark.parametrize(
    ("temperature", "apart", "reverse", "loss"),
    [(10.0, 0.004282, 0.004313, (0.863491, 0.317236)), (2.0, 0.097422, 0.102363, (0.844248, 0.310771))],
)
def test_golden_rebalancing(temperature, apart, reverse, loss):
    """G11. Trap: KL is that of the teacher to the student, summed over classes, times tau_d^2; at 10 both are alike."""
    s, t, y = waves(3, 3, 400), waves(3, 3, 600), torch.tensor([0, 0, 1])
    learnt = distillation(s, t, temperature)
    assert golden(0.5 * cross_entropy(s, y) + 0.5 * learnt, s) == near(*loss)
    assert distillation(s, t, temperature).item() / temperature**2 == pytest.approx(apart, abs=6e-7)
    assert distillation(t, s, temperature).item() / temperature**2 == pytest.approx(reverse, abs=6e-7)


def test_any_classifier_can_be_rebalanced():
    """Table 8 rebalances that of CE, too."""
    second = made(Rebalancing, made(CrossEntropy, classifier_init="default"), **SETTINGS).train()
    assert second.loss(labelled_batch())["loss"].isfinite()


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_frozen_encoder_leaves_the_classifier_to_learn(mode):
    """ImageNet-LT and iNaturalist: the loss is Eq. 9 with the same teacher, whose feature is at hand in eval mode."""
    first, batch = first_stage(), labelled_batch(7)
    teacher, student = copy.deepcopy(first.network).eval(), copy.deepcopy(first.network)
    student.embedder.requires_grad_(False).train(mode == "train")
    before = copy.deepcopy(first.network.state_dict())
    second = made(Rebalancing, first, **SETTINGS, frozen_bn=mode).train()
    images, y = batch.views[0], batch.labels[0]
    s, t = student(images)[1].double(), teacher(images)[1].detach().double()
    apart = 0
    for i in range(len(y)):
        p, q = (torch.softmax(logits[i] / 10, dim=0) for logits in (s, t))
        apart = apart + sum(q[k] * (q[k].log() - p[k].log()) for k in range(s.shape[1])) / len(y)
    expected = 0.5 * sum(-torch.log_softmax(s[i], 0)[y[i]] for i in range(len(y))) / len(y) + 0.5 * 100 * apart
    loss = second.loss(batch)["loss"]
    torch.testing.assert_close(loss.double(), expected.double())
    head = [*second.network.head.parameters()]
    wanted = torch.autograd.grad(expected, [*student.head.parameters()])
    torch.testing.assert_close(torch.autograd.grad(loss, head), wanted)

    updates(second, [labelled_batch(seed) for seed in range(3, 6)])
    changed = {name for name, value in second.network.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name in changed if name.startswith("head.")} == {"head.weight", "head.bias"}
    assert all("running" in name or "batches" in name for name in changed if not name.startswith("head."))
    assert any("running" in name for name in changed) == (mode == "train")
    assert {name for name, p in second.named_parameters() if p.requires_grad} == {
        "network.head.weight",
        "network.head.bias",
    }


def test_a_first_stage_without_classifier():
    first = made(SupCon, temperature=0.1, base_temperature=0.07, projection_width=3)
    with pytest.raises(LongtailError, match="trained classifier: put a step such as iccl or ce before it"):
        made(Rebalancing, first, **SETTINGS)


@pytest.mark.parametrize(
    ("name", "value"), [("distillation_weight", 1.5), ("distillation_temperature", 0.0), ("frozen_bn", "yes")]
)
def test_settings_that_mean_nothing(name, value):
    with pytest.raises(LongtailError, match=name):
        Rebalancing.Settings(**{**SETTINGS, name: value})


def test_a_step_waits_for_no_value():
    second = made(Rebalancing, first_stage(), **SETTINGS).train()
    step_without_values(second, 8, 2, 5, 5, labels=torch.arange(8) % 4, views=1)
