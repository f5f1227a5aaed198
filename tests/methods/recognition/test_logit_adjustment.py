"""Balanced Softmax and the logit-adjusted loss as an objective."""

from __future__ import annotations

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.classification import logit_adjusted
from longtail.methods.recognition.logit_adjustment import LogitAdjusted
from tests.methods.pieces import step_without_values
from tests.methods.recognition.pieces import SIZES, labelled_batch, made, unlearned


@pytest.mark.parametrize("tau", [0.0, 1.0, 1.5])
def test_the_logits_are_shifted_while_they_are_trained_and_not_when_they_are_read(tau):
    objective, batch = made(LogitAdjusted, classifier_init="default", tau=tau), labelled_batch()
    network = objective.encoder("backbone")
    _, logits = network(batch.views[0])
    loss = objective.loss(batch)["loss"]
    torch.testing.assert_close(loss, logit_adjusted(logits, batch.labels[0], SIZES, tau))
    torch.testing.assert_close(logits, network.head(network.embedder(batch.views[0])))
    loss.backward()
    assert unlearned(objective) == []


def test_a_step_waits_for_no_value():
    objective = made(LogitAdjusted, classifier_init="kaiming", tau=1.0)
    step_without_values(objective, 8, 2, 5, 5, labels=torch.arange(8) % 4, views=1)


def test_settings_that_make_no_sense():
    with pytest.raises(LongtailError, match=r"tau is .*at least 0"):
        LogitAdjusted.Settings(classifier_init="default", tau=-1.0)
