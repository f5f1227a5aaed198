"""PaCo: dvlab-research/Parametric-Contrastive-Learning, PaCo/LT/paco_cifar.py and sh/CIFAR100_train_imb0.01.sh."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CIFAR10, CROP, JITTER, STRONG

SIM = {**CROP, "jitter": JITTER, "grayscale": 0.2, "blur": {"probability": 0.5, "sigma": [0.1, 2.0]}}
ON_CIFAR: dict[str, dict[str, Any]] = {
    "paco": {
        "alpha": 0.01, "divided": True, "temperature": 0.05, "projection_width": 32, "queue_size": 1024,
        "target_momentum": 0.999, "optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4,
        "schedule": {
            "warmup": {"epochs": 11, "start": 0.1, "end": 1.2},
            "decay": {"steps": {"milestones": [0.8025, 0.9025], "factor": 0.1}},
        },
        "batch_size": 128, "drop_last": True, "augmentation": [STRONG, SIM], "normalization": CIFAR10,
    },
}  # fmt: skip
OF_THE_PAPERS = {"paco": {"divided": False}}
RECIPES = {"paco": [("paco", 400, 40)]}
