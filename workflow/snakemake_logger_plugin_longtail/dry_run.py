"""What a dry run says: how many jobs there would be, and what they would train, in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from .jobs import TRAINING, Job
from .terminal import Terminal
from .words import counted, listed


def say(terminal: Terminal, stats: Mapping[str, int], jobs: Iterable[Job]) -> None:
    """Say what would be done.

    Args:
        terminal: where to.
        stats: jobs per rule.
        jobs: all of them.
    """
    terminal.wrapped(f"It would run {counted(sum(stats.values()), 'job')}: {listed(stats)}")
    trained = [job for job in jobs if job.rule == TRAINING]
    if any(job.method for job in trained):
        terminal.line(f"It would train {counted(len(trained), 'network')}:")
        terminal.wrapped(f"  by objective: {listed(Counter(job.method for job in trained))}")
        terminal.wrapped(f"  by dataset: {listed(Counter(job.dataset for job in trained))}")
        terminal.wrapped(f"  by seed: {listed(Counter(sorted(f'of seed {job.seed}' for job in trained)))}")
    terminal.wrapped(
        "This was a dry run: nothing was done. -p lists every job with its files, its reason and its command; "
        "the target `plan` tells hours and disk."
    )
