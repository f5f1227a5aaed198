"""When Snakemake looks for jobs to start: after one has ended, and where its limit per timespan held some back."""

from __future__ import annotations

import time
from typing import Any


class Limiter:
    """Snakemake's limit of jobs per timespan, which asks for another look at the jobs only where it has held some back.

    Args:
        limiter: the ``JobRateLimiter`` that counts.
    """

    def __init__(self, limiter: Any) -> None:
        self._limiter = limiter
        self._left = 0
        self._next_look = 0.0

    def get_free_jobs(self) -> int:
        """How many jobs may start now."""
        self._left = self._limiter.get_free_jobs()
        return self._left

    def register_jobs(self, jobs: int) -> None:
        """Count jobs that start now."""
        self._left -= jobs
        self._limiter.register_jobs(jobs)

    @property
    def timespan(self) -> float | None:
        """Seconds until the look that is to be arranged; None where all that could start has, or a look is yet to come.

        The scheduler asks once, after each round, and arranges what it is told.
        """
        now = time.monotonic()
        if self._left > 0 or now < self._next_look:
            return None
        self._next_look = now + self._limiter.timespan
        return self._limiter.timespan


def look_when_it_matters(scheduler: Any) -> None:
    """Have Snakemake's scheduler look at its jobs again only where it could start one.

    Because of its limit of jobs per timespan it arranges a look after every round, whether or not a job was held back,
    and every look is a round: rounds per second grow with the jobs that have ended, and each asks the file system for
    all inputs of all jobs that could start (Snakemake 9.27; its issues 3744 and 3955). The limit is 100 a second by
    default and cannot be switched off. It holds as before; the end of a job leads to a round anyway.

    Args:
        scheduler: Snakemake's ``JobScheduler`` before its first round. Left as it is where it has no limit, where a
            round considers only some of the jobs (``--subsample``), or where another Snakemake does this otherwise.
    """
    limiter = getattr(scheduler, "job_rate_limiter", None)
    arrange = getattr(scheduler, "_schedule_reevalutation", None)
    known = all(hasattr(limiter, name) for name in ("get_free_jobs", "register_jobs", "timespan"))
    if not known or arrange is None or getattr(scheduler, "subsample", None):
        return
    scheduler.job_rate_limiter = Limiter(limiter)
    scheduler._schedule_reevalutation = lambda seconds: None if seconds is None else arrange(seconds)
