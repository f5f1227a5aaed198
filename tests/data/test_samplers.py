from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.data.resident import generator
from longtail.data.samplers import row_weights, sampled
from longtail.errors import LongtailError
from longtail.training.hyperparameters import require_sampler

LABELS = torch.arange(4).repeat_interleave(torch.tensor([100, 30, 10, 2]))
labels_of = st.lists(st.integers(0, 12), min_size=1, max_size=4).map(
    lambda sizes: torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
)


def draws(*parts):
    return generator("cpu", *(parts or (0,)))


def per_class(weights, labels):
    """The probability of each class."""
    return torch.zeros(int(labels.max()) + 1).double().index_add_(0, labels, weights) / weights.sum()


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ({"power": 1}, [0.015544, 0.051813, 0.155440, 0.777202]),
        ({"power": 0}, [0.25] * 4),
        ({"power": -1}, [100 / 142, 30 / 142, 10 / 142, 2 / 142]),
        ({"effective_number": 0.9999}, [0.250806, 0.249931, 0.249681, 0.249581]),
        ({"effective_number": 0}, [100 / 142, 30 / 142, 10 / 142, 2 / 142]),
    ],
)
def test_classes_are_drawn_as_often_as_the_official_samplers_draw_them(sampler, expected):
    weights = row_weights(sampler, LABELS)
    assert per_class(weights, LABELS).tolist() == pytest.approx(expected, abs=1e-6)
    for own in weights.split([100, 30, 10, 2]):
        assert (own == own[0]).all()  # all images of a class alike


def test_effective_numbers_do_not_quite_balance_cifar():
    sizes = torch.tensor([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50])
    labels = torch.arange(10).repeat_interleave(sizes)
    found = per_class(row_weights({"effective_number": 0.9999}, labels), labels)
    assert [found[0].item(), found[-1].item()] == pytest.approx([0.119290, 0.094107], abs=1e-6)


@pytest.mark.parametrize("sampler", [{"power": 1}, {"power": 0.5}, {"effective_number": 0.9}])
def test_draws_follow_the_weights(sampler):
    labels = LABELS.repeat(50)
    order = sampled(sampler, labels, draws())
    assert order.shape == labels.shape
    assert order.dtype == torch.int64
    found = labels[order].bincount(minlength=4) / len(labels)
    expected = per_class(row_weights(sampler, labels), labels)
    deviation = (expected * (1 - expected) / len(labels)).sqrt()
    assert ((found - expected).abs() < 4 * deviation).all()


