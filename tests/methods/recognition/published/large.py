"""Contrastive methods, experts, branches and distillation on the large sets: the official codes for those.

* ``ON_LARGE``: all settings of an objective by dataset, under the official protocol.
* ``LARGE_RECIPES``: the steps of a method by dataset, as (objective, epochs).
* ``NOT_ON``: the large sets that a method is not available on.
"""

from __future__ import annotations

from typing import Any

from tests.methods.recognition.published.common import COSINE, JITTER

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
INAT = {"mean": [0.466, 0.471, 0.380], "std": [0.195, 0.194, 0.192]}
# transforms.RandomResizedCrop(224), a flip, ColorJitter(0.4, 0.4, 0.4, 0), which all codes but BCL's share
CROPPED = {"crop_scale": [0.08, 1.0], "crop_ratio": [3 / 4, 4 / 3], "interpolation": "bilinear", "flip": 0.5}
ALWAYS = {"probability": 1.0, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.0}
JITTERED = {**CROPPED, "jitter": ALWAYS}
SGD = {"optimizer": "sgd", "momentum": 0.9, "normalization": IMAGENET}
ON_INAT = {"normalization": INAT, "augmentation": CROPPED}


def stepped(*milestones: float, warm: bool = False) -> dict[str, Any]:
    """A tenth after each milestone, with the warm-up of kaidic/LDAM-DRW or without."""
    steps = {"decay": {"steps": {"milestones": list(milestones), "factor": 0.1}}}
    return {"warmup": {"epochs": 4, "start": 0.2, "end": 1.0}, **steps} if warm else steps


