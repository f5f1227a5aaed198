"""Balanced Softmax and the logit-adjusted loss."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CE, STRONG

ON_CIFAR: dict[str, dict[str, Any]] = {
    # dvlab-research/Parametric-Contrastive-Learning: 0.1 lr (e + 1) / 10 up to e = 10, steps after 320 and 360
    "balanced-softmax": {
        **CE, "tau": 1.0, "classifier_init": "default", "weight_decay": 5e-4,
        "schedule": {
            "warmup": {"epochs": 11, "start": 0.1, "end": 1.2},
            "decay": {"steps": {"milestones": [0.8025, 0.9025], "factor": 0.1}},
        },
        "augmentation": STRONG,
    },
    "logit-adjusted-loss": {**CE, "tau": 1.0},
}  # fmt: skip
RECIPES = {
    "balanced-softmax": [("balanced-softmax", 400, 40)],
    "logit-adjusted-loss": [("logit-adjusted-loss", 200, 40)],
}
