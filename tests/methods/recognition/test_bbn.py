"""BBN as an objective: which image goes where, when learning shifts, and how an image is predicted."""

from __future__ import annotations

import copy
import functools

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.base import Batch
from longtail.methods.losses.bbn import bbn, mixed_feature
from longtail.methods.recognition.bbn import BBN
from longtail.models.backbones import new_backbone
from tests.methods.pieces import TheseImages, step_without_values, updates
from tests.methods.recognition.pieces import labelled_batch, made, unlearned

BACKBONE = functools.partial(new_backbone, "resnet_small", "cifar", 2)


def a_bbn():
    return made(BBN, new_backbone=BACKBONE, classifier_init="default")


def two_batches(seed=0):
    """An image for each branch, with classes of its own."""
    first, second = labelled_batch(seed), labelled_batch(seed + 1)
    views, labels = (first.views[0], second.views[0]), (first.labels[0], second.labels[0])
    return Batch(views, (first.rows[0], second.rows[0]), first.generator, labels)


def at(alpha):
    objective = a_bbn()
    objective.alpha.fill_(alpha)
    return objective


@pytest.mark.parametrize("alpha", [1.0, 0.6, 0.1])
def test_each_image_goes_through_its_branch_and_they_share_the_logits(alpha):
    objective, batch = at(alpha), two_batches()
    by_hand = copy.deepcopy(objective)
    trunk, head = by_hand.network.embedder, by_hand.network.head
    f_c = trunk.branches[0](trunk.shared(batch.views[0])).mean((2, 3))
    f_r = trunk.branches[1](trunk.shared(batch.views[1])).mean((2, 3))
    logits = head(mixed_feature(f_c, f_r, torch.tensor(alpha, dtype=torch.float64)))
    parts = objective.loss(batch)
    torch.testing.assert_close(parts["loss"], bbn(logits, *batch.labels, objective.alpha))
    right = [(logits.argmax(1) == labels).double().mean().item() for labels in batch.labels]
    assert parts["accuracy"].item() == pytest.approx(100 * (alpha * right[0] + (1 - alpha) * right[1]), rel=1e-6)
    for name, statistics in by_hand.named_buffers():
        torch.testing.assert_close(objective.get_buffer(name), statistics, msg=name)


def test_in_the_first_epoch_the_loss_sees_the_uniform_batch_alone_and_the_statistics_both():
    objective, batch = at(1.0), two_batches()
    other = Batch((batch.views[0], 7 * batch.views[1]), batch.rows, batch.generator, (batch.labels[0],) * 2)
    torch.testing.assert_close(at(1.0).loss(other)["loss"], objective.loss(batch)["loss"])
    assert objective.network.embedder.shared[1].num_batches_tracked == 2
    assert [branch.bn1.num_batches_tracked for branch in objective.network.embedder.branches] == [1, 1]


def test_alpha_falls_from_epoch_to_epoch_and_not_within_one():
    objective, images, steps, epochs = a_bbn(), TheseImages(), 3, 5
    for epoch in range(epochs):
        objective.start_epoch(epoch, images)
        seen = []
        for step in range(steps):
            seen.append(objective.loss(two_batches())["alpha"].item())
            objective.after_step((epoch * steps + step + 1) / (epochs * steps))
        assert seen == [1 - (epoch / epochs) ** 2] * steps
    assert {"done", "alpha"} <= objective.state_dict().keys()


@pytest.mark.parametrize(("epochs", "shift"), [(90, 100), (180, 200)])
def test_a_clock_may_be_cut_off_of_a_longer_shift(epochs, shift):
    """Megvii-Nanjing/BBN, core/combiner.py: trainings of 90 and 180 epochs divide by 100 and 200."""
    objective = made(BBN, new_backbone=BACKBONE, classifier_init="default", clock_share=0.9)
    seen = []
    for epoch in range(epochs):
        objective.start_epoch(epoch, TheseImages())
        seen.append(objective.alpha.item())
        objective.after_step((epoch + 1) / epochs)
    assert seen == pytest.approx([1 - (epoch / shift) ** 2 for epoch in range(epochs)], abs=1e-12)
    if epochs == 180:
        assert seen[99] == pytest.approx(0.754975)


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_shift_that_makes_no_sense(share):
    with pytest.raises(LongtailError, match="clock_share"):
        BBN.Settings(classifier_init="default", clock_share=share)


def test_an_image_is_predicted_by_both_branches_without_a_factor():
    objective = at(0.3).eval()
    x = labelled_batch().views[0]
    feature, logits = objective.encoder("backbone")(x)
    trunk, head = objective.network.embedder, objective.network.head
    both = torch.cat([trunk(x, 0), trunk(x, 1)], dim=1)
    torch.testing.assert_close(feature, both)
    torch.testing.assert_close(logits, both @ head.weight.T + head.bias)


def test_all_of_the_network_learns():
    objective = at(0.5)
    objective.loss(two_batches())["loss"].backward()
    assert unlearned(objective) == []


def test_a_step_waits_for_no_value():
    step_without_values(a_bbn(), 8, 2, 8, 8, labels=torch.arange(8) % 4)


def test_updates_in_bfloat16_stay_finite():
    objective = at(0.5).float()
    batch = two_batches()
    batch = Batch(tuple(v.float() for v in batch.views), batch.rows, batch.generator, batch.labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        updates(objective, [batch] * 2)
    assert all(bool(value.isfinite().all()) for value in objective.state_dict().values())
