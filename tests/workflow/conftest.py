"""Runs of the real workflow in a folder of their own, with the checkout's rules, catalogue and profiles."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = "targets: [digits]\nbudget: smoke\nseeds: [0, 1]\n"


class Workflow:
    """A working directory in which the checkout's Snakefile runs."""

    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        self.folder = folder
        (folder / "config.yaml").write_text(config)
        for name in ("profiles", "slurm", "envs"):
            (folder / name).symlink_to(ROOT / name)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache"), "COLUMNS": "200"}

    def run(self, *arguments: str, cores: int = 2) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, "--cores", str(cores)),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
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

    def files(self, pattern: str = "**/*") -> list[Path]:
        return sorted(path for path in (self.folder / "results").glob(pattern) if path.is_file())


@pytest.fixture
def workflow(tmp_path):
    """A fresh working directory at toy length."""
    return Workflow(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The default study at toy length, run once for all tests that read its results. Do not change its files."""
    done = Workflow(tmp_path_factory.mktemp("finished"))
    done.output = done.succeed()
    return done
