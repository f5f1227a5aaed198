"""DiVE: a student of Balanced Softmax, and a teacher that stays."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.classification import logit_adjusted
from longtail.methods.losses.distillation import distillation
from longtail.methods.recognition.dive import DiVE
from longtail.methods.recognition.logit_adjustment import LogitAdjusted
from longtail.methods.recognition.supcon import SupCon
from tests.methods.golden import LABELS, LOGITS, SIZES, golden, near, tensor
from tests.methods.losses.test_distillation import TEACHER
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import SIZES as OWN_SIZES
from tests.methods.recognition.pieces import labelled_batch, made, unlearned

PLAIN = {"classifier_init": "default", "tau": 1.0}
STUDENT = {**PLAIN, "alpha": 0.4, "distillation_temperature": 2.0, "teacher_power": 0.5, "teacher_bn": "eval"}


def trained():
    """A teacher after some updates, so that its statistics and weights are its own."""
    teacher = made(LogitAdjusted, **PLAIN)
    updates(teacher, [labelled_batch(seed) for seed in range(3)])
    teacher.zero_grad()
    return teacher


def student(**others):
    return made(DiVE, trained(), **{**STUDENT, **others}).train()


@pytest.mark.parametrize("teacher_bn", ["train", "eval"])
def test_the_loss_is_that_of_both_teachings(teacher_bn):
    objective, batch = student(teacher_bn=teacher_bn), labelled_batch(7)
    logits = made(LogitAdjusted, **PLAIN).train().network(batch.views[0])[1]  # the student's start
    teacher = trained().train(teacher_bn == "train").network(batch.views[0])[1]
    balanced = logit_adjusted(logits, batch.labels[0], OWN_SIZES)
    learnt = distillation(logits, teacher, 2.0, 0.5)
    parts = objective.loss(batch)
    torch.testing.assert_close(parts["distillation"], learnt)
    torch.testing.assert_close(parts["loss"], 0.6 * balanced + 0.4 * learnt)


def test_all_of_the_student_learns_and_nothing_of_the_teacher():
    objective = student()
    before = copy.deepcopy(objective.teacher.state_dict())
    objective.loss(labelled_batch())["loss"].backward()
    assert unlearned(objective) == [name for name, _ in objective.named_parameters() if name.startswith("teacher.")]
    updates(objective, [labelled_batch(seed) for seed in range(3, 6)])
    assert all(torch.equal(value, before[name]) for name, value in objective.teacher.state_dict().items())
    assert objective.encoder("backbone") is objective.network


def test_golden_values():
    for power, value, slope in ((0.5, 1.276583, 0.324519), (1.0, 1.391043, 0.378897)):
        s = tensor(LOGITS)
        learnt = distillation(s, tensor(TEACHER), 2.0, power)
        assert golden(0.5 * logit_adjusted(s, LABELS, SIZES) + 0.5 * learnt, s) == near(value, slope)


def test_without_a_teacher_in_the_loss_it_is_balanced_softmax():
    torch.testing.assert_close(
        student(alpha=0.0).loss(labelled_batch())["loss"], made(LogitAdjusted, **PLAIN).loss(labelled_batch())["loss"]
    )


def test_a_step_waits_for_no_value():
    step_without_values(student(), 8, 2, 5, 5, labels=torch.arange(8) % 4, views=1)


def test_a_teacher_has_a_classifier():
    teacher = made(SupCon, temperature=0.1, base_temperature=0.07, projection_width=3)
    with pytest.raises(LongtailError, match="DiVE needs a teacher with a classifier"):
        made(DiVE, teacher, **STUDENT)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("alpha", 1.5), ("distillation_temperature", 0.0), ("teacher_power", 0.0), ("teacher_bn", "off"), ("tau", -1.0)],
)
def test_settings_that_make_no_sense(setting, value):
    with pytest.raises(LongtailError, match=setting):
        DiVE.Settings(**{**STUDENT, setting: value})
