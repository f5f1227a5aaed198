"""ResCom and its baselines: Zhong et al., arXiv 2022, and dvlab-research/ResCom."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CIFAR10, STRONG

STEPS = {"steps": {"milestones": [0.8, 0.9], "factor": 0.1}}
# Sec. 4.2 of the paper and main_rescom.py; epochs numbered from 1 there, e / 10 up to e = 10
JOINT = {
    "classifier_init": "default", "projection_width": 32, "temperature": 0.2, "contrast_weight": 0.5,
    "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "batch_size": 128,
    "drop_last": True, "views": 2, "schedule": {"warmup": {"epochs": 9, "start": 0.1, "end": 1.0}, "decay": STEPS},
    "augmentation": STRONG, "normalization": CIFAR10,
}  # fmt: skip
# builder.py and losses.py
CODE = {"class_weight": "mean_normalised", "contrast": "batch_and_queue", "anchor_views": 2, "enqueued_view": 1}
# Eq. 1 to 6 and Algorithm 1
PAPER = {"class_weight": "raw", "contrast": "queue", "anchor_views": 1, "enqueued_view": 2}
RESCOM = {
    **JOINT, **CODE, "classified_views": 2, "beta": 0.99, "queue": "balanced", "keys_per_class": 100,
    "hard_positives": 25, "hard_negatives": 125,
}  # fmt: skip
ON_CIFAR: dict[str, dict[str, Any]] = {
    "rescom": RESCOM,
    "supcon-balsfx": {
        **JOINT, **CODE, "classified_views": 1, "beta": 0.0, "queue": "original", "keys_per_class": 100,
    },
    "moco-balsfx": {**JOINT, "queue_size": 1000, "target_momentum": 0.999},
}  # fmt: skip
OF_THE_PAPERS: dict[str, dict[str, Any]] = {
    "rescom": {**PAPER, "schedule": {"decay": STEPS}},
    "supcon-balsfx": {**PAPER, "schedule": {"decay": STEPS}},
    "moco-balsfx": {"schedule": {"decay": STEPS}},
}
ON_CIFAR100 = {"rescom": {"keys_per_class": 10, "hard_positives": 2}, "supcon-balsfx": {"keys_per_class": 10}}
RECIPES = {
    "rescom": [("rescom", 400, 40)],
    "rescom-balsfx": [("rescom", 400, 40)],
    **{
        method: [("supcon-balsfx", 400, 40)]
        for method in ("supcon-balsfx", "supcon-balsfx-cbl", "supcon-balsfx-cbl-cbq")
    },
    "moco-balsfx": [("moco-balsfx", 400, 40)],
    "supcon-balsfx-cbq-200": [("supcon-balsfx", 200, 20)],
}
