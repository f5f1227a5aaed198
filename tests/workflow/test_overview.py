"""The targets `plan` and `status`, and tables of what is there: they agree with Snakemake and compute nothing."""

from __future__ import annotations

import re

import pandas as pd
import pyarrow.parquet as pq
import pytest

from longtail.study.counting import works
from longtail.study.jobs import RULES, Jobs
from longtail.study.study import load_study

from .said import would_run

CUT = "digits-h100-ir10"
CONFIG = {"targets": ["digits"], "budget": "smoke", "seeds": [0, 1]}


def jobs_run(output: str) -> list[str]:
    """The rules of the jobs that a run announces."""
    return re.findall(r"^(?:local)?rule (.+):$", output, re.M)


def dry_run(output: str) -> dict[str, tuple[str, set[str]]]:
    """Rule and outputs of every job that a dry run announces, by its log."""
    found = {}
    for rule, job in re.findall(r"^ *(?:local)?rule (\w+):\n((?: +\w+: .*\n)+)", output, re.M):
        logs, outputs = (re.search(rf"^ +{key}: (.*)$", job, re.M) for key in ("log", "output"))
        if logs and outputs:
            found[logs[1]] = (rule, set(outputs[1].split(", ")))
    return found


def assert_same_jobs(output: str, study) -> None:
    """That the dry run announces the jobs which the study counts, with these files and logs."""
    announced = dry_run(output)
    counted = {job.log: job for job in works(Jobs(study))[-1].left}
    assert announced.keys() == counted.keys()
    for log, (rule, outputs) in announced.items():
        assert rule == counted[log].rule
        assert set(counted[log].outputs) <= outputs


def test_the_jobs_of_all_papers_are_those_of_snakemake(workflow, monkeypatch):
    monkeypatch.chdir(workflow.folder)
    targets = list(load_study(CONFIG).catalog.papers)
    output = workflow.succeed(*targets, "--dry-run", "--printshellcmds", "--config", "budget=paper")
    assert_same_jobs(output, load_study({**CONFIG, "targets": targets, "budget": "paper"}))
    assert {rule for rule, _ in dry_run(output).values()} == set(RULES)


@pytest.mark.parametrize("gone", ["assignments", "datasets"])
def test_so_are_those_that_are_left(trained, tmp_path, monkeypatch, gone):
    workflow = trained.copy(tmp_path)
    monkeypatch.chdir(workflow.folder)
    pattern = f"phases/{CUT}/conmix-*/seed0/**/assignments/*" if gone == "assignments" else "datasets/digits/*/*"
    removed = workflow.files(pattern)
    assert removed
    for path in removed:
        path.unlink()
    assert_same_jobs(workflow.succeed("--dry-run", "--printshellcmds"), load_study(CONFIG))


def test_plan_and_status_print_and_write_and_run_nothing(trained, tmp_path):
    workflow = trained.copy(tmp_path)
    before = workflow.files()
    # A study that runs holds locks, which a second Snakemake would remove; this is how to look at it all the same.
    lock = workflow.folder / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text("results/smoke/plan.md\n")
    done = workflow.run("plan", "status", "--nolock")
    assert done.returncode == 0, done.stderr
    assert lock.exists()
    view = workflow.folder / "results/smoke"
    for name in ("plan", "status"):
        assert f"# {name.capitalize()}: digits" in done.stdout
        assert (view / f"{name}.md").read_text().split("\n## ")[0] in done.stdout
    assert {path.relative_to(view).as_posix() for path in set(workflow.files()) - set(before)} == {
        "plan.md", "plan.parquet", "status.md", "status.parquet", "logs/plan.log", "logs/status.log",
    }  # fmt: skip
    assert pd.read_parquet(view / "plan.parquet").set_index("target").loc["all", "cells_missing"] > 0
    assert "images/s, measured over" in (view / "plan.md").read_text()
    cells = pd.read_parquet(view / "status.parquet")
    there = cells[cells["status"] == "there"]
    assert set(there["method"] + there["seed"].astype(str)) == {"conmix0"}


PLANS = [
    ["plan", "digits_figure1"],
    ["digits_figure1", "plan"],
    ["plan", "results/smoke/figures/digits/figure1.png"],
    ["digits_figure1", "plan", "--forceall", "--config", "seeds=[0]"],
]


