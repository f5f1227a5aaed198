"""The second stage of RIDE: what gates see and learn, and by which experts an image is predicted."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.routing import gating, later_experts_help
from longtail.methods.recognition.experts import RIDE, ExpertClassifiers
from longtail.methods.recognition.reweighting import LDAM, CrossEntropy
from longtail.methods.recognition.routing import RIDERouting, RoutedClassifiers
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import CLASSES, labelled_batch, made
from tests.methods.recognition.test_experts import BACKBONE, PLAIN

EXPERTS = 3
GATES = {"frozen_bn": "eval", "hidden_width": 5, "top_logits": 3, "positive_weight": 100.0}


def trained(experts=EXPERTS):
    """A first stage after some updates, so that its statistics and weights are its own."""
    first = made(RIDE, new_backbone=BACKBONE, **{**PLAIN, "experts": experts})
    updates(first, [labelled_batch(seed) for seed in range(3)])
    return first


def gates(first=None, **settings):
    return made(RIDERouting, first or trained(), new_backbone=BACKBONE, **{**GATES, **settings}).train()


def slow_route(head, h):
    """The prediction of one image with features ``h``, one vector per expert, and through how many experts it goes."""
    logits = [classifier(part[None])[0] for classifier, part in zip(head.experts.classifiers, h, strict=True)]
    total, used = logits[0], 1
    for gate in range(len(logits) - 1):
        mean = total / used
        largest = sorted(mean.tolist(), reverse=True)[: head.top_logits]
        direction = h[gate] / h[gate].square().sum().sqrt()
        hidden = [max(value, 0.0) for value in (head.hidden[gate].weight @ direction + head.hidden[gate].bias).tolist()]
        seen = torch.tensor([*largest, *hidden], dtype=torch.float64)
        score = (head.output.weight[0] @ seen + head.output.bias[0]).item()
        if score <= 0:
            break
        total, used = total + logits[used], used + 1
    return total / used, used


@pytest.mark.parametrize("top_logits", [1, 3, 30])
def test_the_prediction_is_that_of_each_image_by_itself(top_logits):
    head = gates(top_logits=top_logits).network.head
    with torch.no_grad():
        h = torch.randn(200, 48 * EXPERTS, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).relu()
        means = head.means(h)
        head.output.bias -= head.scores(h, means).quantile(0.5)  # so that half pass, and no score is 0
        slow = [slow_route(head, row.chunk(EXPERTS)) for row in h]
        torch.testing.assert_close(head(h), torch.stack([prediction for prediction, _ in slow]))
        used = 1 + head.passed(head.scores(h, means))
    assert used.tolist() == [count for _, count in slow]
    assert set(used.tolist()) == {1, 2, 3}


def test_who_is_stopped_does_not_come_to_a_later_gate():
    scores = torch.tensor([[1.0, -1.0, -1.0, 1.0, 0.0], [1.0, 1.0, -1.0, -1.0, 1.0]])
    assert RoutedClassifiers.passed(scores).tolist() == [2, 0, 0, 1, 0]


def test_gates_see_all_logits_where_there_are_fewer_than_they_ask_for():
    head = gates(top_logits=30).network.head
    assert head.top_logits == CLASSES
    assert head.output.weight.shape == (1, CLASSES + 5)


def test_the_loss_is_that_of_all_gates_on_all_images():
    second, batch = gates(), labelled_batch(7)
    first, head = copy.deepcopy(second.network.embedder).eval(), second.network.head
    parts = second.loss(batch)
    h = first(batch.views[0])
    scores, means = head.scores(h, head.means(h)), head.means(h)
    torch.testing.assert_close(means[-1], head.experts(h))
    helped = later_experts_help(means, batch.labels[0])
    torch.testing.assert_close(parts["loss"], gating(scores, helped, 100.0))
    slow = [slow_route(head, row.chunk(EXPERTS)) for row in h]
    assert parts["experts"].item() == pytest.approx(sum(used for _, used in slow) / len(slow))
    right = sum(int(p.argmax() == y) for (p, _), y in zip(slow, batch.labels[0], strict=True))
    assert parts["accuracy"].item() == pytest.approx(100 * right / len(slow))


def test_only_gates_learn_and_the_network_stays_bit_by_bit():
    first = trained()
    before = copy.deepcopy(first.network.state_dict())
    second = gates(first)
    start = copy.deepcopy(second.network.head)
    updates(second, [labelled_batch(seed) for seed in range(3, 6)])
    second.eval()
    embedder, head = second.network.embedder, second.network.head
    after = {f"embedder.{name}": value for name, value in embedder.state_dict().items()}
    after |= {f"head.{name}": value for name, value in head.experts.state_dict().items()}
    assert after.keys() == before.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    learnt = {name for name, value in start.state_dict().items() if not torch.equal(value, head.state_dict()[name])}
    own = {f"{layer}.{kind}" for layer in ("hidden.0", "hidden.1", "output") for kind in ("weight", "bias")}
    assert learnt == own
    [group] = second.parameter_groups()
    assert {id(p) for p in group["params"]} == {id(head.get_parameter(name)) for name in own}


def test_the_encoder_gives_features_and_the_routed_prediction():
    second = gates().eval()
    images = labelled_batch().views[0]
    encoder = second.encoder("backbone")
    h, logits = encoder(images)
    assert h.shape == (len(images), 48 * EXPERTS)
    torch.testing.assert_close(logits, torch.stack([slow_route(encoder.head, row.chunk(EXPERTS))[0] for row in h]))


def test_features_of_length_nothing_have_finite_scores():
    head = gates().network.head
    h = torch.zeros(2, 48 * EXPERTS, dtype=torch.float64)
    assert head(h).isfinite().all()


def test_a_step_waits_for_no_value():
    step_without_values(gates(), 8, 2, 8, 8, labels=torch.arange(8) % 4, views=1)


@pytest.mark.parametrize("rows", [2, 3, 7])
def test_whatever_is_left_over_of_an_epoch_is_a_batch(rows):
    second = gates()
    updates(second, [labelled_batch(0, rows)])
    assert all(p.isfinite().all() for p in second.parameters())


@pytest.mark.parametrize(
    "first",
    [
        lambda: trained(experts=1),
        lambda: made(CrossEntropy, classifier_init="kaiming"),
        lambda: made(LDAM, scale=30.0, largest_margin=0.5),
    ],
)
def test_routing_needs_experts(first):
    with pytest.raises(LongtailError, match="two or more trained experts: put steps such as ride"):
        gates(first())


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("hidden_width", 0, "at least 1"),
        ("top_logits", 0, "at least 1"),
        ("positive_weight", 0.0, "above 0"),
        ("frozen_bn", "off", "frozen_bn"),
    ],
)
def test_settings_that_make_no_sense(setting, value, words):
    with pytest.raises(LongtailError, match=words):
        RIDERouting.Settings(**{**GATES, setting: value})


def test_it_starts_from_a_trained_network():
    assert RIDERouting.starts == "transfer"
    assert isinstance(gates().network.head.experts, ExpertClassifiers)
