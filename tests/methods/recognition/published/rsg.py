"""RSG: Jianf-Wang/RSG, Imbalanced_Classification."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import LDAM

# cifar_train.py: `epoch + 1 > 159` and `> 179`, and the defaults of its arguments; models/resnet_cifar.py: the module
RSG = {
    **LDAM, "drop_last": True,
    "schedule": {
        "warmup": {"epochs": 4, "start": 0.2, "end": 1.0},
        "decay": {"steps": {"milestones": [159 / 200, 179 / 200], "factor": 0.01}},
    },
    "head_share": 0.2, "centers": 15, "contrast_width": 256, "center_weight": 0.1,
}  # fmt: skip
ON_CIFAR: dict[str, dict[str, Any]] = {
    "rsg": RSG,
    "rsg-generating": {**RSG, "beta": 0.9999, "vector_weight": 0.01},
}
RECIPES = {"rsg": [("rsg", 160, 32), ("rsg-generating", 40, 8)]}
