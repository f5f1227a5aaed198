"""ResLT: jiequancui/ResLT, CIFAR."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CE

ON_CIFAR: dict[str, dict[str, Any]] = {
    # jiequancui/ResLT, CIFAR/cifarTrain_reslt_cifar10.py and its scripts: lr (1/3 (1 - f) + f) with f = (e + 1) / 5
    "reslt": {
        **CE, "classifier_init": "default", "nesterov": True, "weight_decay": 5e-4, "drop_last": True,
        "schedule": {
            "warmup": {"epochs": 4, "start": 0.4666666666666667, "end": 1.0},
            "decay": {"steps": {"milestones": [0.8, 0.9], "factor": 0.1}},
        },
        "beta": 0.998, "medium_from": 2, "few_from": 4,
    },
}  # fmt: skip
ON_CIFAR100 = {"reslt": {"beta": 0.995, "medium_from": 35, "few_from": 70}}
RECIPES = {method: [(method, 200, 40)] for method in ON_CIFAR}
