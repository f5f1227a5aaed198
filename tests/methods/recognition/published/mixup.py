"""Mixup and Manifold Mixup by the recipe of Megvii-Nanjing/BBN."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.bbn_recipe import BBN

ON_CIFAR: dict[str, dict[str, Any]] = {
    "mixup": {**BBN, "alpha": 1.0},
    "manifold-mixup": {**BBN, "alpha": 1.0, "mixed_loss": "binary"},
}
OF_THE_PAPERS = {"manifold-mixup": {"mixed_loss": "cross_entropy"}}
RECIPES = {method: [(method, 200, 40)] for method in ON_CIFAR}
