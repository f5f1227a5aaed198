"""ICCL, of which no code was released; what its paper leaves open is named where the catalogue gives it."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CIFAR10, COSINE
from tests.methods.recognition.published.two_stage import SCALING

# Section 4.2; Nesterov, start of the classifier and statistics as Megvii-Nanjing/BBN
TRAINED = {
    "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 2e-4,
    "schedule": {
        "warmup": {"epochs": 5, "start": 1 / 3, "end": 1.0},
        "decay": {"steps": {"milestones": [0.6, 0.8], "factor": 0.01}},
    },
    "batch_size": 128, "drop_last": False, "views": 1, "augmentation": {"pad": 4, "flip": 0.5},
    "normalization": CIFAR10,
}  # fmt: skip
WARMUP = {
    **TRAINED, "classifier_init": "default", "temperature": 0.3, "projection_width": 32, "centroid_momentum": 0.99,
    "centroid_update": "image_by_image", "centroid_norm": False, "contrast_weight": 1.0,
}  # fmt: skip
ON_CIFAR: dict[str, dict[str, Any]] = {
    "iccl-warmup": WARMUP,
    "iccl": {
        **WARMUP, "views": 2, "sampler": ["uniform", {"power": 0}], "interpolation": [1.0, 1.0],
        "uniform_weight": 0.0, "interpolated_weight": 1.0,
    },
    "ce-iccl": {**WARMUP, "contrast_weight": 0.0},
    "classifier-retraining-iccl": {**SCALING, "classifier_init": "default"},
    "learnable-scaling-iccl": SCALING,
    "iccl-rebalancing": {
        **TRAINED, "learning_rate": 0.01, "schedule": COSINE, "sampler": {"power": 1}, "distillation_weight": 0.5,
        "distillation_temperature": 10.0,
    },
}  # fmt: skip
# Eq. 1
OF_THE_PAPERS = {objective: {"centroid_update": "batch_sum"} for objective in ("iccl-warmup", "iccl")}
STAGE_1 = [("iccl-warmup", 100, 20), ("iccl", 100, 20)]
REBALANCING = ("iccl-rebalancing", 10, 10)
CE = ("ce-iccl", 200, 40)
RECIPES = {
    "iccl": [*STAGE_1, REBALANCING],
    "iccl-stage1": STAGE_1,
    "iccl-200": [*STAGE_1, REBALANCING],
    "iccl-no-warmup": [("iccl", 200, 40), REBALANCING],
    "iccl-ce-warmup": [("ce-iccl", 100, 20), ("iccl", 100, 20), REBALANCING],
    "mixup-iccl": [("iccl", 200, 40), REBALANCING],
    "mixup-iccl-stage1": [("iccl", 200, 40)],
    "ce-iccl": [CE],
    "ce-iccl-rebalanced": [CE, REBALANCING],
    "crt-iccl": [CE, ("classifier-retraining-iccl", 10, 10)],
    "lws-iccl": [CE, ("learnable-scaling-iccl", 5, 5)],
}
