"""Every value that the catalogue trains with, against what papers and official codes say.

Written down a second time on purpose: a slip of the finger in the catalogue changes results and breaks nothing else.
MiniClustering's own hyperparameters are in ``test_pretraining_catalogue``.
"""

from __future__ import annotations

from typing import Any

import pytest

from longtail.study import catalog as catalogue
from longtail.study.settings import resolve, resolved, selectors

CATALOG = catalogue.load()

JITTER = {"probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
# LZX-001/ConMix and VITA-Group/SDCLR
AUG_C = {
    "crop_scale": [0.1, 1.0],
    "crop_ratio": [3 / 4, 4 / 3],
    "interpolation": "bicubic",
    "flip": 0.5,
    "jitter": JITTER,
    "grayscale": 0.2,
}
# LZX-001/MiniClustering, Hzzone/ProPos and the CIFAR-10 demo of facebookresearch/moco
AUG_M = {**AUG_C, "crop_scale": [0.08, 1.0], "interpolation": "bilinear"}
# VITA-Group/SDCLR on ImageNet
AUG_IMAGENET = {
    **AUG_C,
    "crop_scale": [0.08, 1.0],
    "blur": {"probability": 0.5, "kernel": 23, "sigma": [0.1, 2.0]},
}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
CIFAR10 = {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2023, 0.1994, 0.2010]}
CIFAR20 = {"mean": [0.5071, 0.4867, 0.4408], "std": [0.2675, 0.2565, 0.2761]}

