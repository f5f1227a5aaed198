"""What is said of a run: a line per training that has ended, a line for many short jobs, failures once, at the end."""

from __future__ import annotations

import logging
import os
from collections import Counter
from typing import Any

from . import dry_run, failures
from .failures import Failure
from .jobs import QUICK, Job, job_of
from .pace import Pace
from .terminal import Terminal
from .words import clock, counted, duration, listed, several

GATHERED_FOR = 10.0
"""Seconds for which short jobs are gathered into one line."""
LONG = 60.0
"""Seconds from which on a job has a line of its own, whatever its rule."""

ROUTINE = (
    "Assuming unrestricted shared filesystem usage",
    "host: ",
    "Config file ",
    "Building DAG of jobs",
    "Using shell: ",
    "Group jobs: inactive",
    "Conda environments: ignored",
    "Singularity containers: ignored",
    "Select jobs to execute",
    "Job rate limit reached",
    "Shutting down, this might take some time",
    "Elapsed time: ",
    "Removing output files of failed job",
    "Trying to restart job",
    "This was a dry-run",
    "Reasons:",
    "Some jobs were triggered by provenance information",
    "Rules with provenance triggered jobs",
    "Exiting because a job execution failed",
)
"""How messages begin that people need not read; all others, of plugins and Snakefile, too, are passed on."""
SUBMITTED = " has been submitted with "
LAST_WORDS = "At least one job did not complete successfully"
INTERRUPTED = "Terminating processes on user request"
TERMINATED = "Will exit after finishing currently running jobs"
LOG = "Complete log(s): "

COLOURS = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}


