"""How cross-entropy, what follows it, and ICCL are trained on the large sets, written down a second time.

ICCL Section 4.2 and 4.3; facebookresearch/classifier-balancing, KaihuaTang/Long-Tailed-Recognition.pytorch,
Megvii-BaseDetection/DisAlign, Megvii-Nanjing/BBN and hyperconnect/LADE by their configurations.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest

from longtail.study.study import load_study

RATIOS = {"imagenet_lt": 256, "inaturalist18": 500, "places_lt": 996}
COSINE = {"decay": {"cosine": {"final": 0.0, "reached": "end"}}}
STEPS = {"decay": {"steps": {"milestones": [60 / 90, 80 / 90], "factor": 0.1}}}
CROP = {"crop_scale": [0.08, 1.0], "crop_ratio": [3 / 4, 4 / 3], "interpolation": "bilinear", "flip": 0.5}
JITTERED = {
    **CROP,
    "jitter": {"probability": 1.0, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.0},
}
OF_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
OF_INAT = {"mean": [0.466, 0.471, 0.380], "std": [0.195, 0.194, 0.192]}

# batch, learning rate, weight decay
DECOUPLING = {"imagenet_lt": (512, 0.2, 5e-4), "inaturalist18": (512, 0.2, 1e-4)}
ICCL = {"imagenet_lt": (256, 0.1, 5e-4), "inaturalist18": (512, 0.2, 1e-4)}
ICCL_2 = {"imagenet_lt": (256, 0.01, 5e-4), "inaturalist18": (512, 0.02, 1e-4)}

Step = tuple[str, int, tuple[int, float, float]]


def both(method: str, first: Any, *later: Any) -> list[tuple[str, str, list[Step]]]:
    """A method on both sets; of each step the objective, its epochs on ImageNet-LT and iNaturalist, and the pace."""
    names = ("imagenet_lt", "inaturalist18")
    return [(method, name, [(o, e[i], p[name]) for o, e, p in (first, *later)]) for i, name in enumerate(names)]


CE = ("ce", (90, 90), DECOUPLING)
CE_ICCL = ("ce-iccl", (90, 90), ICCL)
WHOLE = ("iccl", (90, 90), ICCL)
PARTS = (("iccl-warmup", (40, 40), ICCL), ("iccl", (50, 50), ICCL))
REBALANCED = ("iccl-rebalancing", (10, 10), ICCL_2)
TRAINED = [
    *both("ce", CE),
    *both("focal", ("focal", (90, 90), DECOUPLING)),
    *both("cb-focal", ("cb-focal", (90, 90), DECOUPLING)),
    *both("ldam-drw", ("ldam", (72, 72), DECOUPLING), ("ldam-reweighted", (18, 18), DECOUPLING)),
    *both("tau-norm", CE),
    *both("ncm", CE),
    *both("crt", CE, ("classifier-retraining", (10, 30), DECOUPLING)),
    *both("lws", CE, ("learnable-scaling", (5, 5), DECOUPLING)),
    *both("de-confound-tde", ("de-confound-tde", (90, 90), DECOUPLING)),
    *both("de-confound-iccl", ("de-confound-tde", (90, 90), ICCL)),
    *both("disalign", ("ce", (90, 90), ICCL), ("disalign", (10, 10), ICCL)),
    *both("iccl", *PARTS, REBALANCED),
    *both("iccl-stage1", *PARTS),
    *both("iccl-no-warmup", WHOLE, REBALANCED),
    *both("iccl-ce-warmup", ("ce-iccl", (40, 40), ICCL), PARTS[1], REBALANCED),
    *both("mixup-iccl", WHOLE, REBALANCED),
    *both("ce-iccl-rebalanced", CE_ICCL, REBALANCED),
    *both("crt-iccl", CE_ICCL, ("classifier-retraining-iccl", (10, 10), ICCL_2)),
    *both("lws-iccl", CE_ICCL, ("learnable-scaling-iccl", (5, 5), ICCL_2)),
    ("balanced-softmax", "imagenet_lt", [("balanced-softmax", 180, (256, 0.05, 5e-4))]),
    (
        "crt-200",
        "inaturalist18",
        [("ce", 200, DECOUPLING["inaturalist18"]), ("classifier-retraining", 30, DECOUPLING["inaturalist18"])],
    ),
    ("disalign-200", "inaturalist18", [("ce", 200, (512, 0.2, 1e-4)), ("disalign", 30, (512, 0.2, 1e-4))]),
    (
        "iccl-200",
        "inaturalist18",
        [
            ("iccl-warmup", 100, ICCL["inaturalist18"]),
            ("iccl", 100, ICCL["inaturalist18"]),
            ("iccl-rebalancing", 10, ICCL_2["inaturalist18"]),
        ],
    ),
    ("ce-drw-bbn", "inaturalist18", [("ce-bbn", 80, (128, 0.05, 1e-4)), ("ce-bbn-reweighted", 10, (128, 0.05, 1e-4))]),
    (
        "ldam-drw-bbn-180",
        "inaturalist18",
        [("ldam-bbn", 160, (128, 0.05, 1e-4)), ("ldam-bbn-reweighted", 20, (128, 0.05, 1e-4))],
    ),
    ("crt", "places_lt", [("ce", 30, (256, 0.01, 5e-4)), ("classifier-retraining", 10, (256, 0.1, 5e-4))]),
    ("lws", "places_lt", [("ce", 30, (256, 0.01, 5e-4)), ("learnable-scaling", 5, (256, 0.1, 5e-4))]),
]


@functools.cache
def lineage(method: str, dataset: str) -> tuple[dict[str, Any], ...]:
    """The stretches that a method is trained by, as a job is told them."""
    study = load_study({"targets": ["digits"]})
    (measured,) = study.cell_measurements(method, f"{dataset}-ir{RATIOS[dataset]}", 0)
    return tuple(study.phase(measured.run.cut, measured.run.name).spec(0)["lineage"])


@pytest.mark.parametrize(("method", "dataset", "steps"), TRAINED)
def test_epochs_batches_and_rates(method: str, dataset: str, steps: list[Step]) -> None:
    found = []
    for stretch in lineage(method, dataset):
        pace = tuple(stretch["settings"][key] for key in ("batch_size", "learning_rate", "weight_decay"))
        found.append((stretch["objective"], stretch["last_epoch"] - stretch["first_epoch"], pace))
    assert found == steps


@pytest.mark.parametrize(("method", "dataset", "steps"), TRAINED)
def test_images_and_schedules(method: str, dataset: str, steps: list[Step]) -> None:
    bbn = method.endswith(("-bbn", "-bbn-180"))
    for stretch in lineage(method, dataset):
        settings = stretch["settings"]
        assert settings["schedule"] == (STEPS if bbn else COSINE)
        assert settings["augmentation"] == (CROP if dataset == "inaturalist18" else JITTERED)
        expected = OF_IMAGENET if dataset != "inaturalist18" or bbn else OF_INAT
        assert settings["normalization"] == expected
        assert settings.get("nesterov", False) is bbn


@pytest.mark.parametrize("dataset", ["imagenet_lt", "inaturalist18"])
def test_iccl(dataset: str) -> None:
    """Section 4.2: tau, d_z, omega_u, and the encoder that is frozen, in the mode of salesforce/MoPro."""
    warmup, branches, rebalancing = (stretch["settings"] for stretch in lineage("iccl", dataset))
    for settings in (warmup, branches):
        assert (settings["temperature"], settings["projection_width"]) == (0.07, 128)
        assert (settings["centroid_momentum"], settings["contrast_weight"]) == (0.99, 1.0)
    assert (branches["uniform_weight"], branches["interpolated_weight"]) == (1.0, 1.0)
    assert branches["sampler"] == ["uniform", {"power": 0}]
    assert (rebalancing["frozen_bn"], rebalancing["sampler"]) == ("eval", {"power": 1})
    assert (rebalancing["distillation_weight"], rebalancing["distillation_temperature"]) == (0.5, 10.0)


def test_parts_of_iccl() -> None:
    """Table 4: Mixup is Eq. 7 alone; without warm-up all is as with it."""
    (mixup, _), (whole, _) = (lineage(method, "imagenet_lt") for method in ("mixup-iccl", "iccl-no-warmup"))
    differing = {key for key in whole["settings"] if whole["settings"][key] != mixup["settings"][key]}
    assert differing == {"uniform_weight", "contrast_weight"}
    assert (mixup["settings"]["uniform_weight"], mixup["settings"]["contrast_weight"]) == (0.0, 0.0)
    assert whole["settings"] == lineage("iccl", "imagenet_lt")[1]["settings"]
    ce, warmup = lineage("ce-iccl", "imagenet_lt")[0]["settings"], lineage("iccl", "imagenet_lt")[0]["settings"]
    assert {key for key in warmup if warmup[key] != ce[key]} == {"contrast_weight"}


@pytest.mark.parametrize("dataset", RATIOS)
def test_de_confound_tde(dataset: str) -> None:
    (stretch,) = lineage("de-confound-tde", dataset)
    settings = stretch["settings"]
    assert (settings["groups"], settings["scale"], settings["gamma"], settings["alpha"]) == (2, 16.0, 1 / 32, 3.0)
    assert (settings["mu"], settings["last_blocks"]) == ("by_learning_rate", 1)


@pytest.mark.parametrize("dataset", RATIOS)
@pytest.mark.parametrize("method", ["crt", "lws"])
def test_second_stages(method: str, dataset: str) -> None:
    settings = lineage(method, dataset)[1]["settings"]
    assert (settings["sampler"], settings["frozen_bn"]) == ({"class_aware": 4}, "train")
    assert settings["drop_last"] is True
