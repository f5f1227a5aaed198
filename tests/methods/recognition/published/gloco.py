"""GloCo, ProCo, and KCL with one of their modules: the paper, and KCL's settings for all that it does not say."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.kcl import ON_CIFAR as KCL

# k = 3 (Table 2) besides two views; Eq. 13; unsupervised by default (Sec. 5.3); V_i the queue of MoCo v2 (Sec. 5.1)
GLOCO = {**KCL["kcl"], "positives": 0, "adaptive": True, "negatives": "queue", "views": 5}
# of alpha, coreset and the rate of GLISTER nothing is published
PROCO = {"alpha": 0.5, "coreset": "glister", "coreset_share": 0.1, "coreset_least": 10, "coreset_rate": 0.1}
ON_CIFAR: dict[str, dict[str, Any]] = {
    "gloco": GLOCO,
    "gloco-supervised": {**GLOCO, "positives": None},
    "gloco-kcl": {**GLOCO, "positives": 6},
    "kcl-global": {**GLOCO, "positives": 6, "adaptive": False},
    "kcl-adaptive": {**GLOCO, "positives": 6, "views": 2},
    "gloco-proco": {**GLOCO, **PROCO},
    "kcl-proco": {**GLOCO, **PROCO, "positives": 6, "adaptive": False, "views": 2},
}
CE, LINEAR = ("ce", 200, 40), ("gloco-linear", 200, 40)
RECIPES = {method: [*([CE] if method.endswith("proco") else []), (method, 1000, 40), LINEAR] for method in ON_CIFAR}
# What Table 2 takes the time of
FIRST_STAGES = {f"{method}-pretraining": RECIPES[method][:-1] for method in ("kcl-global", "kcl-adaptive", "kcl-proco")}
RECIPES |= FIRST_STAGES
READOUTS = dict.fromkeys(FIRST_STAGES, "ncm")
