"""The Makefile and the script of continuous integration, with a stand-in for Python that installs nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Answers the version check as the variables say, makes environments that hold a copy of itself, notes everything else.
PYTHON = f"""#!{sys.executable} -S
import os, pathlib, shutil, sys
arguments = sys.argv[1:]
if arguments[:1] == ["-c"]:
    sys.exit(os.environ.get("FAKE_VERSION") == "old")
if arguments == ["--version"]:
    print("Python 3.9.2")
elif arguments[:2] == ["-m", "venv"]:
    folder = pathlib.Path(arguments[2], "bin")
    folder.mkdir(parents=True, exist_ok=True)
    if os.environ.get("FAKE_VENV") == "broken":
        sys.exit("ensurepip is not available")
    shutil.copy(__file__, folder / "python")
else:
    with open("calls", "a") as calls:
        print(*arguments, file=calls)
    first = os.environ["PATH"].split(":")[0]
    if arguments[1] != "pip" and not os.path.samefile(os.path.join(first, "python"), __file__):
        sys.exit("jobs would run another python: " + first)
    if os.environ.get("FAKE_FAILURE") in arguments:
        sys.exit(1)
"""


INSTALLATION = [f"-m pip install {what}" for what in ("requirements/run.txt", "--editable .", "requirements/dev.txt")]


@pytest.fixture(params=["checkout", "a checkout"])
def checkout(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with the Makefile, the requirements and a finished table, in a path without or with a space."""
    folder = tmp_path / request.param
    (folder / "results/smoke/tables/conmix").mkdir(parents=True)
    (folder / "results/smoke/tables/conmix/main.md").touch()
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    (folder / "workflow/longtail").mkdir(parents=True)
    (folder / "workflow/longtail/__init__.py").touch()
    (folder / "python").write_text(PYTHON)
    (folder / "python").chmod(0o755)
    return folder


