"""DiVE: what ertugungor/BalancedMetaSoftmax-Classification, a reproduction, quotes of the paper for CIFAR-100-LT."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published import logit_adjustment

ON_CIFAR: dict[str, dict[str, Any]] = {
    "dive": {
        **logit_adjustment.ON_CIFAR["balanced-softmax"], "alpha": 0.5, "distillation_temperature": 3.0,
        "teacher_power": 0.5, "teacher_bn": "eval",
    },
}  # fmt: skip
RECIPES = {"dive": [("balanced-softmax", 400, 40), ("dive", 400, 40)]}
