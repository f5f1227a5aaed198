"""The catalogue entries of MoCo, BYOL and MiniClustering fit their classes and say what the papers say."""

from __future__ import annotations

import dataclasses

import pytest

from longtail.study import catalog as catalogue
from longtail.study.settings import resolve, resolved, selectors
from longtail.training.build import implementation
from longtail.training.hyperparameters import construct, parse_settings

CATALOG = catalogue.load()
OBJECTIVES = ["moco", "byol", "byol-p", "miniclustering", "maxiclustering"]
METHODS = [
    "moco", "byol", "byol-encoder", "moco-800", "miniclustering", "maxiclustering", "miniclustering-moco",
    "miniclustering-simclr", "self-labelling", "miniclustering-no-threshold", "miniclustering-only-lr",
    "miniclustering-no-lr", "miniclustering-no-lm", "miniclustering-no-ls", "miniclustering-cb-softmax",
    "miniclustering-balms", "miniclustering-eql", "propos", "conr", "conmix-propos", "secu", "lfss",
]  # fmt: skip


ON_IMAGES = [name for name, dataset in CATALOG.datasets.items() if dataset.holds == "images"]


def step_settings(method: str, position: int, dataset: str, ratio: int, protocol: str = "official"):
    """The plain settings of a recipe's step."""
    step = CATALOG.method(method).recipe[position]
    objective = CATALOG.objectives[step["objective"]]
    settings = {**objective.settings, **step.get("settings", {})}
    return resolved(objective.name, settings, {}, CATALOG.dataset(dataset), ratio, protocol, CATALOG)


@pytest.mark.parametrize("protocol", ["official", "paper"])
@pytest.mark.parametrize("method", METHODS)
def test_the_settings_of_every_step_fit_the_loop_and_the_objective(method, protocol):
    for dataset in ON_IMAGES:
        for position, step in enumerate(CATALOG.method(method).recipe):
            objective = CATALOG.objectives[step["objective"]]
            values = step_settings(method, position, dataset, 10, protocol)
            _, own = parse_settings(objective.name, values)
            settings = construct(implementation(objective.name, objective.implementation).Settings, own, objective.name)
            assert dataclasses.asdict(settings) == own


@pytest.mark.parametrize("method", METHODS)
def test_what_is_embedded_exists(method):
    entry = CATALOG.method(method)
    objectives = [CATALOG.objectives[step["objective"]] for step in entry.recipe]
    classes = [implementation(objective.name, objective.implementation) for objective in objectives]
    assert entry.features in classes[-1].features
    for position in range(1, len(classes)):
        if entry.recipe[position].get("start") != "transfer":
            continue
        taken = step_settings(method, position, "cifar10", 10).get("features", "backbone")
        assert taken in classes[position - 1].features


# Li et al. 2026, App. C and App. F: M, delta, alpha, beta, tau, learning rate
PUBLISHED = [
    ("miniclustering", "cifar10", 5, (30, 0.7, 0.5, 1.0, 0.99, 1e-5)),
    ("miniclustering", "cifar10", 10, (40, 0.3, 0.2, 0.5, 0.99, 1e-5)),
    ("miniclustering", "cifar10", 100, (20, 0.3, 1.0, 1.0, 0.99, 1e-5)),
    ("miniclustering", "cifar20", 5, (30, 0.3, 0.5, 0.8, 0.99, 1e-5)),
    ("miniclustering", "cifar20", 10, (30, 0.3, 0.2, 1.0, 0.99, 1e-5)),
    ("miniclustering", "stl10", 5, (20, 0.7, 1.0, 0.2, 0.99, 1e-5)),
    ("miniclustering", "stl10", 10, (40, 0.3, 1.0, 0.2, 0.99, 1e-5)),
    ("miniclustering", "cifar10-full", 1, (40, 0.3, 0.2, 0.5, 0.99, 1e-5)),  # chosen: as at ratio 10
    ("miniclustering", "cifar20-full", 1, (30, 0.3, 0.2, 1.0, 0.99, 1e-5)),
    ("maxiclustering", "tiny_imagenet", 10, (100, 0.3, 1.0, 0.5, 0.9, 1e-6)),
    ("maxiclustering", "imagenet_lt", 256, (200, 0.3, 1.0, 1.0, 0.5, 1e-5)),
]


