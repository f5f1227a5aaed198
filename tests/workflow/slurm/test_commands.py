"""The commands that stand between the executor and Slurm, before commands that say what Slurm would say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

STAND_INS = Path(__file__).parents[3] / "slurm" / "bin"
SACCT_QUESTION = ["sacct", "-X", "--parsable2", "--noheader", "--format=JobIdRaw,State", "--name", "longtail_1"]
SQUEUE_QUESTION = ["squeue", "--format=%i|%T", "--states=all", "--noheader", "--name", "longtail_1"]


@pytest.fixture
def slurm(tmp_path):
    """Write a command of Slurm, and call one as the executor does."""

    class Slurm:
        def says(self, command: str, script: str) -> None:
            path = tmp_path / command
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)

        def answer(self, *call: str) -> subprocess.CompletedProcess[str]:
            path = os.pathsep.join([str(STAND_INS), str(tmp_path), "/usr/bin", "/bin"])
            environment = {"PATH": path, "CALLS": str(tmp_path / "calls")}
            return subprocess.run(call, env=environment, capture_output=True, text=True, check=False, timeout=60)

    return Slurm()


def test_an_end_that_the_executor_does_not_know_becomes_one_that_it_does(slurm):
    slurm.says("squeue", "printf '1|PREEMPTED\\n2|RUNNING\\n3|CANCELLED\\n'")
    slurm.says("sacct", "exit 1")
    assert slurm.answer(*SQUEUE_QUESTION).stdout.splitlines() == ["1|CANCELLED", "2|RUNNING", "3|CANCELLED"]
    slurm.says("squeue", "true")
    slurm.says("sacct", "printf '1|CANCELLED by 1000\\n2|PREEMPTED\\n'")
    assert slurm.answer(*SACCT_QUESTION).stdout.split("\n")[:2] == ["1|CANCELLED", "2|CANCELLED"]


def test_squeue_answers_where_there_is_no_accounting(slurm):
    slurm.says("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    slurm.says("squeue", "echo '1|COMPLETED'")
    assert slurm.answer(*SACCT_QUESTION).stdout == "1|COMPLETED\n"


def test_what_the_controller_says_comes_after_what_the_database_says(slurm):
    # A preempted job that Slurm queues anew; the executor takes the last line of a job.
    slurm.says("sacct", "printf '1|PREEMPTED\\n2|COMPLETED\\n'")
    slurm.says("squeue", "echo '1|PENDING'")
    assert slurm.answer(*SACCT_QUESTION).stdout.splitlines() == ["1|CANCELLED", "2|COMPLETED", "1|PENDING"]


@pytest.mark.parametrize("question", [SQUEUE_QUESTION, SACCT_QUESTION])
def test_without_the_controller_there_is_no_answer(slurm, question):
    slurm.says("squeue", "exit 1")
    slurm.says("sacct", "echo '1|PREEMPTED'")
    answer = slurm.answer(*question)
    assert answer.returncode != 0
    assert answer.stdout == ""


@pytest.mark.parametrize("command", ["squeue", "sacct"])
def test_other_calls_are_passed_on(slurm, command):
    slurm.says(command, 'printf "%s\\n" "$@"; exit 3')
    answer = slurm.answer(command, "--me", "-o", "%k %T")
    assert answer.stdout.splitlines() == ["--me", "-o", "%k %T"]
    assert answer.returncode == 3


def test_a_job_is_submitted_once_and_its_number_comes_back(slurm):
    slurm.says("sbatch", 'echo "$@" >> "$CALLS"; echo 7; echo "a warning" >&2')
    answer = slurm.answer("sbatch", "--parsable", "--wrap=echo 'two  words'")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "7\n", "a warning\n")


@pytest.mark.parametrize("command", ["sbatch", "sinfo"])
def test_while_the_controller_is_away_a_command_waits(slurm, command):
    slurm.says(
        command,
        'echo called >> "$CALLS"\n'
        '[ "$(wc -l < "$CALLS")" -eq 3 ] || { echo "Unable to contact slurm controller (reason)" >&2; exit 1; }\n'
        "echo 7",
    )
    slurm.says("sleep", "exit 0")
    answer = slurm.answer(command, "-o", "a  b")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "7\n", "")


def test_a_refusal_is_passed_on(slurm):
    slurm.says("sbatch", "echo 'sbatch: error: invalid partition specified' >&2; exit 1")
    answer = slurm.answer("sbatch", "--parsable")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == "sbatch: error: invalid partition specified\n"


def test_an_account_that_cannot_be_checked_is_none_that_is_wrong(slurm):
    slurm.says("sshare", "echo 'Unable to contact slurm controller' >&2; exit 1")
    answer = slurm.answer("sshare", "-U", "--format", "Account%256", "--noheader")
    assert (answer.returncode, answer.stdout) == (0, "")
    slurm.says("sshare", "echo group")
    assert slurm.answer("sshare", "-U").stdout == "group\n"
