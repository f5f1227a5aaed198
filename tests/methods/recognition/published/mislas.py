"""MiSLAS: dvlab-research/MiSLAS, configurations for CIFAR-LT at ratio 100 and for the large sets, and its sampler."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CE, COSINE, WITHOUT_INIT
from tests.methods.recognition.published.large import IMAGENET, INAT, JITTERED

ON_CIFAR: dict[str, dict[str, Any]] = {
    "mixup-ce": {
        **CE, "alpha": 1.0,
        "schedule": {
            "warmup": {"epochs": 4, "start": 0.2, "end": 1.0},
            "decay": {"steps": {"milestones": [160 / 200, 180 / 200], "factor": 0.1}},
        },
    },
    "label-aware-smoothing": {
        **WITHOUT_INIT, "smoothing_head": 0.3, "smoothing_tail": 0.0, "spread": "all",
        "classifier_learning_rate_scale": 0.5, "frozen_bn": "eval", "sampler": {"class_aware": 4}, "schedule": COSINE,
    },
}  # fmt: skip
ON_CIFAR100 = {
    "label-aware-smoothing": {
        "smoothing_head": 0.4, "smoothing_tail": 0.1, "classifier_learning_rate_scale": 0.2, "frozen_bn": "train",
    },
}  # fmt: skip
LARGE = {
    "imagenet_lt": {"weight_decay": 5e-4, "normalization": IMAGENET},
    "places_lt": {"weight_decay": 5e-4, "normalization": IMAGENET, "frozen_parts": "all_but_last_block"},
    "inaturalist18": {"weight_decay": 1e-4, "normalization": INAT},
}
OF_ALL = {"learning_rate": 0.1, "batch_size": 256, "schedule": COSINE, "augmentation": JITTERED}
SMOOTHED = {"imagenet_lt": (0.3, 0.0), "places_lt": (0.4, 0.1), "inaturalist18": (0.3, 0.0)}
ON_LARGE: dict[str, dict[str, dict[str, Any]]] = {
    "mixup-ce": {
        dataset: {**CE, **OF_ALL, **own, "alpha": 0.2, "classifier_init": "default"} for dataset, own in LARGE.items()
    },
    "label-aware-smoothing": {
        dataset: {
            **ON_CIFAR["label-aware-smoothing"], **OF_ALL, **own, "smoothing_head": SMOOTHED[dataset][0],
            "smoothing_tail": SMOOTHED[dataset][1], "classifier_learning_rate_scale": 0.05, "frozen_bn": "train",
        }
        for dataset, own in LARGE.items()
    },
}  # fmt: skip
OF_THE_PAPERS = {"label-aware-smoothing": {"spread": "others"}}
RECIPES = {"mislas": [("mixup-ce", 200, 40), ("label-aware-smoothing", 10, 10)]}
# By dataset and ratio: epsilon of head and tail, the classifier's share of the learning rate
AT_RATIOS = {
    ("cifar10-lt", 100): (0.3, 0.0, 0.5),
    ("cifar10-lt", 50): (0.2, 0.0, 0.2),
    ("cifar10-lt", 10): (0.1, 0.0, 0.2),
    ("cifar100-lt", 100): (0.4, 0.1, 0.2),
    ("cifar100-lt", 50): (0.3, 0.0, 0.1),
    ("cifar100-lt", 10): (0.2, 0.0, 0.1),
    ("imagenet_lt", 256): (0.3, 0.0, 0.05),
    ("places_lt", 996): (0.4, 0.1, 0.05),
    ("inaturalist18", 500): (0.3, 0.0, 0.05),
}
