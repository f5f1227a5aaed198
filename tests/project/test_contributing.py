"""What CONTRIBUTING.md tells people to write works when it is written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from longtail.study.plan import load_study

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
FILES = {
    name: text.strip() + "\n"
    for name, text in re.findall(r"^```(?:python|yaml|csv)\n# (\S+)\n(.*?)^```", PAGE, re.M | re.S)
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of package, catalogue and schemas with the files of the page added."""
    folder = tmp_path_factory.mktemp("contributed")
    shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, text in FILES.items():
        assert not (ROOT / name).exists(), f"{name} exists; the walk-through should add something new"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_the_page_has_the_files_it_speaks_of() -> None:
    assert list(FILES) == [
        "workflow/longtail/methods/cosine_toy.py",
        "workflow/catalog/methods/cosine_toy.yaml",
        "tests/methods/test_cosine_toy.py",
        "workflow/catalog/datasets/toy.yaml",
        "workflow/catalog/papers/toy.yaml",
        "workflow/catalog/papers/toy/table1.csv",
    ]


@pytest.mark.parametrize("name", [name for name in FILES if "cosine_toy" in name])
def test_a_method_takes_less_than_forty_lines_a_file(name: str) -> None:
    assert len(FILES[name].splitlines()) < 40


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".py")])
def test_the_code_is_in_the_style_of_the_project(checkout: Path, name: str) -> None:
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        ended = subprocess.run(
            [sys.executable, "-m", "ruff", *command, name], cwd=checkout, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_method_passes_its_test(checkout: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/methods/test_cosine_toy.py"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 passed" in ended.stdout


def test_method_dataset_and_table_become_cells(checkout: Path) -> None:
    config = {"targets": ["toy_table1"]}
    study = load_study(config, checkout / "workflow" / "catalog")
    before = load_study({"targets": ["digits"]})

    trained = {Path(one.path).parts[3].rsplit("-", 2)[0] for one in study.measurements("toy", "table1")}
    assert trained == {"cosine-toy", "simclr"}
    assert len(study.measurements("toy", "table1")) == 2 * 2
    assert study.cell_measurements("cosine-toy", "digits-ir10", 0)
    (cell,) = study.cell_measurements("cosine-toy", "toy-ir20", 1)
    assert "/toy-ir20/cosine-toy-1000-" in cell.path
    printed = study.catalog.published("toy", "table1.csv")
    assert [(one.value, one.std) for one in printed.values()] == [(40.0, None), (30.0, None), (50.0, 1.5), (None, None)]

    others = before.cell_measurements("simclr", "digits-ir10", 0)
    assert study.cell_measurements("simclr", "digits-ir10", 0) == others


def test_the_commands_of_the_page_exist() -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    named = {word for line in re.findall(r"(?m)^make (.+)$", PAGE) for word in re.split(r"PYTEST|#", line)[0].split()}
    assert named <= targets
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