# LTH14/targeted-supcon, main_moco_supcon_imba.py and README
KCL = {
    **SGD, "positives": 6, "temperature": 0.07, "projection_width": 128, "queue_size": 65536, "target_momentum": 0.999,
    "learning_rate": 0.1, "weight_decay": 1e-4, "schedule": COSINE, "batch_size": 256, "drop_last": True,
    "augmentation": JITTERED,
}  # fmt: skip
TARGETED = {"target_weight": 0.2, "assignment": "hungarian", "target_counted": True}
# main_lincls_imba.py and README: --epochs 40 --schedule 20 30 -b 2048
LINCLS = {
    **SGD, "classifier_init": "normal", "frozen_bn": "train", "sampler": {"class_aware": 4}, "learning_rate": 10.0,
    "weight_decay": 0.0, "schedule": "steps", "milestones": [0.5, 0.75], "decay": 0.1, "batch_size": 2048,
    "drop_last": True, "views": 1, "augmentation": JITTERED,
}  # fmt: skip
# GloCo: CIFAR-100-LT's
GLOCO_LINEAR = {
    **SGD, "criterion": "ce", "beta": 0.9999, "classifier_init": "default", "scale": 30.0, "largest_margin": 0.5,
    "frozen_bn": "eval", "learning_rate": 0.1, "weight_decay": 2e-4, "schedule": "steps",
    "milestones": [0.7, 0.9, 0.95], "decay": 0.1, "batch_size": 256, "drop_last": False, "views": 1,
    "augmentation": JITTERED,
}  # fmt: skip
GLOCO = {**KCL, "positives": 0, "adaptive": True, "negatives": "queue", "views": 5}
PROCO = {"alpha": 0.5, "coreset": "glister", "coreset_share": 0.1, "coreset_least": 10, "coreset_rate": 0.1}
# FlamieZhu/Balanced-Contrastive-Learning, main.py
SIM = {**CROPPED, "jitter": JITTER, "grayscale": 0.2}
RANDCLS = {**JITTERED, "randaugment": {"operations": 2, "magnitude": 10, "deviation": 0.5}}
BCL = {
    **SGD, "alpha": 1.0, "beta": 0.35, "temperature": 0.07, "scale": 30.0, "hidden_width": 2048,
    "projection_width": 1024, "learning_rate": 0.1, "weight_decay": 5e-4, "batch_size": 256, "drop_last": False,
    "views": 3, "augmentation": [RANDCLS, SIM, SIM],
    "schedule": {"decay": {"cosine": {"final": 0.0, "reached": "end", "from_epoch": -1}}},
}  # fmt: skip
# frank-xwang/RIDE-LongTailRecognition, config_imagenet_lt_resnet50_ride.json, config_iNaturalist_resnet50_ride.json
RIDE = {
    **SGD, "scale": 30.0, "largest_margin": 0.5, "experts": 3, "diversity": -0.2, "divergence": "from_mean",
    "learning_rate": 0.1, "weight_decay": 2e-4, "nesterov": True, "schedule": stepped(0.6, 0.8, warm=True),
    "batch_size": 256, "drop_last": False, "views": 1, "augmentation": JITTERED,
}  # fmt: skip
RIDE_INAT = {**RIDE, **ON_INAT, "learning_rate": 0.2, "batch_size": 512}
WEIGHTED = {"beta": 0.9999, "temperature_spread": 0.02, "temperatures": "classes"}
WEIGHTED_INAT = {**WEIGHTED, "temperature_spread": 0.015}
DISTILLED = {"experts": 4, "distillation_temperature": 1.5, "teacher_bn": "train"}
# config_imagenet_lt_resnet50_ride_ea.json, config_iNaturalist_resnet50_ride_ea.json
ROUTING = {
    **SGD, "frozen_bn": "eval", "hidden_width": 16, "top_logits": 50, "positive_weight": 100.0,
    "sampler": {"class_drawn": 1}, "learning_rate": 0.01, "weight_decay": 5e-4, "nesterov": True, "batch_size": 512,
    "schedule": COSINE, "drop_last": False, "views": 1, "augmentation": JITTERED,
}  # fmt: skip
# jiequancui/ResLT, ImageNetLT/sh/X50.sh and Inat/sh/R50.sh
RESLT = {
    **SGD, "beta": 0.99, "smallest": [825, 220], "floored": True, "power": 0.7, "classifier_init": "default",
    "learning_rate": 0.1, "weight_decay": 5e-4, "batch_size": 256, "drop_last": True, "views": 1,
    "augmentation": JITTERED,
    "schedule": {"warmup": {"epochs": 4, "start": 0.2, "end": 1.0}, **COSINE},
}  # fmt: skip
RESLT_INAT = {
    **RESLT, **ON_INAT, "beta": 0.85, "smallest": [6600], "floored": False, "power": 0.3, "weight_decay": 1e-4,
    "schedule": COSINE,
}  # fmt: skip
# Megvii-Nanjing/BBN, configs/iNaturalist2018.yaml, core/combiner.py, data_transform/transform_wrapper.py
BBN = {
    **SGD, "classifier_init": "default", "nesterov": True, "clock_share": 0.9, "learning_rate": 0.05,
    "weight_decay": 1e-4, "batch_size": 128, "drop_last": True, "views": 2, "sampler": ["uniform", {"power": 1}],
    "schedule": stepped(120 / 180, 160 / 180), "augmentation": CROPPED,
}  # fmt: skip
# hyperconnect/LADE, README and config/*/lade.yaml
LADE = {
    **SGD, "classifier_init": "default", "alpha": 0.05, "remine_lambda": 0.5, "last_blocks": 1, "learning_rate": 0.05,
    "weight_decay": 5e-4, "batch_size": 256, "drop_last": True, "views": 1, "schedule": COSINE,
    "augmentation": JITTERED,
}  # fmt: skip
LADE_PLACES = {
    **LADE, "alpha": 0.005, "remine_lambda": 0.1, "batch_size": 128, "backbone_learning_rate_scale": 0.001 / 0.05,
    "schedule": stepped(10 / 30, 20 / 30),
}  # fmt: skip
# MCG-NJU/SSD-LT, ssd_stage_i.py, ssd_stage_ii.py, ssd_stage_iii.py
SSD = {**SGD, "classifier_init": "default", "weight_decay": 5e-4, "schedule": COSINE, "drop_last": True}
KEYS = {
    **SIM, "crop_scale": [0.2, 1.0], "blur": {"probability": 0.5, "sigma": [0.1, 2.0]},
}  # fmt: skip
# Jianf-Wang/RSG, imagenet_lt_train.py, places_train.py, inaturalist_train.py: `epoch + 1 > 59`, `> 79`, `> 94`
RSG = {
    **SGD, "scale": 30.0, "largest_margin": 0.3, "head_share": 0.2, "centers": 15, "contrast_width": 256,
    "center_weight": 0.1, "learning_rate": 0.1, "weight_decay": 2e-4, "batch_size": 256, "drop_last": True, "views": 1,
    "augmentation": JITTERED, "schedule": stepped(0.59, 0.79, 0.94, warm=True),
}  # fmt: skip
RSG_PLACES = {
    **RSG, "scale": 50.0, "largest_margin": 0.2, "learning_rate": 0.01, "weight_decay": 1e-4, "augmentation": CROPPED,
    "schedule": stepped(9 / 30, 19 / 30),
}  # fmt: skip
RSG_INAT = {
    **RSG, "scale": 50.0, "largest_margin": 0.1, "weight_decay": 5e-5, "normalization": INAT,
    "schedule": stepped(99 / 180, 139 / 180, 169 / 180, warm=True),
}  # fmt: skip
RESAMPLED = {"beta": 0.0, "vector_weight": 0.01, "sampler": {"effective_number": 0.9999}}

