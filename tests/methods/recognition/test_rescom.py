"""ResCom as an objective, module by module of its Table 6."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.base import Batch
from longtail.methods.losses.classification import logit_adjusted
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.siamese_mining import contrast_weights, rebalanced_contrast
from longtail.methods.recognition.paco import PaCo
from longtail.methods.recognition.rescom import ResCom, SupConBalSfx
from longtail.methods.recognition.two_stage import ClassifierRetraining
from longtail.models.splitnorm import unsplit
from longtail.study.study import load_study
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import SIZES, labelled_batch, made, unlearned

SUPCON = {
    "classifier_init": "default", "projection_width": 3, "temperature": 0.2, "contrast_weight": 0.5,
    "classified_views": 1, "beta": 0.9, "class_weight": "mean_normalised", "queue": "balanced", "keys_per_class": 3,
    "contrast": "batch_and_queue", "anchor_views": 2, "enqueued_view": 1,
}  # fmt: skip
RESCOM = {**SUPCON, "classified_views": 2, "hard_positives": 1, "hard_negatives": 4}
PACO = {
    "temperature": 0.1, "projection_width": 3, "queue_size": 12, "target_momentum": 0.9, "alpha": 0.05, "divided": True,
}  # fmt: skip
PAPER = {"class_weight": "raw", "contrast": "queue", "anchor_views": 1, "enqueued_view": 2}


def parts(objective, batch):
    """Feature, logits and unit embedding of both views in one forward pass."""
    h, logits = objective.network(torch.cat(batch.views))
    return logits, unit(objective.projector(h))


@pytest.mark.parametrize("choices", [{}, PAPER], ids=["official", "paper"])
def test_the_loss_is_siamese_softmax_and_the_contrast_of_mined_pairs(choices):
    objective, batch = made(ResCom, **{**RESCOM, **choices}), labelled_batch()
    logits, z = parts(objective, batch)
    y, queue = batch.labels[0], objective.queue.keys.clone()
    weights = contrast_weights(SIZES, 0.9, "raw" if choices else "mean_normalised")
    anchors = 8 if choices else 16
    contrast = rebalanced_contrast(
        z, y.repeat(2), queue, objective.queue.labels, weights, 0.2, anchors, not choices, (1, 4)
    )
    siamese = (logit_adjusted(logits[:8], y, SIZES) + logit_adjusted(logits[8:], y, SIZES)) / 2
    found = objective.loss(batch)
    torch.testing.assert_close(found["loss"], siamese + 0.5 * contrast)
    found["loss"].backward()
    assert unlearned(objective) == []


@pytest.mark.parametrize("choices", [{}, PAPER], ids=["official", "paper"])
@pytest.mark.parametrize("groups", [2, 4])
def test_groups_of_a_batch_learn_as_on_gpus_of_their_own(groups, choices):
    """Each normalises and contrasts its share; gradients and statistics are means, and all keys reach the queue."""
    objective, batch = made(ResCom, **{**RESCOM, **choices}, batch_groups=groups), labelled_batch()
    gpus, expected = [unsplit(objective) for _ in range(groups)], []
    for number, gpu in enumerate(gpus):
        assert not [layer for layer in gpu.modules() if getattr(layer, "splits", 1) > 1]
        gpu.settings = ResCom.Settings(**{**RESCOM, **choices})
        share = Batch(
            *(tuple(part[number::groups] for part in parts) for parts in (batch.views, batch.rows)),
            batch.generator,
            tuple(labels[number::groups] for labels in batch.labels),
        )
        expected.append(gpu.loss(share))
        expected[-1]["loss"].backward()
    _, z = parts_in_groups(objective, batch, groups)
    found = objective.loss(batch)
    for name, value in found.items():
        torch.testing.assert_close(value, sum(each[name] for each in expected) / groups, msg=name)
    found["loss"].backward()
    learned = [dict(gpu.named_parameters()) for gpu in gpus]
    for name, parameter in objective.named_parameters():
        torch.testing.assert_close(parameter.grad, sum(one[name].grad for one in learned) / groups, msg=name)
    statistics = [dict(gpu.named_buffers()) for gpu in gpus]
    for name, value in objective.named_buffers():
        if "running" in name:
            torch.testing.assert_close(value, sum(one[name] for one in statistics) / groups, msg=name)
    slow = copy.deepcopy(made(ResCom, **RESCOM).queue)
    slow.put(z[8:] if choices else z[:8], batch.labels[0])
    torch.testing.assert_close(objective.queue.keys, slow.keys)


def parts_in_groups(objective, batch, groups):
    """Logits and unit embeddings of both views, group by group, in the order of the batch."""
    both, logits, z = torch.cat(batch.views), [None] * 16, [None] * 16
    for number in range(groups):
        gpu = unsplit(objective)
        found = parts(gpu, Batch((both[number::groups],), (), batch.generator))
        for place, *each in zip(range(number, 16, groups), *found, strict=True):
            logits[place], z[place] = each
    return torch.stack(logits), torch.stack(z).detach()


def test_groups_leave_names_and_start_of_the_weights_as_they_are():
    """So that one pre-trained or transferred network fits the other."""
    whole, grouped = made(ResCom, **RESCOM), made(ResCom, **RESCOM, batch_groups=2)
    for (name, value), (other, same) in zip(whole.state_dict().items(), grouped.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(value, same), name
    images = labelled_batch().views[0]
    torch.testing.assert_close(grouped.eval().encoder("backbone")(images), whole.eval().encoder("backbone")(images))


@pytest.mark.parametrize(("kind", "settings"), [(ResCom, RESCOM), (PaCo, PACO)])
def test_what_follows_takes_batches_of_any_size(kind, settings):
    """cRT and LWS normalise by the batch, in train mode, and their last one may be incomplete."""
    first = made(kind, **settings, batch_groups=4)
    updates(first, [labelled_batch()])
    for feature in ("backbone", "projection"):
        first.encoder(feature).train()(labelled_batch(rows=7).views[0])
    second = made(ClassifierRetraining, first, classifier_init="default", frozen_bn="train").train()
    updates(second, [labelled_batch(rows=7)])
    assert unlearned(second) == [name for name, p in second.named_parameters() if not p.requires_grad]


@pytest.mark.parametrize("view", [1, 2])
def test_a_step_does_not_meet_its_own_batch_and_leaves_one_view_of_it_behind(view):
    """View 1 in dvlab-research/ResCom, view 2 in the paper; the newest keys of a class are its last in the batch."""
    objective, batch = made(ResCom, **{**RESCOM, "enqueued_view": view}), labelled_batch()
    before = objective.queue.keys.clone()
    _, z = parts(objective, batch)
    keys, y = z[:8] if view == 1 else z[8:], batch.labels[0]
    objective.loss(batch)
    for k in range(4):
        own = keys[y == k]
        queue = objective.queue.keys[objective.queue.labels == k]
        slots = torch.arange(len(own)) % 3
        expected = before[objective.queue.labels == k]
        for slot, key in zip(slots, own, strict=True):
            expected[slot] = key
        torch.testing.assert_close(queue, expected)


@pytest.mark.parametrize("queue", ["original", "reversed", "balanced"])
def test_the_whole_queue_of_any_kind_counts_where_nothing_is_mined(queue):
    objective, batch = made(SupConBalSfx, **{**SUPCON, "queue": queue}), labelled_batch()
    objective.loss(labelled_batch(1))  # something is in the queue
    logits, z = parts(objective, batch)
    y, weights = batch.labels[0], contrast_weights(SIZES, 0.9, "mean_normalised")
    contrast = rebalanced_contrast(
        z, y.repeat(2), objective.queue.keys.clone(), objective.queue.labels.clone(), weights, 0.2, 16, True
    )
    found = objective.loss(batch)
    torch.testing.assert_close(found["loss"], logit_adjusted(logits[:8], y, SIZES) + 0.5 * contrast)
    found["loss"].backward()
    assert unlearned(objective) == []


def test_mining_every_pair_is_the_row_before():
    mining = made(ResCom, **{**RESCOM, "classified_views": 1, "hard_positives": 3, "hard_negatives": 9})
    whole = made(SupConBalSfx, **SUPCON)
    updates(mining, [labelled_batch(seed) for seed in range(3)])
    updates(whole, [labelled_batch(seed) for seed in range(3)])
    for name, value in mining.state_dict().items():
        torch.testing.assert_close(whole.state_dict()[name], value, msg=name)


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_batches_of_any_size_and_of_one_class(rows):
    """Each image has its other view, so that batch normalisation has two of it."""
    objective, batch = made(ResCom, **RESCOM), labelled_batch(rows=rows)
    batch.labels[0].zero_()
    updates(objective, [batch])
    assert all(value.isfinite().all() for value in objective.state_dict().values())


@pytest.mark.parametrize("queue", ["original", "reversed", "balanced"])
def test_a_step_waits_for_no_value(queue):
    labels = torch.arange(8) % 4
    step_without_values(made(SupConBalSfx, **{**SUPCON, "queue": queue}), 8, 2, 5, 5, labels=labels)
    if queue == "balanced":
        step_without_values(made(ResCom, **RESCOM), 8, 2, 5, 5, labels=labels)


def test_features():
    objective = made(ResCom, **RESCOM)
    assert objective.encoder("backbone").embedder.width == 6
    assert objective.encoder("projection").width == 3
    with pytest.raises(LongtailError, match="logits"):
        objective.encoder("logits")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0), ("projection_width", 0), ("contrast_weight", -1), ("beta", 1), ("keys_per_class", 0),
        ("class_weight", "none"), ("anchor_views", 3), ("hard_positives", 4), ("hard_negatives", 0),
        ("queue", "original"), ("hard_negatives", 10), ("batch_groups", 0),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(name, value):
    with pytest.raises(LongtailError, match=f"{name}.*{value}"):
        made(ResCom, **{**RESCOM, name: value})


# --- Rows of Table 6 --------------------------------------------------------------------------------------------------

STUDY = load_study({"targets": ["digits"]})
SWITCHES = {  # two views classified, class weights, kind of queue, mined
    "supcon-balsfx": (1, 0.0, "original", False),
    "supcon-balsfx-cbl": (1, 0.99, "original", False),
    "supcon-balsfx-cbl-cbq": (1, 0.99, "balanced", False),
    "supcon-balsfx-cbq-200": (1, 0.0, "balanced", False),
    "rescom-balsfx": (1, 0.99, "balanced", True),
    "rescom": (2, 0.99, "balanced", True),
}


@pytest.mark.parametrize("method", SWITCHES)
def test_rows_differ_from_the_one_before_in_one_module(method):
    (measured,) = STUDY.cell_measurements(method, "cifar10-lt-ir100", 0)
    (stretch,) = STUDY.phase("cifar10-lt-ir100", measured.path.split("/")[3]).spec(0)["lineage"]
    found = stretch["settings"]
    switches = ("classified_views", "beta", "queue")
    assert (*(found[name] for name in switches), "hard_positives" in found) == SWITCHES[method]