# ConMix App. A; LZX-001/ConMix
FAMILY = {
    "temperature": 0.2, "projection_width": 128,
    "optimizer": "sgd", "learning_rate": 0.5, "momentum": 0.9, "weight_decay": 1e-4,
    "schedule": "warmup_cosine", "warmup_epochs": 10, "final_learning_rate": 1e-6,
    "batch_size": 512, "drop_last": False, "augmentation": AUG_C, "normalization": IMAGENET,
}  # fmt: skip
# LZX-001/MiniClustering
BYOL = {
    "hidden_width": 4096, "projection_width": 512, "target_momentum": 0.996, "target_schedule": "constant",
    "target_update": "after_step", "predictor_learning_rate_scale": 10.0,
    "optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4,
    "schedule": "byol_warmup_cosine", "warmup_epochs": 10,
    "batch_size": 256, "drop_last": True, "augmentation": AUG_M, "normalization": CIFAR10,
}  # fmt: skip
# Hzzone/ProPos
BYOL_P = {
    **BYOL, "projection_width": 256, "target_schedule": "cosine", "target_update": "after_forward",
    "learning_rate": 0.1, "schedule": "propos_cosine", "warmup_epochs": 50, "batch_size": 512,
}  # fmt: skip
PROPOS = {
    **BYOL_P, "target_schedule": "constant", "noise": 1e-3, "temperature": 0.5, "prototype_weight": 0.1,
    "prototype_start_epochs": 50, "absent_classes": "minus_ten", "views_together": False, "balanced_sampling": False,
    "kmeans_seed": 0, "kmeans_inits": 40,
}  # fmt: skip
# cly234/DeepClustering-ConNR
CONR = {
    **BYOL_P, "learning_rate_scale": 0.1, "predictor_learning_rate_scale": 0.1, "context_size": 10,
    "propagation_size": 2, "neighbours": 10, "kept_at_start": 0.8, "kept_ramp_epochs": 50, "kmeans_seed": 0,
    "kmeans_inits": 40, "augmentation": {**AUG_M, "crop_scale": [0.45, 1.0]},
}  # fmt: skip
# LZX-001/LFSS
LFSS = {
    **BYOL, "projection_width": 256, "noise": 1e-3, "temperature": 0.5, "stability_weight": 0.1,
    "prototype_start_epochs": 200, "unstable_share": 0.1, "stability_between": "equals",
    "pseudo_label_statistics": "batch", "pseudo_label_batch": 256, "kmeans_seed": 0,
    "schedule": "lfss_cosine", "final_learning_rate": 0.025, "drop_last": False,
}  # fmt: skip
# idstcv/SeCu
BLURRED = {
    **AUG_M, "crop_scale": [0.3, 1.0], "jitter": {**JITTER, "saturation": 0.2},
    "blur": {"probability": 1.0, "kernel": 23, "sigma": [0.1, 2.0]},
}  # fmt: skip
SOLARIZED = {**BLURRED, "blur": {**BLURRED["blur"], "probability": 0.1}, "solarize": 0.2}
SECU = {
    "projection_width": 128, "heads": 10, "representation_temperature": 0.05, "centre_temperature": 0.05,
    "label_weight": 0.2, "dual_learning_rate": 0.1, "size_ratio": 0.9, "centre_learning_rate": 1.2,
    "optimizer": "sgd", "learning_rate": 0.2, "momentum": 0.9, "weight_decay": 1e-4, "schedule": "secu_cosine",
    "warmup_epochs": 11, "batch_size": 128, "drop_last": False, "augmentation": [BLURRED, SOLARIZED],
    "normalization": CIFAR10,
}  # fmt: skip
WIDE = {
    "centre_learning_rate": 0.8, "augmentation": [{**one, "crop_scale": [0.2, 1.0]} for one in (BLURRED, SOLARIZED)],
}  # fmt: skip
# facebookresearch/moco, CIFAR-10 demo
MOCO = {
    "temperature": 0.1, "projection_width": 128, "queue_size": 4096, "target_momentum": 0.99, "batchnorm_splits": 8,
    "optimizer": "sgd", "learning_rate": 0.06, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "epoch_cosine",
    "batch_size": 512, "drop_last": True, "augmentation": AUG_M, "normalization": CIFAR10,
}  # fmt: skip
# LZX-001/MiniClustering; Secs. 3.2 and 4.1, App. C
MINICLUSTERING = {
    "features": "target_projection", "direction": "mini", "mini_clusters": 40, "assignment_threshold": 0.3,
    "confidence_threshold": 0.99, "target_weight": 1.0, "alpha": 0.2, "beta": 0.5, "target_loss": "reweighted",
    "cb_gamma": 0.99, "confidence_view": 2, "count_view": 1, "reweighting": "weighted_mean",
    "mini_balance": "class_balanced", "similarity": "cosine", "empty_mask": "skip", "head_scale": 100.0,
    "kmeans_seed": 0, "optimizer": "adam", "learning_rate": 1e-5, "weight_decay": 0.0, "schedule": "constant",
    "batch_size": 512, "drop_last": False, "augmentation": AUG_M, "normalization": CIFAR10,
}  # fmt: skip

