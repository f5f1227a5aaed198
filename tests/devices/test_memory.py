"""What is measured of a device's memory, which is a function of the batch here, and what is said when it is short."""

from __future__ import annotations

import pytest
import torch

from longtail.devices import memory
from longtail.devices.memory import Footprint, available, divide, measure, room_for
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


GPU = torch.device("cuda", 0)


@pytest.fixture
def gpu(monkeypatch):
    """torch.cuda as a GPU of 24 GB of which 15 are free and 2 this process's; holds the share it was limited to."""
    limits = {}
    monkeypatch.setattr(memory, "_sharers", 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (15 * GB, 24 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 2 * GB)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Model A")
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda part, device: limits.update({device: part})
    )
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", limits.get)
    return limits


@pytest.mark.parametrize("sharers", range(2, 33))
def test_all_shares_and_what_cuda_takes_for_each_fit_into_the_gpu(gpu, sharers):
    if sharers * memory.CONTEXT < 24 * GB:
        divide(sharers, GPU)
        assert sharers * (gpu[GPU] * 24 * GB + memory.CONTEXT) == pytest.approx(24 * GB)
    else:
        with pytest.raises(LongtailError, match=f"too little for {sharers} trainings .* lower trainings_per_gpu"):
            divide(sharers, GPU)


def test_what_a_process_can_have_of_a_gpu_alone_and_shared(gpu):
    assert available(GPU) == (17 * GB, "7.0 GB of its 24.0 GB are in use outside this job.")
    assert memory.way_to_more() == memory.MORE
    divide(4, GPU)
    room, word = available(GPU)
    assert room == pytest.approx(6 * GB - memory.CONTEXT)
    assert word == "It has one of 4 shares of that GPU's 24.0 GB."
    with pytest.raises(LongtailError, match="lower trainings_per_gpu"), room_for("the networks", "Model A"):
        raise torch.OutOfMemoryError("CUDA out of memory.")
