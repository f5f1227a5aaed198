"""Cross-entropy and LDAM as objectives: what they compute, what learns, and how one goes on from the other."""

from __future__ import annotations

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.classification import cross_entropy, ldam, ldam_margins
from longtail.methods.losses.long_tailed import class_balanced_weights
from longtail.methods.recognition.reweighting import LDAM, CrossEntropy, ReweightedCrossEntropy, ReweightedLDAM
from tests.methods.pieces import step_without_values
from tests.methods.recognition.pieces import SIZES, labelled_batch, made, unlearned

OBJECTIVES = [
    (CrossEntropy, {"classifier_init": "kaiming"}),
    (ReweightedCrossEntropy, {"classifier_init": "default", "beta": 0.99}),
    (LDAM, {"scale": 30.0, "largest_margin": 0.5}),
    (ReweightedLDAM, {"scale": 30.0, "largest_margin": 0.5, "beta": 0.99}),
]


def by_hand(objective, logits, labels):
    weights, margins = class_balanced_weights(SIZES, 0.99), 30 * ldam_margins(SIZES, 0.5)
    return {
        CrossEntropy: lambda: cross_entropy(logits, labels),
        ReweightedCrossEntropy: lambda: cross_entropy(logits, labels, weights),
        LDAM: lambda: ldam(logits, labels, margins),
        ReweightedLDAM: lambda: ldam(logits, labels, margins, weights),
    }[type(objective)]()


@pytest.mark.parametrize(("kind", "settings"), OBJECTIVES)
def test_the_loss_is_that_of_the_logits(kind, settings):
    objective, batch = made(kind, **settings), labelled_batch()
    parts = objective.loss(batch)
    _, logits = objective.encoder("backbone")(batch.views[0])
    torch.testing.assert_close(parts["loss"], by_hand(objective, logits, batch.labels[0]))
    right = (logits.argmax(1) == batch.labels[0]).double().mean()
    assert parts["accuracy"].item() == pytest.approx(100 * right.item())


@pytest.mark.parametrize(("kind", "settings"), OBJECTIVES)
def test_all_of_the_network_learns(kind, settings):
    objective = made(kind, **settings)
    objective.loss(labelled_batch())["loss"].backward()
    assert unlearned(objective) == []


@pytest.mark.parametrize(("kind", "settings"), OBJECTIVES)
def test_a_step_waits_for_no_value(kind, settings):
    step_without_values(made(kind, **settings), 8, 2, 5, 5, labels=torch.arange(8) % 4, views=1)


@pytest.mark.parametrize(("before", "after"), [OBJECTIVES[:2], OBJECTIVES[2:]])
def test_one_goes_on_from_the_other_with_every_weight_and_none_of_its_own(before, after):
    """On one clock the networks agree by name; nothing else that the first remembers may reach the second."""
    first, second = (made(kind, **settings) for kind, settings in (before, after))
    assert first.state_dict().keys() == second.state_dict().keys()
    second.load_state_dict(first.state_dict())
    batch = labelled_batch()
    _, logits = first.encoder("backbone")(batch.views[0])
    torch.testing.assert_close(second.loss(batch)["loss"], by_hand(second, logits, batch.labels[0]))


def test_the_classifier_is_at_hand():
    assert made(CrossEntropy, classifier_init="kaiming").encoder("backbone").head.weight.shape == (4, 6)
    assert made(LDAM, scale=30.0, largest_margin=0.5).encoder("backbone").head.bias is None


def test_the_sizes_of_classes_are_kept():
    objective = made(CrossEntropy, classifier_init="default")
    assert torch.equal(objective.state_dict()["class_sizes"], SIZES)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (CrossEntropy, {"classifier_init": "xavier"}, ["classifier_init", "xavier", "kaiming"]),
        (ReweightedCrossEntropy, {"classifier_init": "default", "beta": 1.0}, ["beta", "1.0", "below 1"]),
        (LDAM, {"scale": 0.0, "largest_margin": 0.5}, ["scale", "above 0"]),
        (LDAM, {"scale": 30.0, "largest_margin": -0.5}, ["largest_margin", "at least 0"]),
        (ReweightedLDAM, {"scale": 30.0, "largest_margin": 0.5, "beta": -1.0}, ["beta", "at least 0"]),
    ],
)
def test_settings_that_make_no_sense(kind, settings, words):
    with pytest.raises(LongtailError) as error:
        kind.Settings(**settings)
    assert all(word in str(error.value) for word in words)


def test_features_that_are_not_there():
    with pytest.raises(LongtailError, match="backbone"):
        made(CrossEntropy, classifier_init="default").encoder("projection")


def test_they_start_from_new_networks():
    assert {kind.starts for kind, _ in OBJECTIVES} == {"fresh"}
    assert all(kind.supervised for kind, _ in OBJECTIVES)
