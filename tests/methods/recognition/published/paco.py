"""PaCo: dvlab-research/Parametric-Contrastive-Learning, PaCo/LT/paco_cifar.py and sh/CIFAR100_train_imb0.01.sh.

Of the large sets paco_lt.py and paco_fp16_places.py, and sh/ImageNetLT_train_R50.sh, PlacesLT_train_R152.sh and
Inat_train_R50.sh; of ResNeXt-50 sh/ImageNetLT_train_X50.sh.
"""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CIFAR10, CROP, JITTER, STRONG
from tests.methods.recognition.published.large import IMAGENET, INAT, JITTERED, RANDCLS

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
BLURRED = {**JITTERED, "grayscale": 0.2, "blur": {"probability": 0.5, "sigma": [0.1, 2.0]}}
LARGE = {
    **ON_CIFAR["paco"], "alpha": 0.05, "temperature": 0.2, "projection_width": 128, "projector_init": "default",
    "queue_size": 8192, "learning_rate": 0.02, "batch_groups": 4, "augmentation": [RANDCLS, BLURRED],
    "normalization": IMAGENET,
    "schedule": {
        "warmup": {"epochs": 9, "start": 0.1, "end": 1.0}, "decay": {"cosine": {"final": 0.0, "reached": "end"}},
    },
}  # fmt: skip
ON_LARGE: dict[str, dict[str, dict[str, Any]]] = {
    "paco": {
        "imagenet_lt": LARGE,
        "places_lt": {
            **LARGE, "augmentation": [BLURRED, BLURRED], "frozen_parts": "convolutions_but_last_block",
            "schedule": {**LARGE["schedule"], "warmup": {"epochs": 4, "start": 0.2, "end": 1.0}},
        },
        "inaturalist18": {**LARGE, "weight_decay": 1e-4, "normalization": INAT},
    },
}  # fmt: skip
ON_RESNEXT = {"temperature": 0.07, "augmentation": [{**BLURRED, "randaugment": RANDCLS["randaugment"]}, BLURRED]}
RECIPES = {"paco": [("paco", 400, 40)], "paco-resnext50": [("paco", 400, 40)]}
