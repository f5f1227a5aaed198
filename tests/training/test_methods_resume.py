"""What objectives remember between steps and epochs survives an interruption, bit for bit."""

from __future__ import annotations

import signal

import pytest

from longtail.study import catalog as catalogue
from longtail.study.settings import resolved
from longtail.training import loop

CATALOG = catalogue.load()
UPDATES = 2  # per epoch: 40 rows in batches of 16, of which the incomplete one is left out
LINEAGES = {
    "lfss": [("lfss", 4, {"prototype_start_epochs": 1})],
    "lfss, as its paper": [
        ("lfss", 4, {"prototype_start_epochs": 1, "stability_between": "epochs", "pseudo_label_statistics": "running"})
    ],
    "secu": [("secu", 4, {"warmup_epochs": 2, "heads": 3})],
    "conr": [("byol-p", 1, {}), ("conr", 5, {"kept_ramp_epochs": 3, "context_size": 4})],
    "propos": [("propos", 4, {"prototype_start_epochs": 1})],
    "conmix, then propos": [("conmix", 1, {}), ("propos", 3, {"prototype_start_epochs": 1})],
    "kcl": [("kcl", 3, {"queue_size": 40})],
    "paco": [("paco", 3, {"queue_size": 40})],
    "kcl, then tsc": [("kcl-tsc", 1, {}), ("tsc", 3, {"assignment": "hungarian"})],
    "kcl, then tsc with its queue": [("kcl", 1, {"queue_size": 40}), ("tsc-queue", 3, {"queue_size": 40})],
    "iccl": [("iccl-warmup", 1, {}), ("iccl", 4, {})],
    "bbn": [("bbn", 4, {})],
    "de-confound-tde": [("de-confound-tde", 3, {})],
    "ride, then its gates": [("ride", 1, {}), ("ride-routing", 3, {})],
    "ride, then its student": [("ride-six", 1, {"experts": 3}), ("ride-distilled", 3, {})],
    "hybrid-psc": [("hybrid-psc", 3, {})],
    "ce, then dro-lt": [("ce", 1, {}), ("dro-lt", 3, {})],
    "ce, then proco": [("ce", 1, {}), ("gloco-proco", 3, {"queue_size": 16})],
    "rescom": [("rescom", 3, {"keys_per_class": 4, "hard_positives": 1, "hard_negatives": 2})],
    "supcon-balsfx": [("supcon-balsfx", 3, {"keys_per_class": 8})],
    "moco-balsfx": [("moco-balsfx", 3, {"queue_size": 40})],
    "features of ssd": [("ssd-features", 3, {"queue_size": 64})],
    "features of ssd, then its student": [("ssd-features", 1, {"queue_size": 64}), ("ssd-distillation", 3, {})],
    "ce, then m2m": [("ce", 1, {}), ("m2m-ldam", 3, {"threshold": 0.0, "beta": 0.5, "steps": 2})],
    "propos, balanced": [
        ("propos", 4, {"prototype_start_epochs": 1, "balanced_sampling": True, "views_together": True})
    ],
}


def lineage(tools, name):
    """The stretches of ``LINEAGES[name]``, with the settings for digits and small networks."""
    stretches, first = [], 0
    end = LINEAGES[name][-1][1]
    for position, (objective, last, changes) in enumerate(LINEAGES[name]):
        first = 0 if "then" in name else first
        entry = CATALOG.objectives[objective]
        values = resolved(objective, entry.settings, {}, CATALOG.dataset("digits"), 10, "official", CATALOG)
        values |= {"batch_size": 16, "drop_last": True, **changes}
        values |= {
            name: 8 for name in ("hidden_width", "projection_width") if "hidden_width" in values and name in values
        }
        start = "fresh" if position == 0 else "transfer" if "then" in name else "continue"
        stretch = tools.stretch(objective, start=start, first=first, last=last, clock=end)
        stretches.append({**stretch, "implementation": entry.implementation, "settings": values})
        first = last
    return stretches


@pytest.mark.parametrize("updates", [1, 2, 5])
@pytest.mark.parametrize("name", LINEAGES)
def test_interrupted_and_resumed(desk, tools, monkeypatch, name, updates):
    stretches = lineage(tools, name)
    parent = None
    if len(stretches) > 1:
        parent = "before"
        assert desk.train(tools.spec(*stretches[:-1]), parent) == 0
    spec = tools.spec(*stretches)
    assert desk.train(spec, "straight", parent) == 0
    with monkeypatch.context() as patch:
        advance, count = loop.Progress.advance, 0

        def stop(self, *arguments):
            nonlocal count
            count += 1
            if count == updates:
                signal.raise_signal(signal.SIGTERM)
            advance(self, *arguments)

        patch.setattr(loop.Progress, "advance", stop)
        assert desk.train(spec, "run", parent) == 75
    assert desk.train(spec, "run", parent) == 0
    tools.assert_same_training(desk.checkpoint("straight"), desk.checkpoint("run"))
    assert all(value.isfinite().all() for value in desk.checkpoint()["objective"].values())
