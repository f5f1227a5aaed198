from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from longtail.training.specification import parse

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # so that "toys:Toy" is an implementation

ROWS, CLASSES, SIZE = 40, 3, 6

SETTINGS = {
    "noise": 0.1,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "schedule": "warmup_cosine",
    "warmup_epochs": 1,
    "final_learning_rate": 1e-6,
    "batch_size": 16,
    "drop_last": False,
    "augmentation": {"crop_scale": [0.3, 1.0], "flip": 0.5},
    "normalization": {"mean": [0.5], "std": [0.25]},
}


def stretch(objective="toy", kind="Toy", start="fresh", first=0, last=4, clock=4, **settings):
    merged = {**copy.deepcopy(SETTINGS), **settings}
    return {
        "objective": objective,
        "implementation": f"toys:{kind}",
        "version": 1,
        "start": start,
        "first_epoch": first,
        "last_epoch": last,
        "clock": clock,
        "settings": {name: value for name, value in merged.items() if value is not None},
    }


def make_spec(*lineage, seed=0, precision="float32", identity=None):
    lineage = lineage or (stretch(),)
    return {
        "identity": identity or "-".join(f"{s['objective']}{s['last_epoch']}" for s in lineage),
        "data": {
            "dataset": "toys",
            "classes": CLASSES,
            "image_size": SIZE,
            "channels": 1,
            "test_transform": {"resize": None, "crop": None},
        },
        "backbone": {"name": "resnet_small", "stem": "cifar"},
        "precision": precision,
        "lineage": list(lineage),
        "seed": seed,
    }


class Desk:
    """A folder with images and a split, where trainings can be run."""

    def __init__(self, folder: Path):
        self.folder = folder
        draws = np.random.default_rng(0)
        self.images = draws.integers(0, 256, (50, SIZE, SIZE, 1), dtype=np.uint8)
        self.source_rows = np.sort(draws.permutation(50)[:ROWS])
        self.labels = np.sort(draws.integers(0, CLASSES, ROWS))
        self.store, self.split = folder / "images.npy", folder / "train.parquet"
        np.save(self.store, self.images)
        pq.write_table(
            pa.table(
                {
                    "row": np.arange(ROWS),
                    "part": ["train"] * ROWS,
                    "source_row": self.source_rows,
                    "label": self.labels,
                }
            ),
            self.split,
        )

    def arguments(self, spec, name="run", parent=None, **options):
        out = self.folder / name
        parts = ["job", "train", "--spec", json.dumps(spec), "--split", self.split, "--images", f"train={self.store}"]
        parts += ["--state", self.folder / f"{name}-state", "--checkpoint", out / "checkpoint.pt"]
        parts += ["--history", out / "history.parquet", "--spec-out", out / "spec.json", "--threads", 1]
        if parent is not None:
            parts += ["--parent", self.folder / parent / "checkpoint.pt"]
        for option, value in {"gpus": 0, **options}.items():
            parts += [f"--{option.replace('_', '-')}", value]
        return [str(part) for part in parts]

    def train(self, spec, name="run", parent=None, **options):
        """Train in this process; returns the exit status."""
        from longtail.__main__ import main

        try:
            return main(self.arguments(spec, name, parent, **options))
        except SystemExit as stop:
            return stop.code

    def process(self, spec, name="run", **options):
        """Train in a process of its own."""
        path = os.pathsep.join([str(HERE), str(HERE.parents[1] / "workflow")])
        return subprocess.Popen(
            [sys.executable, "-m", "longtail", *self.arguments(spec, name, **options)],
            env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read(self, spec):
        """The specification as a job has it once it has read the split."""
        return parse(spec).with_split(self.labels.tolist(), self.split)

    def checkpoint(self, name="run"):
        return torch.load(self.folder / name / "checkpoint.pt", weights_only=True)

    def history(self, name="run"):
        return pq.read_table(self.folder / name / "history.parquet")


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield Desk(tmp_path)
    torch.set_num_threads(before[0])
    torch.use_deterministic_algorithms(before[1])


def same(first, second):
    """Whether two nested structures of tensors agree to the last bit."""
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def assert_same_training(first, second):
    """Two checkpoints hold the same trained state."""
    for key in ("identity", "seed", "epoch", "step", "objective", "moments"):
        assert same(first[key], second[key]), key


@pytest.fixture
def tools():
    """The helpers of this file; importlib mode gives test modules no way to import them."""

    class Tools:
        pass

    found = Tools()
    found.stretch, found.spec, found.same, found.assert_same_training = stretch, make_spec, same, assert_same_training
    found.settings, found.parse = SETTINGS, parse
    return found
