"""DRO-LT: dvirsamuel/DRO-LT, README and defaults of main.py."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CE_FIRST, STRONG, WITHOUT_INIT

BOTH = {
    **WITHOUT_INIT, "sampler": {"class_aware": 4}, "weight_decay": 1e-4, "schedule": "constant",
    "augmentation": STRONG,
}  # fmt: skip
ON_CIFAR: dict[str, dict[str, Any]] = {
    "dro-lt": {**BOTH, "temperature": 1.0, "margin": "misaligned", "learning_rate": 0.005},
    "dro-lt-classifier": {**BOTH, "frozen_bn": "eval", "learning_rate": 0.01},
}
OF_THE_PAPERS = {"dro-lt": {"margin": "own_class"}}
# 80 and 20 epochs of 10 * 5000 images, in epochs of 12 406
RECIPES = {"dro-lt": [CE_FIRST, ("dro-lt", 322, 16), ("dro-lt-classifier", 81, 4)]}
