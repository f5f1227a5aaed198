"""LADE and De-confound-TDE, on the network and by the schedule of BBN."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.bbn import BBN_SCHEDULE
from tests.methods.recognition.published.common import CE, WITHOUT_INIT

# hyperconnect/LADE and KaihuaTang/Long-Tailed-Recognition.pytorch: SGD is given no nesterov, and the network of BBN
LARGE = {"learning_rate": 0.2, "batch_size": 256, "weight_decay": 5e-4, "schedule": BBN_SCHEDULE, "drop_last": True}
ON_CIFAR: dict[str, dict[str, Any]] = {
    # hyperconnect/LADE, README and config/CIFAR100_LT/lade.yaml
    "lade": {**CE, **LARGE, "classifier_init": "default", "alpha": 0.1, "remine_lambda": 0.01, "last_blocks": 2},
    # KaihuaTang/Long-Tailed-Recognition.pytorch, causal_norm_32.yaml of CIFAR10_LT and CIFAR100_LT
    "de-confound-tde": {
        **WITHOUT_INIT, **LARGE, "groups": 2, "scale": 16.0, "gamma": 1 / 32, "alpha": 1.0, "mu": 0.9, "last_blocks": 2,
    },
}  # fmt: skip
ON_CIFAR100 = {"de-confound-tde": {"alpha": 1.5}}
RECIPES = {method: [(method, 200, 40)] for method in ON_CIFAR}
