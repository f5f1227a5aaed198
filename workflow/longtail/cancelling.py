"""Which jobs of a cluster are cancelled when Snakemake is interrupted: all that have not ended, at any moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any


def cancel_what_is_asked_about(executor: Any) -> None:
    """Have Snakemake's executor cancel the jobs, too, whose states it is asking the cluster for.

    It takes them off its list while it asks (``RemoteExecutor._wait_for_jobs`` of snakemake-interface-executor-plugins
    9.4). An interruption at that moment cancelled nothing: the jobs went on without anybody to wait for them, and while
    the cluster did not answer, Snakemake waited for the answer, for hours.

    Args:
        executor: that of Snakemake's ``JobScheduler``, before its first job. Left as it is where it asks nobody, as one
            of this machine does.
    """
    check, cancel = (getattr(executor, name, None) for name in ("check_active_jobs", "cancel_jobs"))
    if check is None or cancel is None:
        return
    asked: list[Any] = []

    async def check_active_jobs(active_jobs: list[Any]) -> AsyncIterator[Any]:
        nonlocal asked
        asked = list(active_jobs)
        still_active = []
        async for job in check(active_jobs):
            still_active.append(job)
            yield job
        asked = still_active  # they are put on the list again only later

    def cancel_jobs(active_jobs: list[Any]) -> None:
        cancel(list({id(job): job for job in [*active_jobs, *asked]}.values()))

    executor.check_active_jobs, executor.cancel_jobs = check_active_jobs, cancel_jobs