# Yunfan-Li/Contrastive-Clustering
CC = {
    "instance_temperature": 0.5, "cluster_temperature": 1.0, "projection_width": 128,
    "optimizer": "adam", "learning_rate": 3e-4, "weight_decay": 0.0, "schedule": "constant",
    "batch_size": 256, "drop_last": True, "augmentation": AUG_M,
    "normalization": {"mean": [0.0] * 3, "std": [1.0] * 3},
}  # fmt: skip
# TTN-YKK/Clustering_friendly_representation_learning
IDFD = {
    "projection_width": 128, "instance_temperature": 1.0, "memory_momentum": 0.5, "feature_temperature": 2.0,
    "feature_reduction": "mean",
    "optimizer": "sgd", "learning_rate": 0.03, "momentum": 0.9, "weight_decay": 5e-4,
    "schedule": "steps", "milestones": [600 / 2000, 950 / 2000, 1300 / 2000, 1650 / 2000], "decay": 0.1,
    "views": 1, "batch_size": 128, "drop_last": False,
    "augmentation": {
        **AUG_M, "crop_scale": [0.2, 1.0], "flip": 0.0, "jitter": {**JITTER, "probability": 1.0, "hue": 0.0},
    },
    "normalization": {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2470, 0.2435, 0.2616]},
}  # fmt: skip
# Li-Hyn/DMICC
DMICC = {
    "projection_width": 128, "instance_temperature": 1.0, "memory_momentum": 0.5, "feature_weight": 1e-5,
    "instance_weight": 1e-6, "regularization": 10.0, "joint_of": "features",
    "optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4,
    "schedule": "steps", "decay": 0.5,
    "milestones": [epoch / 5000 for epoch in (500, 950, 1350, 2050, 2350, 2750, 3350, 3750, 4250, 4550)],
    "batch_size": 128, "drop_last": True, "augmentation": AUG_M, "normalization": IMAGENET,
}  # fmt: skip
# wvangansbeke/Unsupervised-Classification
SCAN_STRONG = {"flip": 0.5, "operations": 4, "cutout": 16}
SCAN_ADAM = {
    "optimizer": "adam", "learning_rate": 1e-4, "weight_decay": 1e-4, "schedule": "constant", "drop_last": True,
    "augmentation": SCAN_STRONG, "normalization": CIFAR10,
}  # fmt: skip
SCAN = {
    "scan-pretext": {
        "temperature": 0.1, "projection_width": 128, "anchors": "first",
        "optimizer": "sgd", "learning_rate": 0.4, "momentum": 0.9, "weight_decay": 1e-4,
        "schedule": "floored_epoch_cosine", "final_learning_rate": 0.4e-3, "batch_size": 512, "drop_last": True,
        "augmentation": {**AUG_M, "crop_scale": [0.2, 1.0]}, "normalization": CIFAR10,
    },
    "scan": {
        **SCAN_ADAM, "features": "backbone", "neighbour_features": "projection", "neighbours": 20,
        "entropy_weight": 5.0, "batch_size": 128,
    },
    "scan-self-labelling": {
        **SCAN_ADAM, "features": "cluster_head", "confidence_threshold": 0.99, "batch_size": 1000,
        "augmentation": [SCAN_STRONG, {}],
    },
}  # fmt: skip

