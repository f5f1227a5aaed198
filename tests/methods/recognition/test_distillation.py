"""RIDE with distillation: a student that learns, a teacher that does not."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.distillation import distillation
from longtail.methods.recognition.distillation import DistilledReweightedRIDE, DistilledRIDE
from longtail.methods.recognition.experts import RIDE, ReweightedRIDE
from longtail.methods.recognition.supcon import SupCon
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import labelled_batch, made
from tests.methods.recognition.test_experts import BACKBONE, BY_IMAGE, PLAIN, REWEIGHTED

STUDENT = {"distillation_temperature": 1.5, "teacher_bn": "eval"}
OBJECTIVES = [
    (DistilledRIDE, RIDE, PLAIN),
    (DistilledReweightedRIDE, ReweightedRIDE, REWEIGHTED),
    (DistilledReweightedRIDE, ReweightedRIDE, BY_IMAGE),
]
ALL = pytest.mark.parametrize(("kind", "plain", "settings"), OBJECTIVES)


def trained():
    """A teacher of three experts after some updates, so that its statistics and weights are its own."""
    teacher = made(RIDE, new_backbone=BACKBONE, **{**PLAIN, "experts": 3})
    updates(teacher, [labelled_batch(seed) for seed in range(3)])
    teacher.zero_grad()
    return teacher


def student(kind, settings, **others):
    return made(kind, trained(), new_backbone=BACKBONE, **{**settings, **STUDENT, **others}).train()


@pytest.mark.parametrize("teacher_bn", ["eval", "train"])
@ALL
def test_the_loss_is_that_of_ride_and_of_distillation_once_for_every_expert(kind, plain, settings, teacher_bn):
    objective, batch = student(kind, settings, teacher_bn=teacher_bn), labelled_batch()
    own = made(plain, new_backbone=BACKBONE, **settings)  # the same weights, of a network without a teacher
    parts, expected = objective.loss(batch), own.loss(batch)
    teacher = trained().train(teacher_bn == "train")
    logits = own.encoder("backbone")(batch.views[0])[1]
    learnt = distillation(logits, teacher.encoder("backbone")(batch.views[0])[1], 1.5)
    torch.testing.assert_close(parts["distillation"], learnt)
    torch.testing.assert_close(parts["loss"], 2 * (expected["loss"] + learnt))
    for same in ("divergence", "accuracy"):
        torch.testing.assert_close(parts[same], expected[same])


@ALL
def test_all_of_the_student_learns_and_nothing_of_the_teacher(kind, plain, settings):
    objective = student(kind, settings)
    objective.loss(labelled_batch())["loss"].backward()
    unreached = {name for name, p in objective.named_parameters() if p.grad is None or not p.grad.any()}
    assert unreached == {name for name, _ in objective.named_parameters() if name.startswith("teacher.")}
    [group] = objective.parameter_groups()
    assert {id(p) for p in group["params"]} == {id(p) for p in objective.network.parameters()}


@ALL
def test_the_teacher_stays_bit_by_bit(kind, plain, settings):
    objective = student(kind, settings)
    before = trained().network.state_dict()
    updates(objective, [labelled_batch(seed) for seed in range(3, 6)])
    after = objective.teacher.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_in_train_mode_only_statistics_of_the_teacher_move():
    objective = student(DistilledRIDE, PLAIN, teacher_bn="train")
    before = copy.deepcopy(objective.teacher.state_dict())
    updates(objective, [labelled_batch(seed) for seed in range(3, 6)])
    after = objective.teacher.state_dict()
    moved = {name.rsplit(".", 1)[1] for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"running_mean", "running_var", "num_batches_tracked"}


def test_the_student_is_a_new_network_and_is_what_is_read_out():
    teacher = trained()
    objective = made(DistilledRIDE, teacher, new_backbone=BACKBONE, **PLAIN, **STUDENT)
    assert objective.teacher is teacher.encoder("backbone")
    encoder = objective.encoder("backbone")
    assert encoder is objective.network
    assert len(encoder.head.classifiers) == 2
    fresh = made(RIDE, new_backbone=BACKBONE, **PLAIN).network.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in encoder.state_dict().items())


def test_one_goes_on_from_the_other_with_the_teacher():
    """All that a checkpoint holds is parameters, statistics of batch normalisation and the sizes of classes."""
    first, second = (student(kind, settings) for kind, _, settings in OBJECTIVES[:2])
    assert first.state_dict().keys() == second.state_dict().keys()
    networks = {name for name, _ in first.named_parameters()}
    statistics = {name for name in first.state_dict() if "running_" in name or "num_batches" in name}
    assert first.state_dict().keys() - networks - statistics == {"class_sizes"}
    assert any(name.startswith("teacher.") for name in statistics)


@ALL
def test_a_step_waits_for_no_value(kind, plain, settings):
    step_without_values(student(kind, settings), 8, 2, 8, 8, labels=torch.arange(8) % 4, views=1)


@pytest.mark.parametrize("rows", [2, 3, 7])
@ALL
def test_whatever_is_left_over_of_an_epoch_is_a_batch(kind, plain, settings, rows):
    objective = student(kind, settings)
    updates(objective, [labelled_batch(0, rows)])
    assert all(p.isfinite().all() for p in objective.parameters())


def test_a_teacher_has_a_classifier():
    teacher = made(SupCon, temperature=0.1, base_temperature=0.07, projection_width=3)
    with pytest.raises(LongtailError, match="teacher with a classifier: put steps such as ride-six"):
        made(DistilledRIDE, teacher, new_backbone=BACKBONE, **PLAIN, **STUDENT)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("distillation_temperature", 0.0, "above 0"),
        ("teacher_bn", "off", "teacher_bn"),
        ("temperatures", "experts", "temperatures"),
        ("beta", 1.0, "beta"),
        ("experts", 0, "experts"),
        ("scale", 0.0, "scale"),
    ],
)
def test_settings_that_make_no_sense(setting, value, words):
    with pytest.raises(LongtailError, match=words):
        DistilledReweightedRIDE.Settings(**{**REWEIGHTED, **STUDENT, setting: value})


@ALL
def test_they_start_from_a_trained_network(kind, plain, settings):
    assert kind.starts == "transfer"
    assert kind.supervised
    assert issubclass(kind, plain)
