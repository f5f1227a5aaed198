"""What the C library does with memory that a training step has freed."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # <malloc.h> of glibc


def keep_freed_memory() -> None:
    """Keep what is freed for the next step, in place of handing it back to the system.

    By default glibc takes large tensors from the system one by one and gives them back at once, so every step has its
    activations mapped and zeroed anew, page by page: a fifth to a third of a CPU training's time (docs/performance.md).
    The price is that memory stays at its peak. Other C libraries are left as they are.
    """
    allocator = getattr(ctypes.CDLL(None), "mallopt", None)
    if allocator is not None:
        allocator(M_MMAP_MAX, 0)
        allocator(M_TRIM_THRESHOLD, -1)