@pytest.mark.parametrize("arguments", PLANS, ids=" ".join)
def test_a_plan_of_a_target_plans_it_and_makes_nothing_of_it(workflow, arguments):
    """Beside `plan`, a target used to be made, while the plan was that of the configuration."""
    output = workflow.succeed(*arguments, cores=1)
    assert "# Plan: digits_figure1\n" in output
    assert set(jobs_run(output)) <= {"plan", "digits_figure1", "results/smoke/figures/digits/figure1.png"}
    assert {path.name for path in workflow.files()} == {"plan.md", "plan.parquet", "plan.log", ".workflow"}


def test_a_plan_and_a_status_of_several_targets(workflow):
    output = workflow.succeed("status", "conmix_table2", "plan", "theory", cores=1)
    for title in ("Plan", "Status"):
        assert f"# {title}: conmix_table2, theory\n" in output
    assert {path.suffix for path in workflow.files()} == {".md", ".parquet", ".log", ""}
    assert "digits_table1" not in output


def test_a_plan_of_the_configuration_or_of_all_of_it(workflow):
    assert "# Plan: digits\n" in workflow.succeed("plan", "all", cores=1)
    output = workflow.succeed("plan", "--config", "targets=conmix_table2,digits_table1", cores=1)
    assert "# Plan: conmix_table2, digits_table1\n" in output


def test_a_dry_run_of_a_plan_shows_that_nothing_else_would_run(workflow):
    output = workflow.succeed("plan", "status", "conmix_table2", "--dry-run")
    assert set(would_run(output)) == {"plan", "status", "conmix_table2"}


@pytest.mark.parametrize(
    "target", ["conmix_tabel2", "discrepancies", f"results/smoke/cells/conmix/{CUT}/seed0.parquet"]
)
def test_what_there_is_no_plan_of_is_not_made_either(workflow, target):
    assert repr(target) in workflow.refusal("plan", target)
    assert not workflow.files()


def test_status_says_which_cells_failed_and_why(trained, tmp_path):
    workflow = trained.copy(tmp_path)
    (checkpoint,) = workflow.files(f"phases/{CUT}/sdclr-*/seed0/checkpoint.pt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    for path in workflow.files(f"phases/{CUT}/conmix-*/**/*"):
        path.unlink()
    message = workflow.refusal(f"results/smoke/cells/conmix/{CUT}/seed0.parquet", "--force")
    output = workflow.succeed("status")
    assert "Missing jobs that failed: 1" in output
    assert message in output
    cells = pq.read_table(workflow.folder / "results/smoke/status.parquet").to_pandas()
    failed = cells[cells["outcome"] == "failed"]
    assert set(failed["method"]) == {"conmix"}
    assert set(failed["seed"]) == {0}
    assert set(failed["stage"]) == {"train"}
    assert set(failed["said"]) == {message}


def test_partial_tables_are_made_of_what_is_there_and_nothing_is_computed(trained, tmp_path):
    workflow = trained.copy(tmp_path)
    # Whatever has become of the stages before, a partial run leaves them alone.
    for path in [*workflow.files("datasets/**/*"), *workflow.files("phases/**/checkpoint.pt")]:
        path.unlink()
    computed = set(workflow.files())
    arguments = ["digits_table1", "--config", "partial=true"]
    workflow.succeed(*arguments)
    assert {path.relative_to(workflow.folder / "results").parts[0] for path in set(workflow.files()) - computed} == {
        "smoke-partial"
    }
    table = workflow.folder / "results/smoke-partial/tables/digits/table1"
    assert "partial: 1 of 18 cells" in table.with_suffix(".md").read_text()
    rows = pd.read_parquet(table.with_suffix(".parquet"))
    assert set(rows[rows["status"] == "computed"]["row"]) == {"ConMix"}
    assert set(rows[rows["status"] == "missing"]["reason"]) == {"not computed yet"}
    assert "Nothing to be done" in workflow.succeed("digits_table1", "--dry-run", "--config", "partial=true")

    # More is there: the table follows.
    (first,) = workflow.files(f"phases/{CUT}/conmix-*/seed0/projection/train/metrics/kmeans/clustering.parquet")
    second = workflow.folder / f"results/controls/{CUT}/pixels/seed1/pixels/train/metrics/kmeans/clustering.parquet"
    second.parent.mkdir(parents=True)
    second.write_bytes(first.read_bytes())
    again = dry_run(workflow.succeed("digits_table1", "--dry-run", "--printshellcmds", "--config", "partial=true"))
    assert {rule for rule, _ in again.values()} == {"merge", "table"}


def test_a_partial_run_has_nothing_to_train_a_cell_with(workflow):
    target = f"results/smoke-partial/cells/conmix/{CUT}/seed0.parquet"
    message = workflow.refusal(target, "--config", "partial=true")
    assert "is not computed yet" in message
    assert "partial: true" in message
