"""Supervised contrast and its linear stage: HobbitLong/SupContrast."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CIFAR10, CROP, JITTER

SUPCON_COSINE = {"cosine": {"final": 1e-3, "reached": "last_epoch", "from_epoch": -1}}
ON_CIFAR: dict[str, dict[str, Any]] = {
    # README and defaults of main_supcon.py and main_linear.py
    "supcon": {
        "temperature": 0.1, "base_temperature": 0.07, "projection_width": 128, "optimizer": "sgd",
        "learning_rate": 0.5, "momentum": 0.9, "weight_decay": 1e-4, "batch_size": 1024, "drop_last": False,
        "schedule": {"warmup": {"epochs": 10, "start": 0.02}, "decay": SUPCON_COSINE},
        "augmentation": {**CROP, "jitter": JITTER, "grayscale": 0.2}, "normalization": CIFAR10,
    },
    "supcon-linear": {
        "classifier_init": "default", "frozen_bn": "eval", "optimizer": "sgd", "learning_rate": 5.0, "momentum": 0.9,
        "weight_decay": 0.0, "schedule": "steps", "milestones": [0.6, 0.75, 0.9], "decay": 0.2, "batch_size": 512,
        "drop_last": False, "views": 1, "augmentation": CROP, "normalization": CIFAR10,
    },
}  # fmt: skip
# CIFAR-100's own statistics, main_supcon.py and main_linear.py
CIFAR100 = {"mean": [0.5071, 0.4867, 0.4408], "std": [0.2675, 0.2565, 0.2761]}
ON_CIFAR100 = {objective: {"normalization": CIFAR100} for objective in ("supcon", "supcon-linear")}
RECIPES = {"supcon": [("supcon", 1000, 40), ("supcon-linear", 100, 40)]}
