"""True classes reach a loss that is supervised, and no other."""

from __future__ import annotations

import pytest
import torch

from longtail.data.resident import ResidentSplit
from longtail.errors import LongtailError
from longtail.training import train
from longtail.training.loop import train as loop


@pytest.fixture
def watched(desk, tools):
    """An objective of a kind after one epoch on the desk's split, and the labels of that."""

    def run(kind, **settings):
        split = ResidentSplit(desk.split, {"train": desk.store}, "cpu")
        spec = tools.spec(tools.stretch("watched", kind, last=1, clock=1, **settings))
        spec = desk.read(spec)
        training = train.start(spec, None, torch.device("cpu"))
        loop(training, spec, split, dtype=torch.float32, save=lambda run: None, save_every=1e9)
        return training.objective, split.labels

    return run


def test_a_supervised_loss_is_given_the_class_of_each_image_of_each_view(watched):
    objective, labels = watched("Supervised")
    assert objective.class_sizes.tolist() == labels.bincount().tolist()
    assert objective.batches
    for batch in objective.batches:
        assert len(batch.rows) == len(batch.labels) == len(batch.views) == 2
        assert not torch.equal(*batch.rows)
        assert all(torch.equal(labels[rows], seen) for rows, seen in zip(batch.rows, batch.labels, strict=True))


def test_another_loss_is_given_none(watched):
    objective, _ = watched("Watched")
    assert objective.class_sizes is None
    assert objective.batches
    assert all(batch.labels == () for batch in objective.batches)


def test_a_loss_is_told_how_much_of_its_clock_is_over(watched):
    objective, _ = watched("Watched")
    steps = len(objective.batches)
    assert [batch.progress for batch in objective.batches] == [(step + 1) / steps for step in range(steps)]


def visited(objective, view):
    return torch.cat([batch.rows[view] for batch in objective.batches])


def test_a_sampler_decides_which_images_an_epoch_shows(watched):
    objective, labels = watched("Sampled", sampler={"class_aware": 2})
    rows = visited(objective, 0)
    assert len(rows) == len(labels)
    assert labels[rows].view(-1, 2).unique(dim=1).shape[1] <= 2
    assert (labels[rows].view(-1, 2)[:, 0] == labels[rows].view(-1, 2)[:, 1]).all()
    assert torch.equal(rows, visited(objective, 1))


def test_views_with_samplers_of_their_own_show_images_of_their_own(watched):
    objective, labels = watched("Sampled", sampler=["uniform", {"power": 1}])
    first, second = visited(objective, 0), visited(objective, 1)
    assert torch.equal(first.sort()[0], torch.arange(len(labels)))
    assert len(second) == len(first)
    assert len(second.unique()) < len(first)
    for batch in objective.batches:
        assert all(torch.equal(labels[rows], seen) for rows, seen in zip(batch.rows, batch.labels, strict=True))
    assert torch.equal(first, visited(watched("Sampled")[0], 0))  # the first view sees what it sees without


def test_two_uniform_streams_differ(watched):
    objective, _ = watched("Sampled", sampler=["uniform", "uniform"])
    assert not torch.equal(visited(objective, 0), visited(objective, 1))


@pytest.mark.parametrize(
    ("kind", "sampler", "words"),
    [
        ("Watched", "uniform", ["not supervised", "Remove"]),
        ("Toy", {"power": 1}, ["not supervised", "Remove"]),
        ("Supervised", ["uniform", {"power": 1}], ["decides itself", "shown"]),
        ("Weighted", {"power": 1}, ["decides itself", "sampling_weights"]),
        ("Sampled", ["uniform"], ["1 entries", "2 views"]),
        ("Sampled", {"power": "x"}, ["power", "'x'"]),
    ],
)
def test_samplers_that_cannot_be(watched, kind, sampler, words):
    with pytest.raises(LongtailError) as error:
        watched(kind, sampler=sampler)
    for word in ["'watched'", *words]:
        assert word in str(error.value)


def test_a_supervised_objective_that_pairs_images_may_have_one_sampler(watched):
    objective, _ = watched("Supervised", sampler={"power": 1})
    assert not torch.equal(*objective.batches[0].rows)
