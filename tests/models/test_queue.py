from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.errors import LongtailError
from longtail.models.queue import KeyQueue, LabelledQueue


@given(size=st.integers(1, 12), batches=st.lists(st.integers(1, 12), max_size=8))
def test_it_holds_the_last_keys_that_were_put_in(size, batches):
    queue, history = KeyQueue(size, 2), []
    for row in range(size):
        history.append(queue.keys[row].clone())
    for number, count in enumerate(batches):
        count = min(count, size)
        keys = 100.0 * number + torch.arange(2.0 * count).view(count, 2)
        history.extend(keys)
        queue.enqueue(keys)
    expected = torch.stack(history[-size:])
    oldest_first = queue.keys.roll(-int(queue.pointer), dims=0)
    assert torch.equal(oldest_first, expected)


def test_it_starts_with_unit_vectors_and_is_part_of_the_checkpoint():
    queue = KeyQueue(6, 5)
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(6))
    queue.enqueue(torch.ones(4, 5))
    restored = KeyQueue(6, 5)
    restored.load_state_dict(queue.state_dict())
    assert torch.equal(restored.keys, queue.keys)
    assert restored.pointer == 4
    assert not list(queue.parameters())


def test_its_tensors_stay_where_they_are():
    queue = KeyQueue(4, 2)
    keys, pointer = queue.keys.data_ptr(), queue.pointer.data_ptr()
    for _ in range(3):
        queue.enqueue(torch.ones(3, 2))
    assert (queue.keys.data_ptr(), queue.pointer.data_ptr()) == (keys, pointer)


def test_a_batch_larger_than_the_queue_is_refused():
    queue = KeyQueue(4, 2)
    before = queue.keys.clone()
    with pytest.raises(LongtailError, match="5 keys does not fit a queue of 4"):
        queue.enqueue(torch.ones(5, 2))
    assert torch.equal(queue.keys, before)


@given(size=st.integers(1, 9), batches=st.lists(st.integers(1, 9), max_size=6))
def test_classes_stay_with_their_keys_and_no_key_has_none(size, batches):
    queue, put_in = LabelledQueue(size, 2), 0
    for count in (min(count, size) for count in batches):
        numbers = torch.arange(put_in, put_in + count)
        queue.put(numbers[:, None].expand(count, 2).float(), numbers)
        put_in += count
        known = queue.labels >= 0
        assert known.sum() == min(put_in, size)
        assert torch.equal(queue.keys[known][:, 0].long(), queue.labels[known])
        assert queue.labels.max() == put_in - 1


def test_classes_are_part_of_the_checkpoint_and_a_batch_too_large_changes_none():
    queue, restored = LabelledQueue(4, 2), LabelledQueue(4, 2)
    queue.put(torch.ones(3, 2), torch.tensor([0, 2, 1]))
    restored.load_state_dict(queue.state_dict())
    with pytest.raises(LongtailError, match="5 keys"):
        restored.put(torch.ones(5, 2), torch.arange(5))
    assert restored.labels.tolist() == [0, 2, 1, -1]
