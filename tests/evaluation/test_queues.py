"""What queues hold, against the queues themselves and against one that is filled image by image."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.evaluation.queues import expected_keys
from longtail.models.class_queues import ClassQueues, new_queue

SIZES = st.lists(st.integers(1, 300), min_size=2, max_size=9)


@pytest.mark.parametrize("kind", ["balanced", "reversed"])
@given(sizes=SIZES, keys_per_class=st.integers(1, 9))
def test_queues_per_class_hold_what_they_are_made_for(kind, sizes, keys_per_class):
    queue = new_queue(kind, torch.tensor(sizes), keys_per_class, width=2)
    assert isinstance(queue, ClassQueues)
    assert expected_keys(np.array(sizes), kind, keys_per_class).tolist() == queue.capacities.tolist()


def test_the_original_queue_holds_the_shares_of_the_classes_on_average():
    sizes, keys_per_class = np.array([60, 25, 10, 5]), 8
    random, held = np.random.default_rng(0), np.zeros(4)
    labels = np.repeat(np.arange(4), sizes)
    queue = deque(random.permutation(labels), maxlen=4 * keys_per_class)
    for _ in range(1000):
        queue.extend(random.permutation(labels))
        for label in queue:
            held[label] += 1
    np.testing.assert_allclose(expected_keys(sizes, "original", keys_per_class), held / 1000, rtol=0.05)


def test_the_largest_class_has_the_fewest_keys_of_a_reversed_queue():
    assert expected_keys(np.array([2, 50, 10]), "reversed", 4).tolist() == [10, 1, 2]
