"""Second stages and readouts on the checkpoint of CE."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CE_FIRST, COSINE, WITHOUT_INIT

# facebookresearch/classifier-balancing, but for the learning rate, batch and weight decay, which are CIFAR's
SCALING = {
    **WITHOUT_INIT, "frozen_bn": "train", "sampler": {"class_aware": 4}, "learning_rate": 0.01, "drop_last": True,
    "schedule": COSINE,
}  # fmt: skip
ON_CIFAR: dict[str, dict[str, Any]] = {
    "classifier-retraining": {**SCALING, "classifier_init": "default"},
    "learnable-scaling": SCALING,
}
RECIPES = {
    "crt-200": [CE_FIRST, ("classifier-retraining", 10, 10)],
    "lws-200": [CE_FIRST, ("learnable-scaling", 5, 5)],
    **{method: [CE_FIRST] for method in ("tau-norm-200", "ncm-200")},
    "crt": [CE_FIRST, ("classifier-retraining", 10, 10)],
    "lws": [CE_FIRST, ("learnable-scaling", 5, 5)],
    **{method: [CE_FIRST] for method in ("tau-norm", "ncm", "logit-adjustment")},
}
READOUTS = {
    "tau-norm-200": "tau-norm",
    "ncm-200": "ncm",
    "tau-norm": "tau-norm",
    "ncm": "ncm",
    "logit-adjustment": "logit-adjusted",
}
