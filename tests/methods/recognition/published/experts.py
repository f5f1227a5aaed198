"""RIDE: frank-xwang/RIDE-LongTailRecognition."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import COSINE, LDAM, LDAM_SCHEDULE, WITHOUT_INIT

# frank-xwang/RIDE-LongTailRecognition, config_imbalance_cifar100_ride.json and its loader
RIDE = {
    **LDAM, "experts": 3, "diversity": -0.45, "divergence": "from_mean", "weight_decay": 5e-4, "nesterov": True,
    "augmentation": {"pad": 4, "flip": 0.5, "rotation": 15},
}  # fmt: skip
RIDE_REWEIGHTED = {"beta": 0.9999, "temperature_spread": 0.05, "temperatures": "classes"}
# config_imbalance_cifar100_distill_ride.json, with the four experts of MODEL_ZOO.md: (e + 1) / 20 up to e = 19
RIDE_DISTILLED = {
    **RIDE, "experts": 4, "distillation_temperature": 1.5, "teacher_bn": "train",
    "schedule": {**LDAM_SCHEDULE, "warmup": {"epochs": 19, "start": 0.05, "end": 1.0}},
}  # fmt: skip
# config_imbalance_cifar100_ride_ea.json, and the width within ea_resnet_cifar.py
RIDE_ROUTING = {
    **WITHOUT_INIT, "frozen_bn": "eval", "hidden_width": 16, "top_logits": 30, "positive_weight": 100.0,
    "sampler": {"class_drawn": 1}, "learning_rate": 0.01, "weight_decay": 5e-4, "nesterov": True, "batch_size": 512,
    "schedule": COSINE,
    "augmentation": {"pad": 4, "flip": 0.5, "rotation": 15},
}  # fmt: skip
ON_CIFAR: dict[str, dict[str, Any]] = {
    "ride": RIDE,
    "ride-reweighted": {**RIDE, **RIDE_REWEIGHTED},
    "ride-routing": RIDE_ROUTING,
    "ride-six": {**RIDE, "experts": 6},
    "ride-six-reweighted": {**RIDE, **RIDE_REWEIGHTED, "experts": 6},
    "ride-distilled": RIDE_DISTILLED,
    "ride-distilled-reweighted": {**RIDE_DISTILLED, **RIDE_REWEIGHTED},
}
# What the paper has otherwise: Wang et al., ICLR 2021
OF_THE_PAPERS: dict[str, dict[str, Any]] = {
    f"ride{kind}{reweighted}": {"divergence": "of_pairs", **({"temperatures": "images"} if reweighted else {})}
    for kind in ("", "-six", "-distilled")
    for reweighted in ("", "-reweighted")
}
RIDE_STEPS = [("ride", 160, 32), ("ride-reweighted", 40, 8)]
RECIPES = {
    "ride": RIDE_STEPS,
    "ride-2": RIDE_STEPS,
    "ride-4": RIDE_STEPS,
    "ride-routed": [*RIDE_STEPS, ("ride-routing", 5, 5)],
    "ride-distilled": [
        ("ride-six", 160, 32),
        ("ride-six-reweighted", 40, 8),
        ("ride-distilled", 160, 32),
        ("ride-distilled-reweighted", 40, 8),
    ],
}
