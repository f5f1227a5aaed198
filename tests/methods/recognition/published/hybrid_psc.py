"""Hybrid-PSC: no code; the paper, as the report of CENG502-Projects/CENG502-Spring2022 has it."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CE

ON_CIFAR: dict[str, dict[str, Any]] = {
    "hybrid-psc": {
        **CE, "classifier_init": "default", "temperature": 1.0, "projection_width": 128, "learning_rate": 0.5,
        "weight_decay": 1e-4, "batch_size": 512, "views": 2, "sampler": ["uniform", {"power": 0}],
        "schedule": "steps", "milestones": [0.6, 0.8], "decay": 0.1,
        "augmentation": {"pad": 4, "flip": 0.5, "grayscale": 0.2},
    },
}  # fmt: skip
ON_CIFAR100 = {"hybrid-psc": {"temperature": 0.1}}
RECIPES = {"hybrid-psc": [("hybrid-psc", 200, 40)]}
