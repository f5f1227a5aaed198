"""What Python code may ask for, and what it is told when that is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import longtail
from longtail import LongtailError
from longtail.interface import cells
from longtail.processes import claim
from longtail.reporting.aggregate import FRAME_TYPES
from longtail.study import layout

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_importing_the_package_imports_nothing_else() -> None:
    program = (
        "import sys, longtail; dir(longtail); "
        "print(sorted({'torch', 'numpy', 'pandas', 'pyarrow', 'yaml', 'snakemake'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_asking_for_a_table_leaves_a_notebook_its_pictures_and_loads_no_torch() -> None:
    program = (
        "import os, sys, longtail; longtail.table('conmix', 'table2'); "
        "print('torch' in sys.modules, os.environ['MPLBACKEND'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "workflow"), "MPLBACKEND": "inline"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "inline"]


@pytest.mark.parametrize("name", longtail.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(longtail, name) is not None
    assert name in dir(longtail)


def test_no_other_name_is() -> None:
    with pytest.raises(AttributeError, match="nothing_such"):
        longtail.nothing_such  # noqa: B018


def test_a_table_without_results_is_as_printed() -> None:
    table = longtail.table("conmix", "table2")
    assert list(table.columns) == list(FRAME_TYPES)
    assert table["published"].notna().any()
    assert table["computed"].isna().all()
    assert table["recorded"].isna().all()
    assert not Path("results").exists()


def test_records_are_shown() -> None:
    table = longtail.table("gloco", "table3", records=ROOT / "results" / "records")
    recorded = table[table["recorded"].notna()]
    assert len(recorded)
    differences = (recorded["recorded"] - recorded["published"]).to_list()
    assert recorded["recorded_difference"].to_list() == pytest.approx(differences, nan_ok=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: longtail.table("conmx", "table2"), "There is no paper 'conmx'. Did you mean 'conmix'?"),
        (lambda: longtail.table("conmix", "table22"), "There is no table of conmix 'table22'. Did you mean 'table2'?"),
        (lambda: longtail.table("conmix", "figure2"), "There is no table of conmix 'figure2'"),
        (lambda: longtail.train("conmx", "digits", 10), "There is no method 'conmx'. Did you mean 'conmix'?"),
        (lambda: longtail.train("conmix", "digit", 10), "There is no dataset 'digit'. Did you mean 'digits'?"),
        (lambda: longtail.train("conmix", "digits", 0), "ratio is 0; it is a whole number from 1 on."),
        (lambda: longtail.train("conmix", "digits", 1.5), "ratio is 1.5"),  # type: ignore[arg-type]
        (lambda: longtail.train("conmix", "digits", 10, -1), "seed is -1; it is a whole number from 0 on."),
        (lambda: longtail.train("conmix", "digits", 10, threads=0), "threads is 0"),
        (lambda: longtail.train("conmix", "digits", 10, budget="smok"), "There is no budget 'smok'."),
        (lambda: longtail.train("conmix", "digits", 10, protocol="none"), "protocol"),
        (lambda: longtail.train("conmix", "digits", 10, config={"sedes": [0]}), "sedes"),
        (lambda: longtail.train("conmix", "digits", 10, config="none.yaml"), "none.yaml"),
        (lambda: longtail.train("conmix", "cifar10", 10), "cifar10"),  # whose files are not there
        (lambda: longtail.embeddings("conmix", "digits", 10, split="trian"), "There is no split 'trian'."),
        (
            lambda: longtail.embeddings("conmix", "digits", 10, 1, budget="smoke", features="backbone"),
            r"/seed1/backbone/train/embeddings.parquet --config budget=smoke",
        ),
    ],
)
def test_what_is_not_there_is_told(call, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_run_all", lambda *_: pytest.fail("a job was begun"))
    with pytest.raises(LongtailError) as raised:
        call()
    assert message in str(raised.value)
    assert layout.RESULTS == "results"


def test_a_workflow_that_is_at_work_is_left_alone() -> None:
    with claim("elsewhere"), pytest.raises(LongtailError, match="Another workflow is at work"):
        longtail.train("conmix", "digits", 10, budget="smoke", results="elsewhere")


def test_a_job_that_fails_says_why_there_and_in_its_log() -> None:
    Path("results/datasets/digits/train").mkdir(parents=True)
    for name in ("images.npy", "labels.parquet"):
        Path("results/datasets/digits/train", name).write_text("no such thing")
    with pytest.raises(LongtailError, match=r"labels\.parquet"):
        longtail.train("conmix", "digits", 10, budget="smoke", progress=False)
    (log,) = Path("results/logs/split").glob("*.log")
    assert log.read_text().startswith("error: ")
