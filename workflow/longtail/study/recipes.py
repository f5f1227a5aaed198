"""How long and on what a training goes, in words: what tells apart rows that stand in one table."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from longtail.study.phases import Phase, Stretch


def in_words(phase: Phase, augmentations: Mapping[str, Any]) -> str:
    """The clocks of a training one after another, each with its epochs, views and batch.

    Args:
        phase: the state at its end.
        augmentations: of the catalogue, by name.
    """
    opened = itertools.accumulate(stretch.start != "continue" for stretch in phase.lineage)
    clocks = itertools.groupby(zip(opened, phase.lineage, strict=True), key=lambda pair: pair[0])
    return ", then ".join(_clock([stretch for _, stretch in pairs], augmentations) for _, pairs in clocks)


def _clock(stretches: Iterable[Stretch], augmentations: Mapping[str, Any]) -> str:
    """Stretches of one clock: what the first of them is shown stands for all, as schedule and views are shared."""
    first, *_ = stretches
    settings = json.loads(first.settings)
    shown = settings["augmentation"]
    views = shown if isinstance(shown, list) else [shown]
    names = [next((name for name, listed in augmentations.items() if listed == view), "own") for view in views]
    return f"{first.clock} epochs ({' and '.join(dict.fromkeys(names))}, batches of {settings['batch_size']})"
