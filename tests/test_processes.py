from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from longtail import processes
from longtail.errors import LongtailError
from longtail.processes import claim, end_with, wait_for_clock

ENVIRONMENT = {"PYTHONPATH": str(Path(processes.__file__).parents[1])}


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


# --- claim

HOLD = """
import sys, time
from longtail.processes import claim
held = claim(sys.argv[1])
print("held", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_folder_is_taken_until_its_holder_ends(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "results"
    holder = python(HOLD, str(folder))
    assert line_of(holder) == "held\n"
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(LongtailError, match=rf"Another workflow .*{folder}: process {holder.pid} on .*kill") as caught:
        claim(link)
    assert "folder of its own" in str(caught.value)
    holder.send_signal(number)
    holder.communicate(timeout=60)
    claim(folder).close()
    claim(folder).close()  # closing gives it back


def test_a_file_system_without_locks_takes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("longtail.processes.fcntl.flock", fail)
    with claim(tmp_path), claim(tmp_path):
        assert f"process {os.getpid()}" in (tmp_path / processes.CLAIM).read_text()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(LongtailError, match=r"Cannot write .*results"):
        claim(tmp_path / "results")


# --- end_with

WATCH = """
import sys, time
from longtail.processes import end_with
end_with(int(sys.argv[1]), every=0.01)
print("watching", flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize("noticed", [True, False], ids=["gone", "zombie"])
def test_a_job_ends_with_its_workflow(noticed: bool) -> None:
    workflow = python("import time; time.sleep(600)")
    job = python(WATCH, str(workflow.pid), "600")
    assert line_of(job) == "watching\n"
    assert job.poll() is None
    workflow.kill()
    if noticed:
        workflow.communicate(timeout=60)
    _, errors = job.communicate(timeout=60)
    workflow.communicate(timeout=60)
    assert job.returncode == -signal.SIGTERM
    assert f"process {workflow.pid}) has ended without its jobs" in errors


def test_a_job_ends_by_itself_when_it_is_done() -> None:
    job = python(WATCH, str(os.getpid()), "0.1")
    assert job.communicate(timeout=60) == ("watching\n", "")
    assert job.returncode == 0


def test_a_workflow_that_cannot_be_seen_is_not_waited_for() -> None:
    gone = python("")
    gone.communicate(timeout=60)
    end_with(gone.pid, every=0.01)
    time.sleep(0.1)  # would be terminated


# --- wait_for_clock


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, at a time at which the clock says 1000 seconds."""
    found: list[float] = []
    monkeypatch.setattr("longtail.processes.time.time", lambda: 1000.0)
    monkeypatch.setattr("longtail.processes.time.sleep", found.append)
    return found


def written(path: Path, at: float) -> Path:
    path.touch()
    os.utime(path, (at, at))
    return path


def test_what_was_written_before_now_is_no_reason_to_wait(tmp_path: Path, slept: list[float]) -> None:
    wait_for_clock([])
    wait_for_clock(["train", "--seed", "3", str(written(tmp_path / "a", 1000)), str(tmp_path / "gone"), "x" * 5000])
    assert not slept


def test_it_waits_for_the_newest_of_all_files_it_is_given(
    tmp_path: Path, slept: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = written(tmp_path / "a", 1002), written(tmp_path / "b.npy", 1001)
    wait_for_clock(["--spec", '{"a": "="}', str(first), f"train={second}"])
    wait_for_clock(["--split", str(first), f"train={written(tmp_path / 'd', 1006)}"])
    assert slept == [2, 6]
    assert "Waiting 6 seconds" in capsys.readouterr().err


def test_clocks_that_are_too_far_apart_end_the_job_before_it_begins(tmp_path: Path, slept: list[float]) -> None:
    path = written(tmp_path / "checkpoint.pt", 4600)
    with pytest.raises(LongtailError, match=r"checkpoint\.pt was written 3600 seconds from now.*NTP.*touch"):
        wait_for_clock([str(path)])
    assert not slept


# --- at_work_since


def test_a_folder_says_since_when_a_workflow_is_at_work_on_it(tmp_path: Path) -> None:
    assert processes.at_work_since(tmp_path) is None
    holder = python(HOLD, str(tmp_path))
    assert line_of(holder) == "held\n"
    since = processes.at_work_since(tmp_path)
    assert since == (tmp_path / processes.CLAIM).stat().st_mtime
    holder.kill()
    holder.communicate(timeout=60)
    assert processes.at_work_since(tmp_path) is None


@pytest.mark.parametrize("said", ["", "nonsense", "process {own} on another.machine, started in /\n"])
def test_of_a_workflow_elsewhere_nothing_is_known(tmp_path: Path, said: str) -> None:
    (tmp_path / processes.CLAIM).write_text(said.format(own=os.getpid()))
    assert processes.at_work_since(tmp_path) is None
