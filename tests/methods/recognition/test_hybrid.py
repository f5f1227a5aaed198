"""Hybrid-PSC as an objective: which image goes where, and when learning shifts."""

from __future__ import annotations

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.base import Batch
from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.hybrid import prototypical
from longtail.methods.recognition.hybrid import HybridPSC
from tests.methods.pieces import TheseImages, step_without_values, updates
from tests.methods.recognition.pieces import made, unlearned
from tests.methods.recognition.test_bbn import two_batches

SETTINGS = {"classifier_init": "default", "temperature": 0.2, "projection_width": 3}


def at(alpha: float) -> HybridPSC:
    objective = made(HybridPSC, **SETTINGS)
    objective.alpha.fill_(alpha)
    return objective


@pytest.mark.parametrize("alpha", [1.0, 0.6, 0.1])
def test_the_uniform_image_is_contrasted_and_the_balanced_one_classified(alpha):
    objective, batch = at(alpha), two_batches()
    parts = objective.loss(batch)
    h = objective.network.embedder(torch.cat(batch.views))
    uniform, balanced = batch.labels
    contrast = prototypical(objective.projector(h[:8]), objective.prototypes, uniform, 0.2)
    classification = cross_entropy(objective.network.head(h[8:]), balanced)
    torch.testing.assert_close(parts["loss"], alpha * contrast + (1 - alpha) * classification)
    torch.testing.assert_close((parts["contrast"], parts["classification"]), (contrast, classification))


def test_learning_shifts_from_epoch_to_epoch():
    objective, images = at(0.3), TheseImages()
    seen = []
    for epoch in range(4):
        objective.start_epoch(epoch, images)
        seen.append(objective.loss(two_batches())["alpha"].item())
        objective.after_step((epoch + 1) / 4)
    assert seen == [1, 1 - 1 / 16, 1 - 4 / 16, 1 - 9 / 16]


def test_all_of_the_network_learns():
    objective = at(0.5)
    objective.loss(two_batches())["loss"].backward()
    assert unlearned(objective) == []


def test_a_step_waits_for_no_value():
    step_without_values(at(0.5), 8, 2, 5, 5, labels=torch.arange(8) % 4)


def test_updates_in_bfloat16_stay_finite():
    objective, batch = at(0.5).float(), two_batches()
    batch = Batch(tuple(v.float() for v in batch.views), batch.rows, batch.generator, batch.labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        updates(objective, [batch] * 2)
    assert all(bool(value.isfinite().all()) for value in objective.state_dict().values())


@pytest.mark.parametrize("name", ["temperature", "projection_width"])
def test_settings_that_make_no_sense(name):
    with pytest.raises(LongtailError, match=f"{name} is 0"):
        HybridPSC.Settings(**{**SETTINGS, name: 0})
