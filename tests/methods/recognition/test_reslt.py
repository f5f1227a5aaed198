"""ResLT as an objective: three branches, one classifier, and the sum of the logits."""

from __future__ import annotations

import dataclasses
import functools

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.reslt import reslt
from longtail.methods.recognition.reslt import ConvolvedResLT, NormalizedShared, ResLT, SharedClassifier
from longtail.models.backbones import new_backbone
from tests.methods.pieces import step_without_values
from tests.methods.recognition.pieces import context, labelled_batch, made, unlearned

SETTINGS = {"beta": 0.9, "medium_from": 1, "few_from": 3, "classifier_init": "default"}
BACKBONE = functools.partial(new_backbone, "resnet_small", "cifar", 2)


def a_reslt(**changes):
    return made(ResLT, new_backbone=BACKBONE, **{**SETTINGS, **changes})


def test_the_loss_is_that_of_the_branches():
    objective, batch = a_reslt(), labelled_batch()
    for norm in objective.network.embedder.norms:
        norm.weight.data.uniform_(0.5, 2)
    parts, labels = objective.loss(batch), batch.labels[0]
    h, logits = objective.encoder("backbone")(batch.views[0])
    linear = objective.network.head.linear
    each = torch.stack([part @ linear.weight.T + linear.bias for part in h.split(64, dim=1)])
    torch.testing.assert_close(parts["loss"], reslt(each, labels, (0, 1, 3), 0.9))
    torch.testing.assert_close(logits, each[0] + each[1] + each[2])
    right = (logits.argmax(1) == labels).double().mean()
    assert parts["accuracy"].item() == pytest.approx(100 * right.item())


def test_the_classifier_is_at_hand():
    head = SharedClassifier(3, 12, 5, "default")
    h = torch.randn(2, 12)
    torch.testing.assert_close(head(h), h @ head.weight.T + head.bias)
    assert sum(p.numel() for p in head.parameters()) == 5 * 4 + 5


def test_all_of_the_network_learns():
    objective = a_reslt()
    objective.loss(labelled_batch())["loss"].backward()
    assert unlearned(objective) == []


def test_a_step_waits_for_no_value():
    step_without_values(a_reslt(), 8, 2, 8, 8, labels=torch.arange(8) % 4, views=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"beta": 1.1}, ["beta", "between 0 and 1"]),
        ({"medium_from": 0}, ["medium_from", "at least 1"]),
        ({"medium_from": 3, "few_from": 2}, ["few_from", "at least medium_from"]),
        ({"few_from": 4}, ["few_from", "below 4 classes"]),
    ],
)
def test_settings_that_make_no_sense(changes, words):
    with pytest.raises(LongtailError) as error:
        a_reslt(**changes)
    assert all(word in str(error.value) for word in words)


# --- On the large sets ------------------------------------------------------------------------------------------------

LARGE = {"beta": 0.9, "smallest": (3, 1), "floored": True, "power": 0.7, "classifier_init": "default"}
IMAGENET = functools.partial(new_backbone, "resnet_small", "imagenet", 2)


def a_convolved(**changes):
    return made(ConvolvedResLT, new_backbone=IMAGENET, **{**LARGE, **changes})


@pytest.mark.parametrize("smallest", [(3, 1), (2,)])
def test_branches_after_the_first_learn_from_the_smallest_classes(smallest):
    """Classes have 9, 6, 3 and 2 images; numbered otherwise, the same ones are the smallest."""
    objective, batch = a_convolved(smallest=smallest), labelled_batch()
    order = torch.tensor([2, 0, 3, 1])
    objective.class_sizes.copy_(torch.tensor([3, 9, 2, 6]))
    again = ConvolvedResLT(
        objective.settings, dataclasses.replace(context(IMAGENET), class_sizes=torch.tensor([3, 9, 2, 6]))
    )
    assert again.places.tolist() == order.tolist()
    again.load_state_dict(objective.state_dict())
    parts, labels = again.double().loss(batch), batch.labels[0]
    h = again.network.embedder.train()(batch.views[0])
    linear, count = again.network.head.linear, 1 + len(smallest)
    each = torch.stack([part @ linear.weight.T + linear.bias for part in h.split(64, dim=1)])
    firsts = (0, *(4 - n for n in smallest))
    assert len(each) == count
    torch.testing.assert_close(parts["loss"], reslt(each, labels, firsts, 0.9, order[labels], floored=True))
    right = (each.sum(0).argmax(1) == labels).double().mean()
    assert parts["accuracy"].item() == pytest.approx(100 * right.item())


def test_a_prediction_has_weights_of_like_lengths_and_no_bias():
    objective = a_convolved().eval()
    h, logits = objective.encoder("backbone")(labelled_batch().views[0])
    linear = objective.network.head.linear
    expected = torch.zeros_like(logits)
    for part in h.split(64, dim=1):
        for k in range(4):
            w = linear.weight[k]
            expected[:, k] += part @ w / (w @ w) ** 0.35
    torch.testing.assert_close(logits, expected)
    head = objective.network.head
    assert head.bias is None
    torch.testing.assert_close(h @ head.weight.T, expected)
    head.train()
    torch.testing.assert_close(head(h), h @ head.weight.T + head.bias)
    plain = NormalizedShared(3, 12, 5, "default", 0.0).eval()
    assert torch.equal(plain.weight[:, :4], plain.linear.weight)


def test_all_of_the_large_network_learns():
    objective = a_convolved()
    objective.loss(labelled_batch())["loss"].backward()
    assert unlearned(objective) == []


def test_a_step_on_a_large_set_waits_for_no_value():
    step_without_values(a_convolved(), 8, 2, 40, 40, labels=torch.arange(8) % 4, views=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"beta": -0.1}, ["beta", "between 0 and 1"]),
        ({"power": -1.0}, ["power", "at least 0"]),
        ({"smallest": (1, 3)}, ["smallest", "do not grow"]),
        ({"smallest": ()}, ["smallest", "do not grow"]),
        ({"smallest": (0,)}, ["smallest", "do not grow"]),
        ({"smallest": (4,)}, ["smallest", "below 4 classes"]),
    ],
)
def test_settings_of_large_sets_that_make_no_sense(changes, words):
    with pytest.raises(LongtailError) as error:
        a_convolved(**changes)
    assert all(word in str(error.value) for word in words)
