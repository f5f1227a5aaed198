"""Slurm ends a job before its time: the training goes on where it was, and ends with the same numbers."""

from __future__ import annotations

import shutil

import pyarrow.parquet as pq
import pytest
import torch

CELL = "results/custom/cells/conmix/digits-ir10/seed0.parquet"


@pytest.fixture
def untrained(straight, tmp_path):
    """The uninterrupted run's folder without ConMix's training and what follows from it."""
    workflow = straight.copy(tmp_path)
    shutil.rmtree(conmix(workflow))
    for path in [workflow.folder / CELL, *workflow.files("logs/train/digits-ir10/conmix-*.log")]:
        path.unlink()
    return workflow


def conmix(workflow):
    (folder,) = (workflow.folder / "results/phases/digits-ir10").glob("conmix-*")
    return folder / "seed0"


def test_a_preempted_and_then_terminated_training_ends_as_if_nothing_had_happened(cluster, submit, untrained, straight):
    run = submit(untrained, CELL)

    def attempts():
        """The jobs in which ConMix was trained so far."""
        return [job for job in cluster.jobs() if job.comment.startswith("rule_train_wildcards_digits-ir10_conmix-")]

    def training_says(text):
        logs = untrained.files("logs/train/digits-ir10/conmix-*.log")
        return any(text in path.read_text() for path in logs)

    # An urgent job takes the whole node, at once.
    run.wait_until(lambda: training_says("Training conmix"))
    cluster.command("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true")
    run.wait_until(lambda: attempts()[0].state == "PREEMPTED")

    # Slurm announces the end, as it does before a time limit and where preemption leaves time.
    run.wait_until(lambda: len(attempts()) == 2 and training_says("Going on from epoch"))
    cluster.command("scancel", "--signal=TERM", attempts()[1].id)
    output = run.succeed()

    assert [job.state for job in attempts()] == ["PREEMPTED", "FAILED", "COMPLETED"]
    assert [job.memory for job in attempts()] == ["2000M", "4000M", "6000M"]
    assert [job.minutes for job in attempts()] == [31, 62, 93]
    assert output.count("Stopped by SIGTERM: saved in results/state/") == 2
    kept = untrained.files("logs/slurm/rule_train/digits-ir10_conmix-*/*.log")
    assert [path.stem for path in kept] == [job.id for job in attempts()[:2]]

    assert pq.read_table(untrained.folder / CELL).equals(pq.read_table(straight.folder / CELL))
    found, expected = (torch.load(conmix(w) / "checkpoint.pt", weights_only=True) for w in (untrained, straight))
    assert found["objective"].keys() == expected["objective"].keys()
    assert all(torch.equal(found["objective"][name], expected["objective"][name]) for name in expected["objective"])
    assert not untrained.files("state/**/*")