def in_cycles(seen, members):
    """Whether ``seen`` goes through ``members`` in one order after another, all of each before the next."""
    size = len(members)
    whole = [sorted(seen[i : i + size]) == sorted(members) for i in range(0, len(seen) // size * size, size)]
    rest = seen[len(seen) // size * size :]
    return all(whole) and len(set(rest)) == len(rest) and set(rest) <= set(members)


def classes_of_turns(order, labels, images):
    """Those of the rows in each turn, as sets."""
    return [{labels[row] for row in order[i : i + images]} for i in range(0, len(order), images)]


def is_in_turns(order, labels, images):
    """Whether each turn is of one class, and the rows of a class are in cycles."""
    return all(len(one) == 1 for one in classes_of_turns(order, labels, images)) and all(
        in_cycles([row for row in order if labels[row] == k], [row for row, label in enumerate(labels) if label == k])
        for k in set(labels)
    )


def is_class_aware(order, labels, images):
    """Whether rows are in turns, and these in cycles."""
    turns = classes_of_turns(order, labels, images)
    return is_in_turns(order, labels, images) and in_cycles([one for (one,) in turns], sorted(set(labels)))


def test_the_official_class_aware_sampler_is_what_is_meant_here():
    """Its indices for 5, 2 and 1 images, Python's generator seeded with 0, four images a turn."""
    labels = [0, 0, 0, 0, 0, 1, 1, 2]
    official = [4, 1, 3, 2, 7, 7, 7, 7, 5, 6, 5, 6, 0, 2, 4]
    assert is_class_aware(official, labels, 4)
    assert not is_class_aware(official[4:8] + official, labels, 4)
    assert not is_class_aware([4, 1, 3, 3, *official[4:]], labels, 4)


@pytest.mark.parametrize(("kind", "structured"), [("class_aware", is_class_aware), ("class_drawn", is_in_turns)])
@given(labels=labels_of.filter(len), images=st.integers(1, 5), seed=st.integers(0, 9))
def test_orders_in_turns_have_the_structure_of_the_official_ones(kind, structured, labels, images, seed):
    order = sampled({kind: images}, labels, draws(seed))
    assert order.shape == labels.shape
    assert order.dtype == torch.int64
    assert structured(order.tolist(), labels.tolist(), images)


def test_classes_are_drawn_alike_and_whatever_came_before():
    labels = LABELS.repeat(50)
    order = labels[sampled({"class_drawn": 1}, labels, draws())]
    for found in (order, order[1:][order[:-1] == 0]):  # all of them, and those that follow on the first class
        deviation = (0.25 * 0.75 / len(found)) ** 0.5
        assert (found.bincount(minlength=4) / len(found) - 0.25).abs().max() < 4 * deviation


def test_class_aware_orders_are_shuffled_anew_in_each_epoch():
    first, second = (sampled({"class_aware": 2}, LABELS, draws(0, "order", epoch)) for epoch in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, sampled({"class_aware": 2}, LABELS, draws(0, "order", 0)))


def test_uniform_is_each_row_once():
    assert torch.equal(sampled("uniform", LABELS, draws()).sort()[0], torch.arange(142))


@given(labels=labels_of.filter(len), g=st.floats(-3, 3), seed=st.integers(0, 9))
def test_no_class_without_images_is_drawn(labels, g, seed):
    for sampler in ({"power": g}, {"class_aware": 2}, {"class_drawn": 1}, {"effective_number": 0.99}):
        order = sampled(sampler, labels, draws(seed))
        assert order.min() >= 0
        assert order.max() < len(labels)


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        ("reverse", ["'reverse'", "power, effective_number, class_aware, class_drawn"]),
        (3, ["3", "uniform"]),
        ({}, ["uniform"]),
        ({"power": 1, "class_aware": 4}, ["one of"]),
        ({"powr": 1}, ["Did you mean 'power'"]),
        ({"power": "1"}, ["'1'", "a number"]),
        ({"power": float("inf")}, ["inf", "a number"]),
        ({"effective_number": 1.0}, ["1.0", "[0, 1)"]),
        ({"class_aware": 0}, ["0", "whole number"]),
        ({"class_aware": 2.5}, ["2.5", "whole number"]),
        ({"class_aware": True}, ["True", "whole number"]),
        ({"class_drawn": 0.5}, ["class_drawn", "0.5", "whole number"]),
    ],
)
def test_mistakes_are_named(sampler, words):
    with pytest.raises(LongtailError) as error:
        require_sampler(sampler, "Objective 'toy'")
    for word in ["'toy'", *words]:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "sampler", ["uniform", {"power": -1}, {"effective_number": 0}, {"class_aware": 4}, {"class_drawn": 1}]
)
def test_samplers_that_there_are(sampler):
    require_sampler(sampler, "Objective 'toy'")


@given(labels=st.lists(st.integers(0, 6), min_size=1, max_size=60), images=st.integers(1, 4), seed=st.integers(0, 999))
@pytest.mark.parametrize("kind", ["class_aware", "class_drawn"])
def test_turns_are_filled_class_by_class(kind, labels, images, seed):
    """By a search for its turns of each class, which takes minutes on iNaturalist, where there are 8142."""
    given_labels, draws = torch.tensor(labels), torch.Generator().manual_seed(seed)

    def cycles(length, wanted):
        found = []
        while len(found) < wanted:
            found += torch.randperm(length, generator=draws).tolist()
        return found[:wanted]

    present = sorted(set(labels))
    turns = -(-len(labels) // images)
    shown = (
        torch.randint(len(present), (turns,), generator=draws).tolist()
        if kind == "class_drawn"
        else cycles(len(present), turns)
    )
    order = [None] * turns
    for number, label in enumerate(present):
        rows = [row for row, other in enumerate(labels) if other == label]
        own = [turn for turn in range(turns) if shown[turn] == number]
        taken = cycles(len(rows), len(own) * images)
        for position, turn in enumerate(own):
            order[turn] = [rows[taken[position * images + i]] for i in range(images)]
    expected = [row for turn in order for row in turn][: len(labels)]
    assert sampled({kind: images}, given_labels, torch.Generator().manual_seed(seed)).tolist() == expected
