"""What is measured of a device's memory, which is a function of the batch here, and what is said when it is short."""

from __future__ import annotations

import pytest
import torch

from longtail.devices import memory
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


@pytest.fixture
def card(monkeypatch):
    """A GPU of 16 GB, 15 of them free, by what torch says of it; what is set on it is noted."""
    noted = {"fraction": 1.0}
    monkeypatch.setattr(memory, "_sharers", 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (15_000_000_000, 16_000_000_000))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 500_000_000)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: noted["fraction"])
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share, device: noted.update(fraction=share)
    )
    return noted


DEVICE = torch.device("cuda", 0)


@pytest.mark.parametrize("sharers", [2, 4, 8])
def test_the_shares_and_what_cuda_takes_fit_into_the_gpu(card, sharers):
    memory.divide(sharers, DEVICE)
    whole = sharers * (card["fraction"] * 16e9 + memory.CONTEXT)
    assert whole == pytest.approx(16e9)


def test_a_gpu_too_small_to_be_divided_says_so(card):
    with pytest.raises(
        LongtailError, match=r"Some GPU has 16\.0 GB, too little for 30 trainings at once.*lower trainings"
    ):
        memory.divide(30, DEVICE)


def test_a_share_is_all_that_a_training_can_have(card):
    assert memory.available(DEVICE) == (15_500_000_000, "")
    assert "trainings_per_gpu" not in memory.way_to_more()
    memory.divide(4, DEVICE)
    room, word = memory.available(DEVICE)
    assert room == pytest.approx(16e9 / 4 - memory.CONTEXT)
    assert word == "It has one of 4 shares of that GPU's 16.0 GB."
    assert "set a lower trainings_per_gpu" in memory.way_to_more()


def test_what_others_use_is_named(card, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8_000_000_000, 16_000_000_000))
    room, word = memory.available(DEVICE)
    assert room == 8_500_000_000
    assert word == "7.5 GB of its 16.0 GB are in use outside this job."
