"""Whatever is killed, the study ends as if nothing had happened: a handful of kills, and on request a hundred."""

from __future__ import annotations

import signal
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.faults.__main__ import inflict
from tests.faults.kills import STAGES, draw
from tests.faults.study import Job, announcements, digest, finished, in_order

HANDFUL = 2500  # the test below says why this seed
RULES = ["store", "split", "train", "train", "embed", "cluster"]
RULES += ["score", "score", "merge", "merge", "figure", "table"]
JOBS = [Job(rule, (), (rule,), "", f"python -m longtail {rule} > {rule}.log 2>&1", 1.0) for rule in RULES]


def test_a_handful_of_kills(tmp_path):
    assert len(inflict(tmp_path, count=4, seed=HANDFUL)) == 4


@pytest.mark.slow
def test_a_hundred_kills(tmp_path):
    assert len(inflict(tmp_path, count=100, seed=0)) == 100


def test_the_handful_has_both_signals_in_and_out_of_the_workflow():
    kills = draw(4, HANDFUL, JOBS)
    assert {kill.signal for kill in kills} == {signal.SIGTERM, signal.SIGKILL}
    assert {kill.within for kill in kills} == {"job", "workflow"}
    assert {"snakemake", "process"} <= {kill.victim for kill in kills}
    assert "training" in {kill.stage for kill in kills}


def test_kills_follow_from_the_seed_and_reach_every_stage():
    kills = draw(100, 0, JOBS)
    assert kills == draw(100, 0, JOBS)
    assert kills != draw(100, 1, JOBS)
    assert kills[:30] == draw(30, 0, JOBS)
    stages = Counter(kill.stage for kill in kills)
    assert set(stages) == set(STAGES)
    assert min(stages.values()) >= 12
    assert {JOBS[kill.job].rule for kill in kills} == set(RULES)
    assert all(JOBS[kill.job].rule in STAGES[kill.stage] for kill in kills)


def test_jobs_come_after_those_whose_outputs_they_read():
    jobs = [
        Job("c", ("b", "a"), ("c",), "", "", 1),
        Job("a", ("z",), ("a",), "", "", 1),
        Job("b", ("a",), ("b",), "", "", 1),
    ]
    assert [job.rule for job in in_order(jobs)] == ["a", "b", "c"]


def test_a_digest_sees_data_and_no_dates(tmp_path):
    table = pa.table({"loss": [0.5, float("nan")], "seconds": [1.0, 2.0]})
    pq.write_table(table, tmp_path / "a.parquet")
    pq.write_table(table.replace_schema_metadata({"created": "now"}), tmp_path / "b.parquet")
    pq.write_table(table.set_column(1, "seconds", pa.array([3.0, 4.0])), tmp_path / "c.parquet")
    pq.write_table(table.set_column(0, "loss", pa.array([0.5, 0.0])), tmp_path / "d.parquet")
    a, b, c, d = (digest(tmp_path / f"{name}.parquet") for name in "abcd")
    assert a == b == c != d
    state = {"epoch": 1, "objective": {"weight": torch.zeros(2), "bias": torch.zeros(1, dtype=torch.bfloat16)}}
    for name, tree in {"a": state, "b": dict(reversed(state.items())), "c": {**state, "epoch": 2}}.items():
        torch.save(tree, tmp_path / f"{name}.pt")
    state["objective"]["weight"][1] = -0.0
    torch.save(state, tmp_path / "d.pt")
    a, b, c, d = (digest(tmp_path / f"{name}.pt") for name in "abcd")
    assert a == b
    assert len({a, c, d}) == 3


OUTPUT = """\
[Sat Nov 21 13:03:56 2026]
localrule split:
    input: results/labels.parquet
    output: results/train.parquet, results/test.parquet
    jobid: 7
Shell command: python -m longtail job split --out results/train.parquet > log 2>&1
[Sat Nov 21 13:03:57 2026]
rule train:
    output: results/checkpoint.pt
    jobid: 5
[Sat Nov 21 13:03:58 2026]
Finished jobid: 7 (Rule: split)
"""


def test_what_snakemake_says():
    jobs = announcements(OUTPUT)
    assert list(jobs) == ["7", "5"]
    assert jobs["7"]["rule"] == "split"
    assert jobs["7"]["input"] == "results/labels.parquet"
    assert jobs["7"]["command"].startswith("python -m longtail job split")
    assert finished(OUTPUT) == ["results/train.parquet", "results/test.parquet"]