ON_CIFAR10: dict[str, dict[str, Any]] = {
    "simclr": FAMILY,
    "simclr-miniclustering": {**FAMILY, "augmentation": AUG_M, "normalization": CIFAR10},
    "sdclr": {**FAMILY, "prune_ratio": 0.9},
    "conmix": {**FAMILY, "tags": 100},
    "conmix-pairwise": {**FAMILY, "alpha": 1.0},
    "mixup-input": {**FAMILY, "alpha": 1.0},
    "mixup-manifold": {**FAMILY, "alpha": 2.0},
    "byol": BYOL,
    "byol-p": BYOL_P,
    "propos": PROPOS,
    "conr": CONR,
    "secu": SECU,
    "lfss": LFSS,
    "moco": MOCO,
    "cc": CC,
    "idfd": IDFD,
    "dmicc": DMICC,
    **SCAN,
    "miniclustering": MINICLUSTERING,
    "maxiclustering": {
        **MINICLUSTERING, "direction": "maxi", "mini_clusters": 100, "confidence_threshold": 0.9, "alpha": 1.0,
        "learning_rate": 1e-6,
    },
}  # fmt: skip
# Li et al. 2026, App. J gives no settings: those of Secs. 4.1 and App. D, which the catalogue says are chosen.
ON_STACKOVERFLOW: dict[str, dict[str, Any]] = {
    "text-miniclustering": {
        **{name: value for name, value in MINICLUSTERING.items() if name != "normalization"},
        "features": "backbone", "mini_clusters": 40, "alpha": 0.5, "beta": 0.5, "augmentation": {"replaced": 0.2},
    },
    "text-conmix": {
        "temperature": 0.2, "projection_width": 128, "tags": 100, "optimizer": "adam", "learning_rate": 1e-5,
        "weight_decay": 0.0, "schedule": "constant", "batch_size": 512, "drop_last": False,
        "augmentation": {"replaced": 0.2},
    },
}  # fmt: skip
ON_OTHERS: dict[tuple[str, str], dict[str, Any]] = {
    ("sdclr", "cifar20"): {},
    ("sdclr", "stl10"): {},
    ("sdclr", "tiny_imagenet"): {},
    ("sdclr", "imagenet_lt"): {"prune_ratio": 0.3, "batch_size": 256, "augmentation": AUG_IMAGENET},
    ("conmix", "imagenet_lt"): {"batch_size": 256, "augmentation": AUG_IMAGENET},
    ("simclr", "imagenet_lt"): {"batch_size": 256, "augmentation": AUG_IMAGENET},
    ("simclr-miniclustering", "stl10"): {"normalization": IMAGENET},
    ("byol", "cifar20"): {"normalization": CIFAR20},
    ("byol", "stl10"): {"projection_width": 256, "normalization": IMAGENET},
    ("byol", "tiny_imagenet"): {"normalization": IMAGENET},
    ("byol", "imagenet_lt"): {"normalization": IMAGENET},
    ("byol-p", "cifar20"): {"batch_size": 256, "learning_rate": 0.05, "normalization": CIFAR20},
    ("byol-p", "stl10"): {"normalization": IMAGENET},
    ("byol-p", "imagenet_lt"): {
        "batch_size": 256, "learning_rate": 0.05, "warmup_epochs": 10, "augmentation": AUG_IMAGENET,
        "normalization": IMAGENET,
    },
    ("propos", "cifar20"): {
        "batch_size": 256, "learning_rate": 0.05, "target_schedule": "cosine", "target_update": "before_forward",
        "views_together": True, "balanced_sampling": True, "normalization": CIFAR20,
    },
    ("propos", "stl10"): {"normalization": IMAGENET},
    ("conr", "cifar20"): {"batch_size": 256, "learning_rate": 0.05, "normalization": CIFAR20},
    ("conr", "imagenet_lt"): {
        "batch_size": 256, "learning_rate": 0.05, "warmup_epochs": 10, "kept_ramp_epochs": 10,
        "augmentation": {**AUG_IMAGENET, "crop_scale": [0.45, 1.0]}, "normalization": IMAGENET,
    },
    ("secu", "cifar20"): {**WIDE, "normalization": CIFAR20},
    ("secu", "stl10"): {**WIDE, "centre_temperature": 1.0, "normalization": IMAGENET},
    ("secu", "tiny_imagenet"): {**WIDE, "normalization": IMAGENET},
    ("lfss", "cifar20"): {"normalization": CIFAR20},
    ("lfss", "stl10"): {"normalization": IMAGENET},
    ("moco", "cifar20"): {"normalization": CIFAR20},
    ("cc", "stl10"): {
        "augmentation": {
            **AUG_M,
            "jitter": {"probability": 0.8, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2},
        },
    },
    ("cc", "imagenet_lt"): {
        "augmentation": {
            **AUG_M,
            "jitter": {"probability": 0.8, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2},
            "blur": {"probability": 0.5, "kernel": 23, "sigma": [0.1, 2.0]},
        },
    },
    ("cc", "cifar20"): {},
    ("cc", "tiny_imagenet"): {},
    ("idfd", "cifar20"): {"normalization": CIFAR20},
    ("idfd", "cifar10-full"): {},
    ("dmicc", "stl10"): {},
    ("scan", "cifar20"): {"batch_size": 512, "normalization": CIFAR20},
    ("scan", "stl10"): {"augmentation": {**SCAN_STRONG, "cutout": 32}, "normalization": IMAGENET},
    # of ImageNet that code has subsets, and strong views in the last stage only
    ("scan", "imagenet_lt"): {
        "batch_size": 256, "augmentation": {**AUG_M, "crop_scale": [0.2, 1.0]}, "normalization": IMAGENET,
    },
    ("scan-self-labelling", "imagenet_lt"): {
        "batch_size": 256, "normalization": IMAGENET,
        "augmentation": [
            {**SCAN_STRONG, "crop_scale": [(224 / 256) ** 2] * 2, "crop_ratio": [1.0, 1.0], "cutout": 75}, {},
        ],
    },
    ("scan-self-labelling", "stl10"): {
        "augmentation": [{**SCAN_STRONG, "cutout": 32}, {}], "normalization": IMAGENET,
    },
    ("moco", "stl10"): {"queue_size": 2048, "normalization": IMAGENET},
}  # fmt: skip


