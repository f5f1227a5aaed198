"""DisAlign: what learns, where it starts, and its golden values."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.long_tailed import generalized_weights
from longtail.methods.recognition.disalign import DisAlign
from longtail.methods.recognition.reweighting import CrossEntropy
from longtail.methods.recognition.supcon import SupCon
from longtail.models.classifiers import aligned
from tests.methods.golden import LABELS, LOGITS, SIZES, golden, near, tensor
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import SIZES as OWN_SIZES
from tests.methods.recognition.pieces import labelled_batch, made

STAGE = {"frozen_bn": "eval", "scale_init": 1.0, "rho": 1.2}


def trained():
    first = made(CrossEntropy, classifier_init="kaiming")
    updates(first, [labelled_batch(seed) for seed in range(3)])
    first.zero_grad()
    return first


def stage(**others):
    return made(DisAlign, trained(), **{**STAGE, **others}).train()


def test_the_loss_is_the_weighted_one_of_the_aligned_logits():
    second, batch = stage(), labelled_batch(7)
    updates(second, [labelled_batch(3)])
    feature = copy.deepcopy(second.network.embedder).eval()(batch.views[0])
    head, sizes = second.network.head, OWN_SIZES.tolist()
    total, divisor = 0.0, 0.0
    for h, y in zip(feature, batch.labels[0].tolist(), strict=True):
        sigma = 1 / (1 + torch.exp(-(head.confidence.weight[0] @ h) - head.confidence.bias[0]))
        s = [head.classifier.weight[k] @ h + head.classifier.bias[k] for k in range(4)]
        z = [(1 + sigma * head.scales[k]) * s[k] + sigma * head.shifts[k] for k in range(4)]
        weight = (sum(sizes) / sizes[y]) ** 1.2
        total = total - weight * torch.log(torch.exp(z[y]) / sum(torch.exp(value) for value in z))
        divisor += weight
    loss, learned = second.loss(batch)["loss"], [p for p in second.parameters() if p.requires_grad]
    torch.testing.assert_close(loss, total / divisor)
    for found, wanted in zip(*(torch.autograd.grad(value, learned) for value in (loss, total / divisor)), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("frozen_bn", ["train", "eval"])
def test_scales_shifts_and_confidence_alone_learn(frozen_bn):
    second = stage(frozen_bn=frozen_bn)
    before = copy.deepcopy(dict(second.named_parameters()))
    updates(second, [labelled_batch(seed) for seed in range(3, 6)])
    moved = {name for name, p in second.named_parameters() if not torch.equal(p, before[name])}
    learned = ("scales", "shifts", "confidence.weight", "confidence.bias")
    assert moved == {f"network.head.{name}" for name in learned}
    statistics = second.network.embedder.state_dict()["1.num_batches_tracked"]
    assert statistics == (6 if frozen_bn == "train" else 3)


def test_it_starts_from_the_trained_logits_as_the_paper_or_above_them_as_the_code():
    h = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plain = trained().network.head(h)
    torch.testing.assert_close(stage(scale_init=0.0).network.head(h), plain)
    head = stage().network.head
    confidence = torch.sigmoid(0.1 * h.sum(1, keepdim=True) + head.confidence.bias)
    torch.testing.assert_close(head(h), (1 + confidence) * plain)
    assert head.confidence.bias.abs() <= 6**-0.5


def test_logits_are_in_full_precision_and_no_linear_readout_is_told_of_weights():
    head, h = stage().float().network.head, torch.randn(3, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head(h)
    assert torch.equal(found, head(h))
    assert not hasattr(head, "weight")


def test_golden_values():
    weights = generalized_weights(SIZES, 1.2)
    assert tuple(weights.tolist()) == near(0.030669, 0.130062, 0.486067, 3.353203)
    s, confidence = tensor(LOGITS), torch.tensor([[0.2], [0.5], [0.9]], dtype=torch.float64)
    z = aligned(s, confidence, torch.ones(4), torch.zeros(4))
    assert golden(cross_entropy(z, LABELS, weights), s) == near(0.730098, 0.599296)


def test_weights_of_no_and_of_inverse_size():
    assert generalized_weights(SIZES, 0.0).tolist() == [1.0] * 4
    inverse = 1 / SIZES.double()
    torch.testing.assert_close(generalized_weights(SIZES, 1.0), inverse / inverse.mean())


def test_a_step_waits_for_no_value():
    step_without_values(stage(), 8, 2, 5, 5, labels=torch.arange(8) % 4, views=1)


def test_it_needs_a_linear_classifier():
    first = made(SupCon, temperature=0.1, base_temperature=0.07, projection_width=3)
    with pytest.raises(LongtailError, match="DisAlign goes on from a trained linear classifier"):
        made(DisAlign, first, **STAGE)


@pytest.mark.parametrize(("setting", "value"), [("rho", -1.0), ("frozen_bn", "off")])
def test_settings_that_make_no_sense(setting, value):
    with pytest.raises(LongtailError, match=setting):
        DisAlign.Settings(**{**STAGE, setting: value})
