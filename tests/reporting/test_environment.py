"""Commands that are started from a notebook, or from a shell that has exported settings for other programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from longtail.files import write_table
from longtail.reporting.compare import SHOWN, Value
from longtail.study.study import load_study

PACKAGE = Path(__file__).parents[2] / "workflow"
RECORD = PACKAGE.parent / "results" / "records" / "digits" / "table1.parquet"
CONFIG = {"targets": ["conmix_figure2"], "budget": "smoke"}

NOTEBOOK = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
SHELLS = {
    "python": {"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PYTHONINSPECT": "1", "PYTHONSAFEPATH": "1"},
    "threads": {"OMP_NUM_THREADS": "many", "MKL_NUM_THREADS": "", "NUMBA_NUM_THREADS": "all"},
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
    "terminal": {"COLUMNS": "wide", "NO_COLOR": "1", "FORCE_COLOR": "1", "TZ": "Nowhere/Land", "TERM": "dumb"},
}


def python(folder: Path, *arguments: str, **exported: str) -> subprocess.CompletedProcess[str]:
    """A command of the package, in ``folder``, under a clean environment with what is exported."""
    environment = {"PYTHONPATH": str(PACKAGE), "PATH": os.environ["PATH"], "HOME": str(folder), **exported}
    return subprocess.run(
        [sys.executable, "-m", "longtail", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[bytes]]:
    """A folder with metrics, the command that draws them, and the pictures in a clean environment."""
    folder = tmp_path_factory.mktemp("clean")
    lines = [
        {"trial": 0, "metric": metric, "class": None, "cluster": None, "parameter": None, "value": 12.34,
         "unit": "percent", **measurement.keys}
        for measurement in load_study(CONFIG).measurements("conmix", "figure2")
        for metric in ("ACC", "CAA", "NMI", "ARI")
    ]  # fmt: skip
    write_table(folder / "metrics.parquet", pa.Table.from_pandas(pd.DataFrame(lines), preserve_index=False))
    metrics = ["--metrics", str(folder / "metrics.parquet")]
    command = ["job", "figure", "--paper", "conmix", "--figure", "figure2", "--config", json.dumps(CONFIG), *metrics]
    ended = python(folder, *command, "--out-dir", "out")
    assert ended.returncode == 0, ended.stderr
    return folder, command, pictures(folder)


def pictures(folder: Path) -> list[bytes]:
    return [(folder / "out" / f"figure2.{suffix}").read_bytes() for suffix in ("pdf", "svg", "png")]


MATPLOTLIBRC = """
backend: TkAgg
text.usetex: True
font.family: No Such Font
font.size: 20
savefig.bbox: tight
savefig.transparent: True
axes.grid: False
figure.dpi: 30
axes.prop_cycle: cycler('color', ['k'])
"""


@pytest.mark.parametrize("where", ["notebook", "working directory", "configuration", "no home", *SHELLS])
def test_figures_are_the_same_whatever_is_exported(
    where: str, drawn: tuple[Path, list[str], list[bytes]], tmp_path: Path
) -> None:
    _, command, expected = drawn
    exported = {"notebook": NOTEBOOK, **SHELLS}.get(where, {})
    if where == "working directory":
        (tmp_path / "matplotlibrc").write_text(MATPLOTLIBRC, encoding="utf-8")
    if where == "configuration":
        (tmp_path / "rc").write_text(MATPLOTLIBRC, encoding="utf-8")
        exported = {"MATPLOTLIBRC": str(tmp_path / "rc")}
    if where == "no home":
        (tmp_path / "file").touch()
        nowhere = str(tmp_path / "file" / "home")
        exported = dict.fromkeys(("HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), nowhere)
    ended = python(tmp_path, *command, "--out-dir", "out", **exported)
    assert ended.returncode == 0, ended.stderr
    assert pictures(tmp_path) == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_speak_whatever_the_terminal_is(shell: str, tmp_path: Path) -> None:
    ended = python(tmp_path, "compare", str(RECORD), str(RECORD), **SHELLS[shell])
    assert ended.returncode == 0, ended.stderr
    measured = pd.read_parquet(RECORD).dropna(subset="computed")
    values = (Value(line.computed, line.computed_std, line.seeds, line.unit) for line in measured.itertuples())
    assert sum(str(value) in ended.stdout for value in values) >= SHOWN
    assert ended.stdout.endswith(f"{len(measured)} of {len(measured)} values lie within, 0 outside.\n")
    assert "Traceback" not in ended.stderr


def test_whoever_has_read_enough_sees_no_traceback(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        ended = subprocess.run(
            [sys.executable, "-m", "longtail", "compare", str(RECORD), str(RECORD)],
            env={"PYTHONPATH": str(PACKAGE), "PATH": os.environ["PATH"]},
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=300,
            check=False,
        )
    assert ended.stderr == b""
