"""What is measured of a device's memory, which is a function of the batch here, and what is said when it is short."""

from __future__ import annotations

import pytest
import torch

from longtail.devices.memory import Footprint, measure, room_for
from longtail.errors import LongtailError

GB = 10**9


def linear(batch):
    return 2 * GB + batch * 10**7


def test_the_footprint_goes_through_the_two_largest_batches_that_fit():
    asked = []

    def peak(size):
        asked.append(size)
        return linear(size) if size <= 128 else None

    found = measure(peak, 512)
    assert asked == [256, 128, 64]
    assert found == Footprint(2 * GB, 10**7)
    assert found.of(512) == linear(512)
    assert found.largest_batch(3 * GB) == 100
    assert found.largest_batch(GB) == 0


@pytest.mark.parametrize("peak", [lambda _: None, lambda size: 5 if size == 4 else None, lambda _: 5])
def test_what_cannot_be_measured_is_not_guessed(peak):
    assert measure(peak, 8) is None


def test_networks_without_room_are_said_so():
    with (
        pytest.raises(LongtailError, match="Model A has no memory left for the networks"),
        room_for("the networks", "Model A"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory.")
    with pytest.raises(RuntimeError, match="another"), room_for("the networks", "Model A"):
        raise RuntimeError("another")
