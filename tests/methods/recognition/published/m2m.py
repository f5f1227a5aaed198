"""M2m with LDAM: alinlab/M2m."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CE_FIRST, LDAM

# run.sh for CIFAR-10-LT, train.py and utils.py
M2M = {
    **LDAM, "sampler": {"power": 0}, "beta": 0.999, "seed_weight": 0.5, "threshold": 0.9, "steps": 10,
    "step_size": 0.1, "noise_radius": 0.5, "noise_norm": "channel",
}  # fmt: skip
ON_CIFAR: dict[str, dict[str, Any]] = {"ldam-before-m2m": LDAM, "m2m-ldam": M2M}
OF_THE_PAPERS = {"m2m-ldam": {"noise_norm": "image"}}
# there is no script for it: the default of config.py
ON_CIFAR100 = {"m2m-ldam": {"threshold": 0.99}}
RECIPES = {"m2m-ldam": [CE_FIRST, ("ldam-before-m2m", 160, 32), ("m2m-ldam", 40, 8)]}
