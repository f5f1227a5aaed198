"""What CONTRIBUTING.md tells people to write works when it is written: its code blocks, in a fresh checkout."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from longtail.study.study import load_study

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
FILES = {
    name: text.strip() + "\n"
    for name, text in re.findall(r"^```(?:python|yaml|csv)\n# (\S+)\n(.*?)^```", PAGE, re.M | re.S)
}
METHOD = ["workflow/longtail/methods/clustering/cosine_toy.py", "workflow/catalog/methods/cosine_toy.yaml"]
LOSS = ["workflow/longtail/methods/recognition/brier_toy.py", "workflow/catalog/methods/brier_toy.yaml"]
DATASET = ["workflow/longtail/data/stripes.py", "workflow/catalog/datasets/stripes.yaml"]
TABLE = ["workflow/catalog/papers/toy.yaml", "workflow/catalog/papers/toy/table1.csv"]
TEST = "tests/methods/clustering/test_cosine_toy.py"
COMMANDS = re.findall(r"^snakemake (.+?)(?: +#.*)?$", PAGE, re.M)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh checkout with the files of the page, none of which takes the place of another."""
    folder = tmp_path_factory.mktemp("contributed")
    for name in ("Snakefile", "config.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name in ("envs", "profiles", "slurm", "workflow"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        assert not (ROOT / name).exists(), f"{name} exists; the walk-through should add something new"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def run(checkout: Path, *command: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=checkout,
        env={**os.environ, "XDG_CACHE_HOME": str(checkout / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
    return ended.stdout + ended.stderr


def test_the_page_has_the_files_it_speaks_of() -> None:
    assert set(FILES) == {*METHOD, *LOSS, *DATASET, *TABLE, TEST}


@pytest.mark.parametrize("name", [*METHOD, *LOSS, *DATASET])
def test_a_method_or_dataset_is_two_files_of_less_than_forty_lines(name: str) -> None:
    assert len(FILES[name].splitlines()) < 40


def test_a_supervised_loss_is_ten_lines_and_one_entry() -> None:
    code, entry = (FILES[name] for name in LOSS)
    assert sum(bool(line.strip()) and '"""' not in line for line in code.splitlines()) <= 10
    assert len(entry.splitlines()) <= 12


def test_the_supervised_loss_trains(checkout: Path) -> None:
    (command,) = [shlex.split(command) for command in COMMANDS if "brier-toy" in command]
    run(checkout, "snakemake", *command)
    metrics = pd.read_parquet(checkout / command[-1]).set_index("metric")["value"]
    assert metrics["accuracy"] > 80


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".py")])
def test_the_code_is_in_the_style_of_the_project(checkout: Path, name: str) -> None:
    run(checkout, "ruff", "check", "--no-cache", name)
    run(checkout, "ruff", "format", "--check", "--no-cache", name)


def test_the_method_passes_its_test(checkout: Path) -> None:
    assert "1 passed" in run(checkout, "pytest", "-q", "-p", "no:cacheprovider", TEST)


def test_method_dataset_and_table_are_in_the_study(checkout: Path) -> None:
    study = load_study({"targets": ["toy_table1"]}, checkout / "workflow" / "catalog")
    before = load_study({"targets": ["digits"]})

    trained = {Path(one.path).parts[3].rsplit("-", 2)[0] for one in study.measurements("toy", "table1")}
    assert trained == {"cosine-toy", "simclr"}
    assert len(study.measurements("toy", "table1")) == 2 * 2
    assert study.cell_measurements("cosine-toy", "digits-ir10", 0)
    assert study.cell_measurements("conmix", "stripes-ir20", 1)
    printed = study.catalog.published("toy", "table1.csv")
    assert [(one.value, one.std) for one in printed.values()] == [(40.0, None), (30.0, None), (50.0, 1.5), (None, None)]

    others = before.cell_measurements("simclr", "digits-ir10", 0)
    assert study.cell_measurements("simclr", "digits-ir10", 0) == others


def test_the_table_comes_out_of_the_pages_own_command(checkout: Path) -> None:
    (command,) = [shlex.split(command) for command in COMMANDS if "budget=smoke" in command]
    run(checkout, "snakemake", *command, "seeds=[0]")
    folder = checkout / "results/smoke/tables/toy"
    frame = pd.read_parquet(folder / "table1.parquet").set_index(["row", "metric"])
    assert set(frame.index) == {(row, metric) for row in ("Cosine toy", "SimCLR") for metric in ("ACC", "NMI")}
    assert set(frame["status"]) == {"computed"}
    assert frame["computed"].between(0, 100).all()
    assert (frame["computed"].xs("ACC", level="metric") >= 20).all()  # five clusters on five classes
    assert frame.loc[("Cosine toy", "ACC"), "published"] == 40
    page = (folder / "table1.md").read_text()
    assert "budget smoke" in page
    assert "Stripes images: drawn." in page
    assert re.search(r"Cosine toy \| +40\.0 \| [0-9.]+", page.replace("\\|", "|")), page


@pytest.mark.parametrize("command", [c for c in COMMANDS if "budget=smoke" not in c and "brier-toy" not in c])
def test_the_other_commands_of_the_walk_through_resolve(checkout: Path, command: str) -> None:
    assert "It would run " in run(checkout, "snakemake", *shlex.split(command), "--dry-run")


def test_the_commands_of_the_page_exist() -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    named = {word for line in re.findall(r"(?m)^make (.+)$", PAGE) for word in re.split(r"PYTEST|#", line)[0].split()}
    assert named <= targets
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
