"""The jobs that an interrupted executor cancels, around the real loop in which it asks for their states."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_slurm import Executor

from longtail.cancelling import cancel_what_is_asked_about

PATIENCE = 60  # seconds
(RemoteExecutor,) = Executor.__bases__  # has the loop; Slurm's own executor fills in what is asked and cancelled


class Played(RemoteExecutor):
    """An executor of which the test says how far it is: it asks for as long as ``answer`` is not set."""

    def __init__(self, jobs, ended=()):
        self.lock = threading.Lock()
        self.active_jobs, self.ended, self.cancelled = list(jobs), ended, []
        self.wait = True
        self.asks, self.answer, self.asked = (threading.Event() for _ in range(3))
        self.workflow = SimpleNamespace(
            executor_plugin=SimpleNamespace(common_settings=SimpleNamespace(init_seconds_before_status_checks=0)),
            remote_execution_settings=SimpleNamespace(immediate_submit=True),
        )
        self.wait_thread = threading.Thread(target=lambda: asyncio.run(self._wait_for_jobs()), daemon=True)

    def run_job(self, job):
        raise NotImplementedError

    async def check_active_jobs(self, active_jobs):
        self.asks.set()
        while not self.answer.is_set():
            await asyncio.sleep(0.01)
        for job in active_jobs:
            if job not in self.ended:
                yield job

    async def sleep(self):
        self.asked.set()
        while self.wait:
            await asyncio.sleep(0.01)

    def cancel_jobs(self, active_jobs):
        self.cancelled.append(active_jobs)
        self.answer.set()

    def start(self):
        self.wait_thread.start()
        assert self.asks.wait(PATIENCE)


def test_who_is_asked_about_is_cancelled():
    played = Played(["a", "b"])
    cancel_what_is_asked_about(played)
    played.start()
    played.active_jobs.append("submitted meanwhile")
    played.cancel()
    assert played.cancelled == [["submitted meanwhile", "a", "b"]]


def test_between_questions_each_job_is_cancelled_once_and_none_that_has_ended():
    played = Played(["a", "b", "c"], ended=("b",))
    cancel_what_is_asked_about(played)
    played.start()
    played.answer.set()
    assert played.asked.wait(PATIENCE)
    played.cancel()
    assert played.cancelled == [["a", "c"]]


def test_before_they_are_on_the_list_again_they_are_cancelled():
    played = Played(["a", "b"], ended=("b",))
    cancel_what_is_asked_about(played)

    async def ask():
        return [job async for job in played.check_active_jobs(["a", "b"])]

    played.answer.set()
    assert asyncio.run(ask()) == ["a"]
    played.cancel_jobs([])
    assert played.cancelled == [["a"]]


def test_without_it_they_are_forgotten():
    """Where this fails after an update of the interface, ``longtail.cancelling`` may no longer be needed."""
    played = Played(["a", "b"])
    played.start()
    played.cancel()
    assert played.cancelled == [[]]


def test_an_executor_of_this_machine_is_left_as_it_is():
    local = SimpleNamespace(cancel=print)
    cancel_what_is_asked_about(local)
    assert vars(local) == {"cancel": print}


@pytest.mark.parametrize("name", ["check_active_jobs", "cancel_jobs"])
def test_the_executor_has_what_is_changed(name):
    assert callable(getattr(Executor, name))
