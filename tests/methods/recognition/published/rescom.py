"""ResCom and its baselines: Zhong et al., arXiv 2022, and dvlab-research/ResCom."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CIFAR10, STRONG
from tests.methods.recognition.published.large import IMAGENET, INAT, JITTERED

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
# Sec. 4.2 and Table 5, main_rescom.py; of all other sets than ImageNet-LT sizes and embeddings are chosen
COSINE_FROM_WARM = {
    "warmup": {"epochs": 9, "start": 0.1, "end": 1.0},
    "decay": {"cosine": {"final": 1e-5, "reached": "last_epoch"}},
}
TWICE = {**JITTERED, "grayscale": 0.2, "randaugment": {"operations": 2, "magnitude": 10, "deviation": 0.5}}
LARGE = {"batch_size": 256, "batch_groups": 8, "projection_width": 128}
JOINT_LARGE = {
    "imagenet_lt": {
        **JOINT, **LARGE, "learning_rate": 0.06, "schedule": COSINE_FROM_WARM, "augmentation": TWICE,
        "normalization": IMAGENET,
    },
    "places_lt": {
        **JOINT, **LARGE, "learning_rate": 0.02, "schedule": {"decay": {"cosine": {"final": 0.0, "reached": "end"}}},
        "augmentation": JITTERED, "normalization": IMAGENET,
    },
    "inaturalist18": {
        **JOINT, **LARGE, "learning_rate": 0.08, "weight_decay": 1e-4, "schedule": COSINE_FROM_WARM,
        "augmentation": TWICE, "normalization": INAT,
    },
}  # fmt: skip
QUEUES = {"imagenet_lt": (4, 1, 500), "places_lt": (4, 1, 200), "inaturalist18": (2, 1, 500)}
OLDEST = {"imagenet_lt": 4000, "places_lt": 1460, "inaturalist18": 16284}
ON_LARGE: dict[str, dict[str, dict[str, Any]]] = {
    "rescom": {
        dataset: {
            **RESCOM, **joint, "keys_per_class": QUEUES[dataset][0], "hard_positives": QUEUES[dataset][1],
            "hard_negatives": QUEUES[dataset][2],
        }
        for dataset, joint in JOINT_LARGE.items()
    },
    "supcon-balsfx": {
        dataset: {**ON_CIFAR["supcon-balsfx"], **joint, "keys_per_class": QUEUES[dataset][0]}
        for dataset, joint in JOINT_LARGE.items()
    },
    "moco-balsfx": {
        dataset: {**joint, "queue_size": OLDEST[dataset], "target_momentum": 0.999}
        for dataset, joint in JOINT_LARGE.items()
    },
}  # fmt: skip
# What the paper has otherwise: no warm-up
LARGE_OF_THE_PAPERS = {
    name: {
        **{name: value for name, value in OF_THE_PAPERS[name].items() if name != "schedule"},
        "schedule": {"decay": {"cosine": {"final": 0.0, "reached": "end"}}},
    }
    for name in ON_LARGE
}
RECIPES = {
    "rescom": [("rescom", 400, 40)],
    "rescom-balsfx": [("rescom", 400, 40)],
    **{
        method: [("supcon-balsfx", 400, 40)]
        for method in ("supcon-balsfx", "supcon-balsfx-cbl", "supcon-balsfx-cbl-cbq")
    },
    "moco-balsfx": [("moco-balsfx", 400, 40)],
    "supcon-balsfx-cbq-200": [("supcon-balsfx", 200, 20)],
    "supcon-siambs": [("supcon-balsfx", 400, 40)],
    "rescom-crt": [("rescom", 400, 40), ("classifier-retraining", 10, 10)],
    "rescom-lws": [("rescom", 400, 40), ("learnable-scaling", 10, 10)],
    "rescom-las": [("rescom", 400, 40), ("label-aware-smoothing", 10, 10)],
}
