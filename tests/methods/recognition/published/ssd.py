"""SSD: MCG-NJU/SSD-LT on ImageNet-LT; batches, queue and augmentation are CIFAR's."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published import two_stage
from tests.methods.recognition.published.common import CE, COSINE, CROP, JITTER

SSD = {**CE, "classifier_init": "default", "weight_decay": 5e-4, "schedule": COSINE, "drop_last": True}
SIM = {**CROP, "jitter": JITTER, "grayscale": 0.2, "blur": {"probability": 0.5, "sigma": [0.1, 2.0]}}
ON_CIFAR: dict[str, dict[str, Any]] = {
    "ssd-features": {
        **{name: value for name, value in SSD.items() if name != "views"},
        "temperature": 0.2, "projection_width": 128, "queue_size": 4096, "target_momentum": 0.999,
        "augmentation": [{"pad": 4, "flip": 0.5}, SIM],
    },
    "ssd-labels": {**two_stage.SCALING, "sampler": {"class_aware": 2}, "weight_decay": 5e-4},
    "ssd-distillation": {**SSD, "distillation_temperature": 2.0, "teacher_bn": "train"},
}  # fmt: skip
STAGES = [("ssd-features", 200, 40), ("ssd-labels", 5, 5), ("ssd-distillation", 200, 40)]
RECIPES = {"ssd": STAGES, "ssd-tuned": [*STAGES, ("ssd-labels", 5, 5)]}
