"""True classes reach a loss that is supervised, and no other."""

from __future__ import annotations

import pytest
import torch

from longtail.data.resident import ResidentSplit
from longtail.training import train
from longtail.training.inputs import with_rows
from longtail.training.loop import train as loop


@pytest.fixture
def watched(desk, tools):
    """An objective of a kind after one epoch on the desk's split, and the labels of that."""

    def run(kind):
        split = ResidentSplit(desk.split, {"train": desk.store}, "cpu")
        spec = tools.spec(tools.stretch("watched", kind, last=1, clock=1))
        spec = with_rows(spec, split.labels.tolist(), desk.split)
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
