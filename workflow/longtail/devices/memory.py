"""What updates take of a device's memory, measured on small batches, and how it is said that there is none left."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from longtail.errors import LongtailError

MORE = "use a device with more memory, or one that nothing else uses"


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
        raise LongtailError(f"{device} has no memory left for {what}. To go on, {MORE}.") from error


def gigabytes(size: float) -> str:
    """Bytes in words."""
    return f"{size / 1e9:.1f} GB"
