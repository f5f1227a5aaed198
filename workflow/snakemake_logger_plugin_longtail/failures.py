"""Jobs that have failed: what they said last, and which of them failed alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .jobs import Job
from .terminal import Terminal
from .words import counted

LINES = 8
LONGEST = 400
SHOWN = 5
"""Of those that failed alike so many are named."""
READ = 1 << 16
"""Bytes of a log that are read, from its end."""

TRACEBACK = "Traceback (most recent call last):"
BY_A_SIGNAL = re.compile(r"exit status (75|130|143)\.?$|died with <Signals\.SIG(INT|TERM)")
"""How a job ends that was asked to: 75 is a training that has saved its state."""


@dataclass(frozen=True)
class Failure:
    """A job that has failed.

    Attributes:
        job: which.
        logs: files with its messages and, on a cluster, with those of the cluster; some may not be there.
        told: what Snakemake told of it, where it told anything.
        reason: the lines that matter of the first log that holds any, or of what Snakemake told: of a traceback the
            last call and the exception, of a message to the user all of it, else the last lines. They are read at once,
            as another attempt writes over them.
    """

    job: Job
    logs: Sequence[str] = ()
    told: str = ""
    reason: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        """Read the logs."""
        lines = next(filter(None, map(last_lines, self.logs)), [])
        found = _essential(lines) if lines else self.told.splitlines()[-LINES:]
        shown = [line if len(line) <= LONGEST else f"{line[:LONGEST]} ..." for line in found]
        object.__setattr__(self, "reason", shown)

    @property
    def stopped(self) -> bool:
        """Whether it ended as one does that is asked to."""
        return BY_A_SIGNAL.search(self.told) is not None

    @property
    def cause(self) -> tuple[str, str]:
        """What failures of one cause share: numbers, and with them seeds, hashes and paths, may differ."""
        return self.job.rule, re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", "".join(self.reason[-1:]))


def last_lines(path: str) -> list[str]:
    """Lines at the end of a file, each as it was overwritten last; none where there is no such file."""
    try:
        with Path(path).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - READ, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = [line.rstrip().rpartition("\r")[2] for line in text.split("\n")]
    return [line for line in lines if line.strip()]


def _essential(lines: list[str]) -> list[str]:
    begun = max((at for at, line in enumerate(lines) if line == TRACEBACK), default=-1)
    told = max((at for at, line in enumerate(lines) if line.startswith("error: ")), default=-1)
    if told >= 0 and told > begun:
        return lines[told:][:LINES]
    if begun < 0:
        return lines[-LINES:]
    ends = next((at for at in range(begun + 1, len(lines)) if not lines[at].startswith(" ")), len(lines))
    call = max((at for at in range(begun + 1, ends) if lines[at].startswith("  File ")), default=ends)
    return [*lines[call:ends][:2], *lines[ends:][:LINES]]


def begun(failed: Mapping[int, Failure], groups: Iterable[frozenset[int]]) -> list[Failure]:
    """Failures without those of jobs that had not begun when another one of their group failed.

    A cluster runs a group as one job; where it fails, Snakemake calls all of its jobs failed.

    Args:
        failed: by the jobs' numbers.
        groups: numbers of the jobs that were submitted together.
    """
    silent = {jobid for jobid, failure in failed.items() if not failure.reason}
    bystanders = {jobid for group in groups if not group <= silent for jobid in group & silent}
    return [failure for jobid, failure in failed.items() if jobid not in bystanders]


def say(terminal: Terminal, failed: Iterable[Failure], waiting: int) -> None:
    """Say of each cause once which jobs it has failed, what the first of them said, and where the rest stands.

    Args:
        terminal: where to.
        failed: at least one.
        waiting: how many other jobs could not run.
    """
    causes: dict[tuple[str, str], list[Failure]] = {}
    for failure in failed:
        causes.setdefault(failure.cause, []).append(failure)
    others = f", and {counted(waiting, 'other')} could not run" if waiting > 0 else ""
    terminal.line(f"\n{counted(sum(map(len, causes.values())), 'job')} failed{others}:", "red")
    for first, *more in causes.values():
        terminal.line()
        _name(terminal, first)
        for line in first.reason:
            terminal.line(f"    | {line}")
        for failure in more[: SHOWN - 1]:
            _name(terminal, failure, "likewise ")
        if len(more) >= SHOWN:
            terminal.line(f"  likewise {len(more) - SHOWN + 1} more", "red")


def _name(terminal: Terminal, failure: Failure, before: str = "") -> None:
    terminal.line(f"  {before}{failure.job.words}", "red")
    if failure.logs:
        terminal.line(f"    log: {', '.join(failure.logs)}")
