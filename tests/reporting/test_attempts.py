"""How far a job is, told from its log and its saved states."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from longtail.reporting.attempts import Attempt, device, last_attempt, saved_epoch
from longtail.study.jobs import Job, Jobs
from longtail.study.study import load_study
from longtail.training.checkpoint import StateFolder
from longtail.training.specification import parse

FAILURE = "Training sdclr has diverged: 'loss' is nan in epoch 3 of 1000."
TRACEBACK = """Training conmix up to epoch 5 on a device.
Traceback (most recent call last):
  File "loop.py", line 3, in train
    raise ValueError("error: of ours")
ValueError: a fault of ours
"""


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """The training of ConMix on the digits, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    jobs = Jobs(load_study({"targets": ["digits"]}))
    (measurement,) = jobs.study.cell_measurements("conmix", "digits-ir10", 0)
    return jobs.train(measurement.run)


def write_log(job: Job, text: str | bytes) -> None:
    Path(job.log).parent.mkdir(parents=True, exist_ok=True)
    Path(job.log).write_bytes(text if isinstance(text, bytes) else text.encode())


def save(job: Job, epoch: int, step: int, **changes: object) -> None:
    """A state as a training leaves it."""
    assert job.phase is not None
    assert job.run is not None
    spec = {**job.phase.spec(job.run.seed), **changes}
    state = {"identity": spec["identity"], "epoch": epoch, "step": step, "weights": torch.zeros(1)}
    StateFolder(Path(job.run.state), parse(spec)).save(state)


def test_without_a_log_nothing_has_begun(training: Job) -> None:
    assert last_attempt(training) == Attempt("not begun")
    assert device(training) == ""


@pytest.mark.parametrize(
    ("log", "outcome", "said"),
    [
        (f"Training sdclr up to epoch 5 on a device.\nerror: {FAILURE}\n", "failed", f"error: {FAILURE}"),
        (f"error: {FAILURE}\nleaked objects to clean up\n", "failed", f"error: {FAILURE}"),
        ("python -m longtail job train: error: unrecognized arguments: -x\n", "failed", None),
        (TRACEBACK, "failed", "ValueError: a fault of ours"),
        ("Stopped by SIGTERM: saved in results/state. The next run goes on from epoch 3, step 1.\n", "stopped", None),
        ("error: stopped by SIGINT; no file is half written. Run it again.\n", "stopped", None),
        ("Passing over a saved state: damaged.\nsdclr: 3/5, 800 images/s\n", "begun", "sdclr: 3/5, 800 images/s"),
        ("1%|  \r 2%|  \r", "begun", "2%|"),
        ("", "begun", ""),
        (b"\xff\xfe\n", "begun", "��"),
    ],
)  # fmt: skip
def test_the_end_of_the_log_says_what_became_of_it(training: Job, log: str, outcome: str, said: str | None) -> None:
    write_log(training, log)
    found = last_attempt(training)
    assert found.outcome == outcome
    assert found.said == (log.strip() if said is None else said)


def test_it_is_not_a_matter_of_clocks(training: Job) -> None:
    write_log(training, f"error: {FAILURE}\n")
    before = last_attempt(training)
    for seconds in (0, 2**31):
        os.utime(training.log, (seconds, seconds))
        assert last_attempt(training) == before


def test_the_device_is_the_one_of_the_last_attempt(training: Job) -> None:
    write_log(
        training, "Going on from epoch 3.\nTraining conmix up to epoch 5 on NVIDIA H200 (slice 1.2).\nconmix: 1/5\n"
    )
    assert last_attempt(training).device == device(training) == "NVIDIA H200 (slice 1.2)"


def test_the_newest_saved_state_counts(training: Job) -> None:
    assert saved_epoch(training) is None
    for epoch, step in ((9, 3), (10, 0), (12, 7)):
        save(training, epoch, step)
    save(training, 40, 0, identity="0123456789")  # of another phase
    save(training, 40, 0, seed=1)
    assert training.run is not None
    (Path(training.run.state) / ".half-epoch000050-step000000.tmp.pt").touch()
    assert saved_epoch(training) == last_attempt(training).epoch == 12


def test_only_trainings_have_states(training: Job) -> None:
    assert saved_epoch(training.needs[0]) is None
