"""Kills drawn from a seed, and what must hold after each of them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from tests.faults.study import Job, Study, finished

STAGES = {
    "dataset": ("store", "split"),
    "training": ("train",),
    "embedding": ("embed",),
    "clustering": ("cluster",),
    "scoring": ("score",),
    "merging": ("merge",),
    "rendering": ("table", "figure"),
}
DECK = [*STAGES, "training"]  # twice, since it has most to lose
VICTIMS = {"job": ("process", "group"), "workflow": ("process", "group", "snakemake")}
"""Of a job whose command is run directly, and of one that runs within the workflow, whose group is all of it."""
ATTEMPTS = 6


@dataclass(frozen=True)
class Kill:
    """A point at which something dies.

    Attributes:
        number: from 1.
        stage: one of ``STAGES``.
        job: which of the stage's jobs.
        within: ``job`` (its command is run directly) or ``workflow``.
        victim: one of ``VICTIMS``.
        signal: SIGTERM or SIGKILL.
        share: of the CPU time that the job takes; None while it writes a file.
    """

    number: int
    stage: str
    job: int
    within: str
    victim: str
    signal: signal.Signals
    share: float | None

    def __str__(self) -> str:
        moment = "writing" if self.share is None else f"{self.share:4.0%}"
        return f"{self.number:4} {self.within:8} {self.signal.name} to {self.victim:9} {moment:8} {self.stage:10}"


def draw(count: int, seed: int, jobs: Sequence[Job]) -> list[Kill]:
    """So many kills, spread evenly over the stages."""
    numbers = random.Random(seed)
    deck: list[str] = []
    kills = []
    for number in range(1, count + 1):
        if not deck:
            deck = numbers.sample(DECK, len(DECK))
        stage = deck.pop()
        candidates = [i for i, job in enumerate(jobs) if job.rule in STAGES[stage]]
        within = numbers.choice(["job", "job", "workflow"])
        kill = Kill(
            number,
            stage,
            numbers.choice(candidates),
            within,
            numbers.choice(VICTIMS[within]),
            numbers.choice([signal.SIGTERM, signal.SIGKILL]),
            numbers.choice([None, numbers.random(), numbers.random()]),
        )
        kills.append(kill)
    return kills


class Missed(Exception):
    """The victim had ended before."""


class Patient:
    """A study that is killed again and again.

    Args:
        study: a finished one. What a kill needs to be undone for its job to run is removed.
        jobs: in an order in which they can be run.
        expected: digests of all their outputs.
    """

    def __init__(self, study: Study, jobs: Sequence[Job], expected: Mapping[str, str]) -> None:
        self.study, self.jobs, self.expected = study, jobs, expected
        self.outputs = [path for job in jobs for path in job.outputs]
        self.finished = study.stamps(self.outputs)

    def suffer(self, kill: Kill) -> str:
        """Be killed while the job runs, and resume until it is done.

        Returns:
            What happened, in a line; where the job was too fast, the moment is an earlier one than was drawn.

        Raises:
            AssertionError: if anything is not as it should be.
        """
        job, strike, resume = self.jobs[kill.job], self._in_workflow, self._resume_workflow
        if kill.within == "job":
            strike, resume = self._in_job, self._resume_job
        for _ in range(ATTEMPTS):
            self._forget(job)
            before = self.study.temporary()
            try:
                strike(job, kill)
                break
            except Missed:
                kill = replace(kill, share=0.7 * (1.0 if kill.share is None else kill.share))
        else:
            raise AssertionError(f"{job.rule} always ended before it was to be killed")
        self.look()
        left = [path for path in self.study.temporary() if path not in before]
        assert not left or kill.signal == signal.SIGKILL, f"left by a job that was asked to stop: {left}"
        resume(job)
        self.look()
        assert all((self.study.folder / path).exists() for path in job.outputs)
        return f"{kill} {job.rule:16} temporary files left: {len(left)}, resumed identical"

    def end(self, within: str) -> None:
        """Run the study to its end, and compare all that it has made.

        Raises:
            AssertionError: if a result differs, or something finished was made again or would be.
        """
        if within == "job":
            for job in self.jobs:
                if not self._is_done(job):
                    self.study.run(job)
        else:
            self._note(self._succeed())
        self.look()
        assert self.study.digests(self.outputs).keys() == self.expected.keys()
        plan = self._succeed("--dry-run")
        assert "Nothing to be done" in plan, f"would be made again:\n{plan}"

    def look(self) -> None:
        """Check that what stands under a result's name is that result, and that what is finished is untouched.

        Raises:
            AssertionError: if not.
        """
        digests = self.study.digests(self.outputs)
        wrong = [path for path, found in digests.items() if found != self.expected[path]]
        assert not wrong, f"differ from the run without faults: {wrong}"
        stamps = self.study.stamps(self.finished)
        redone = [path for path, stamp in self.finished.items() if stamps.get(path) != stamp]
        assert not redone, f"were finished and made again: {redone}"

    def _is_done(self, job: Job) -> bool:
        return all(path in self.finished for path in job.outputs)

    def _note(self, output: str) -> None:
        """Remember what Snakemake says it has finished."""
        self.finished |= self.study.stamps(finished(output))

    def _forget(self, job: Job) -> None:
        """Remove what the job has made, and all that was made from it."""
        stale = {*job.outputs, job.benchmark}
        for later in self.jobs:
            if stale.intersection(later.inputs):
                stale.update(later.outputs, [later.benchmark])
        for path in stale:
            (self.study.folder / path).unlink(missing_ok=True)
            self.finished.pop(path, None)

    def _in_job(self, job: Job, kill: Kill) -> None:
        """Kill a job whose command is run directly, once those before it are done."""
        for earlier in self.jobs[: kill.job]:
            if not self._is_done(earlier):
                self.study.run(earlier)
                self.finished |= self.study.stamps(earlier.outputs)
        if job.rule == "train":  # saves that are frequent enough to have something to go on from
            job = replace(job, command=job.command.replace(" --state ", " --checkpoint-seconds 0.2 --state "))
        process = self.study.start(self.study.shell(job))
        self._strike(process, job, kill)
        if process.wait(timeout=900) == 0:
            raise Missed

    def _resume_job(self, job: Job) -> None:
        saved = [path for path in self._states() if not path.name.startswith(".")]
        self.study.run(job)
        if saved:
            log = (self.study.folder / job.log).read_text()
            assert "Going on from epoch" in log, f"a saved state was not used:\n{log}"
        assert not self._states()
        self.finished |= self.study.stamps(job.outputs)

    def _states(self) -> list[Path]:
        return sorted((self.study.folder / "results/state").rglob("*.pt"))

    def _in_workflow(self, job: Job, kill: Kill) -> None:
        """Kill a job, or everything, or Snakemake alone, when the workflow has come to the job."""
        self._unlock()
        output = self.study.folder / "output.txt"
        process = self.study.start(self.study.snakemake(), output)
        self._strike(process, job, kill)
        status = process.wait(timeout=900)
        self._note(output.read_text())
        if status == 0:
            raise Missed

    def _resume_workflow(self, job: Job) -> None:
        self._note(self._succeed(job.outputs[0]))

    def _succeed(self, *arguments: str) -> str:
        self._unlock()
        return self.study.succeed(self.study.snakemake(*arguments))

    def _unlock(self) -> None:
        """Do what Snakemake asks for after it was killed."""
        locks = self.study.folder / ".snakemake/locks"
        if locks.exists() and any(locks.iterdir()):
            self.study.succeed(self.study.snakemake("--unlock"))

    def _strike(self, started: subprocess.Popen[bytes], job: Job, kill: Kill) -> None:
        """Wait for the moment, send the signal, and see all that ran below ``started`` end.

        Raises:
            Missed: if the job has ended before, after the end of all.
            AssertionError: if a process lives on.
        """
        below: list[psutil.Process] = []
        try:
            victim = find(started, job)
            self._wait_for_moment(victim, job, kill)
            below = psutil.Process(started.pid).children(recursive=True)
            if kill.victim == "group":
                os.killpg(started.pid, kill.signal)
            else:
                os.kill(victim.pid if kill.victim == "process" else started.pid, kill.signal)
        except (psutil.NoSuchProcess, ProcessLookupError) as error:
            started.wait()
            raise Missed from error
        started.wait(timeout=900)
        survivors = psutil.wait_procs(below, timeout=120)[1]
        assert not survivors, f"these live on: {survivors}"

    def _wait_for_moment(self, victim: psutil.Process, job: Job, kill: Kill) -> None:
        """Come back when the job has computed for its share of time, or has begun to write.

        Raises:
            psutil.NoSuchProcess: if it ends before.
        """
        folders = {(self.study.folder / path).parent for path in job.outputs}
        before = set(temporary_in(folders))
        while victim.status() != psutil.STATUS_ZOMBIE:
            if kill.share is None:
                for _ in range(100):  # a file may be written in a millisecond, and a look at the process takes time
                    if not before.issuperset(temporary_in(folders)):
                        return
            else:
                used = victim.cpu_times()
                if used.user + used.system >= kill.share * job.cpu_seconds:
                    return
                time.sleep(0.002)
        raise psutil.NoSuchProcess(victim.pid)


def find(started: subprocess.Popen[bytes], job: Job) -> psutil.Process:
    """The Python process of a job that runs below ``started``, or is it.

    Raises:
        psutil.NoSuchProcess: if there was none until ``started`` has ended.
    """
    while started.poll() is None:
        root = psutil.Process(started.pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                if process.cmdline()[1:] == job.words:
                    return process
        time.sleep(0.002)
    raise psutil.NoSuchProcess(started.pid)


def temporary_in(folders: Iterable[Path]) -> list[str]:
    """Names of temporary files."""
    return [name for folder in folders if folder.exists() for name in os.listdir(folder) if ".tmp" in name]  # noqa: PTH208