def settings_of(objective: str, dataset: str, protocol: str = "official") -> dict[str, Any]:
    settings = CATALOG.objectives[objective].settings
    return resolved(objective, settings, {}, CATALOG.dataset(dataset), 10, protocol, CATALOG)


def test_every_objective_of_clustering_is_checked() -> None:
    """Those of recognition are in ``recognition/test_published_recipes``."""
    found = {o.name for o in CATALOG.objectives.values() if "longtail.methods.clustering." in o.implementation}
    assert {*ON_CIFAR10, *ON_STACKOVERFLOW} == found


@pytest.mark.parametrize("objective", ON_CIFAR10)
def test_settings_on_cifar10(objective: str) -> None:
    assert settings_of(objective, "cifar10") == ON_CIFAR10[objective]


@pytest.mark.parametrize("objective", ON_STACKOVERFLOW)
def test_settings_on_texts(objective: str) -> None:
    assert settings_of(objective, "stackoverflow") == ON_STACKOVERFLOW[objective]
    agnews = {"mini_clusters": 8} if "mini_clusters" in ON_STACKOVERFLOW[objective] else {}
    assert settings_of(objective, "agnews") == {**ON_STACKOVERFLOW[objective], **agnews}


@pytest.mark.parametrize(("objective", "dataset"), ON_OTHERS)
def test_what_other_datasets_change(objective: str, dataset: str) -> None:
    assert settings_of(objective, dataset) == {**ON_CIFAR10[objective], **ON_OTHERS[objective, dataset]}


# What the papers say otherwise than the official codes, on every dataset. ConMix Sec. 5.1.2 prints a batch of 512 for
# all methods that it trains; MiniClustering Sec. 4.2 leaves SCAN, SeCu and LFSS their own.
ON_PAPER: dict[str, dict[str, Any]] = {
    "cc": {"batch_size": 512},
    "idfd": {"batch_size": 512, "feature_reduction": "sums"},
    "dmicc": {"batch_size": 512, "joint_of": "softmax"},
    "scan-pretext": {"anchors": "both"},
    "scan": {},
    "scan-self-labelling": {},
    "secu": {},
    "lfss": {"stability_between": "epochs", "pseudo_label_statistics": "running", "final_learning_rate": 0.0},
    "miniclustering": {
        "confidence_view": 1, "count_view": 2, "reweighting": "plain_mean", "mini_balance": "plain",
        "similarity": "inner", "empty_mask": "zero",
    },
}  # fmt: skip


@pytest.mark.parametrize("dataset", ["cifar10", "cifar20", "stl10"])
@pytest.mark.parametrize("objective", ON_PAPER)
def test_what_the_papers_say_otherwise(objective: str, dataset: str) -> None:
    own = CATALOG.objectives[objective].settings
    on_paper = resolved(objective, own, {}, CATALOG.dataset(dataset), 10, "paper", CATALOG)
    assert on_paper == {**settings_of(objective, dataset), **ON_PAPER[objective]}


# ConMix Sec. 5.1.2: "a batch size of 512 for all methods"
OF_CONMIX = [
    "simclr", "sdclr", "conmix", "conmix-pairwise", "mixup-input", "mixup-manifold", "moco", "byol-p", "conr", "propos",
    "cc", "idfd", "dmicc",
]  # fmt: skip


@pytest.mark.parametrize("dataset", ["cifar10", "cifar10-full", "cifar20", "stl10", "tiny_imagenet", "imagenet_lt"])
@pytest.mark.parametrize("objective", OF_CONMIX)
def test_the_batch_that_conmix_prints_is_every_methods_under_the_paper_protocol(objective: str, dataset: str) -> None:
    assert settings_of(objective, dataset, "paper")["batch_size"] == 512


