"""Runs of the real workflow in a folder of their own, with the checkout's rules, catalogue and profiles."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from . import warm

ROOT = Path(__file__).parents[2]
CONFIG = "targets: [digits]\nbudget: smoke\nseeds: [0, 1]\n"
EPOCHS = "targets: [digits]\nbudget: {epochs: 0.4}\nseeds: [0]\n"


HELD = """\
import time
def hold(signals, objective, epoch):
    place = Path("hold-" + objective)
    if place.exists() and epoch >= int(place.read_text()):
        Path("held-" + objective).touch()
        while place.exists() and signals.received is None:
            time.sleep(0.05)
    return signals.received is not None
"""


class Workflow:
    """A working directory in which the Snakefile of a checkout runs."""

    def __init__(self, folder: Path, config: str = CONFIG, checkout: Path = ROOT) -> None:
        self.folder = folder
        self.checkout = checkout
        self.settings: dict[str, str] = {}  # variables of the environment
        if not (folder / "config.yaml").exists():
            (folder / "config.yaml").write_text(config)
            for name in ("profiles", "slurm", "envs"):
                (folder / name).symlink_to(ROOT / name)

    def copy(self, folder: Path, checkout: Path | None = None) -> Workflow:
        """The same state of affairs in another folder, to be changed there."""
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        return Workflow(folder, checkout=checkout or self.checkout)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--snakefile", str(self.checkout / "Snakefile"), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache"), "COLUMNS": "200", **self.settings}

    def run(
        self, *arguments: str, cores: int = 2, before: Callable[[], Any] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; ``before`` is called in the new process, to take something away from it."""
        command = self.command(*arguments, "--cores", str(cores))
        if before is None and not self.settings:
            return warm.run(command, self.folder, self.environment, timeout=900)
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
            preexec_fn=before,
        )

    def start(self, *arguments: str, cores: int = 2) -> subprocess.Popen[str]:
        """Start in a process group of its own, as a shell does, so that signals can be sent to all of it."""
        return subprocess.Popen(
            self.command(*arguments, "--cores", str(cores)),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def job(self, target: str) -> list[str]:
        """The command that makes one file when all that it needs is there, without the log's redirection."""
        output = self.succeed(target, "--dry-run", "--printshellcmds", "--force")
        (line,) = re.findall(r"python (-m longtail .*) > results/logs/", output)
        return [sys.executable, *shlex.split(line)]

    @property
    def job_environment(self) -> dict[str, str]:
        return {**self.environment, "PYTHONPATH": str(self.checkout / "workflow"), "OMP_NUM_THREADS": "1"}

    def by_hand(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a job's command without the workflow."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.job_environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def succeed(self, *arguments: str, cores: int = 2) -> str:
        done = self.run(*arguments, cores=cores)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout + done.stderr

    def fail(self, *arguments: str, cores: int = 2) -> str:
        done = self.run(*arguments, cores=cores)
        assert done.returncode != 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout + done.stderr

    def refusal(self, *arguments: str, before: Callable[[], Any] | None = None) -> str:
        """The one message that the terminal shows when a run fails because of something the user can act on."""
        done = self.run(*arguments, before=before)
        output = done.stdout + done.stderr
        assert done.returncode != 0, output[-4000:]
        assert "Traceback" not in output, output
        messages = re.findall(r"^(?:    \| )?(error: .*)", output, re.M)  # of Snakemake, or of a job
        assert len(messages) == 1, output
        return messages[0]

    def leftovers(self) -> list[Path]:
        """Temporary files that a job has left behind."""
        return [path for path in self.files() if ".tmp" in path.name]

    def files(self, pattern: str = "**/*") -> list[Path]:
        return sorted(path for path in (self.folder / "results").glob(pattern) if path.is_file())


@pytest.fixture
def workflow(tmp_path):
    """A fresh working directory at toy length."""
    return Workflow(tmp_path)


@pytest.fixture
def checkout(tmp_path):
    """A fresh checkout, which is its own working directory."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("envs", "profiles", "slurm", "workflow"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    return Workflow(folder, checkout=folder)


def change(file: Path, changes: Mapping[str, str]) -> None:
    """Replace texts of a file, each of which stands in it once."""
    text = file.read_text()
    for before, after in changes.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    file.write_text(text)


@pytest.fixture
def held(checkout):
    """The folder of a checkout whose trainings wait for a signal, from the epoch on that ``hold-<objective>`` names.

    They say so by a file ``held-<objective>``. Both files are looked for in the working directory.
    """
    changes = {
        "lambda: signals.received is not None": "lambda: hold(signals, spec.last.objective, training.epoch)",
        "STOPPED = 75\n": f"{HELD}\nSTOPPED = 75\n",
    }
    change(checkout.folder / "workflow/longtail/training/train.py", changes)
    return checkout.folder


@pytest.fixture
def longer(tmp_path, held):
    """A fresh working directory at a length at which there is something to interrupt; trainings can be held there."""
    (tmp_path / "work").mkdir()
    return Workflow(tmp_path / "work", EPOCHS, held)


@pytest.fixture
def elsewhere(longer, tmp_path_factory):
    """Another working directory with the same results, by a link, of which Snakemake's own lock knows nothing."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "results").symlink_to(longer.folder / "results")
    return Workflow(folder, EPOCHS)


@pytest.fixture
def own_checkout(tmp_path):
    """A fresh working directory at toy length, with a copy of the checkout whose catalogue may be changed."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copy(ROOT / "Snakefile", checkout)
    shutil.copytree(ROOT / "workflow", checkout / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "work").mkdir()
    return Workflow(tmp_path / "work", checkout=checkout)


def run_once(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    *targets: str,
    config: str = CONFIG,
    run: Callable[..., Any] = Workflow.succeed,
) -> Workflow:
    """A finished run that all test processes share (pytest -n). Copy it before you change its files."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / name
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            run(Workflow(folder, config), *targets)
            (folder / "done").touch()
    return Workflow(folder)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """What makes a finished run that all test processes share."""
    return functools.partial(run_once, tmp_path_factory)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """One cell at toy length, in two phases."""
    return run_once(tmp_path_factory, "trained", "results/smoke/cells/conmix/digits-h100-ir10/seed0.parquet")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The default study at toy length, with the page of all results."""
    return run_once(tmp_path_factory, "finished", run=with_page)


def with_page(workflow: Workflow, *arguments: str) -> str:
    """Let a run write the page of all results, as it does unless it is told not to."""
    workflow.settings["LONGTAIL_PAGE"] = "on"
    return workflow.succeed(*arguments)


@pytest.fixture(scope="session")
def straight(tmp_path_factory):
    """SDCLR for a few epochs, then ConMix on the same clock, and its metrics, in one go."""
    target = "results/custom/cells/conmix/digits-ir10/seed0.parquet"
    return run_once(tmp_path_factory, "straight", target, config=EPOCHS)
