"""What the CIFAR tables of ICCL, ResCom and GloCo train once, counted by hand for one dataset at one ratio.

Each number is of trainings per seed: what the papers' recipes have in common is one checkpoint.
"""

from __future__ import annotations

import functools
from collections import Counter

import pytest

from longtail.study.counting import works
from longtail.study.jobs import Jobs
from longtail.study.study import load_study

PAPERS = ["iccl", "rescom", "gloco"]


@functools.cache
def trained(cut: str) -> Counter[tuple[str, int]]:
    """How many trainings there are, by objective and the epoch at which they end, for seed 0."""
    total = works(Jobs(load_study({"targets": PAPERS})), exists=lambda path: False)[-1]
    own = [job for job in total.trainings if job.run.cut == cut and job.run.seed == 0]
    return Counter((job.phase.lineage[-1].objective, job.phase.lineage[-1].last_epoch) for job in own)


@pytest.mark.parametrize(
    ("objective", "epoch", "count"),
    [
        ("ce", 160, 1),  # CE and CE-DRW; their last forty epochs differ
        ("ce", 200, 1),  # CE of ICCL and of GloCo, M2m's generator, what scores ProCo's coreset
        ("ce-reweighted", 200, 1),
        ("ldam", 160, 1),  # LDAM, and LDAM-DRW of three papers
        ("ldam-reweighted", 200, 1),
        ("ce-bbn", 160, 1),  # CE-DRW and CE-DRS by the recipe of BBN, and what follows
        ("ce-bbn", 200, 1),  # cRT and LWS
        ("classifier-retraining", 10, 1),
        ("learnable-scaling", 5, 1),
        ("iccl-warmup", 80, 1),  # whatever lambda is drawn from, and whoever is mixed in: both act after it
        ("iccl", 200, 1 + 3 + 3),  # Table 1, three more distributions (Table 5), three more samplers (Table 6)
        ("iccl-rebalancing", 10, 7 + 3),  # of each of them, and three more of the first one (Table 8)
        ("kcl-tsc", 1000, 1),  # KCL as TSC's authors ran it, in two papers
        ("paco", 400, 1),  # PaCo of three papers
        ("bbn", 200, 1),
        ("reslt", 200, 1),
        ("de-confound-tde", 200, 1),
        ("balanced-softmax", 400, 1),
        ("rescom", 400, 1),
        ("kcl", 1000, 1),  # Tables 1 and 2, and the left panel of Figure 2
        ("gloco", 1000, 1),  # Tables 3 and 5
        ("kcl-global", 1000, 1),
        ("gloco-proco", 1000, 1),  # Tables 1 and 3
        ("kcl-adaptive", 1000, 1),  # Tables 2 and 6, and the right panel of Figure 2
    ],
)
def test_what_recipes_have_in_common_is_trained_once(objective: str, epoch: int, count: int) -> None:
    assert trained("cifar100-lt-ir100")[objective, epoch] == count


def test_tables_8_and_9_of_iccl_rebalance_one_first_stage() -> None:
    study = load_study({"targets": ["iccl_table8", "iccl_table9"]})
    for dataset in ("cifar10-lt", "cifar100-lt"):
        runs = {m.run for name in ("table8", "table9") for m in study.measurements("iccl", name)}
        own = [run for run in runs if run.cut == f"{dataset}-ir100" and run.seed == 0]
        parents = {(study.parent_run(run) or run).name for run in own if run.name.startswith("iccl-rebalancing")}
        (before,) = {run.name for run in own if not run.name.startswith("iccl-rebalancing")}
        assert parents == {before}
        assert len(own) == 1 + 4
