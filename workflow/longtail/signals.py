"""Obey signals at a time of one's own: where nothing is left locked, or half done."""

from __future__ import annotations

import signal
import threading
import types
from typing import Any


class StopSignals:
    """Takes note of SIGTERM, SIGUSR1 and SIGINT, instead of their ending what is under way.

    However often they come: Slurm warns before it ends a job, and on Ctrl-C the terminal and Snakemake both send one.
    SIGQUIT (Ctrl-\\) ends the job at once. A thread other than the main one is never interrupted, and notes nothing.

    A handler that raises may interrupt Python's own locks between taking one and noting that it is taken. Within a pool
    of threads such a lock stays locked, and whoever waits for the threads waits for ever: use it around them.

    Attributes:
        received: name of the last signal that came.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def obey(self) -> None:
        """Let the signal that came do what it did before, within the block or after it."""
        if self.received is None:
            return
        number, self.received = signal.Signals[self.received], None
        handler = self._before.pop(number)  # which may set another one, against a second signal: that one stays
        now = signal.signal(number, handler)
        signal.raise_signal(number)
        signal.signal(number, now)  # it was ignored
        self._before[number] = handler

    def _note(self, number: int, _: types.FrameType | None) -> None:
        self.received = signal.Signals(number).name
