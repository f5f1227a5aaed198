"""The page kept up to date beside a workflow, which it never delays: at the lowest priority, for little of the time."""

from __future__ import annotations

import os
import select
import sys
import time
import traceback
from collections.abc import Callable
from typing import IO

from longtail.errors import LongtailError

EVERY = 20.0
"""Seconds between two looks, at least."""

REST = 20
"""How many times as long as a look takes the next one is waited for, at least."""


def follow(write: Callable[[float | None], bool], until: IO[str], since: Callable[[], float | None]) -> int:
    """Write a page again and again, and a last time when the workflow is over.

    Args:
        write: writes it, if anything is new; told when the workflow began that is at work, None if none is.
        until: ends when the workflow does, however that may be: its end of a pipe.
        since: when that workflow began.

    Returns:
        1 if the last page could not be written, with an error on stderr, else 0.
    """
    os.nice(19)
    told = ""
    while True:
        began = time.monotonic()
        told = _attempt(write, since(), told)
        seconds = max(EVERY, REST * (time.monotonic() - began))
        if select.select([until], [], [], seconds)[0]:
            return 1 if _attempt(write, None, told) else 0


def _attempt(write: Callable[[float | None], bool], since: float | None, told: str) -> str:
    """What kept the page from being written, said unless it was the last time, too; empty if nothing did."""
    try:
        write(since)
    except LongtailError as error:
        said = f"error: {error}"
    except Exception:  # whatever it is, the next look may go well
        said = traceback.format_exc()
    else:
        return ""
    if said != told:
        print(said, file=sys.stderr, flush=True)
    return said