def make(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", f"PYTHON={folder / 'python'}", *arguments],
        cwd=folder,
        env={**clean, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def calls(folder: Path) -> list[str]:
    """What the stand-in was asked to do since the last time this was asked."""
    path = folder / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [re.sub(r"--disable-pip-version-check --quiet (--requirement |--no-deps )", "", line) for line in lines]


def test_help_lists_every_target() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (phony,) = re.findall(r"(?m)^\.PHONY: (.*)$", (ROOT / "Makefile").read_text())
    assert re.findall(r"(?m)^  make (\w+) +\S", said) == phony.split()
    assert subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout == said


def test_study_installs_runs_and_reports(checkout: Path) -> None:
    ended = make(checkout, "study")
    assert ended.returncode == 0, ended.stderr
    assert calls(checkout) == [
        "-m pip install requirements/run.txt",
        "-m pip install --editable .",
        "-m snakemake --cores all",
        "-m snakemake --report results/report.html",
        "-m longtail page",
    ]
    assert "  results/smoke/tables/conmix/main.md\n" in ended.stdout
    assert "  results/report.html\n" in ended.stdout
    assert ended.stdout.rstrip().endswith("\nAll results, to be opened in a browser:")  # whose path the command prints


def test_a_failing_study_fails_and_shows_no_table(checkout: Path) -> None:
    ended = make(checkout, "study", FAKE_FAILURE="snakemake")
    assert ended.returncode != 0
    assert "tables" not in ended.stdout
    assert "-m snakemake --report results/report.html" not in calls(checkout)


@pytest.mark.parametrize("jobs", ["-j1", "-j8"])
def test_test_runs_every_check(checkout: Path, jobs: str) -> None:
    ended = make(checkout, jobs, "test")
    assert ended.returncode == 0, ended.stderr
    ran = calls(checkout)
    assert ran[:3] == INSTALLATION
    assert sorted(ran[3:]) == [
        "-m mypy",
        "-m pytest -n 2",
        "-m ruff check .",
        "-m ruff format --check .",
        "-m snakefmt --check Snakefile workflow/rules",
        "-m snakemake --lint",
    ]


@pytest.mark.parametrize("check", ["ruff", "snakefmt", "--lint", "mypy", "pytest"])
def test_one_failing_check_fails_the_test(checkout: Path, check: str) -> None:
    assert make(checkout, "test", FAKE_FAILURE=check).returncode != 0


def test_the_environment_is_made_once_and_again_when_the_pins_change(checkout: Path) -> None:
    make(checkout, "environment")
    assert calls(checkout) == INSTALLATION
    make(checkout, "environment")
    assert calls(checkout) == []
    later = time.time() + 10
    os.utime(checkout / "requirements/dev.txt", (later, later))
    make(checkout, "environment")
    assert calls(checkout) == ["-m pip install requirements/dev.txt"]
    os.utime(checkout / "requirements/run.txt", (later, later))
    os.utime(checkout / "requirements/dev.txt", (0, 0))
    make(checkout, "study")
    assert calls(checkout)[:2] == INSTALLATION[:2]
    os.utime(checkout / "requirements/run.txt", (0, 0))
    os.utime(checkout / "workflow/longtail/__init__.py", (later, later))
    make(checkout, "study")
    assert calls(checkout)[0] == INSTALLATION[1]  # there may be another version


PIP = """
import pathlib, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "_longtail.pth").write_text(str(pathlib.Path("workflow").absolute()))
"""


def test_the_activated_environment_knows_the_package_wherever_the_checkout_is(checkout: Path, tmp_path: Path) -> None:
    """With a stand-in for pip that installs what pip writes for this checkout."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    (packages,) = (checkout / ".venv/lib").glob("python*/site-packages")
    (packages / "pip").mkdir()
    (packages / "pip/__main__.py").write_text(PIP)
    for stamp in (".created", ".packages"):
        (checkout / ".venv" / stamp).touch()
    shutil.rmtree(checkout / "workflow")
    (checkout / "workflow").symlink_to(ROOT / "workflow")
    made = make(checkout, ".venv/.run")
    assert made.returncode == 0, made.stderr
    checkout.rename(tmp_path / "moved")
    ended = subprocess.run(
        [tmp_path / "moved/.venv/bin/python", "-m", "longtail", "--help"],
        cwd="/",
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "python -m longtail <command>" in ended.stdout, ended.stderr


def test_a_failed_installation_is_tried_again(checkout: Path) -> None:
    assert make(checkout, "environment", FAKE_FAILURE="requirements/dev.txt").returncode != 0
    calls(checkout)
    assert make(checkout, "environment").returncode == 0
    assert calls(checkout) == ["-m pip install requirements/dev.txt"]


def test_an_old_python_is_named(checkout: Path) -> None:
    ended = make(checkout, "study", FAKE_VERSION="old")
    assert ended.returncode != 0
    assert f"Python 3.11 or newer is needed, and '{checkout / 'python'}' is not: Python 3.9.2." in ended.stderr
    assert "make PYTHON=python3.12 study" in ended.stderr
    assert not (checkout / ".venv").exists()


def test_a_missing_python_is_named(checkout: Path) -> None:
    (checkout / "python").unlink()
    ended = make(checkout, "test")
    assert ended.returncode != 0
    assert "Python 3.11 or newer is needed" in ended.stderr


def test_a_python_without_venv_is_named_each_time(checkout: Path) -> None:
    for _ in range(2):
        ended = make(checkout, "study", FAKE_VENV="broken")
        assert ended.returncode != 0
        assert "apt install python3-venv" in ended.stderr
    assert calls(checkout) == []
    assert make(checkout, "study").returncode == 0


def test_an_environment_elsewhere_is_used(checkout: Path, tmp_path: Path) -> None:
    ended = make(checkout, "study", f"VENV={tmp_path / 'elsewhere'}")
    assert ended.returncode == 0, ended.stderr
    assert not (checkout / ".venv").exists()
    assert "-m snakemake --cores all" in calls(checkout)


def test_lock_resolves_both_lists(checkout: Path) -> None:
    assert make(checkout, "lock", "UPGRADE=--upgrade").returncode == 0
    assert calls(checkout) == ["-m pip install --quiet --requirement requirements/lock.txt"]
    inside = (checkout / "requirements" / "calls").read_text().splitlines()
    assert [line.split()[-3:] for line in inside] == [
        [f"{name}.in", "--output-file", f"{name}.txt"] for name in ("run", "dev")
    ]
    assert all(line.startswith("-m uv --quiet pip compile --upgrade --universal") for line in inside)


def test_clean_keeps_results_and_sources(checkout: Path) -> None:
    make(checkout, "environment")
    calls(checkout)
    before = {path for path in checkout.rglob("*") if ".venv" not in path.parts}
    assert make(checkout, "clean").returncode == 0
    assert set(checkout.rglob("*")) == before


@pytest.mark.parametrize("status", [0, 2])
def test_continuous_integration_ends_as_make_does(tmp_path: Path, status: int) -> None:
    (tmp_path / "clone/.ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", tmp_path / "clone/.ci")
    for name in ("slurm", "chromium"):
        (tmp_path / f"clone/.ci/install-{name}").symlink_to("/bin/true")
    said = ["pwd", 'echo "$@"', "echo '== environment'", "echo '== lint'", "echo broken >&2", "echo '== types'"]
    (tmp_path / "make").write_text("\n".join(["#!/bin/sh", *said, f"exit {status}\n"]))
    (tmp_path / "make").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    ended = subprocess.run(
        [tmp_path / "clone/.ci/run"], env={"PATH": path}, cwd="/", capture_output=True, text=True, check=False
    )
    assert ended.returncode == status
    lines = ended.stdout.splitlines()
    assert lines[:2] == [str(tmp_path / "clone"), "--keep-going --no-print-directory test"]
    assert "broken" in lines
    assert [line.split()[-1] for line in lines[-3:]] == ["environment", "lint", "types"]
    assert lines[-4].startswith(f"make test ended with status {status} after ")
