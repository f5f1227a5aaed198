"""What a job of the workflow is, in a few words: from its rule and its wildcards alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

STATE = re.compile(r"(.+)-(\d+)-[0-9a-f]{10}")
"""Name of a phase: objective, epoch that it reaches, hash."""
CUT = re.compile(r"(.+)-ir(\d+)")
"""Name of a long tail: dataset and imbalance ratio."""

METHODS = ("phase", "network", "run", "control", "method")
DATASETS = ("cut", "image_set", "streamed_set", "text_set")
SILENT = ("kind",)
"""Wildcards that say nothing beside the others."""

TRAINING = "train"
"""The rule that nearly all the time goes into."""
QUICK = frozenset({"split", "embed", "embed_control", "cluster", "classify", "project", "score", "merge"})
"""Rules whose jobs are many and mostly short, of which each training has several."""


@dataclass(frozen=True)
class Job:
    """One job, as Snakemake describes it when it starts it.

    Attributes:
        rule: its rule.
        method: objective of the phase that is trained or looked at, or the control; empty where there is none.
        epoch: that the phase reaches; empty where there is none.
        dataset: what it is trained on or read from, with the imbalance ratio; may be empty, too.
        seed: of the training; may be empty.
        rest: values of all other wildcards.
        logs: files that it writes its messages to.
        makes: whether it has files to make; a target that only collects others has none, and what only prints neither.
        grouped: whether it is submitted to a cluster together with others.
    """

    rule: str
    method: str = ""
    epoch: str = ""
    dataset: str = ""
    seed: str = ""
    rest: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    makes: bool = True
    grouped: bool = False

    @property
    def words(self) -> str:
        """The job in words, its rule first: ``train simclr to epoch 40, digits ratio 10, seed 2``."""
        parts = [self.training, self.dataset, f"seed {self.seed}" if self.seed else "", " ".join(self.rest)]
        return f"{self.rule} {', '.join(filter(None, parts))}".strip()

    @property
    def training(self) -> str:
        """What is trained or looked at, and how far: ``simclr to epoch 40``."""
        return f"{self.method} to epoch {self.epoch}" if self.epoch else self.method


def job_of(record: Any) -> Job:
    """The job that a record of Snakemake's logger is about, of whatever workflow."""
    named = {name: str(value) for name, value in dict(getattr(record, "wildcards", None) or {}).items()}
    method = next((named.pop(name) for name in METHODS if name in named), "")
    dataset = next((named.pop(name) for name in DATASETS if name in named), "")
    seed = named.pop("seed", "")
    state, cut = STATE.fullmatch(method), CUT.fullmatch(dataset)
    logs = tuple(map(str, record.log or ()))
    return Job(
        rule=record.rule_name,
        method=state[1] if state else method,
        epoch=state[2] if state else "",
        dataset=f"{cut[1]} ratio {cut[2]}" if cut else dataset,
        seed=seed,
        rest=tuple(value for name, value in named.items() if name not in SILENT),
        logs=logs,
        makes=bool(record.output),
        grouped=bool(getattr(record, "indent", False)),
    )
