"""Second stages: what stays as the first stage left it, and what learns."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from longtail.errors import LongtailError
from longtail.methods.losses.classification import cross_entropy
from longtail.methods.recognition.reweighting import LDAM, CrossEntropy
from longtail.methods.recognition.supcon import SupCon
from longtail.methods.recognition.two_stage import ClassifierRetraining, LearnableScaling
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import labelled_batch, made


def trained(kind=CrossEntropy, **settings):
    """A first stage after some updates, so that its statistics and weights are its own."""
    objective = made(kind, **settings or {"classifier_init": "kaiming"})
    updates(objective, [labelled_batch(seed) for seed in range(3)])
    return objective


SUPCON = {"temperature": 0.1, "base_temperature": 0.07, "projection_width": 3}
STAGES = [(ClassifierRetraining, {"classifier_init": "default"}), (LearnableScaling, {})]
BOTH = pytest.mark.parametrize("frozen_bn", ["train", "eval"])


@BOTH
@pytest.mark.parametrize(("kind", "settings"), STAGES)
def test_the_backbone_stays(kind, settings, frozen_bn):
    """All but the statistics of batch normalisation, if those of the batch are used; then they move on."""
    first = trained()
    before = copy.deepcopy(first.network.embedder.state_dict())
    second = made(kind, first, frozen_bn=frozen_bn, **settings).train()
    updates(second, [labelled_batch(seed) for seed in range(3, 6)])
    after = second.encoder("backbone").embedder.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == (set() if frozen_bn == "eval" else {"1.running_mean", "1.running_var", "1.num_batches_tracked"})


@BOTH
def test_the_loss_is_that_of_the_features_in_the_mode_of_the_setting(frozen_bn):
    first, batch = trained(), labelled_batch(7)
    second = made(ClassifierRetraining, first, classifier_init="default", frozen_bn=frozen_bn).train()
    backbone = copy.deepcopy(first.network.embedder).train(frozen_bn == "train")
    logits = second.network.head(backbone(batch.views[0]))
    torch.testing.assert_close(second.loss(batch)["loss"], cross_entropy(logits, batch.labels[0]))


def test_retraining_starts_from_a_new_classifier():
    first = trained()
    second = made(ClassifierRetraining, first, classifier_init="kaiming", frozen_bn="train")
    assert not torch.equal(second.network.head.weight, first.network.head.weight)
    [group] = second.parameter_groups()
    assert group["params"] == [second.network.head.weight, second.network.head.bias]
    second.loss(labelled_batch())["loss"].backward()
    assert second.network.head.weight.grad.any()


def test_scaling_starts_from_the_trained_classifier_and_moves_its_scales_alone():
    first, batch = trained(), labelled_batch()
    old = copy.deepcopy(first.network.head)
    second = made(LearnableScaling, first, frozen_bn="eval").train()
    head = second.network.head
    torch.testing.assert_close(head.weight, old.weight)
    torch.testing.assert_close(second.loss(batch)["loss"], first.eval().loss(batch)["loss"])
    [group] = second.parameter_groups()
    assert [parameter.shape for parameter in group["params"]] == [(4,)]
    updates(second, [labelled_batch(seed) for seed in range(3)])
    torch.testing.assert_close(head.weight, head.scales[:, None] * old.weight)
    torch.testing.assert_close(head.bias, head.scales * old.bias)
    assert (head.scales != 1).all()


@pytest.mark.parametrize(("kind", "settings"), STAGES)
@BOTH
def test_a_step_waits_for_no_value(kind, settings, frozen_bn):
    second = made(kind, trained(), frozen_bn=frozen_bn, **settings).train()
    step_without_values(second, 8, 2, 5, 5, labels=torch.arange(8) % 4, views=1)


def test_a_linear_stage_goes_on_from_the_backbone_of_supervised_contrast():
    first = made(SupCon, **SUPCON)
    second = made(ClassifierRetraining, first, classifier_init="default", frozen_bn="eval")
    assert second.encoder("backbone").embedder is first.backbone
    assert not any(name.startswith("projector") for name, _ in second.named_parameters())


@pytest.mark.parametrize(("kind", "settings"), [(LDAM, {"scale": 30.0, "largest_margin": 0.5}), (SupCon, SUPCON)])
def test_scaling_needs_a_linear_classifier(kind, settings):
    with pytest.raises(LongtailError, match="linear classifier: put a step such as ce before it"):
        made(LearnableScaling, made(kind, **settings), frozen_bn="eval")


def test_modes_that_do_not_exist():
    with pytest.raises(LongtailError, match="frozen_bn"):
        LearnableScaling.Settings(frozen_bn="off")


@pytest.mark.parametrize(("kind", "_"), STAGES)
def test_they_start_from_a_trained_encoder(kind, _):
    assert kind.starts == "transfer"
    assert kind.supervised
    assert issubclass(kind, nn.Module)
