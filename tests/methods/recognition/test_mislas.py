"""The second stage of MiSLAS: classifier and scales learn, each at its own pace; the backbone does not."""

from __future__ import annotations

import copy
import functools

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.smoothing import label_aware_smoothing, smoothing_factors
from longtail.methods.recognition.mislas import LabelAwareSmoothing
from longtail.methods.recognition.mixup import Mixup
from longtail.methods.recognition.reweighting import LDAM
from longtail.models.backbones import new_backbone
from longtail.study import catalog as catalogue
from longtail.study.settings import resolved
from tests.methods.pieces import RATE, step_without_values, updates
from tests.methods.recognition.pieces import SIZES, labelled_batch, made
from tests.methods.recognition.published.mislas import AT_RATIOS

CATALOG = catalogue.load()

STAGE = {
    "frozen_bn": "train", "smoothing_head": 0.4, "smoothing_tail": 0.1, "spread": "all",
    "classifier_learning_rate_scale": 0.2,
}  # fmt: skip


def stage(**others):
    """After a first stage of some updates."""
    first = made(Mixup, classifier_init="kaiming", alpha=1.0)
    updates(first, [labelled_batch(seed) for seed in range(3)])
    first.zero_grad()
    return made(LabelAwareSmoothing, first, **{**STAGE, **others}).train()


@pytest.mark.parametrize("spread", ["all", "others"])
@pytest.mark.parametrize("frozen_bn", ["train", "eval"])
def test_the_loss_is_that_of_the_trained_classifier_at_first(spread, frozen_bn):
    second, batch = stage(spread=spread, frozen_bn=frozen_bn), labelled_batch(7)
    backbone = copy.deepcopy(second.network.embedder).train(frozen_bn == "train")
    logits = second.network.head.classifier(backbone(batch.views[0]))
    expected = label_aware_smoothing(logits, batch.labels[0], smoothing_factors(SIZES, 0.4, 0.1), spread)
    torch.testing.assert_close(second.loss(batch)["loss"], expected)


def test_the_classifier_learns_at_its_own_pace_and_the_scales_at_the_scheduled_one():
    second, batch = stage(), labelled_batch(7)
    before = copy.deepcopy(dict(second.named_parameters()))
    second.loss(batch)["loss"].backward()
    gradients = {name: p.grad for name, p in second.named_parameters()}
    moved = stage()
    updates(moved, [labelled_batch(7)])
    paces = {"network.head.classifier.weight": 0.2, "network.head.classifier.bias": 0.2, "network.head.scales": 1.0}
    for name, after in moved.named_parameters():
        if name in paces:
            torch.testing.assert_close(after, before[name] - RATE * paces[name] * gradients[name])
            assert not torch.equal(after, before[name])
        else:
            assert gradients[name] is None
            assert torch.equal(after, before[name])


def states(objective):
    return {name: value.clone() for name, value in objective.state_dict().items()}


@pytest.mark.parametrize("frozen_bn", ["train", "eval"])
def test_on_places_one_block_is_trained_first_and_then_its_statistics_alone(frozen_bn):
    """The rest of the pre-trained network stays as it is to the last bit, in both stages."""
    stages = functools.partial(new_backbone, "resnet_small", "cifar", 2)
    settings = {"classifier_init": "kaiming", "alpha": 1.0, "frozen_parts": "all_but_last_block"}
    first = made(Mixup, new_backbone=stages, **settings).train()
    start = states(first)
    updates(first, [labelled_batch(seed) for seed in range(2)])
    trained = states(first)
    learning = ("network.embedder.layer3.", "network.head.")
    assert {name for name in start if not torch.equal(start[name], trained[name])} == {
        name for name in start if name.startswith(learning)
    }

    choices = {**STAGE, "frozen_bn": frozen_bn, "frozen_parts": "all_but_last_block"}
    second = made(LabelAwareSmoothing, first, new_backbone=stages, **choices).train()
    before = states(second)
    updates(second, [labelled_batch(seed) for seed in range(2)])
    after = states(second)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    shifted = {
        name for name in before if "layer3" in name and name.endswith(("running_mean", "running_var", "tracked"))
    }
    heads = {name for name in before if name.startswith("network.head.")}
    assert len(shifted) == 9
    assert moved == heads | (shifted if frozen_bn == "train" else set())
    with pytest.raises(LongtailError, match="frozen_parts"):
        Mixup.Settings(**{**settings, "frozen_parts": "all"})
    with pytest.raises(LongtailError, match="frozen_parts"):
        LabelAwareSmoothing.Settings(**{**STAGE, "frozen_parts": "all"})


def test_a_step_waits_for_no_value():
    step_without_values(stage(), 8, 2, 5, 5, labels=torch.arange(8) % 4, views=1)


@pytest.mark.parametrize(("dataset", "ratio"), AT_RATIOS)
def test_smoothing_and_pace_are_those_of_the_configuration_for_dataset_and_ratio(dataset, ratio):
    settings = CATALOG.objectives["label-aware-smoothing"].settings
    values = resolved("", settings, {}, CATALOG.dataset(dataset), ratio, "official", CATALOG)
    names = ("smoothing_head", "smoothing_tail", "classifier_learning_rate_scale")
    assert tuple(values[name] for name in names) == AT_RATIOS[dataset, ratio]


def test_it_goes_on_from_a_linear_classifier():
    with pytest.raises(LongtailError, match="LabelAwareSmoothing goes on from a trained linear classifier"):
        made(LabelAwareSmoothing, made(LDAM, scale=30.0, largest_margin=0.5), **STAGE)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("smoothing_head", 1.5, "between 0 and 1"),
        ("smoothing_tail", -0.1, "between 0 and 1"),
        ("spread", "none", "spread"),
        ("frozen_bn", "off", "frozen_bn"),
        ("classifier_learning_rate_scale", -1.0, "at least 0"),
    ],
)
def test_settings_that_make_no_sense(setting, value, words):
    with pytest.raises(LongtailError, match=words):
        LabelAwareSmoothing.Settings(**{**STAGE, setting: value})
