"""How far a job is whose files are missing, told from its log and from the state that an interrupted training keeps.

No clock is consulted: Snakemake deletes a log when it starts the job anew, so an error in the log of a job without
outputs is what became of its last attempt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from longtail.study.jobs import Job

STATE = re.compile(r"-epoch(\d+)-step\d+\.pt")
"""How ``longtail.training.checkpoint`` calls a saved state; the number counts complete epochs of the clock."""

DEVICE = re.compile(r"^Training \S+ up to epoch \d+ on (.+)\.$", re.MULTILINE)
"""What a training says first."""

ERROR = re.compile(r"^(?:[\w. -]+: )?error: ")


@dataclass(frozen=True)
class Attempt:
    """What is known about the last attempt at a job.

    Attributes:
        outcome: ``not begun``, ``begun`` (it runs, was killed, or its files were deleted since), ``stopped`` (by a
            signal, as at a time limit) or ``failed``.
        said: the error that it ended with, or the last line of its log; empty if there is none.
        epoch: complete epochs of the newest saved state; None without one.
        device: what the training ran on, empty where the log does not say.
    """

    outcome: str
    said: str = ""
    epoch: int | None = None
    device: str = ""


def last_attempt(job: Job) -> Attempt:
    """The last attempt at a job whose files are missing."""
    epoch = saved_epoch(job)
    log = _read(job.log)
    if log is None:
        return Attempt("not begun", epoch=epoch)
    outcome, said = _outcome(log)
    return Attempt(outcome, said, epoch, _device(log))


def device(job: Job) -> str:
    """What a training ran on, by its log; empty where that does not say."""
    return _device(_read(job.log) or "")


def saved_epoch(job: Job) -> int | None:
    """The epoch from which a training would go on, None if it has to start anew."""
    if job.run is None or job.phase is None:
        return None
    names = (path.name for path in Path(job.run.state).glob(f"{job.phase.identity}-seed{job.run.seed}-*.pt"))
    return max((int(match[1]) for name in names if (match := STATE.search(name))), default=None)


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _device(log: str) -> str:
    found = DEVICE.findall(log)
    return found[-1] if found else ""


def _outcome(log: str) -> tuple[str, str]:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith(("Stopped by ", "error: stopped by ")):
            return "stopped", line
        if ERROR.match(line):
            return "failed", line
    last = lines[-1] if lines else ""
    return ("failed" if "Traceback (most recent call last):" in lines else "begun"), last
