"""What is said of a run: a line per training that has ended, a line for many short jobs, failures once, at the end."""

from __future__ import annotations

import logging
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from . import failures
from .jobs import QUICK, Job, job_of
from .pace import Pace, clock, duration
from .terminal import Terminal

GATHERED_FOR = 10.0
"""Seconds for which short jobs are gathered into one line; a job that takes as long has a line of its own."""
SHOWN = 5
"""Of what is alike so many are named."""
BEFORE_THE_STOP = 2.0
"""Ctrl-C reaches all processes at once: a job may report its end so many seconds before Snakemake says why."""

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
    "This was a dry-run",
    "Reasons:",
    "Some jobs were triggered by provenance information",
    "Exiting because a job execution failed",
)
"""How messages begin that hold nothing for people; others of Snakemake and its plugins are passed on."""
SUBMITTED = re.compile(r"Job \d+ has been submitted with ")
AGAIN = re.compile(r"Trying to restart job (\d+)\.")
LAST_WORDS = "At least one job did not complete successfully"
INTERRUPTED = "Terminating processes on user request"
TERMINATED = "Will exit after finishing currently running jobs"
LOG = "Complete log(s): "


@dataclass
class Failure:
    """A job that has failed, with what is to be shown of it."""

    job: Job
    when: float
    logs: Sequence[str]
    otherwise: str


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
        self.pace: Pace | None = None
        self.jobs: dict[int, Job] = {}
        self.running: dict[int, float] = {}
        self.failed: dict[int, Failure] = {}
        self.groups: list[frozenset[int]] = []
        self.gathered: list[Job] = []
        self.gathered_since = 0.0
        self.told: dict[int, str] = {}
        self.stopped: str | None = None
        self.stopped_at = 0.0
        self.log = ""
        self.now = 0.0

    # --- events ---------------------------------------------------------------------------------------------------

    def take(self, record: logging.LogRecord) -> None:
        """Say what there is to say of one record."""
        self.now = record.created
        event = getattr(record, "event", None)
        taken = getattr(self, f"_{event}", self._message) if event else self._message
        taken(record)
        self._draw()

    def tick(self, now: float) -> None:
        """Let time pass: what was gathered is said, and the time left drawn anew."""
        self.now = now
        if self.gathered and now - self.gathered_since >= GATHERED_FOR:
            self._say_gathered()
        self._draw()

    def _resources_info(self, record: Any) -> None:
        self.cores = getattr(record, "cores", None) or self.cores

    def _run_info(self, record: Any) -> None:
        if self.stats:
            return  # a dry run gives them twice
        self.stats = {rule: count for rule, count in record.stats.items() if rule != "total"}
        self.total = record.stats["total"]
        if not self.dryrun:
            self.pace = Pace(self.stats, self.now)
            cores = f" on {self.cores} cores" if self.cores else ""
            self._say_wrapped(f"{counted(self.total, 'job')}{cores}: {listed(self.stats)}")

    def _job_info(self, record: Any) -> None:
        self.jobs[record.jobid] = job_of(
            record.rule_name,
            dict(record.wildcards or {}),
            tuple(map(str, record.log or ())),
            bool(record.output or record.log),
            bool(getattr(record, "indent", False)),
        )
        if not self.dryrun:
            self.running[record.jobid] = self.now

    def _job_finished(self, record: Any) -> None:
        self.failed.pop(record.job_id, None)
        job = self._job(record.job_id)
        seconds = self.now - self.running.pop(record.job_id, self.now)
        self.done += 1
        if self.pace:
            self.pace.ended(job.rule, seconds)
        if self.dryrun or not job.makes:
            return
        if job.rule in QUICK and seconds < GATHERED_FOR:
            if not self.gathered:
                self.gathered_since = self.now
            self.gathered.append(job)
        else:
            self._say_done(f"{job.words:<60} {duration(seconds):>7}")
        if self.gathered and self.now - self.gathered_since >= GATHERED_FOR:
            self._say_gathered()

    def _progress(self, record: Any) -> None:
        self.done, self.total = record.done, record.total

    def _group_error(self, record: Any) -> None:
        self.groups.append(frozenset(info["jobid"] for info in record.job_error_info))

    def _job_error(self, record: Any) -> None:
        job = self._job(record.jobid, record)
        self.running.pop(record.jobid, None)
        otherwise = self.told.pop(record.thread, "") or getattr(record, "shellcmd", None) or ""
        self.failed[record.jobid] = Failure(job, self.now, list(map(str, record.log or ())), otherwise)
        if not self.stopped and not job.group:
            self.terminal.line(f"{self._count()}  failed: {job.words}", "red")

    def _error(self, record: Any) -> None:
        """Of a job that fails it comes before the job's own event, from the same thread."""
        text = record.getMessage()
        if not self.jobs:
            self.terminal.line(text, "red")
        elif not text.startswith(LAST_WORDS):
            if record.thread in self.told:
                self.terminal.line(self.told[record.thread], "red")
            self.told[record.thread] = text

    def _shellcmd(self, record: Any) -> None:
        """Commands are told with ``--printshellcmds``, by Snakemake itself."""

    _workflow_started = _job_started = _group_info = _debug_dag = _rulegraph = _shellcmd

    def _message(self, record: logging.LogRecord) -> None:
        text = record.getMessage() if record.msg is not None else ""
        if text.startswith(INTERRUPTED):
            self._stop(
                "interrupted",
                "Stopping: trainings save their state, other jobs clean up behind them.",
            )
        elif text.startswith(TERMINATED):
            self._stop(
                "terminated",
                f"Asked to stop (SIGTERM): {counted(len(self.running), 'running job')} will be finished, and no more are "
                "started. To stop at once, press Ctrl-C or send SIGINT.",
            )
        elif found := AGAIN.match(text):
            self.failed.pop(int(found[1]), None)
            self.terminal.line(f"{self._count()}  tried again: {self._job(int(found[1])).words}", "yellow")
        elif text.startswith(LOG):
            self.log = text.removeprefix(LOG)
        elif text.strip() and not text.startswith(ROUTINE) and not SUBMITTED.match(text):
            colour = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}.get(record.levelno)
            self.terminal.line(text.strip("\n"), colour)

    def _stop(self, how: str, text: str) -> None:
        if self.stopped != how:
            self.stopped, self.stopped_at = how, self.now
            self._say_gathered()
            self.terminal.line(text, "yellow")

    def _say_wrapped(self, text: str) -> None:
        bound = re.sub(r"(?<=[^,:]) (?=\S)", "\xa0", text)  # numbers stay with what they count
        lines = textwrap.wrap(bound, self.terminal.width - 1, subsequent_indent="    ", break_on_hyphens=False)
        self.terminal.line("\n".join(lines).replace("\xa0", " "))

    # --- while it runs --------------------------------------------------------------------------------------------

    def _job(self, jobid: int, record: Any = None) -> Job:
        known = self.jobs.get(jobid)
        return known or Job(getattr(record, "rule_name", f"job {jobid}"))

    def _count(self) -> str:
        return f"{self.done:>{len(str(self.total))}}/{self.total}"

    def _left(self) -> str:
        """Time left and when it ends; nothing after a failure, as the jobs that depend on it never come."""
        running = [(self._job(jobid).rule, start) for jobid, start in self.running.items()]
        left = self.pace.left(self.now, running) if self.pace and not self.failed else None
        if left is None or self.done >= self.total:
            return ""
        return f"{duration(left)} left, until {clock(self.now + left, self.now)}"

    def _say_done(self, words: str) -> None:
        self.terminal.line(f"{self._count()}  {words:<68}  {self._left()}".rstrip())

    def _say_gathered(self) -> None:
        if not self.gathered:
            return
        jobs = self.gathered
        if len(jobs) == 1:
            words = jobs[0].words
        else:
            about = [several([job.method for job in jobs], "methods"), several([job.dataset for job in jobs], "sets")]
            words = f"{listed(Counter(job.rule for job in jobs))}: {', '.join(filter(None, about))}".removesuffix(": ")
        self.gathered = []
        self._say_done(words)

    def _draw(self) -> None:
        if self.pace and self.running and not self.stopped:
            longest = min(self.running, key=lambda jobid: self.running[jobid])
            at_work = f"{len(self.running)} running, {self._job(longest).words} for "
            at_work += duration(self.now - self.running[longest])
            self.terminal.status("   ".join(filter(None, [self._count(), self._left(), at_work])))
        else:
            self.terminal.status("")

    # --- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Say how it ended."""
        self.terminal.status("")
        if self.dryrun:
            self._say_what_it_would_do()
        elif self.pace and self.jobs:
            self._say_gathered()
            self._say_the_end(self.pace)

    def _say_the_end(self, pace: Pace) -> None:
        failed = self._failures()
        took = duration(self.now - pace.begun)
        if not (failed or self.told or self.stopped) and self.done >= self.total:
            self.terminal.line(f"{counted(self.total, 'job')} done in {took}.", "green")
            return
        for text in self.told.values():
            self.terminal.line(text, "red")
        if failed:
            self._say_failures(failed)
        self.terminal.line()
        if self.stopped:
            stopped = "Stopped" if self.stopped == "terminated" else "Interrupted"
            self.terminal.line(
                f"{stopped} after {took}. {self.done} of {counted(self.total, 'job')} are finished and kept. What was "
                "under way goes on from where it was saved, or is done again:"
            )
            for jobid in self.running:
                (said,) = failures.reason(self._job(jobid).logs)[-1:] or [""]
                self.terminal.line(f"  {self._job(jobid).words}" + (f": {said}" if said.startswith("Stopped") else ""))
        else:
            self.terminal.line(f"{self.done} of {counted(self.total, 'job')} are finished and kept, after {took}.")
        if self.log:
            self.terminal.line(f"All that Snakemake said: {self.log}")
        if self.again:
            what = "To go on" if self.stopped and not failed else "Once the cause is mended, go on with"
            self.terminal.line(f"{what}: {self.again}")

    def _failures(self) -> list[Failure]:
        """Of a group that a cluster runs as one job, those that have been started; none that was merely stopped."""
        found = dict(self.failed)
        if self.stopped == "interrupted":
            for jobid, failure in self.failed.items():
                if failure.when >= self.stopped_at - BEFORE_THE_STOP:
                    self.running[jobid] = failure.when
                    del found[jobid]
        for group in self.groups:
            begun = [jobid for jobid in group if jobid in found and failures.reason(found[jobid].job.logs)]
            if begun:
                found = {jobid: failure for jobid, failure in found.items() if jobid not in group or jobid in begun}
        return list(found.values())

    def _say_failures(self, failed: list[Failure]) -> None:
        causes: dict[tuple[str, str], list[tuple[Failure, list[str]]]] = {}
        for failure in failed:
            lines = failures.reason(failure.logs, failure.otherwise)
            causes.setdefault(failures.alike(failure.job.rule, lines), []).append((failure, lines))
        waiting = self.total - self.done - len(failed)
        others = f", and {counted(waiting, 'other')} could not run" if waiting > 0 and not self.stopped else ""
        self.terminal.line(f"\n{counted(len(failed), 'job')} failed{others}:", "red")
        for found in causes.values():
            self.terminal.line()
            for failure, _ in found[:SHOWN]:
                self.terminal.line(f"  {failure.job.words}", "red")
                if failure.logs:
                    self.terminal.line(f"    log: {', '.join(failure.logs)}")
            if len(found) > SHOWN:
                self.terminal.line(f"  and {len(found) - SHOWN} more with the same last line", "red")
            for line in found[0][1]:
                self.terminal.line(f"    | {line}")

    def _say_what_it_would_do(self) -> None:
        if not self.stats:
            return
        self._say_wrapped(f"It would run {counted(self.total, 'job')}: {listed(self.stats)}")
        trained = [job for job in self.jobs.values() if job.rule == "train"]
        if trained:
            self.terminal.line(f"It would train {counted(len(trained), 'network')}:")
            self._say_wrapped(f"  by objective: {listed(Counter(job.method for job in trained))}")
            self._say_wrapped(f"  by dataset: {listed(Counter(job.dataset for job in trained))}")
            self._say_wrapped(f"  by seed: {listed(Counter(sorted(job.seed for job in trained)), 'of seed ')}")
        self.terminal.line(
            "This was a dry run. -p lists every job with its files, its reason and its command; "
            "the target `plan` tells hours and disk."
        )


def counted(number: int, what: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def listed(counts: dict[str, int] | Counter[str], before: str = "") -> str:
    """``84 train, 81 score``, the most first."""
    return ", ".join(f"{count} {before}{name}" for name, count in sorted(counts.items(), key=lambda one: -one[1]))


def several(names: Iterable[str], what: str) -> str:
    """All different names, or how many there are."""
    different = list(dict.fromkeys(filter(None, names)))
    return ", ".join(different) if len(different) <= 3 else f"{len(different)} {what}"
