"""Python code that trains cells and asks for tables: commands, files and values are those of the workflow."""

from __future__ import annotations

import os
import re
import shlex
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import longtail
from longtail.interface import cells
from longtail.interface.asked import Asked
from longtail.study.commands import Commands
from longtail.study.jobs import RULES, Jobs, behind
from longtail.training import progress

TARGETS = (
    "digits_table1", "digits_figure3", "iccl_figure3", "miniclustering_table10", "rescom_table2", "rescom_table3",
)  # fmt: skip
CELL = ("ce", "places_lt-ir996", 0)
CONFIG = {"targets": ["digits"], "budget": {"epochs": 0.005}, "seeds": [0]}


def plain(words: list[str]) -> tuple[str, ...]:
    """A command without its configuration, which says the same in other words."""
    return tuple(words if "--config" not in words else [word for word in words if not word.startswith("{")])


def test_every_command_is_the_one_of_its_rule(workflow) -> None:
    cell = "results/custom/cells/{}/{}/seed{}.parquet".format(*CELL)
    (workflow.folder / "config.yaml").write_text("targets: [digits]\nbudget: {epochs: 0.005}\nseeds: [0]\n")
    output = workflow.succeed(*TARGETS, cell, "--dry-run", "--printshellcmds", "--resources", "gpu=0")
    run = [shlex.split(line) for line in re.findall(r"python -m longtail (job .*) > results/\S+ 2>&1", output)]
    rendering = ("merge", "table", "figure")
    wanted = {plain(words) for words in run if words[1] not in rendering or "--cell" in words}

    study = Asked(CONFIG, None, None).study
    jobs = Jobs(study)
    goals = [jobs.artefact(*artefact) for target in TARGETS for artefact in study.artefacts(target)]
    chain = [job for job in behind([*goals, jobs.asked_cell(*CELL)]) if job.rule not in rendering]
    commands = Commands(study, CONFIG, cores=2)
    assert {job.rule for job in chain} == {*RULES, "cell"} - {*rendering}
    assert {plain(commands.of(job)) for job in chain} == wanted


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def digits(**more) -> dict:
    return {"method": "conmix", "dataset": "digits", "ratio": 10, "budget": "smoke", "progress": False, **more}


def test_a_cell_is_the_one_that_the_workflow_makes(trained, elsewhere: Path) -> None:
    theirs = trained.folder / "results"
    metrics = longtail.train(**digits(threads=1))
    cell = "smoke/cells/conmix/digits-h100-ir10/seed0.parquet"
    ours = pq.read_table(f"results/{cell}")
    assert ours.equals(pq.read_table(theirs / cell))
    assert metrics.equals(ours.to_pandas())
    files = {str(path.relative_to("results")) for path in Path("results").rglob("*.*") if path.is_file()}
    made = {str(path.relative_to(theirs)) for path in theirs.rglob("*.*") if path.is_file()}
    assert {path for path in made if "/benchmarks/" not in f"/{path}"} - files <= {"index.html"}
    assert files <= made

    found = longtail.embeddings("conmix", "digits", 10, budget="smoke")
    same = longtail.embeddings("conmix", "digits", 10, budget="smoke", results=theirs)
    assert (found.embeddings == same.embeddings).all()
    assert found.embeddings.shape == (len(found), 128)
    assert (found.embeddings.dtype, found.labels.dtype, found.rows.dtype) == ("float32", "int64", "int64")
    assert found.logits is None

    table = longtail.table("digits", "table1", budget="smoke")
    of_the_cell = (table["row"] == "ConMix") & (table["ratio"] == 10)
    here = table[of_the_cell].set_index("metric")
    assert here["seeds"].to_list() == [1] * len(here)
    accuracy = metrics[metrics["metric"] == "ACC"]["value"].mean()
    assert here.loc["ACC", "computed"] == pytest.approx(accuracy)
    assert table[~of_the_cell]["computed"].isna().all()
    assert "partial: 1 of" in here["label"].iloc[0]


def test_what_python_code_has_computed_is_not_computed_again(workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workflow.folder)
    longtail.train(**digits(method="pixels"))
    monkeypatch.setattr(cells, "_run_all", lambda *_: pytest.fail("it is there"))
    longtail.train(**digits(method="pixels"))
    cell = "results/smoke/cells/pixels/digits-h100-ir10/seed0.parquet"
    assert "Nothing to be done" in workflow.succeed(cell)


def test_an_interruption_is_gone_on_from(trained, elsewhere: Path) -> None:
    def interrupt(now: progress.Update) -> None:
        if now.done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with progress.watched(interrupt), pytest.raises(KeyboardInterrupt, match="goes on from there"):
        longtail.train(**digits(threads=1))
    assert list(Path("results/state").rglob("*.pt"))
    longtail.train(**digits(threads=1))
    cell = "results/smoke/cells/conmix/digits-h100-ir10/seed0.parquet"
    assert pq.read_table(cell).equals(pq.read_table(trained.folder / cell))
    log = next(Path("results/logs/train").rglob("sdclr*.log")).read_text()
    assert "Going on from epoch 0, step 3." in log
