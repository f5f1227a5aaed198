"""ProCo: the coreset against GLISTER's algorithm, and the objective with its prototypes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import LongtailError
from longtail.methods.losses.global_contrast import global_contrast, prototype_contrast
from longtail.methods.losses.numerics import unit
from longtail.methods.recognition.coreset import class_coresets, coreset_sizes, glister
from longtail.methods.recognition.gloco import GloCo
from longtail.methods.recognition.proco import ProCo
from longtail.methods.recognition.reweighting import CrossEntropy
from longtail.methods.recognition.supcon import SupCon
from tests.methods.golden import waves
from tests.methods.pieces import TheseImages, step_without_values, updates
from tests.methods.recognition.pieces import SIZES, labelled_batch, made, unlearned
from tests.methods.recognition.test_gloco import SETTINGS as GLOCO
from tests.methods.recognition.test_gloco import shown_batch

SETTINGS = {**GLOCO, "alpha": 0.3, "coreset": "glister", "coreset_share": 0.5, "coreset_least": 2, "coreset_rate": 0.1}


# --- The coreset ------------------------------------------------------------------------------------------------------


def slow_glister(logits, labels, budget, rate):
    """Every gradient anew, and the step of the chosen ones added up image by image."""
    count, classes = len(logits), range(len(logits[0]))

    def gradient(scores, label):
        odds = [math.exp(score) for score in scores]
        return [odd / sum(odds) - float(k == label) for k, odd in enumerate(odds)]

    chosen: list[int] = []
    while len(chosen) < budget:
        step = [rate * sum(gradient(logits[j], labels[j])[k] for j in chosen) for k in classes]
        moved = [gradient([logits[v][k] - step[k] for k in classes], labels[v]) for v in range(count)]
        ahead = [sum(gradient[k] for gradient in moved) / count for k in classes]
        gains = {}
        for e in range(count):
            if e not in chosen:
                gains[e] = sum(gradient(logits[e], labels[e])[k] * ahead[k] for k in classes)
        chosen.append(max(gains, key=gains.__getitem__))
    return chosen


@settings(max_examples=40)
@given(seed=st.integers(0, 999), rows=st.integers(1, 6), classes=st.integers(2, 4), rate=st.floats(0, 2))
def test_glister_is_its_algorithm(seed, rows, classes, rate):
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, dtype=torch.float64, generator=random)
    labels = torch.randint(classes, (rows,), generator=random)
    assert glister(logits, labels, rows, rate).tolist() == slow_glister(logits.tolist(), labels.tolist(), rows, rate)


def test_golden_coresets():
    """What decile-team/cords chooses by logits alone, of the whole set and class by class."""
    w, b = waves(3, 4, 500).detach(), torch.tensor([0.1, 0, -0.1], dtype=torch.float64)
    logits, y = waves(8, 4, 0).detach() @ w.T + b, torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
    assert glister(logits, y, 4, 0.1).tolist() == [4, 5, 3, 6]
    assert class_coresets(logits, [3, 3, 2], [2, 2, 1], 0.1).sort().values.tolist() == [1, 2, 4, 5, 6]


def test_sizes_of_coresets():
    sizes = torch.tensor([5000, 387, 83, 50, 7])
    assert coreset_sizes(sizes, 0.1, 10).tolist() == [500, 39, 10, 10, 7]
    assert torch.equal(coreset_sizes(sizes, 1.0, 10), sizes)


# --- The objective ----------------------------------------------------------------------------------------------------


def classifier() -> CrossEntropy:
    return made(CrossEntropy, classifier_init="default")


def prepared(**changes) -> ProCo:
    objective = made(ProCo, classifier(), **{**SETTINGS, **changes})
    objective.prepare(TheseImages())
    objective.start_epoch(0, TheseImages())
    return objective


def test_the_network_is_new_and_the_classifier_no_part_of_it():
    parent = classifier()
    objective, alone = made(ProCo, parent, **SETTINGS), made(GloCo, **GLOCO)
    assert set(objective.state_dict()) - set(alone.state_dict()) == {"coreset", "prototypes"}
    for name, value in alone.state_dict().items():
        assert objective.state_dict()[name].shape == value.shape
    assert not {id(p) for p in parent.parameters()} & {id(p) for p in objective.parameters()}


def test_the_classifier_selects_the_coreset():
    network, images = classifier().network.eval(), TheseImages()
    _, logits = network(images.images)
    sizes, counts = SIZES.tolist(), [4, 3, 2, 2]  # half of each class, and two at least
    expected = class_coresets(logits.detach().float(), sizes, counts, 0.1)
    assert torch.equal(prepared().coreset, expected)


@pytest.mark.parametrize("coreset", ["random", "all"])
def test_other_coresets(coreset):
    torch.manual_seed(3)
    found = prepared(coreset=coreset).coreset
    assert len(set(found.tolist())) == len(found)
    labels = torch.repeat_interleave(torch.arange(4), SIZES)[found]
    assert labels.bincount().tolist() == ([4, 3, 2, 2] if coreset == "random" else SIZES.tolist())
    assert torch.equal(labels, labels.sort().values)


def test_prototypes_are_means_of_two_views_of_the_coreset_by_the_key_network():
    objective, images = prepared(), TheseImages()
    updates(objective, [shown_batch(seed) for seed in range(3)])
    before = objective.prototypes.clone()
    objective.start_epoch(1, images)
    assert not torch.equal(objective.prototypes, before)
    key = torch.nn.Sequential(objective.key_backbone, objective.key_projector).eval()
    labels = torch.repeat_interleave(torch.arange(4), SIZES)
    for view in range(2):  # as TheseImages augments
        z = unit(key(images.images[objective.coreset] + view))
        for k in range(4):
            mean = sum(z[j] for j, row in enumerate(objective.coreset) if labels[row] == k)
            torch.testing.assert_close(objective.prototypes[view, k].double(), mean / mean.norm(), rtol=0, atol=1e-6)


def test_the_loss_is_that_of_gloco_and_that_of_both_views():
    objective, batch = prepared(), shown_batch(5)
    past = objective.queue.keys.clone()
    first, second = (unit(objective.projector(objective.backbone(view))) for view in batch.views[:2])
    parts = objective.loss(batch)
    y, tau = batch.labels[0], objective.temperatures(batch.labels[0])
    keys = [unit(objective.key_projector(objective.key_backbone(view))) for view in batch.views[1:]]
    contrast = global_contrast(first, keys, past, torch.zeros(8, 12, dtype=torch.bool), tau)
    prototypes = prototype_contrast((first, second), tuple(objective.prototypes), y, tau)
    torch.testing.assert_close(parts["loss"], 0.3 * contrast + 0.7 * prototypes)
    torch.testing.assert_close([parts["contrast"], parts["prototypes"]], [contrast, prototypes])
    parts["loss"].backward()
    assert all(name.startswith("key_") for name in unlearned(objective))


def test_without_prototypes_it_trains_as_gloco():
    proco, gloco = prepared(alpha=1.0), made(GloCo, **GLOCO)
    gloco.load_state_dict({name: proco.state_dict()[name] for name in gloco.state_dict()})
    for objective in (proco, gloco):
        updates(objective, [shown_batch(seed) for seed in range(3)])
    for name, value in gloco.named_parameters():
        torch.testing.assert_close(proco.get_parameter(name), value, rtol=1e-10, atol=1e-12, msg=name)


def test_on_kcl_it_has_two_views():
    objective = prepared(positives=2, adaptive=False)
    updates(objective, [labelled_batch(1), labelled_batch(2, rows=3)])
    assert all(value.isfinite().all() for value in objective.state_dict().values())


def test_a_step_waits_for_no_value():
    step_without_values(prepared(), 8, 2, 5, 5, labels=torch.arange(8) % 4, views=4)


def test_a_coreset_needs_a_classifier():
    contrasted = made(SupCon, temperature=0.1, base_temperature=0.07, projection_width=3)
    with pytest.raises(LongtailError, match="a step such as ce before it"):
        made(ProCo, contrasted, **SETTINGS)


@pytest.mark.parametrize(
    ("name", "value"),
    [("alpha", 1.1), ("coreset", "craig"), ("coreset_share", -0.1), ("coreset_least", 0), ("coreset_rate", -1)],
)
def test_settings_that_make_no_sense(name, value):
    with pytest.raises(LongtailError, match=name):
        ProCo.Settings(**{**SETTINGS, name: value})