ON_LARGE: dict[str, dict[str, dict[str, Any]]] = {
    "kcl": {"imagenet_lt": KCL, "inaturalist18": {**KCL, **ON_INAT}},
    "tsc-queue": {
        "imagenet_lt": {**KCL, **TARGETED},
        "inaturalist18": {**KCL, **ON_INAT, **TARGETED, "reassigned": "epoch"},
    },
    # imagenet_inat/config/iNaturalist18/kcl.yaml; TSC, supplement
    "tsc-linear-large": {"imagenet_lt": LINCLS, "inaturalist18": {**LINCLS, **ON_INAT, "learning_rate": 30.0}},
    "gloco-linear": {"imagenet_lt": GLOCO_LINEAR},
    "gloco": {"imagenet_lt": GLOCO},
    "gloco-proco": {"imagenet_lt": {**GLOCO, **PROCO}},
    "bcl": {
        "imagenet_lt": BCL,
        "inaturalist18": {**BCL, "normalization": INAT, "learning_rate": 0.2, "weight_decay": 1e-4},
    },
    "ride": {"imagenet_lt": RIDE, "inaturalist18": RIDE_INAT},
    "ride-reweighted": {
        "imagenet_lt": {**RIDE, **WEIGHTED},
        "inaturalist18": {**RIDE_INAT, **WEIGHTED_INAT},
    },
    "ride-routing": {"imagenet_lt": ROUTING, "inaturalist18": {**ROUTING, **ON_INAT}},
    "ride-six": {"imagenet_lt": {**RIDE, "experts": 6}, "inaturalist18": {**RIDE_INAT, "experts": 6}},
    "ride-six-reweighted": {
        "imagenet_lt": {**RIDE, **WEIGHTED, "experts": 6},
        "inaturalist18": {**RIDE_INAT, **WEIGHTED_INAT, "experts": 6},
    },
    "ride-distilled": {"imagenet_lt": {**RIDE, **DISTILLED}, "inaturalist18": {**RIDE_INAT, **DISTILLED}},
    "ride-distilled-reweighted": {
        "imagenet_lt": {**RIDE, **DISTILLED, **WEIGHTED},
        "inaturalist18": {**RIDE_INAT, **DISTILLED, **WEIGHTED_INAT},
    },
    "reslt-large": {"imagenet_lt": RESLT, "inaturalist18": RESLT_INAT},
    "bbn": {"inaturalist18": BBN},
    "lade": {
        "imagenet_lt": LADE,
        "places_lt": LADE_PLACES,
        "inaturalist18": {**LADE, **ON_INAT, "learning_rate": 0.1, "weight_decay": 1e-4},
    },
    "rsg": {"imagenet_lt": RSG, "places_lt": RSG_PLACES, "inaturalist18": RSG_INAT},
    "rsg-resampled": {
        "imagenet_lt": {**RSG, **RESAMPLED},
        "places_lt": {**RSG_PLACES, **RESAMPLED},
        "inaturalist18": {**RSG_INAT, **RESAMPLED},
    },
    "ssd-features": {
        "imagenet_lt": {
            **SSD, "temperature": 0.2, "projection_width": 128, "queue_size": 115712, "target_momentum": 0.999,
            "learning_rate": 0.1, "batch_size": 256, "augmentation": [JITTERED, KEYS],
        },
    },
    "ssd-labels": {
        "imagenet_lt": {
            **{name: value for name, value in SSD.items() if name != "classifier_init"}, "frozen_bn": "train",
            "sampler": {"class_aware": 2}, "learning_rate": 0.2, "batch_size": 512, "views": 1,
            "augmentation": JITTERED,
        },
    },
    "ssd-distillation": {
        "imagenet_lt": {
            **SSD, "distillation_temperature": 2.0, "teacher_bn": "train", "learning_rate": 0.1, "batch_size": 256,
            "views": 1, "augmentation": JITTERED,
        },
    },
}  # fmt: skip

