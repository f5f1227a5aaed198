"""Snakemake's scheduler, played through on a clock of its own, around its real limit of jobs per timespan."""

from __future__ import annotations

import heapq
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake.scheduling import job_scheduler
from snakemake.settings.types import MaxJobsPerTimespan

from longtail import scheduling
from longtail.scheduling import look_when_it_matters


class Played:
    """A scheduler's rounds over jobs that are all ready at the beginning; times are whole seconds.

    Args:
        lengths: seconds of each job.
        cores: jobs at a time.
        limit: jobs per timespan.
        timespan: in seconds.
    """

    def __init__(self, lengths: list[int], cores: int, limit: int, timespan: int, subsample: int | None = None) -> None:
        self.ready, self.cores, self.subsample = list(lengths), cores, subsample
        self.now, self.rounds, self.looks, self.starts = 0, 0, 0, []
        self.events = [(0, 0)]  # when a round is due, and the cores that are free from then on
        self.job_rate_limiter = job_scheduler.JobRateLimiter(MaxJobsPerTimespan(limit, f"{timespan}s"))

    def _schedule_reevalutation(self, seconds: float) -> None:
        self.looks += 1
        heapq.heappush(self.events, (self.now + seconds, 0))

    def round(self) -> None:
        self.rounds += 1
        free = self.job_rate_limiter.get_free_jobs()
        if free:
            selected = self.ready[: min(free, self.cores, self.subsample or free)]
            del self.ready[: len(selected)]
            self.job_rate_limiter.register_jobs(len(selected))
            self.cores -= len(selected)
            for length in selected:
                self.starts.append(self.now)
                heapq.heappush(self.events, (self.now + length, 1))
        self._schedule_reevalutation(self.job_rate_limiter.timespan)

    def play(self, patch: pytest.MonkeyPatch) -> Played:
        clock = SimpleNamespace(time=lambda: self.now, monotonic=lambda: self.now)
        patch.setattr(scheduling, "time", clock)
        patch.setattr(job_scheduler, "time", clock)
        while self.events:
            self.now, freed = heapq.heappop(self.events)
            self.cores += freed
            if self.ready:  # without one, Snakemake neither selects nor arranges another look
                self.round()
        return self


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.integers(1, 12), st.integers(1, 5), st.integers(1, 7))
def test_all_jobs_start_within_the_limit_in_few_rounds(lengths, cores, limit, timespan):
    with pytest.MonkeyPatch.context() as patch:
        played = Played(lengths, cores, limit, timespan)
        look_when_it_matters(played)
        played.play(patch)
    assert len(played.starts) == len(lengths)
    for start in played.starts:
        assert sum(start - timespan < other <= start for other in played.starts) <= limit
    assert played.looks <= len(lengths)
    assert played.rounds <= 1 + played.looks + len(lengths)


def test_a_limit_that_holds_nothing_back_leads_to_no_look(monkeypatch):
    quiet, busy = Played([3] * 40, 2, 100, 1), Played([3] * 40, 2, 100, 1)
    look_when_it_matters(quiet)
    assert (quiet.play(monkeypatch).rounds, quiet.looks) == (39, 0)
    assert busy.play(monkeypatch).rounds > 500, "Snakemake's own way, in which every round leads to another"
    assert quiet.starts == busy.starts


def test_other_waits_of_the_scheduler_stay():
    """As for input that a queue gives, which a workflow that imports this one may have."""
    waits = []
    scheduler = SimpleNamespace(job_rate_limiter=Played([1], 1, 1, 1).job_rate_limiter, subsample=None)
    scheduler._schedule_reevalutation = waits.append
    look_when_it_matters(scheduler)
    scheduler._schedule_reevalutation(10)
    assert waits == [10]


def test_what_is_otherwise_is_left_as_it_is():
    limiter = Played([1], 1, 1, 1).job_rate_limiter
    for scheduler in (
        SimpleNamespace(),
        SimpleNamespace(job_rate_limiter=None, _schedule_reevalutation=print),
        SimpleNamespace(job_rate_limiter=limiter),
        SimpleNamespace(job_rate_limiter=SimpleNamespace(timespan=1), _schedule_reevalutation=print),
        SimpleNamespace(job_rate_limiter=limiter, _schedule_reevalutation=print, subsample=5),
    ):
        before = dict(vars(scheduler))
        look_when_it_matters(scheduler)
        assert vars(scheduler) == before


def test_snakemake_has_what_is_changed():
    """Where this fails after an update, look whether Snakemake still looks again after every round."""
    assert hasattr(job_scheduler.JobScheduler, "_schedule_reevalutation")
    assert {"get_free_jobs", "register_jobs", "timespan"} <= set(dir(job_scheduler.JobRateLimiter))
