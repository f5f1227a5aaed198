"""The controller is away, on a cluster without an accounting database: nothing fails, and nothing waits for ever."""

from __future__ import annotations

import shutil

import pyarrow.parquet as pq

CELL = "results/custom/cells/conmix/digits-ir10/seed0.parquet"


def test_jobs_are_submitted_late_and_their_end_is_noticed_late(cluster, submit, straight, tmp_path):
    workflow = straight.copy(tmp_path)
    (phase,) = (workflow.folder / "results/phases/digits-ir10").glob("conmix-*/seed0")
    shutil.rmtree(phase / "projection")
    for path in [workflow.folder / CELL, *workflow.files("logs/embed/digits-ir10/conmix-*.log")]:
        path.unlink()

    cluster.stop("slurmctld")
    run = submit(workflow, CELL)
    run.wait_until(lambda: cluster.failures("sbatch") > 0)
    cluster.start_controller()

    run.wait_until(lambda: bool(workflow.files("logs/embed/digits-ir10/conmix-*.log")))
    cluster.stop("slurmctld")
    evaluated = phase / "projection/train/metrics/kmeans/clustering.parquet"
    run.wait_until(lambda: cluster.failures("squeue") > 0 and evaluated.exists())
    cluster.start_controller()
    run.succeed()

    (job,) = cluster.jobs()
    assert job.state == "COMPLETED"
    assert pq.read_table(workflow.folder / CELL).equals(pq.read_table(straight.folder / CELL))
