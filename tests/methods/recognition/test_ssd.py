"""SSD: features that classify and contrast, soft labels, and a student that is taught both."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.classification import accuracy, cross_entropy
from longtail.methods.losses.distillation import distillation
from longtail.methods.losses.instance_contrast import contrast_of_instances
from longtail.methods.losses.numerics import unit
from longtail.methods.recognition.ssd import GuidedFeatures, SelfDistillation
from longtail.methods.recognition.supcon import SupCon
from longtail.methods.recognition.two_stage import LearnableScaling
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import labelled_batch, made, unlearned

FEATURES = {
    "classifier_init": "default", "temperature": 0.2, "projection_width": 3, "queue_size": 12, "target_momentum": 0.9,
}  # fmt: skip
STUDENT = {"classifier_init": "default", "distillation_temperature": 2.0, "teacher_bn": "train"}


def features():
    first = made(GuidedFeatures, **FEATURES)
    updates(first, [labelled_batch(seed) for seed in range(2)])
    first.zero_grad()
    return first


def labels():
    second = made(LearnableScaling, features(), frozen_bn="train").train()
    updates(second, [labelled_batch(seed) for seed in range(2, 4)])
    second.zero_grad()
    return second


def student(**others):
    return made(SelfDistillation, labels(), **{**STUDENT, **others}).train()


def test_features_are_of_classes_and_of_images_among_other_classes():
    objective, batch = features(), labelled_batch(7)
    before, y = copy.deepcopy(objective), batch.labels[0]
    feature = before.backbone(batch.views[0])
    logits = before.classifier(feature)
    before.move_keys()
    key = before.key(batch.views[1], batch.generator)
    contrasted = contrast_of_instances(
        unit(before.projector(feature)), key, y, before.queue.keys, before.queue.labels, 0.2
    )
    parts = objective.loss(batch)
    torch.testing.assert_close(parts["contrast"], contrasted)
    torch.testing.assert_close(parts["loss"], cross_entropy(logits, y) + contrasted)
    torch.testing.assert_close(parts["accuracy"], accuracy(logits, y))
    parts["loss"].backward()
    assert unlearned(objective) == [name for name, _ in objective.named_parameters() if name.startswith("key_")]


def test_soft_labels_go_on_from_backbone_and_classifier_of_the_features():
    first, batch = features().eval(), labelled_batch(7)
    second = made(LearnableScaling, first, frozen_bn="eval").eval()
    found, expected = (each.encoder("backbone")(batch.views[0]) for each in (second, first))
    torch.testing.assert_close(found, expected)
    assert not any(name.startswith(("key_", "projector", "queue")) for name in second.state_dict())


@pytest.mark.parametrize("teacher_bn", ["train", "eval"])
def test_one_head_of_the_student_learns_classes_and_the_other_one_soft_labels(teacher_bn):
    objective, batch = student(teacher_bn=teacher_bn), labelled_batch(7)
    y = batch.labels[0]
    feature, soft = objective.network(batch.views[0])
    hard = objective.hard(feature)
    teacher = labels().train(teacher_bn == "train").encoder("backbone")
    learnt = distillation(soft, teacher(batch.views[0])[1], 2.0)
    parts = objective.loss(batch)
    torch.testing.assert_close(parts["distillation"], learnt)
    torch.testing.assert_close(parts["loss"], cross_entropy(hard, y) + learnt)
    torch.testing.assert_close(parts["accuracy"], accuracy(soft, y))
    torch.testing.assert_close(parts["hard_accuracy"], accuracy(hard, y))
    parts["loss"].backward()
    assert unlearned(objective) == [name for name, _ in objective.named_parameters() if name.startswith("teacher.")]


def test_the_student_is_a_new_network_and_its_soft_head_is_read_out():
    objective, teacher = student(), labels()
    encoder = objective.encoder("backbone")
    assert encoder is objective.network
    assert encoder.head is not objective.hard
    assert not torch.equal(encoder.embedder[0].weight, teacher.network.embedder[0].weight)
    batch = labelled_batch(7)
    learnt = torch.autograd.grad(objective.loss(batch)["distillation"], encoder.head.weight)
    assert learnt[0].any()


def test_steps_wait_for_no_value():
    classes = torch.arange(8) % 4
    step_without_values(features(), 8, 2, 5, 5, labels=classes)
    step_without_values(student(), 8, 2, 5, 5, labels=classes, views=1)


def test_a_teacher_has_a_classifier():
    teacher = made(SupCon, temperature=0.1, base_temperature=0.07, projection_width=3)
    with pytest.raises(LongtailError, match="SelfDistillation needs a teacher with a classifier"):
        made(SelfDistillation, teacher, **STUDENT)


@pytest.mark.parametrize(
    ("kind", "settings", "setting", "value"),
    [
        (GuidedFeatures, FEATURES, "temperature", 0.0),
        (GuidedFeatures, FEATURES, "classifier_init", "zeros"),
        (SelfDistillation, STUDENT, "distillation_temperature", 0.0),
        (SelfDistillation, STUDENT, "teacher_bn", "off"),
    ],
)
def test_settings_that_make_no_sense(kind, settings, setting, value):
    with pytest.raises(LongtailError, match=setting):
        kind.Settings(**{**settings, setting: value})