@pytest.mark.parametrize("protocol", ["official", "paper"])
@pytest.mark.parametrize("dataset", ["cifar10", "cifar20", "stl10", "tiny_imagenet", "imagenet_lt"])
@pytest.mark.parametrize("objective", ["byol-p", "conr", "propos"])
def test_the_rate_of_propos_goes_with_the_batch(objective: str, dataset: str, protocol: str) -> None:
    """Hzzone/ProPos multiplies 0.05 by the images of a batch over 256."""
    values = settings_of(objective, dataset, protocol)
    assert values["learning_rate"] == pytest.approx(0.05 * values["batch_size"] / 256)


# what else ConMix's own code and the compared methods' do otherwise than the papers
APART: dict[str, dict[str, tuple[Any, Any]]] = {
    "byol-p": {"target_update": ("after_forward", "after_step")},
    "conr": {"target_update": ("after_forward", "after_step")},
    "propos": {"absent_classes": ("minus_ten", "left_out")},
}


@pytest.mark.parametrize("objective", [name for name in OF_CONMIX if name not in ("cc", "idfd", "dmicc")])
def test_the_protocols_differ_in_what_paper_and_code_say(objective: str) -> None:
    official, paper = (settings_of(objective, "cifar10", protocol) for protocol in ("official", "paper"))
    found = {name: (value, paper[name]) for name, value in official.items() if value != paper[name]}
    assert found == APART.get(objective, {})


def test_the_mixture_is_the_official_class_with_its_defaults() -> None:
    """LZX-001/ConMix, torch_clustering/gaussian_mixture.py; a start at random is ConMix Table 8's alone."""
    defaults = {"inits": 10, "covariance_floor": 1e-6, "tolerance": 1e-4, "max_iterations": 300}
    for name, start in (("gmm-k", "kmeans"), ("gmm-r", "random")):
        entry = CATALOG.clusterers[name]
        assert {key: entry[key] for key in (*defaults, "start")} == {**defaults, "start": start}


@pytest.mark.parametrize("objective", ON_CIFAR10)
def test_on_digits_only_another_batch_changes_the_pace(objective: str) -> None:
    """Rates that were chosen by looking at the labels of the digits would be tuned on what is reported."""
    if CATALOG.objectives[objective].name == "maxiclustering":
        return  # its own rate is that of 200 classes; digits have MiniClustering's
    cifar10, digits = settings_of(objective, "cifar10"), settings_of(objective, "digits")
    rates, batches = (digits[key] / cifar10[key] for key in ("learning_rate", "batch_size"))
    assert batches <= rates <= 1


# method: (objective, epochs on CIFAR-10, epochs on ImageNet-LT)
RECIPES = {
    "simclr": [("simclr", 1000, 200)],
    "sdclr": [("sdclr", 1000, 200)],
    "conmix": [("sdclr", 200, 40), ("conmix", 800, 160)],
    "conmix-no-warmup": [("conmix", 1000, 200)],
    "conmix-simclr-warmup": [("simclr", 200, 40), ("conmix", 800, 160)],
    "conmix-pairwise": [("sdclr", 200, 40), ("conmix-pairwise", 800, 160)],
    "mixup-input": [("sdclr", 200, 40), ("mixup-input", 800, 160)],
    "mixup-manifold": [("sdclr", 200, 40), ("mixup-manifold", 800, 160)],
    "moco": [("moco", 1000, 1000)],
    "moco-800": [("moco", 800, 800)],
    "byol": [("byol-p", 1000, 200)],
    "byol-encoder": [("byol", 800, 160)],
    "propos": [("propos", 1000, 1000)],
    "conmix-propos": [("sdclr", 100, 100), ("conmix", 400, 400), ("propos", 500, 500)],
    "secu": [("secu", 401, 401)],
    "lfss": [("lfss", 1000, 1000)],
    "conr": [("byol-p", 800, 160), ("conr", 200, 40)],
    "simclr-800": [("simclr-miniclustering", 800, 160)],
    "cc": [("cc", 1000, 200)],
    "idfd": [("idfd", 1000, 200)],
    "dmicc": [("dmicc", 1000, 200)],
    "scan": [("scan-pretext", 500, 160), ("scan", 50, 20), ("scan-self-labelling", 200, 20)],
    "miniclustering": [("byol", 800, 160), ("miniclustering", 200, 40)],
    "maxiclustering": [("byol", 800, 160), ("maxiclustering", 200, 40)],
}


