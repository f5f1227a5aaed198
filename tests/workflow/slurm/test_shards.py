"""Trainings that share GPUs on a real Slurm, which are none: each gets a shard, and computes on the CPU."""

from __future__ import annotations

from tests.workflow.conftest import change

SEEDS = range(3)
CELLS = [f"results/smoke/cells/moco/digits-h100-ir10/seed{seed}.parquet" for seed in SEEDS]


def test_more_trainings_than_gpus_run_at_once_in_shards_of_them(cluster, submit, checkout, held):
    resources = "resources: {threads: 1, mem_mb: 2000"
    change(held / "workflow/catalog/datasets/digits.yaml", {resources: f"{resources}, gpu: 1"})
    hold = held / "hold-moco"
    hold.write_text("0")
    run = submit(checkout, *CELLS, "--config", "budget=smoke", "trainings_per_gpu=2")

    def running():
        found = [job for job in cluster.jobs() if job.state == "RUNNING" and job.comment.startswith("rule_train")]
        return [(job.gpus, job.shards, job.cpus) for job in found]

    run.wait_until(lambda: len(running()) == len(SEEDS))
    assert running() == [(0, 1, 1)] * len(SEEDS)
    run.wait_until((held / "held-moco").exists)
    hold.unlink()
    run.succeed()
    evaluations = [job for job in cluster.jobs() if job.comment.startswith("rule_evaluate")]
    assert [(job.state, job.gpus, job.shards) for job in evaluations] == [("COMPLETED", 0, 1)] * len(SEEDS)
