"""The focal loss: kaidic/LDAM-DRW. Class-balanced losses: richardaecn/class-balanced-loss."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CE

ON_CIFAR: dict[str, dict[str, Any]] = {
    "focal": {**CE, "gamma": 1.0},
    "cb-ce": {**CE, "beta": 0.9999},
    "cb-focal": {**CE, "beta": 0.9999, "gamma": 1.0},
}
RECIPES = {method: [(method, 200, 40)] for method in ON_CIFAR}