@pytest.mark.parametrize("method", RECIPES)
def test_recipes(method: str) -> None:
    found = []
    for step in CATALOG.method(method).recipe:
        short, long = (
            resolve(step["epochs"], selectors(CATALOG.dataset(dataset), 10), "official")
            for dataset in ("imagenet_lt", "cifar10")
        )
        found.append((step["objective"], long, short))
    assert found == RECIPES[method]


# what is embedded, and what clusters it
READOUT = {
    **dict.fromkeys(["simclr", "sdclr", "conmix", "moco", "simclr-800", "moco-800"], ("projection", "kmeans")),
    **dict.fromkeys(
        ["byol", "byol-encoder", "propos", "conmix-propos", "conr", "lfss"], ("target_projection", "kmeans")
    ),
    **dict.fromkeys(["miniclustering", "maxiclustering", "self-labelling"], ("target_head", "argmax")),
    **dict.fromkeys(["cc", "scan"], ("cluster_head", "argmax")),
    **dict.fromkeys(["idfd", "dmicc"], ("memory", "kmeans-euclidean")),
    "secu": ("cluster_head", "argmax"),
    **dict.fromkeys(["text-miniclustering", "text-self-labelling"], ("target_head", "argmax")),
    "text-conmix": ("projection", "kmeans"),
    "text-baseline": ("pretrained", "kmeans"),
}


@pytest.mark.parametrize("method", READOUT)
def test_what_is_clustered_and_how(method: str) -> None:
    entry = CATALOG.method(method)
    assert (entry.features, entry.readout) == READOUT[method]


# backbone, stem, size, statistics, test transform with its filters, head class, shots; ConMix Secs. 5.1, A, G;
# LZX-001/MiniClustering
IMAGES = {
    "cifar10": ("resnet18", "cifar", 32, CIFAR10, (None, None), 5000, (3, 4, 3)),
    "cifar20": ("resnet18", "cifar", 32, CIFAR20, (None, None), 2500, (6, 8, 6)),
    "stl10": ("resnet18", "imagenet", 96, IMAGENET, (None, None), 1300, (3, 4, 3)),
    "tiny_imagenet": ("resnet18", "imagenet", 64, IMAGENET, (256, 224, "bilinear", "bicubic"), 500, (60, 80, 60)),
    "imagenet_lt": ("resnet50", "imagenet", 224, IMAGENET, (256, 224), None, (390, 445, 165)),
}


@pytest.mark.parametrize("dataset", IMAGES)
def test_images(dataset: str) -> None:
    cut = CATALOG.dataset(dataset)
    images = cut.images
    assert (
        images["backbone"]["name"],
        images["backbone"]["stem"],
        images["image_size"],
        images["normalization"],
        tuple(images["test_transform"].values()),
        cut.head_class_rows,
        cut.shots,
    ) == IMAGES[dataset]


def test_the_hyperparameter_analysis_has_the_values_that_it_names() -> None:
    names = {"M": "mini_clusters", "δ": "assignment_threshold", "α": "alpha", "β": "beta"}
    for cell in CATALOG.paper("miniclustering")["figures"]["figure5"]["cells"]:
        dataset, varied = CATALOG.dataset(cell["dataset"]), names[cell["group"].partition(", ")[2]]
        overrides = cell.get("settings", {}).get("miniclustering", {})
        assert set(overrides) <= {varied}
        own = CATALOG.objectives["miniclustering"].settings
        values = resolved("miniclustering", own, overrides, dataset, cell["ratio"], "official", CATALOG)
        assert values[varied] == float(cell["label"])
        assert cell["group"].startswith(dataset.title)
