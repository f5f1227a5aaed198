"""Cross-entropy by the recipe of Megvii-Nanjing/BBN and what is built on it; deferred re-sampling by either recipe."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CE, LDAM

# configs/cifar10.yaml and cifar100.yaml, optimiser in lib/utils/utils.py, loader in main/train.py
BBN = {
    **CE, "classifier_init": "default", "nesterov": True, "drop_last": True,
    "schedule": {
        "warmup": {"epochs": 5, "start": 1 / 3, "end": 1.0},
        "decay": {"steps": {"milestones": [120 / 200, 160 / 200], "factor": 0.01}},
    },
}  # fmt: skip
# ImbalancedDatasetSampler in utils.py of kaidic/LDAM-DRW
RESAMPLED = {"sampler": {"effective_number": 0.9999}}
# LDAMLoss in lib/loss/loss.py
LDAM_BBN = {key: value for key, value in BBN.items() if key != "classifier_init"}
LDAM_BBN |= {key: LDAM[key] for key in ("scale", "largest_margin")}
ON_CIFAR: dict[str, dict[str, Any]] = {
    "ce-resampled": {**CE, **RESAMPLED},
    "ce-bbn": BBN,
    "ce-bbn-reweighted": {**BBN, "beta": 0.999999},
    "ce-bbn-resampled": {**BBN, **RESAMPLED},
    "ldam-bbn": LDAM_BBN,
    "ldam-bbn-reweighted": {**LDAM_BBN, "beta": 0.9999},
}
FIRST = ("ce-bbn", 200, 40)
RECIPES = {
    "ce-drs": [("ce", 160, 32), ("ce-resampled", 40, 8)],
    "ce-bbn": [FIRST],
    "ce-drw-bbn": [("ce-bbn", 160, 32), ("ce-bbn-reweighted", 40, 8)],
    "ce-drs-bbn": [("ce-bbn", 160, 32), ("ce-bbn-resampled", 40, 8)],
    "ldam-drw-bbn": [("ldam-bbn", 160, 32), ("ldam-bbn-reweighted", 40, 8)],
    "ldam-drw-bbn-180": [("ldam-bbn", 160, 32), ("ldam-bbn-reweighted", 20, 8)],
    "crt-bbn": [FIRST, ("classifier-retraining", 10, 10)],
    "lws-bbn": [FIRST, ("learnable-scaling", 5, 5)],
}
