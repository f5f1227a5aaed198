"""What several families train with on CIFAR-LT."""

from __future__ import annotations

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
COSINE = {"decay": {"cosine": {"final": 0.0, "reached": "end"}}}
CROP = {"crop_scale": [0.2, 1.0], "crop_ratio": [3 / 4, 4 / 3], "interpolation": "bilinear", "flip": 0.5}
JITTER = {"probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
STRONG = {"pad": 4, "flip": 0.5, "autoaugment": "cifar10", "hole": 16}
CE_FIRST = ("ce", 200, 40)
