"""What is shown of the log of a job that failed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from snakemake_logger_plugin_longtail.failures import LONGEST, READ, Failure
from snakemake_logger_plugin_longtail.jobs import Job


def reason(tmp_path, text):
    log = tmp_path / "job.log"
    log.write_text(text)
    return Failure(Job("train"), [str(log)]).reason


def test_of_a_traceback_the_last_call_and_the_exception(tmp_path):
    inner = "def inner():\n    raise ValueError('no\\nroom')\n"
    program = f"{inner}try:\n    1 / 0\nexcept ZeroDivisionError:\n    inner()\n"
    script = tmp_path / "script.py"
    script.write_text(program)
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False).stderr
    assert "ZeroDivisionError" in said
    assert reason(tmp_path, f"epoch 1\n{said}") == [
        f'  File "{script}", line 2, in inner',
        "    raise ValueError('no\\nroom')",
        "ValueError: no",
        "room",
    ]


def test_a_message_to_the_user_is_shown_whole_and_alone(tmp_path):
    assert reason(tmp_path, "epoch 1\nerror: No room.\n  Delete something.\n") == [
        "error: No room.",
        "  Delete something.",
    ]


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_else_the_last_lines(tmp_path, end):
    lines = [f"line {number}" for number in range(100)]
    assert reason(tmp_path, "\n".join(lines) + end) == lines[-8:]


def test_of_a_line_that_was_drawn_anew_what_stood_there_last(tmp_path):
    assert reason(tmp_path, "1 %\r2 %\r3 %\nKilled\n") == ["3 %", "Killed"]


def test_a_log_may_be_long_and_no_text(tmp_path):
    (line,) = reason(tmp_path, "x" * (2 * READ))
    assert len(line) == LONGEST + 4
    (tmp_path / "bytes.log").write_bytes(b"\xff\xfe")
    assert Failure(Job("train"), [str(tmp_path / "bytes.log")]).reason == ["\ufffd\ufffd"]


def test_the_log_of_a_cluster_speaks_for_a_job_that_wrote_none(tmp_path):
    (tmp_path / "slurm.log").write_text("slurmstepd: error: oom_kill event\n")
    logs = [str(tmp_path / name) for name in ("none.log", "slurm.log")]
    assert Failure(Job("train"), logs, "Command failed").reason == ["slurmstepd: error: oom_kill event"]
    assert Failure(Job("train"), logs[:1], "Command failed").reason == ["Command failed"]


def test_seeds_and_hashes_are_no_different_causes(tmp_path):
    one, other = (
        Failure(Job("train"), told=f"error: results/simclr-40-{name}/seed{seed} is truncated")
        for seed, name in enumerate(["0a1b2c3d4e", "5f6a7b8c9d"])
    )
    assert one.cause == other.cause != Failure(Job("train"), told="error: No room").cause


@pytest.mark.parametrize(
    ("told", "stopped"),
    [
        ("Command 'x' returned non-zero exit status 75.", True),
        ("Command 'x' returned non-zero exit status 130.", True),
        ("Command 'x' died with <Signals.SIGINT: 2>.", True),
        ("Command 'x' returned non-zero exit status 1.", False),
        ("Command 'exit status 75' returned non-zero exit status 1.", False),
        ("Command 'x' died with <Signals.SIGKILL: 9>.", False),
    ],
)
def test_how_a_job_ends_that_is_asked_to(told, stopped):
    assert Failure(Job("train"), told=told).stopped is stopped
