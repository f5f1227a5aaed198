"""How far a training is: one line that stays on a terminal, now and then a line in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO


@dataclass(frozen=True)
class Update:
    """How far a training is after an update.

    Attributes:
        done, remaining: updates that this job has done, and those that are left.
        epoch: the epoch in progress, from 1.
        epochs: of the clock's part that ends with this job.
        loss: mean of the last complete epoch, None before there is one.
    """

    done: int
    remaining: int
    epoch: int
    epochs: int
    loss: float | None


_watchers: list[Callable[[Update], None]] = []


@contextlib.contextmanager
def watched(tell: Callable[[Update], None]) -> Iterator[None]:
    """Have every update told of that trainings of this process make within the block."""
    _watchers.append(tell)
    try:
        yield
    finally:
        _watchers.remove(tell)


class Progress:
    """Reports images per second and the time left.

    Args:
        name: what is being trained.
        epochs: of the clock's part that ends with this job.
        steps: updates per epoch.
        remaining: updates that this job has to do.
        stream: where to; one line is overwritten if it is a terminal, else a line is added per ``interval``.
        interval: seconds between reports; 0.5 on a terminal and 30 in a log when None.
    """

    def __init__(
        self,
        name: str,
        *,
        epochs: int,
        steps: int,
        remaining: int,
        stream: TextIO | None = None,
        interval: float | None = None,
    ) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.terminal = self.stream.isatty()
        self.interval = interval if interval is not None else 0.5 if self.terminal else 30.0
        self.name, self.epochs, self.steps, self.remaining = name, epochs, steps, remaining
        self.begun = self.said = time.monotonic()
        self.updates = self.images = 0

    def advance(self, epoch: int, step: int, images: int, loss: float | None) -> None:
        """Count one update, and report if it is time.

        Args:
            epoch: the epoch in progress, from 0.
            step: updates of it that are done.
            images: in this update.
            loss: mean of the last complete epoch, None before there is one.
        """
        self.updates += 1
        self.images += images
        for tell in _watchers:
            tell(Update(self.updates, self.remaining - self.updates, epoch + 1, self.epochs, loss))
        now = time.monotonic()
        if now - self.said < self.interval:
            return
        self.said = now
        pace = (now - self.begun) / self.updates
        text = (
            f"{self.name}: epoch {epoch + 1}/{self.epochs}, step {step}/{self.steps}, "
            f"{self.images / (now - self.begun):z.0f} images/s, "
            f"{_duration(pace * (self.remaining - self.updates))} left"
        )
        if loss is not None:
            text += f", loss {loss:z.4f}"
        self._write(text)

    def close(self) -> None:
        """Leave the terminal's line."""
        if self.terminal and self.said > self.begun:
            self.stream.write("\n")
            self.stream.flush()

    def _write(self, text: str) -> None:
        self.stream.write(f"\r\x1b[K{text}" if self.terminal else f"{text}\n")
        self.stream.flush()


def _duration(seconds: float) -> str:
    """As 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
