"""Queues that know their classes against lists that are filled one by one."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.models.class_queues import ClassQueues, new_queue
from longtail.models.queue import LabelledQueue
from tests.methods.golden import directions


@given(
    capacities=st.lists(st.integers(1, 4), min_size=2, max_size=3),
    batches=st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=9), max_size=4),
)
def test_keys_take_the_oldest_place_of_their_class_one_by_one(capacities, batches):
    """As dvlab-research/ResCom puts them in, also where a batch has more of a class than its queue has places."""
    queue = ClassQueues(torch.tensor(capacities), 2)
    slow, pointers = queue.keys.clone(), [0] * len(capacities)
    number = 100.0
    for batch in batches:
        keys = number + torch.arange(2.0 * len(batch)).view(-1, 2)
        number += 100
        for key, k in zip(keys, batch, strict=True):
            slow[sum(capacities[:k]) + pointers[k]] = key
            pointers[k] = (pointers[k] + 1) % capacities[k]
        queue.put(keys, torch.tensor(batch))
    assert torch.equal(queue.keys, slow)
    assert queue.pointers.tolist() == pointers


def test_golden():
    """G8: three embeddings of classes 0, 0, 1 in queues of two."""
    queue, z = ClassQueues(torch.tensor([2, 2, 2]), 4).double(), directions(3, 4, 0).detach()
    last = queue.keys[3:].clone()
    queue.put(z, torch.tensor([0, 0, 1]))
    assert torch.equal(queue.keys, torch.cat([z, last]))
    assert queue.pointers.tolist() == [0, 1, 0]


def test_random_unit_vectors_are_keys_of_their_class_from_the_start():
    queue = ClassQueues(torch.tensor([1, 3]), 5)
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(4))
    assert queue.labels.tolist() == [0, 1, 1, 1]
    assert not list(queue.parameters())


def test_what_was_put_in_is_part_of_the_checkpoint_and_stays_where_it_is():
    queue = ClassQueues(torch.tensor([2, 3]), 2)
    place = queue.keys.data_ptr()
    queue.put(torch.ones(4, 2), torch.tensor([1, 0, 1, 1]))
    restored = ClassQueues(torch.tensor([2, 3]), 2)
    restored.load_state_dict(queue.state_dict())
    assert torch.equal(restored.keys, queue.keys)
    assert restored.pointers.tolist() == [1, 0]
    assert queue.keys.data_ptr() == place


def test_a_queue_of_all_classes_remembers_whose_keys_are_whose():
    queue = LabelledQueue(5, 2)
    assert queue.labels.tolist() == [-1] * 5
    queue.put(torch.ones(3, 2), torch.tensor([0, 2, 1]))
    queue.put(torch.ones(3, 2), torch.tensor([3, 0, 4]))
    assert queue.labels.tolist() == [4, 2, 1, 3, 0]


@pytest.mark.parametrize(
    ("kind", "capacities"), [("balanced", [3, 3, 3, 3]), ("reversed", [1, 2, 4, 5]), ("original", None)]
)
def test_kinds(kind, capacities):
    queue = new_queue(kind, torch.tensor([9, 6, 3, 2]), 3, 2)
    assert len(queue.keys) == 12
    if capacities:
        assert queue.labels.bincount().tolist() == capacities
    else:
        assert isinstance(queue, LabelledQueue)


def test_reversed_queues_do_not_need_sorted_classes_and_have_a_key_of_each():
    queue = new_queue("reversed", torch.tensor([2, 1000, 50]), 2, 2)
    assert queue.labels.bincount(minlength=3).tolist() == [6, 1, 1]


def test_copies_share_nothing():
    queue = ClassQueues(torch.tensor([2, 2]), 2)
    other = copy.deepcopy(queue)
    queue.put(torch.ones(1, 2), torch.tensor([0]))
    assert not torch.equal(queue.keys, other.keys)
