"""The default study's first cells on a real Slurm, from a fresh checkout."""

from __future__ import annotations

import os
import re

import pandas as pd

TABLE = "results/smoke/tables/digits/table1.parquet"
FIRST_CELLS = ["methods=[moco]", "seeds=[0]", "budget=smoke"]


def test_a_study_from_a_fresh_checkout(cluster, submit, checkout):
    # Digits need no GPU. Here they ask Slurm for one, though not the program, which would look for a driver in vain.
    gpus = ["--set-resources", "train:gres=gpu:1", "embed:gres=gpu:1"]
    one_core = {min(os.sched_getaffinity(0))}  # what `--cores all` amounts to on this login node
    output = submit(checkout, "digits_table1", "--config", *FIRST_CELLS, *gpus, cpus=one_core).succeed()

    rows = pd.read_parquet(checkout.folder / TABLE)
    assert set(rows.loc[rows["row"] == "MoCo", "status"]) == {"computed"}

    # Of a cell's stages the training is one job all that follows from it another. Splits and tables are made locally.
    jobs = cluster.jobs()
    cut = "digits-h100-ir10"
    assert sorted(re.sub(r"-\d+-[0-9a-f]{10}", "", job.comment) for job in jobs) == sorted(
        [
            "rule_store_wildcards_digits_train",
            f"rule_train_wildcards_{cut}_moco_0",
            f"rule_evaluate_{cut}_moco_seed0_cluster_embed_score",
        ]
    )
    assert {job.state for job in jobs} == {"COMPLETED"}

    # A name that a person can read in squeue, by which one run's jobs can be cancelled together
    (run,) = {job.name for job in jobs}
    assert run.startswith("longtail_")
    assert f"SLURM run ID: {run}" in output
    assert {(job.account, job.partition) for job in jobs} == {("group", "cpu")}

    def asked(*words: str) -> set[tuple[int, int, str, int]]:
        found = [job for job in jobs if any(word in job.comment for word in words)]
        return {(job.cpus, job.gpus, job.memory, job.minutes) for job in found}

    assert asked("rule_store") == {(4, 0, "8000M", 120)}
    assert asked("rule_train") == {(1, 1, "2000M", 30)}
    assert asked("rule_evaluate") == {(1, 1, "2000M", 20 + 60 + 10)}

    # What the programs said is in results/logs; what Slurm said is kept for failed jobs only.
    assert checkout.files("logs/train/digits-h100-ir10/moco-*-seed0.log")
    assert not checkout.files("logs/slurm/**/*.log")
    assert not cluster.failures("squeue")
