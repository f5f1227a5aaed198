"""DisAlign: Megvii-BaseDetection/DisAlign on ImageNet-LT; batch and weight decay are CIFAR's."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CE_FIRST, COSINE, WITHOUT_INIT

ON_CIFAR: dict[str, dict[str, Any]] = {
    "disalign": {**WITHOUT_INIT, "scale_init": 1.0, "rho": 1.2, "frozen_bn": "train", "schedule": COSINE},
}
OF_THE_PAPERS = {"disalign": {"scale_init": 0.0}}
RECIPES = {"disalign": [CE_FIRST, ("disalign", 10, 10)]}
