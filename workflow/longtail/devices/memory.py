"""A process's share of a GPU's memory, what updates take of it, and how it is said that there is none left."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from longtail.errors import LongtailError

MORE = "use a device with more memory, or one that nothing else uses"

CONTEXT = 750_000_000
"""Bytes of a GPU that a process takes beside its tensors, for CUDA itself and its libraries. Generous, not measured."""

_sharers = 1  # of this process's GPU, itself included


def divide(sharers: int, device: torch.device) -> None:
    """Hold this process to its share of a GPU's memory, so that it cannot make the others fail which have the rest.

    Args:
        sharers: processes that share the GPU.
        device: that GPU.

    Raises:
        LongtailError: if the share has no room for more than CUDA itself.
    """
    global _sharers
    total = torch.cuda.mem_get_info(device)[1]
    own = total / sharers - CONTEXT
    if own <= 0:
        raise LongtailError(
            f"{torch.cuda.get_device_name(device)} has {gigabytes(total)}, too little for {sharers} trainings at once: "
            f"each takes {gigabytes(CONTEXT)} for CUDA alone. Set a lower trainings_per_gpu."
        )
    torch.cuda.set_per_process_memory_fraction(own / total, device)
    _sharers = sharers


def available(device: torch.device) -> tuple[float, str]:
    """Bytes of a GPU that this process can have, those it has included, and a word if it shares the GPU with others.

    Args:
        device: the GPU, where nothing that was freed is still kept.
    """
    free, total = torch.cuda.mem_get_info(device)
    own = torch.cuda.memory_reserved(device)
    if _sharers > 1:
        share = torch.cuda.get_per_process_memory_fraction(device) * total
        return min(free + own, share), f"It has one of {_sharers} shares of that GPU's {gigabytes(total)}."
    elsewhere = total - free - own
    if elsewhere > 0.1 * total:
        return free + own, f"{gigabytes(elsewhere)} of its {gigabytes(total)} are in use outside this job."
    return free + own, ""


def way_to_more() -> str:
    """What gives a process more memory."""
    return MORE if _sharers == 1 else f"set a lower trainings_per_gpu (it is {_sharers}), or {MORE}"


@dataclass(frozen=True)
class Footprint:
    """Bytes that an update takes: ``fixed``, and ``per_image`` of the batch."""

    fixed: float
    per_image: float

    def of(self, batch: int) -> float:
        """Bytes for a batch of so many images."""
        return self.fixed + batch * self.per_image

    def largest_batch(self, room: float) -> int:
        """How many images fit into so many bytes; 0 if none."""
        return max(0, math.floor((room - self.fixed) / self.per_image))


def measure(peak: Callable[[int], int | None], batch: int) -> Footprint | None:
    """The footprint through the two largest of a half, a quarter, ... of ``batch`` that can be measured.

    Args:
        peak: most bytes in use in an update with so many images, None if that cannot be made.
        batch: images of the update that did not fit.

    Returns:
        None if fewer than two can be measured, or the larger takes no more than the smaller.
    """
    found: list[tuple[int, int]] = []
    size = batch // 2
    while size and len(found) < 2:
        taken = peak(size)
        if taken is not None:
            found.append((size, taken))
        size //= 2
    if len(found) < 2:
        return None
    (large, more), (small, less) = found
    slope = (more - less) / (large - small)
    return Footprint(more - slope * large, slope) if slope > 0 else None


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch says by ``error`` that memory is short, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def room_for(what: str, device: str) -> Iterator[None]:
    """Say that ``device`` has no room for ``what``, should the block find that out.

    Raises:
        LongtailError: in place of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise LongtailError(f"{device} has no memory left for {what}. To go on, {way_to_more()}.") from error


def gigabytes(size: float) -> str:
    """Bytes in words."""
    return f"{size / 1e9:z.1f} GB"
