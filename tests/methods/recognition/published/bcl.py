"""BCL: the paper's section on CIFAR, for which there is no script; views of FlamieZhu/Balanced-Contrastive-Learning."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CIFAR10, CROP, JITTER, STRONG

SIM = {**CROP, "crop_scale": [0.08, 1.0], "jitter": JITTER, "grayscale": 0.2}
ON_CIFAR: dict[str, dict[str, Any]] = {
    "bcl": {
        "alpha": 2.0, "beta": 0.6, "temperature": 0.1, "scale": 30.0, "hidden_width": 512, "projection_width": 128,
        "optimizer": "sgd", "learning_rate": 0.15, "momentum": 0.9, "weight_decay": 5e-4,
        "schedule": {
            "warmup": {"epochs": 4, "start": 0.2, "end": 1.0},
            "decay": {"steps": {"milestones": [0.8, 0.9], "factor": 0.1}},
        },
        "batch_size": 256, "drop_last": False, "views": 3, "augmentation": [STRONG, SIM, SIM],
        "normalization": CIFAR10,
    },
}  # fmt: skip
RECIPES = {"bcl": [("bcl", 200, 40)]}
