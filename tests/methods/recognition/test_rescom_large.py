"""ResCom, PaCo and MiSLAS on the large sets: what the paper's protocol changes, recipes, and an update of each step."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
import torch

from longtail.methods.base import Batch
from longtail.study import catalog as catalogue
from longtail.study.settings import resolved
from longtail.study.study import load_study
from longtail.training.build import build
from longtail.training.optimizer import Optimizer
from longtail.training.specification import parse
from tests.methods.recognition.published.common import COSINE
from tests.methods.recognition.published.large import IMAGENET, JITTERED
from tests.methods.recognition.published.paco import ON_LARGE as PACO
from tests.methods.recognition.published.paco import ON_RESNEXT
from tests.methods.recognition.published.rescom import LARGE_OF_THE_PAPERS, ON_LARGE

CATALOG = catalogue.load()
STUDY = load_study({"targets": ["digits"]})
CUTS = {"imagenet_lt": "imagenet_lt-ir256", "places_lt": "places_lt-ir996", "inaturalist18": "inaturalist18-ir500"}
EPOCHS = {"rescom": (400, 30, 400), "paco": (400, 30, 400)}
JOINT = (
    "rescom", "rescom-balsfx", "supcon-balsfx", "supcon-balsfx-cbl", "supcon-balsfx-cbl-cbq", "supcon-siambs",
    "moco-balsfx", "paco", "paco-resnext50",
)  # fmt: skip
SECOND = ("rescom-crt", "rescom-lws", "rescom-las")
CELLS = [*((method, name) for method in (*JOINT, "mislas") for name in CUTS), *((m, "imagenet_lt") for m in SECOND)]


def trained(method: str, dataset: str, of=STUDY) -> Any:
    (measured,) = of.cell_measurements(method, CUTS[dataset], 0)
    return of.phase(CUTS[dataset], measured.run.name)


def steps(method: str, dataset: str) -> list[tuple[str, int]]:
    return [(stretch.objective, stretch.last_epoch) for stretch in trained(method, dataset).lineage]


@pytest.mark.parametrize("dataset", CUTS)
@pytest.mark.parametrize("objective", ON_LARGE)
def test_what_the_paper_has_otherwise(objective: str, dataset: str) -> None:
    settings = CATALOG.objectives[objective].settings
    found = resolved(objective, settings, {}, CATALOG.dataset(dataset), 100, "paper", CATALOG)
    assert found == {**ON_LARGE[objective][dataset], **LARGE_OF_THE_PAPERS[objective]}


def test_recipes() -> None:
    for method in JOINT:
        found = tuple(steps(method, dataset)[0][1] for dataset in CUTS)
        assert found == (400, 30, 400), method
    assert [steps("mislas", dataset) for dataset in CUTS] == [
        [("mixup-ce", epochs), ("label-aware-smoothing", 10)] for epochs in (180, 90, 200)
    ]
    assert [steps(method, "imagenet_lt") for method in SECOND] == [
        [("rescom", 400), (objective, 10)]
        for objective in ("classifier-retraining", "learnable-scaling", "label-aware-smoothing")
    ]
    for method in SECOND:
        assert trained(method, "imagenet_lt").parent.identity == trained("rescom", "imagenet_lt").identity


@pytest.mark.parametrize("method", SECOND)
def test_second_stages_of_rescom_are_alike_but_for_what_learns(method: str) -> None:
    settings = json.loads(trained(method, "imagenet_lt").lineage[-1].settings)
    alike = {
        "frozen_bn": "eval", "sampler": {"class_aware": 4}, "batch_size": 256, "learning_rate": 0.1,
        "weight_decay": 5e-4, "schedule": COSINE, "augmentation": JITTERED, "normalization": IMAGENET, "momentum": 0.9,
    }  # fmt: skip
    assert {name: settings[name] for name in alike} == alike
    assert (settings.get("smoothing_head"), settings.get("classifier_learning_rate_scale")) == (
        (0.3, 0.05) if method == "rescom-las" else (None, None)
    )


def test_paco_has_other_views_and_another_temperature_by_resnext_on_imagenet_lt_alone() -> None:
    settings = json.loads(trained("paco-resnext50", "imagenet_lt").lineage[0].settings)
    assert settings == {**PACO["paco"]["imagenet_lt"], **ON_RESNEXT}
    for dataset in ("places_lt", "inaturalist18"):
        assert trained("paco-resnext50", dataset).identity == trained("paco", dataset).identity


def test_siambs_alone_is_supcon_with_both_views_classified() -> None:
    siamese, one = (
        json.loads(trained(name, "imagenet_lt").lineage[0].settings) for name in ("supcon-siambs", "supcon-balsfx")
    )
    assert siamese == {**one, "classified_views": 2}


# --- An update of each step -------------------------------------------------------------------------------------------

CLASSES, SIZES, SIZE = 6, [20, 12, 8, 4, 3, 2], 32
SMALL = {"queue_size": 40, "keys_per_class": 4, "hard_negatives": 5}


@functools.cache
def small(method: str, dataset: str, backbone: str) -> list[dict[str, Any]]:
    """What the jobs of a recipe are told, of few classes and small images, batches of sixteen and all groups."""
    spec = trained(method, dataset, load_study({"targets": ["digits"], "budget": {"backbone": backbone}})).spec(0)
    spec["data"] |= {"classes": CLASSES, "image_size": SIZE}
    for stretch in spec["lineage"]:
        stretch["settings"] |= {"batch_size": 16}
        stretch["settings"] |= {name: value for name, value in SMALL.items() if name in stretch["settings"]}
    return [{**spec, "lineage": spec["lineage"][: last + 1]} for last in range(len(spec["lineage"]))]


@pytest.mark.parametrize(("method", "dataset"), CELLS)
def test_each_step_takes_an_update(method: str, dataset: str) -> None:
    """Something learns, nothing becomes infinite, and of what is frozen not a bit changes."""
    objective = None
    for document in small(method, dataset, "resnet18"):
        spec = parse(document).with_rows(sum(SIZES), SIZES)
        objective = build(spec, objective)
        optimizer = Optimizer(objective, spec.last.settings)
        before = {name: parameter.detach().clone() for name, parameter in objective.named_parameters()}
        draws = torch.Generator().manual_seed(0)
        labels = torch.arange(16) % CLASSES
        views = tuple(torch.randn(16, 3, SIZE, SIZE, generator=draws) for _ in range(spec.last.settings.views))
        rows = (torch.arange(16),) * len(views)
        objective.train()
        objective.before_step(0.5)
        parts = objective.loss(Batch(views, rows, draws, (labels,) * len(views), 0.5))
        parts["loss"].backward()
        optimizer.step(0.1)
        objective.after_step(0.5)
        assert all(value.isfinite().all() for value in objective.state_dict().values())
        learning = {name for group in optimizer.groups for name in group.parameters}
        moved = {name for name, value in objective.named_parameters() if not torch.equal(value, before[name])}
        assert moved
        assert {name for name in moved if not name.startswith("key_")} <= learning
        frozen = {name for name, parameter in objective.named_parameters() if not parameter.requires_grad}
        assert not {name for name in frozen & moved if not name.startswith("key_")}