@pytest.mark.parametrize(("method", "dataset", "ratio", "published"), PUBLISHED)
def test_the_hyperparameters_are_the_published_ones(method, dataset, ratio, published):
    names = ("mini_clusters", "assignment_threshold", "alpha", "beta", "confidence_threshold", "learning_rate")
    values = step_settings(method, 1, dataset, ratio)
    assert tuple(values[name] for name in names) == published
    assert values["batch_size"] == 512


def test_the_protocols_differ_where_paper_and_code_do():
    official, paper = (
        step_settings("miniclustering", 1, "cifar10", 10, protocol) for protocol in ("official", "paper")
    )
    assert {name: (official[name], paper[name]) for name in official if official[name] != paper[name]} == {
        "confidence_view": (2, 1),
        "count_view": (1, 2),
        "reweighting": ("weighted_mean", "plain_mean"),
        "mini_balance": ("class_balanced", "plain"),
        "similarity": ("cosine", "inner"),
        "empty_mask": ("skip", "zero"),
    }


ABLATIONS = {
    "miniclustering-no-threshold": {"confidence_threshold": 0.0},
    "miniclustering-only-lr": {"alpha": 0.0, "beta": 0.0},
    "miniclustering-no-lr": {"target_weight": 0.0},
    "miniclustering-no-lm": {"alpha": 0.0},
    "miniclustering-no-ls": {"beta": 0.0},
    "miniclustering-cb-softmax": {"target_loss": "cb_softmax"},
    "miniclustering-balms": {"target_loss": "balms"},
    "miniclustering-eql": {"target_loss": "eql"},
    "self-labelling": {"target_loss": "unweighted", "reweighting": "plain_mean", "alpha": 0.0, "beta": 0.0},
    "miniclustering-moco": {"features": "projection"},
    "miniclustering-simclr": {"features": "projection"},
}


@pytest.mark.parametrize("method", ABLATIONS)
def test_an_ablation_differs_in_what_it_ablates(method):
    whole, ablated = (step_settings(name, 1, "cifar10", 10) for name in ("miniclustering", method))
    assert {name: ablated[name] for name in whole if ablated[name] != whole[name]} == ABLATIONS[method]


ON_BYOL = ["miniclustering", "maxiclustering", *(method for method in ABLATIONS if "features" not in ABLATIONS[method])]
SHARED = [
    *((method, "byol-encoder", dataset) for method in ON_BYOL for dataset in ON_IMAGES),
    *(
        (f"miniclustering-{name}", f"{name}-800", dataset)
        for name in ("moco", "simclr")
        for dataset in ("cifar10", "stl10")
    ),
]


@pytest.mark.parametrize(("method", "baseline", "dataset"), SHARED)
def test_the_pre_training_is_shared_with_its_baseline(method, baseline, dataset):
    keys = selectors(CATALOG.dataset(dataset), 10)
    own, other = (CATALOG.method(name).recipe[0] for name in (method, baseline))
    assert own["objective"] == other["objective"]
    assert resolve(own["epochs"], keys, "official") == resolve(other["epochs"], keys, "official")
    assert step_settings(method, 0, dataset, 10) == step_settings(baseline, 0, dataset, 10)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_small_study_fills_queues_and_batches(objective):
    values = resolved(
        objective, CATALOG.objectives[objective].settings, {}, CATALOG.dataset("digits"), 10, "official", CATALOG
    )
    assert values["batch_size"] == 128
    if objective == "moco":
        assert values["queue_size"] % values["batch_size"] == 0
        assert values["batch_size"] % values["batchnorm_splits"] == 0
