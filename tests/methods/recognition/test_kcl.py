"""KCL as an objective: the pair of networks, the queue and its classes, and the run within a batch."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.key_contrast import batch_kcl, kcl
from longtail.methods.losses.numerics import unit
from longtail.methods.recognition.kcl import KCL, BatchKCL
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import labelled_batch, made, unlearned

IN_BATCH = {"temperature": 0.1, "projection_width": 3, "positives": 2}
QUEUED = {**IN_BATCH, "queue_size": 12, "target_momentum": 0.9}
BOTH = pytest.mark.parametrize(("kind", "settings"), [(KCL, QUEUED), (BatchKCL, IN_BATCH)])


def test_a_step_moves_the_keys_first_and_enqueues_them_with_their_classes_afterwards():
    objective = made(KCL, **QUEUED)
    updates(objective, [labelled_batch(1)])  # so that query and key network differ
    before, batch = copy.deepcopy(objective), labelled_batch(2)
    loss = objective.loss(batch)["loss"]

    moved = copy.deepcopy(before)
    for part in ("backbone", "projector"):
        keys, queries = getattr(moved, f"key_{part}"), getattr(before, part)
        for key, query in zip(keys.parameters(), queries.parameters(), strict=True):
            key.data = 0.9 * key.data + 0.1 * query.data
    key = unit(moved.key_projector(moved.key_backbone(batch.views[1])))
    query = unit(before.projector(before.backbone(batch.views[0])))
    y, past = batch.labels[0], before.queue
    again = labelled_batch(2).generator  # the draws of the step
    torch.testing.assert_close(loss, kcl(query, key, y, past.keys, past.labels, 2, 0.1, again))
    torch.testing.assert_close(objective.queue.keys[[*range(8, 12), *range(4)]].double(), key, rtol=0, atol=1e-6)
    assert torch.equal(objective.queue.labels[[*range(8, 12), *range(4)]], y)
    assert torch.equal(objective.queue.labels[4:8], past.labels[4:8])


def test_the_first_step_knows_no_other_key_of_a_class():
    """The queue is random then, and its places of no class."""
    first, batch = made(KCL, **QUEUED), labelled_batch()
    alone = made(KCL, **{**QUEUED, "positives": 0})
    torch.testing.assert_close(first.loss(batch)["loss"], alone.loss(labelled_batch())["loss"])


def test_a_gradient_reaches_the_queries_alone():
    objective = made(KCL, **QUEUED)
    objective.loss(labelled_batch())["loss"].backward()
    assert all(name.startswith("key_") for name in unlearned(objective))
    [group] = objective.parameter_groups()
    assert {id(p) for p in group["params"]} == {
        id(p) for part in (objective.backbone, objective.projector) for p in part.parameters()
    }


def test_the_loss_in_a_batch_is_of_both_views_together():
    objective, batch = made(BatchKCL, **IN_BATCH), labelled_batch()
    both = unit(objective.encoder("projection")(torch.cat(batch.views)))
    expected = batch_kcl(both[:8], both[8:], batch.labels[0], 2, 0.1, labelled_batch().generator)
    loss = objective.loss(batch)["loss"]
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert unlearned(objective) == []


@BOTH
def test_a_step_waits_for_no_value(kind, settings):
    step_without_values(made(kind, **settings), 8, 2, 5, 5, labels=torch.arange(8) % 4)


@BOTH
def test_features(kind, settings):
    objective = made(kind, **settings)
    assert (objective.encoder("backbone").width, objective.encoder("projection").width) == (6, 3)
    with pytest.raises(LongtailError, match=f"features of {kind.__name__}"):
        objective.encoder("logits")


@pytest.mark.parametrize(
    ("name", "value"),
    [("positives", -1), ("temperature", 0), ("projection_width", 0), ("queue_size", 0), ("target_momentum", 1.1)],
)
def test_settings_that_make_no_sense(name, value):
    for kind, settings in ((KCL, QUEUED), (BatchKCL, IN_BATCH)):
        if name in settings:
            with pytest.raises(LongtailError, match=f"{name} is {value}"):
                kind.Settings(**{**settings, name: value})
