"""Every value that recognition trains with, against the official codes, written down a second time on purpose.

The numbers of the epochs are those of CIFAR-LT; what digits change is checked below them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from longtail.study import catalog as catalogue
from longtail.study.settings import resolve, resolved, selectors
from longtail.study.study import load_study

CATALOG = catalogue.load()

LDAM_SCHEDULE = {
    "warmup": {"epochs": 4, "start": 0.2, "end": 1.0},
    "decay": {"steps": {"milestones": [0.8, 0.9], "factor": 0.01}},
}
CIFAR10 = {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2023, 0.1994, 0.2010]}
# kaidic/LDAM-DRW
CE = {
    "classifier_init": "kaiming", "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 2e-4,
    "schedule": LDAM_SCHEDULE, "batch_size": 128, "drop_last": False, "views": 1,
    "augmentation": {"pad": 4, "flip": 0.5}, "normalization": CIFAR10,
}  # fmt: skip
WITHOUT_INIT = {name: value for name, value in CE.items() if name != "classifier_init"}
LDAM = {**WITHOUT_INIT, "scale": 30.0, "largest_margin": 0.5}
# frank-xwang/RIDE-LongTailRecognition, config_imbalance_cifar100_ride.json and its loader
RIDE = {
    **LDAM, "experts": 3, "diversity": -0.45, "divergence": "from_mean", "weight_decay": 5e-4, "nesterov": True,
    "augmentation": {"pad": 4, "flip": 0.5, "rotation": 15},
}  # fmt: skip
RIDE_REWEIGHTED = {"beta": 0.9999, "temperature_spread": 0.05, "temperatures": "classes"}
# config_imbalance_cifar100_distill_ride.json, with the four experts of MODEL_ZOO.md: (e + 1) / 20 up to e = 19
RIDE_DISTILLED = {
    **RIDE, "experts": 4, "distillation_temperature": 1.5, "teacher_bn": "train",
    "schedule": {**LDAM_SCHEDULE, "warmup": {"epochs": 19, "start": 0.05, "end": 1.0}},
}  # fmt: skip
# config_imbalance_cifar100_ride_ea.json, and the width within ea_resnet_cifar.py
RIDE_ROUTING = {
    **WITHOUT_INIT, "frozen_bn": "eval", "hidden_width": 16, "top_logits": 30, "positive_weight": 100.0,
    "sampler": {"class_drawn": 1}, "learning_rate": 0.01, "weight_decay": 5e-4, "nesterov": True, "batch_size": 512,
    "schedule": {"decay": {"cosine": {"final": 0.0, "reached": "end"}}},
    "augmentation": {"pad": 4, "flip": 0.5, "rotation": 15},
}  # fmt: skip
# facebookresearch/classifier-balancing, but for the learning rate, batch and weight decay, which are CIFAR's
SCALING = {
    **WITHOUT_INIT, "frozen_bn": "train", "sampler": {"class_aware": 4}, "learning_rate": 0.01, "drop_last": True,
    "schedule": {"decay": {"cosine": {"final": 0.0, "reached": "end"}}},
}  # fmt: skip
CROP = {"crop_scale": [0.2, 1.0], "crop_ratio": [3 / 4, 4 / 3], "interpolation": "bilinear", "flip": 0.5}
JITTER = {"probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
SUPCON_COSINE = {"cosine": {"final": 1e-3, "reached": "last_epoch", "from_epoch": -1}}
ON_CIFAR: dict[str, dict[str, Any]] = {
    "ce": CE,
    "ce-reweighted": {**CE, "beta": 0.9999},
    "ldam": LDAM,
    "ldam-reweighted": {**LDAM, "beta": 0.9999},
    # dvlab-research/Parametric-Contrastive-Learning: 0.1 lr (e + 1) / 10 up to e = 10, steps after 320 and 360
    "balanced-softmax": {
        **CE, "tau": 1.0, "classifier_init": "default", "weight_decay": 5e-4,
        "schedule": {
            "warmup": {"epochs": 11, "start": 0.1, "end": 1.2},
            "decay": {"steps": {"milestones": [0.8025, 0.9025], "factor": 0.1}},
        },
        "augmentation": {"pad": 4, "flip": 0.5, "autoaugment": "cifar10", "hole": 16},
    },
    "logit-adjusted-loss": {**CE, "tau": 1.0},
    "classifier-retraining": {**SCALING, "classifier_init": "default"},
    "learnable-scaling": SCALING,
    "ride": RIDE,
    "ride-reweighted": {**RIDE, **RIDE_REWEIGHTED},
    "ride-routing": RIDE_ROUTING,
    "ride-six": {**RIDE, "experts": 6},
    "ride-six-reweighted": {**RIDE, **RIDE_REWEIGHTED, "experts": 6},
    "ride-distilled": RIDE_DISTILLED,
    "ride-distilled-reweighted": {**RIDE_DISTILLED, **RIDE_REWEIGHTED},
    # HobbitLong/SupContrast, README and defaults of main_supcon.py and main_linear.py
    "supcon": {
        "temperature": 0.1, "base_temperature": 0.07, "projection_width": 128, "optimizer": "sgd",
        "learning_rate": 0.5, "momentum": 0.9, "weight_decay": 1e-4, "batch_size": 1024, "drop_last": False,
        "schedule": {"warmup": {"epochs": 10, "start": 0.02}, "decay": SUPCON_COSINE},
        "augmentation": {**CROP, "jitter": JITTER, "grayscale": 0.2}, "normalization": CIFAR10,
    },
    "supcon-linear": {
        "classifier_init": "default", "frozen_bn": "eval", "optimizer": "sgd", "learning_rate": 5.0, "momentum": 0.9,
        "weight_decay": 0.0, "schedule": "steps", "milestones": [0.6, 0.75, 0.9], "decay": 0.2, "batch_size": 512,
        "drop_last": False, "views": 1, "augmentation": CROP, "normalization": CIFAR10,
    },
}  # fmt: skip


# What the papers have otherwise: Wang et al., ICLR 2021
OF_THE_PAPERS: dict[str, dict[str, Any]] = {
    f"ride{kind}{reweighted}": {"divergence": "of_pairs", **({"temperatures": "images"} if reweighted else {})}
    for kind in ("", "-six", "-distilled")
    for reweighted in ("", "-reweighted")
}
# HobbitLong/SupContrast, main_supcon.py and main_linear.py
CIFAR100 = {"mean": [0.5071, 0.4867, 0.4408], "std": [0.2675, 0.2565, 0.2761]}
ON_CIFAR100 = {objective: {"normalization": CIFAR100} for objective in ("supcon", "supcon-linear")}


def settings_of(objective: str, dataset: str, protocol: str = "official") -> dict[str, Any]:
    settings = CATALOG.objectives[objective].settings
    return resolved(objective, settings, {}, CATALOG.dataset(dataset), 100, protocol, CATALOG)


def test_every_objective_of_recognition_is_checked() -> None:
    found = {o.name for o in CATALOG.objectives.values() if "longtail.methods.recognition." in o.implementation}
    assert set(ON_CIFAR) == found


@pytest.mark.parametrize("protocol", ["official", "paper"])
@pytest.mark.parametrize("dataset", ["cifar10-lt", "cifar100-lt"])
@pytest.mark.parametrize("objective", ON_CIFAR)
def test_settings_on_cifar(objective: str, dataset: str, protocol: str) -> None:
    differing = OF_THE_PAPERS.get(objective, {}) if protocol == "paper" else {}
    on_cifar100 = ON_CIFAR100.get(objective, {}) if dataset == "cifar100-lt" else {}
    assert settings_of(objective, dataset, protocol) == {**ON_CIFAR[objective], **differing, **on_cifar100}


@pytest.mark.parametrize("objective", ON_CIFAR)
def test_on_digits_only_another_batch_changes_the_pace(objective: str) -> None:
    """Rates that were chosen by looking at the test images of the digits would be tuned on what is reported."""
    cifar, digits = settings_of(objective, "cifar10-lt"), settings_of(objective, "digits-lt")
    rates, batches = (digits[key] / cifar[key] for key in ("learning_rate", "batch_size"))
    assert batches <= rates <= 1


def test_only_the_large_batches_of_supcon_are_warmed_up() -> None:
    digits = settings_of("supcon", "digits-lt")
    assert digits["batch_size"] <= 256
    assert digits["schedule"] == {"decay": SUPCON_COSINE}


CE_FIRST = ("ce", 200, 40)
RIDE_STEPS = [("ride", 160, 32), ("ride-reweighted", 40, 8)]
# method: (objective, epochs on CIFAR-LT, epochs on digits-lt)
RECIPES = {
    "ce": [CE_FIRST],
    "ce-drw": [("ce", 160, 32), ("ce-reweighted", 40, 8)],
    "ldam": [("ldam", 200, 40)],
    "ldam-drw": [("ldam", 160, 32), ("ldam-reweighted", 40, 8)],
    "balanced-softmax": [("balanced-softmax", 400, 40)],
    "logit-adjusted-loss": [("logit-adjusted-loss", 200, 40)],
    "crt": [CE_FIRST, ("classifier-retraining", 10, 10)],
    "lws": [CE_FIRST, ("learnable-scaling", 5, 5)],
    **{method: [CE_FIRST] for method in ("tau-norm", "ncm", "logit-adjustment")},
    "ride": RIDE_STEPS,
    "ride-routed": [*RIDE_STEPS, ("ride-routing", 5, 5)],
    "ride-distilled": [
        ("ride-six", 160, 32),
        ("ride-six-reweighted", 40, 8),
        ("ride-distilled", 160, 32),
        ("ride-distilled-reweighted", 40, 8),
    ],
    "supcon": [("supcon", 1000, 40), ("supcon-linear", 100, 40)],
}


@pytest.mark.parametrize("method", RECIPES)
def test_recipes(method: str) -> None:
    found = []
    for step in CATALOG.method(method).recipe:
        epochs = (
            resolve(step["epochs"], selectors(CATALOG.dataset(dataset), 100), "official")
            for dataset in ("cifar10-lt", "digits-lt")
        )
        found.append((step["objective"], *epochs))
    assert found == RECIPES[method]


@pytest.mark.parametrize("method", RECIPES)
def test_readouts(method: str) -> None:
    own = {"tau-norm": "tau-norm", "ncm": "ncm", "logit-adjustment": "logit-adjusted"}
    entry = CATALOG.method(method)
    assert (entry.features, entry.readout) == ("backbone", own.get(method, "classifier"))


# --- What is trained once ---------------------------------------------------------------------------------------------

CUT = "cifar10-lt-ir100"
STUDY = load_study({"targets": ["digits"]})


def trained(method: str) -> Any:
    """The state that a method's features are of."""
    (measured,) = STUDY.cell_measurements(method, CUT, 0)
    return STUDY.phase(CUT, Path(measured.path).parts[3])