RIDE_STEPS = [("ride", 80), ("ride-reweighted", 20)]
RIDES: dict[str, list[tuple[str, int]]] = {
    "ride": RIDE_STEPS,
    "ride-2": RIDE_STEPS,
    "ride-4": RIDE_STEPS,
    "ride-routed": [*RIDE_STEPS, ("ride-routing", 5)],
    "ride-distilled": [
        ("ride-six", 80), ("ride-six-reweighted", 20), ("ride-distilled", 80), ("ride-distilled-reweighted", 20),
    ],
}  # fmt: skip
CONTRASTS: dict[str, list[tuple[str, int]]] = {
    "kcl-tsc": [("kcl", 200), ("tsc-linear-large", 40)],
    "tsc": [("kcl", 200), ("tsc-queue", 200), ("tsc-linear-large", 40)],
}
SSD_STAGES = [("ssd-features", 135), ("ssd-labels", 5), ("ssd-distillation", 135)]
LARGE_RECIPES: dict[str, dict[str, list[tuple[str, int]]]] = {
    "kcl": {"imagenet_lt": [("kcl", 400), ("gloco-linear", 200)]},
    "gloco": {"imagenet_lt": [("gloco", 400), ("gloco-linear", 200)]},
    "gloco-proco": {"imagenet_lt": [("ce", 90), ("gloco-proco", 400), ("gloco-linear", 200)]},
    **{method: {"imagenet_lt": steps, "inaturalist18": steps} for method, steps in CONTRASTS.items()},
    "bcl": {"imagenet_lt": [("bcl", 90)], "inaturalist18": [("bcl", 100)]},
    **{method: {"imagenet_lt": steps, "inaturalist18": steps} for method, steps in RIDES.items()},
    "reslt": {"imagenet_lt": [("reslt-large", 180)], "inaturalist18": [("reslt-large", 200)]},
    "bbn": {"inaturalist18": [("bbn", 180)]},
    "bbn-90": {"inaturalist18": [("bbn", 90)]},
    "lade": {"imagenet_lt": [("lade", 180)], "places_lt": [("lade", 30)], "inaturalist18": [("lade", 200)]},
    "rsg": {
        "imagenet_lt": [("rsg", 80), ("rsg-resampled", 20)],
        "places_lt": [("rsg", 10), ("rsg-resampled", 20)],
        "inaturalist18": [("rsg", 140), ("rsg-resampled", 40)],
    },
    "ssd": {"imagenet_lt": SSD_STAGES},
    "ssd-tuned": {"imagenet_lt": [*SSD_STAGES, ("ssd-labels", 5)]},
}
EVERYWHERE = {"imagenet_lt", "places_lt", "inaturalist18"}
NOT_ON: dict[str, set[str]] = {
    method: EVERYWHERE - LARGE_RECIPES.get(method, {}).keys()
    for method in (*LARGE_RECIPES, "supcon", "dive", "dro-lt", "m2m-ldam", "hybrid-psc")
}
