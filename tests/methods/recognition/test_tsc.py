"""TSC as an objective: what it takes over from KCL, and its targets and centroids."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.targets import assigned, batch_tsc, moved_centroids, simplex, tsc, uniformity
from longtail.methods.recognition.kcl import KCL, BatchKCL
from longtail.methods.recognition.tsc import TSC, QueueTSC
from tests.methods.pieces import TheseImages, step_without_values, updates
from tests.methods.recognition.pieces import labelled_batch, made, unlearned
from tests.methods.recognition.test_kcl import IN_BATCH, QUEUED

SETTINGS = {**IN_BATCH, "target_weight": 0.2, "assignment": "hungarian", "target_counted": True}


def second_half(**changes) -> TSC:
    """Behind some updates of KCL, and prepared."""
    first = made(BatchKCL, **IN_BATCH)
    updates(first, [labelled_batch(seed) for seed in range(2)])
    second = made(TSC, first, **{**SETTINGS, **changes})
    second.prepare(TheseImages())
    return second


def test_it_goes_on_from_backbone_and_head_of_the_first_half():
    first = made(BatchKCL, **IN_BATCH)
    second = made(TSC, first, **SETTINGS)
    assert (second.backbone, second.projector) == (first.backbone, first.projector)
    assert TSC.starts == "transfer"
    assert all(p.requires_grad for p in second.parameters())


def test_targets_are_a_simplex_where_there_is_one():
    second = second_half()
    torch.testing.assert_close(second.targets, simplex(4, 3).to(second.targets.dtype))


def test_targets_are_placed_elsewhere_by_descent(monkeypatch):
    def placed(classes, width, device):
        return torch.ones(classes, width, device=device)

    monkeypatch.setattr("longtail.methods.recognition.tsc.optimised", placed)
    first = made(BatchKCL, **{**IN_BATCH, "projection_width": 2})
    second = made(TSC, first, **{**SETTINGS, "projection_width": 2})
    second.prepare(TheseImages())
    assert torch.equal(second.targets, torch.ones_like(second.targets))


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("assignment", ["hungarian", "fixed"])
def test_the_loss_is_of_the_assignment_after_the_centroids_moved(assignment, counted):
    second, batch = second_half(assignment=assignment, target_counted=counted), labelled_batch(5)
    before = copy.deepcopy(second)
    a, b = unit(before.projector(before.backbone(torch.cat(batch.views)))).chunk(2)
    y, own = batch.labels[0], torch.arange(4)
    if assignment == "hungarian":
        centroids = moved_centroids(before.centroids, torch.cat([a, b]), y.repeat(2))
        own = assigned(centroids, before.targets)
        assert own.tolist() != [0, 1, 2, 3]
    again = labelled_batch(5).generator
    expected = batch_tsc(a, b, y, before.targets, own, 2, 0.1, 0.2, counted, again)
    torch.testing.assert_close(second.loss(batch)["loss"], expected)
    if assignment == "hungarian":
        torch.testing.assert_close(second.centroids, centroids)
    else:
        assert torch.equal(second.centroids, before.centroids)


def test_targets_and_centroids_are_part_of_the_checkpoint():
    second = second_half()
    updates(second, [labelled_batch(3)])
    restored = made(TSC, made(BatchKCL, **IN_BATCH), **SETTINGS)
    restored.load_state_dict(second.state_dict())
    assert torch.equal(restored.centroids, second.centroids)
    assert uniformity(restored.targets).isfinite()
    assert torch.equal(restored.targets, second.targets)


def test_a_step_with_a_fixed_assignment_waits_for_no_value():
    """The Hungarian algorithm has to see the centroids."""
    step_without_values(second_half(assignment="fixed"), 8, 2, 5, 5, labels=torch.arange(8) % 4)


@pytest.mark.parametrize(("name", "value"), [("target_weight", -1), ("assignment", "greedy"), ("positives", -1)])
def test_settings_that_make_no_sense(name, value):
    with pytest.raises(LongtailError, match=name):
        TSC.Settings(**{**SETTINGS, name: value})


# --- Against a queue --------------------------------------------------------------------------------------------------

WITH_QUEUE = {**QUEUED, "target_weight": 0.2, "assignment": "hungarian", "target_counted": True}


def second_half_of_queued(**changes) -> QueueTSC:
    """Behind some updates of KCL, and prepared."""
    first = made(KCL, **QUEUED)
    updates(first, [labelled_batch(seed) for seed in range(2)])
    second = made(QueueTSC, first, **{**WITH_QUEUE, **changes})
    second.prepare(TheseImages())
    return second


def test_networks_and_queue_go_on_from_the_first_half():
    first = made(KCL, **QUEUED)
    updates(first, [labelled_batch()])
    before = copy.deepcopy(first.state_dict())
    second = made(QueueTSC, first, **WITH_QUEUE)
    state = second.state_dict()
    assert state.keys() - before.keys() == {"targets", "centroids", "assignment"}
    assert all(torch.equal(state[name], value) for name, value in before.items())
    assert QueueTSC.starts == "transfer"


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("assignment", ["hungarian", "fixed"])
def test_the_loss_against_a_queue_is_of_the_centroids_of_the_queries(assignment, counted):
    second, batch = second_half_of_queued(assignment=assignment, target_counted=counted), labelled_batch(5)
    before = copy.deepcopy(second)
    before.move_keys()
    query = unit(before.projector(before.backbone(batch.views[0])))
    key, y, own = before.key(batch.views[1], batch.generator), batch.labels[0], torch.arange(4)
    if assignment == "hungarian":
        centroids = moved_centroids(before.centroids, query.detach(), y)
        own = assigned(centroids, before.targets)
        assert own.tolist() != [0, 1, 2, 3]
    queue = (before.queue.keys, before.queue.labels)
    expected = tsc(query, key, y, *queue, before.targets, own, 2, 0.1, 0.2, counted, labelled_batch(5).generator)
    loss = second.loss(batch)["loss"]
    torch.testing.assert_close(loss, expected)
    if assignment == "hungarian":
        torch.testing.assert_close(second.centroids, centroids)
    loss.backward()
    assert all(name.startswith("key_") for name in unlearned(second))


def test_targets_may_be_assigned_once_for_all_steps_of_an_epoch():
    """The centroids move in each step; whose the targets are follows before the next epoch."""
    second = second_half_of_queued(reassigned="epoch")
    every_step = second_half_of_queued()
    for epoch in range(2):
        second.start_epoch(epoch, TheseImages())
        own = assigned(second.centroids, second.targets)
        assert torch.equal(second.assignment, own)
        for seed in (5, 6):
            batch, before = labelled_batch(seed), copy.deepcopy(second)
            before.move_keys()
            query = unit(before.projector(before.backbone(batch.views[0])))
            queue = (before.queue.keys, before.queue.labels)
            weighed = (before.targets, own, 2, 0.1, 0.2, True)
            expected = tsc(
                query,
                before.key(batch.views[1], batch.generator),
                batch.labels[0],
                *queue,
                *weighed,
                labelled_batch(seed).generator,
            )
            torch.testing.assert_close(second.loss(batch)["loss"], expected)
            torch.testing.assert_close(
                second.centroids, moved_centroids(before.centroids, query.detach(), batch.labels[0])
            )
    every_step.start_epoch(0, TheseImages())
    assert every_step.assignment.tolist() == [0, 1, 2, 3]


def test_a_step_of_an_epoch_with_its_targets_waits_for_no_value():
    step_without_values(second_half_of_queued(reassigned="epoch"), 8, 2, 5, 5, labels=torch.arange(8) % 4)


def test_a_step_against_a_queue_with_a_fixed_assignment_waits_for_no_value():
    step_without_values(second_half_of_queued(assignment="fixed"), 8, 2, 5, 5, labels=torch.arange(8) % 4)


def test_the_first_half_has_to_be_kcl_with_a_queue_of_the_same_size():
    with pytest.raises(LongtailError, match="queue of KCL"):
        made(QueueTSC, made(BatchKCL, **IN_BATCH), **WITH_QUEUE)
    with pytest.raises(LongtailError, match=r"queue_size .* those of the step before, \(12, 3\)"):
        made(QueueTSC, made(KCL, **QUEUED), **{**WITH_QUEUE, "queue_size": 24})
