"""BBN: Megvii-Nanjing/BBN."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CE

# lib/utils/lr_scheduler.py of Megvii-Nanjing/BBN: a third at e = 0, whole at e = 5
BBN_SCHEDULE = {
    "warmup": {"epochs": 5, "start": 1 / 3, "end": 1.0},
    "decay": {"steps": {"milestones": [0.6, 0.8], "factor": 0.01}},
}
ON_CIFAR: dict[str, dict[str, Any]] = {
    # Megvii-Nanjing/BBN, configs/cifar10.yaml and cifar100.yaml
    "bbn": {
        **CE, "classifier_init": "default", "nesterov": True, "schedule": BBN_SCHEDULE, "drop_last": True, "views": 2,
        "sampler": ["uniform", {"power": 1}],
    },
}  # fmt: skip
RECIPES = {"bbn": [("bbn", 200, 40)], "bbn-90": [("bbn", 90, 20)]}
