"""The plugin in Snakemake itself, on a workflow of four rules, by the project's own profile."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SNAKEFILE = """
rule all:
    input: "out/table"

rule table:
    input: expand("out/digits-ir10/{phase}/seed{seed}", phase="simclr-40-0123456789", seed=range(3))
    output: "out/table"
    shell: "touch {output}"

rule train:
    output: "out/{cut}/{phase}/seed{seed}"
    log: "log/{cut}/{phase}-seed{seed}.log"
    shell: "(echo begun; echo made > {output}; if [ -e fails ]; then echo 'error: No room.'; exit 1; fi;"
           " if [ -e holds ]; then sleep 60; fi) > {log} 2>&1"

rule inline:
    output: "out/inline"
    run:
        open(output[0], "w").close()
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "profiles").symlink_to(ROOT / "profiles")
    return tmp_path


MODULE = [sys.executable, "-m", "snakemake"]
SCRIPT = [str(Path(sys.executable).with_name("snakemake"))]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
for name in ("LONGTAIL_COMMAND", "PYTEST_CURRENT_TEST"):
    ENVIRONMENT.pop(name, None)


def snakemake(folder, *arguments, command=MODULE, **environment):
    """Exit status, what went to stdout and what to stderr."""
    ended = subprocess.run(
        [*command, "--cores", "2", *arguments],
        cwd=folder,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize("command", [MODULE, SCRIPT])
def test_it_is_found_and_says_a_line_per_training(folder, command):
    status, out, said = snakemake(folder, command=command)
    assert (status, out) == (0, "")
    assert len(said.splitlines()) == 1 + 1 + 3 + 1 + 1  # the profile's line, jobs, trainings, table, the end
    assert re.search(r"^1/5  train simclr to epoch 40, digits ratio 10, seed \d ", said, re.M)
    assert re.search(r"^5 jobs done in \d.*s\.\n\Z", said, re.M)
    (log,) = (folder / ".snakemake/log").glob("*.log")
    assert log.read_text().count("Finished jobid") == 5
    assert "Nothing to be done" in snakemake(folder, command=command)[2]


def test_a_failure_stands_at_the_end_once(folder):
    (folder / "fails").touch()
    status, _, said = snakemake(folder)
    assert status == 1
    assert said.count("error: No room.") == 1
    assert "3 jobs failed, and 2 others could not run:" in said
    assert "    log: log/digits-ir10/simclr-40-0123456789-seed0.log\n" in said
    assert "Traceback" not in said
    assert "Snakemake's log: .snakemake/log/" in said
    assert said.endswith("To go on once the cause is mended: snakemake --cores 2\n")


def test_ctrl_c_says_what_is_kept_and_what_to_type(folder):
    (folder / "holds").touch()
    process = subprocess.Popen(
        [*MODULE, "--cores", "2"],
        cwd=folder,
        env=ENVIRONMENT | {"LONGTAIL_COMMAND": "make study"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while len(list(folder.glob("log/*/*.log"))) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(re.findall(r"^  interrupted: train simclr to epoch 40, digits ratio 10, seed \d$", said, re.M)) == 2
    assert "failed" not in said
    assert "Traceback" not in said
    assert said.endswith("To go on: make study\n")


def test_a_dry_run_goes_where_snakemakes_does(folder):
    status, out, said = snakemake(folder, "-n")
    assert status == 0
    assert out.startswith("It would run 5 jobs: 3 train, 1 table, 1 all\nIt would train 3 networks:\n")
    assert said.count("\n") == 1
    assert not (folder / "out").exists()


@pytest.mark.parametrize("words", ["--quiet all", "--quiet rules", "-p", "-n --quiet", "-n --verbose"])
def test_who_asks_for_less_or_more_is_told_what_snakemake_tells(folder, tmp_path_factory, words):
    other = tmp_path_factory.mktemp("other")
    (other / "Snakefile").write_text(SNAKEFILE)
    own = snakemake(folder, *words.split())
    plain = snakemake(other, "--workflow-profile", "none", "--scheduler", "greedy", *words.split())
    assert own[0] == plain[0] == 0
    assert lines(own[1]) == lines(plain[1])
    assert lines(own[2]) == lines(plain[2])
    assert ("rule train:" in own[1] + own[2]) is ("quiet" not in words)
    assert ("echo begun" in own[1] + own[2]) is ("-p" in words)


TIMES = re.compile(r"\S*/(test_who|other)\S*|\[.*\d\d:\d\d:\d\d.*\]|Elapsed time.*|\d+ of \d steps.*")
OF_A_RUN = ("Using workflow", "  Date", "  Workflow ID", "  Command", "    jobid", "    reason", "Finished", "Execute")


def lines(said):
    """What differs between two runs left out: times, order, folders, profiles."""
    return sorted(line for line in TIMES.sub("", said).splitlines() if not line.startswith(OF_A_RUN))


def test_where_it_is_not_found_snakemake_speaks_itself(folder):
    hidden = (
        "import pathlib, sys; name = 'snakemake_logger_plugin_longtail'; "
        "sys.path = [path for path in sys.path if not (pathlib.Path(path) / name).exists()]; "
        "from snakemake.cli import main; main()"
    )
    status, _, said = snakemake(folder, command=[sys.executable, "-c", hidden], PYTHONPATH="")
    assert status == 0
    assert "5 of 5 steps (100%) done" in said


def test_a_job_that_snakemake_starts_again_for_does_not_speak_twice(folder):
    status, _, said = snakemake(folder, "out/inline")
    assert status == 0
    assert len(re.findall(r"^1/1  inline ", said, re.M)) == 1


@pytest.mark.parametrize("words", [[], ["--nocolor"]])
def test_on_a_terminal_a_line_is_drawn_anew(folder, words):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*MODULE, "--cores", "2", *words], cwd=folder, env=ENVIRONMENT | {"TERM": "xterm"}, stderr=theirs
    )
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 1024):
            said += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    assert b"\r\x1b[K" in said
    assert (b"\x1b[32m5 jobs done" in said) is (not words)
    assert shutil.which("snakemake") is None or b"2 running" in said
