"""KCL with a queue and in a batch, TSC, and the linear stages behind contrast: GloCo, TSC and LTH14/targeted-supcon."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CIFAR10, COSINE, CROP, JITTER
from tests.methods.recognition.published.supcon import SUPCON_COSINE

PLAIN = {"optimizer": "sgd", "momentum": 0.9, "normalization": CIFAR10}
SIMCLR = {**CROP, "jitter": JITTER, "grayscale": 0.2}
# TSC, supplement; what neither paper says of these stages is kaidic/LDAM-DRW's
LINEAR = {
    **PLAIN, "criterion": "ldam", "beta": 0.9999, "classifier_init": "default", "scale": 30.0, "largest_margin": 0.5,
    "frozen_bn": "eval", "learning_rate": 0.1, "weight_decay": 2e-4, "schedule": "steps",
    "milestones": [0.7, 0.9, 0.95], "decay": 0.1, "batch_size": 128, "drop_last": False, "views": 1,
    "augmentation": {"pad": 4, "flip": 0.5},
}  # fmt: skip
# TSC, supplement: 1024, 0.5; cifar_dirty/main_supcon_imba.py
IN_BATCH = {
    **PLAIN, "positives": 6, "temperature": 0.07, "projection_width": 128, "learning_rate": 0.5,
    "weight_decay": 1e-4, "schedule": {"warmup": {"epochs": 10, "start": 0.02}, "decay": SUPCON_COSINE},
    "batch_size": 1024, "drop_last": False, "augmentation": SIMCLR,
}  # fmt: skip
ON_CIFAR: dict[str, dict[str, Any]] = {
    # GloCo: 256, 0.1; queue and momentum of facebookresearch/moco's CIFAR-10 demo; else main_moco_supcon_imba.py
    "kcl": {
        **PLAIN, "positives": 6, "temperature": 0.07, "projection_width": 128, "queue_size": 4096,
        "target_momentum": 0.99, "learning_rate": 0.1, "weight_decay": 1e-4, "schedule": COSINE, "batch_size": 256,
        "drop_last": True, "augmentation": SIMCLR,
    },
    "kcl-tsc": IN_BATCH,
    "tsc": {**IN_BATCH, "target_weight": 0.2, "assignment": "fixed", "target_counted": True},
    "gloco-linear": {**LINEAR, "batch_size": 256},
    "tsc-linear": LINEAR,
}  # fmt: skip
ON_CIFAR100 = {"gloco-linear": {"criterion": "ce"}}
OF_THE_PAPERS = {"tsc": {"assignment": "hungarian", "target_counted": False}}
RECIPES = {
    "kcl": [("kcl", 1000, 40), ("gloco-linear", 200, 40)],
    "kcl-pretraining": [("kcl", 1000, 40)],
    "tsc": [("kcl-tsc", 500, 20), ("tsc", 500, 20), ("tsc-linear", 200, 40)],
    "kcl-tsc": [("kcl-tsc", 1000, 40), ("tsc-linear", 200, 40)],
}
READOUTS = {"kcl-pretraining": "ncm"}
