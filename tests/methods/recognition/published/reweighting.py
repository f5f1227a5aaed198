"""CE and LDAM: kaidic/LDAM-DRW."""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import CE, CE_FIRST, LDAM

ON_CIFAR: dict[str, dict[str, Any]] = {
    "ce": CE,
    "ce-reweighted": {**CE, "beta": 0.9999},
    "ldam": LDAM,
    "ldam-reweighted": {**LDAM, "beta": 0.9999},
}
RECIPES = {
    "ce": [CE_FIRST],
    "ce-drw": [("ce", 160, 32), ("ce-reweighted", 40, 8)],
    "ldam": [("ldam", 200, 40)],
    "ldam-drw": [("ldam", 160, 32), ("ldam-reweighted", 40, 8)],
}