class Report:
    """Turns Snakemake's events into lines.

    Args:
        terminal: where they go.
        dryrun: whether nothing is run.
        again: what is to be typed to go on.
    """

    def __init__(self, terminal: Terminal, dryrun: bool = False, again: str = "") -> None:
        self.terminal, self.dryrun, self.again = terminal, dryrun, again
        self.stats: dict[str, int] = {}
        self.cores: int | None = None
        self.total = self.done = 0
        self.pace: Pace | None = None  # none before there are jobs to run
        self.jobs: dict[int, Job] = {}
        self.running: dict[int, float] = {}  # when each was started
        self.failed: dict[int, Failure] = {}
        self.groups: set[frozenset[int]] = set()  # of jobs that a cluster ran as one, and that failed
        self.gathered: list[Job] = []
        self.gathered_since = 0.0
        self.told: dict[Any, str] = {}  # errors, each by the thread that it was met in
        self.stopped = ""  # how: by the message that says so
        self.log = ""
        self.now = 0.0

    # --- events ---------------------------------------------------------------------------------------------------

    def take(self, record: logging.LogRecord) -> None:
        """Say what there is to say of one record."""
        self.now = record.created
        event = getattr(record, "event", None)
        getattr(self, f"_on_{event}", self._unsaid)(record) if event else self._message(record)
        self._draw()

    def tick(self, now: float) -> None:
        """Let time pass: what was gathered is said, and the time left drawn anew."""
        self.now = now
        if self.gathered and now - self.gathered_since >= GATHERED_FOR:
            self._say_gathered()
        self._draw()

    def _unsaid(self, record: Any) -> None:
        """Of a command, say, which ``--printshellcmds`` has Snakemake itself tell."""

    def _on_resources_info(self, record: Any) -> None:
        self.cores = getattr(record, "cores", None) or self.cores

    def _on_run_info(self, record: Any) -> None:
        self.stats = {rule: count for rule, count in record.stats.items() if rule != "total"}
        self.total = sum(self.stats.values())
        if not self.dryrun:
            self.pace = Pace(self.stats, self.now)
            cores = f" on {counted(self.cores, 'core')}" if self.cores else ""
            self.terminal.wrapped(f"{counted(self.total, 'job')}{cores}: {listed(self.stats)}")

    def _on_job_info(self, record: Any) -> None:
        job = job_of(record)
        self.jobs[record.jobid] = job
        self.groups = {group for group in self.groups if record.jobid not in group}
        before = self.failed.pop(record.jobid, None)
        if before and (before.reason or not job.grouped):
            why = "".join(f"\n    | {line}" for line in before.reason[-1:])
            self.terminal.line(f"{self._count()}  tried again: {job.words}{why}", "yellow")
        if not self.dryrun:
            self.running[record.jobid] = self.now

    def _on_job_finished(self, record: Any) -> None:
        job = self._job(record.job_id)
        seconds = self.now - self.running.pop(record.job_id, self.now)
        self.done += 1
        if self.pace:
            self.pace.ended(job.rule, seconds)
        if job.rule in QUICK and seconds < LONG:
            if not self.gathered:
                self.gathered_since = self.now
            self.gathered.append(job)
        elif job.makes or job.logs:
            self._say_done(f"{job.words:<66} {duration(seconds):>7}")
        if self.gathered and self.now - self.gathered_since >= GATHERED_FOR:
            self._say_gathered()

    def _on_progress(self, record: Any) -> None:
        self.done, self.total = record.done, record.total

    def _on_group_error(self, record: Any) -> None:
        group = frozenset(info["jobid"] for info in record.job_error_info)
        self.groups.add(group)
        if not self.stopped:
            rules = Counter(self._job(jobid).rule for jobid in group)
            methods = several([self._job(jobid).method for jobid in group], "methods")
            self.terminal.line(f"{self._count()}  failed: one job of the cluster, {listed(rules)}: {methods}", "red")
            for path in getattr(record, "aux_logs", ()):
                self.terminal.line(f"    log: {path}")

    def _on_job_error(self, record: Any) -> None:
        job = self.jobs.get(record.jobid) or job_of(record)
        failure = Failure(job, list(map(str, record.log or ())), self.told.pop(record.thread, ""))
        if self.stopped == INTERRUPTED:
            return
        self.running.pop(record.jobid, None)
        self.failed[record.jobid] = failure
        if not job.grouped:
            self.terminal.line(f"{self._count()}  failed: {job.words}", "red")

    def _on_error(self, record: Any) -> None:
        """Of a job that fails it comes before the job's own event, from the same thread."""
        text = record.getMessage()
        if not self.jobs:
            self.terminal.line(text, "red")
        elif LAST_WORDS not in text:
            if record.thread in self.told:
                self.terminal.line(self.told[record.thread], "red")
            self.told[record.thread] = text

    def _message(self, record: logging.LogRecord) -> None:
        text = record.getMessage().strip("\n")
        if text.startswith(INTERRUPTED):
            self._stop(INTERRUPTED, "Stopping: trainings save their state, other jobs clean up behind them.")
        elif text.startswith(TERMINATED):
            running = counted(len(self.running), "running job")
            self._stop(
                TERMINATED,
                f"Asked to stop: {running} will be finished, and no more are started. Ctrl-C (SIGINT) stops at once.",
            )
        elif text.startswith(LOG):
            self.log = os.path.relpath(text.removeprefix(LOG))
        elif text not in ("", "None") and not text.startswith(ROUTINE) and SUBMITTED not in text:
            self.terminal.line(text, COLOURS.get(record.levelno))

    def _stop(self, how: str, text: str) -> None:
        if self.stopped != how:
            self.stopped = how
            self._say_gathered()
            self.terminal.line(text, "yellow")

    # --- while it runs --------------------------------------------------------------------------------------------

    def _job(self, jobid: int) -> Job:
        return self.jobs.get(jobid) or Job(f"job {jobid}")

    def _count(self) -> str:
        return f"{self.done:>{len(str(self.total))}}/{self.total}"

    def _left(self) -> str:
        """Time left and when it ends, which is less after a failure: the jobs that depend on it never come."""
        running = [(self._job(jobid).rule, start) for jobid, start in self.running.items()]
        left = self.pace.left(self.now, running) if self.pace else None
        if left is None or self.done >= self.total:
            return ""
        return f"{'at most ' if self.failed else ''}{duration(left)} left, until {clock(self.now + left, self.now)}"

    def _say_done(self, words: str) -> None:
        self.terminal.line(f"{self._count()}  {words:<74}  {self._left()}".rstrip())

    def _say_gathered(self) -> None:
        jobs, self.gathered = self.gathered, []
        if len(jobs) == 1:
            self._say_done(jobs[0].words)
        elif jobs:
            rules = listed(Counter(job.rule for job in jobs))
            methods = several((job.method for job in jobs), "methods")
            datasets = several((job.dataset for job in jobs), "datasets")
            self._say_done(", ".join(filter(None, [": ".join(filter(None, [rules, methods])), datasets])))

    def _draw(self) -> None:
        """Draw the line that does not stay, unless a job may print beside it, as those that make no file do."""
        if not self.running or self.stopped or not all(self._job(jobid).makes for jobid in self.running):
            self.terminal.status("")
            return
        oldest = min(self.running, key=lambda jobid: self.running[jobid])
        since = duration(self.now - self.running[oldest])
        at_work = f"{len(self.running)} running, {self._job(oldest).words} for {since}"
        self.terminal.status("   ".join(filter(None, [self._count(), self._left(), at_work])))

    # --- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Say how it ended."""
        self.terminal.status("")
        if self.dryrun and self.stats:
            dry_run.say(self.terminal, self.stats, self.jobs.values())
        elif self.pace and self.jobs:
            self._say_gathered()
            self._say_the_end(duration(self.now - self.pace.begun))

    def _say_the_end(self, took: str) -> None:
        failed = failures.begun(self.failed, self.groups)
        interrupted = [self._job(jobid) for jobid in self.running]
        if self.stopped:
            interrupted += [failure.job for failure in failed if failure.stopped]
            failed = [failure for failure in failed if not failure.stopped]
        if self.done >= self.total and not (failed or self.told):
            self.terminal.line(f"{counted(self.total, 'job')} done in {took}.", "green")
            return
        for text in self.told.values():
            if not (self.stopped and failures.BY_A_SIGNAL.search(text)):
                self.terminal.line(text, "red")
        if failed:
            failures.say(self.terminal, failed, 0 if self.stopped else self.total - self.done - len(failed))
        self.terminal.line()
        ended = {INTERRUPTED: "Interrupted", TERMINATED: "Stopped as asked"}.get(self.stopped, "Ended")
        self.terminal.line(f"{ended} after {took}. Finished, and kept: {self.done} of {counted(self.total, 'job')}.")
        for job in interrupted if self.stopped else ():
            self.terminal.line(f"  interrupted: {job.words}")
            said = [line for path in job.logs for line in failures.last_lines(path) if line.startswith("Stopped by")]
            for line in said[-1:]:
                self.terminal.line(f"    | {line}")
        if self.log:
            self.terminal.line(f"Snakemake's log: {self.log}")
        if self.again:
            self.terminal.line(f"To go on{' once the cause is mended' if failed else ''}: {self.again}", "yellow")
