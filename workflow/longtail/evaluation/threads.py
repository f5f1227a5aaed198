"""How many CPU threads a job computes with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from longtail.errors import LongtailError


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Keep numpy and scikit-learn to ``number`` threads: those that are loaded and those that will be.

    Raises:
        LongtailError: if ``number`` is below 1.
    """
    from threadpoolctl import threadpool_limits

    if number < 1:
        raise LongtailError(f"A job needs at least one thread, not {number}.")
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(number)
    try:
        with threadpool_limits(number):
            yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
