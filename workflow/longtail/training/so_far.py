"""How an unfinished training has gone until now: a small file beside its resumable states, for those who watch it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from longtail.errors import LongtailError
from longtail.files import write_described

NAME = "history.parquet"
"""In the folder of the states; the finished history is called so, too."""

EVERY = 10.0
"""Seconds between two writings."""


def history_table(history: Sequence[Mapping[str, float]]) -> pa.Table:
    """One row per epoch: ``epoch`` int64 (complete epochs of the clock), float64 otherwise, null for an absent part."""
    pace = ("learning_rate", "images_per_second", "seconds")
    parts = {name: None for entry in history for name in entry if name not in ("epoch", "loss", *pace)}
    names = ("loss", *parts, *pace)
    return pa.table(
        {"epoch": pa.array([entry["epoch"] for entry in history], pa.int64())}
        | {name: pa.array([entry.get(name) for entry in history], pa.float64()) for name in names}
    )


class HistorySoFar:
    """Writes the epochs of a training that are complete, the first at once and then not too often."""

    def __init__(self, folder: Path, every: float = EVERY) -> None:
        """Write into the folder of a training's states, with so many seconds between two writings."""
        self.path, self.every = folder / NAME, every
        self._written: float | None = None

    def tell(self, history: Sequence[Mapping[str, float]]) -> None:
        """Take note of an epoch that is complete. A full disk is told of by what has to be saved, and not by this."""
        now = time.monotonic()
        if self._written is None or now - self._written >= self.every:
            with contextlib.suppress(LongtailError):
                write_described(self.path, history_table(history), {})
            self._written = now

    def remove(self) -> None:
        """Delete the file, and what a killed writer left of one."""
        for path in (self.path, *self.path.parent.glob(f".{self.path.stem}-*.tmp{self.path.suffix}")):
            path.unlink(missing_ok=True)