@pytest.mark.parametrize(("plain", "deferred"), [("ce", "ce-drw"), ("ldam", "ldam-drw")])
def test_weights_are_deferred_to_where_the_learning_rate_falls(plain: str, deferred: str) -> None:
    """Epochs 0 to 159 have none and are those of the method without; the first weighted epoch is 160."""
    first, last = trained(deferred).lineage
    assert (first.objective, first.first_epoch, first.last_epoch, first.clock) == (plain, 0, 160, 200)
    assert (last.start, last.first_epoch, last.last_epoch, last.clock) == ("continue", 160, 200, 200)
    assert trained(deferred).parent.identity == trained(plain).parent.identity


@pytest.mark.parametrize("method", ["tau-norm", "ncm", "logit-adjustment"])
def test_readouts_are_of_the_state_of_ce(method: str) -> None:
    assert trained(method).identity == trained("ce").identity


@pytest.mark.parametrize("method", ["crt", "lws"])
def test_second_stages_start_from_the_state_of_ce(method: str) -> None:
    assert trained(method).lineage[-1].start == "transfer"
    assert trained(method).parent.identity == trained("ce").identity


def test_gates_are_of_the_state_of_ride() -> None:
    assert trained("ride-routed").lineage[-1].start == "transfer"
    assert trained("ride-routed").parent.identity == trained("ride").identity


def test_the_student_of_ride_learns_from_six_experts_on_a_clock_of_its_own() -> None:
    stretches = [
        (s.objective, s.start, s.first_epoch, s.last_epoch, s.clock) for s in trained("ride-distilled").lineage
    ]
    assert stretches == [
        ("ride-six", "fresh", 0, 160, 200),
        ("ride-six-reweighted", "continue", 160, 200, 200),
        ("ride-distilled", "transfer", 0, 160, 200),
        ("ride-distilled-reweighted", "continue", 160, 200, 200),
    ]
