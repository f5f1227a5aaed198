"""Under torchrun: a few steps of objectives in one process and shared out, in float64, and how much they differ.

``python -m torch.distributed.run --standalone --nproc-per-node 3 spread_steps.py OUT.json``
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import torch

from longtail.devices import distributed
from longtail.errors import LongtailError
from longtail.methods.base import Batch
from longtail.training.build import build
from longtail.training.specification import parse

CONTRASTIVE = {"temperature": 0.2, "projection_width": 8}
BYOL = {
    "hidden_width": 16,
    "projection_width": 8,
    "target_momentum": 0.9,
    "target_schedule": "cosine",
    "target_update": "after_step",
    "predictor_learning_rate_scale": 10.0,
}
MINICLUSTERING = {
    "features": "target_projection",
    "direction": "maxi",
    "mini_clusters": 2,
    "assignment_threshold": 0.1,
    "confidence_threshold": 0.2,
    "target_weight": 1.0,
    "alpha": 1.0,
    "beta": 1.0,
    "target_loss": "reweighted",
    "cb_gamma": 0.99,
    "confidence_view": 2,
    "count_view": 1,
    "reweighting": "weighted_mean",
    "mini_balance": "class_balanced",
    "similarity": "cosine",
    "empty_mask": "skip",
    "head_scale": 10.0,
    "kmeans_seed": 0,
}
INSTANCE = {"projection_width": 8, "instance_temperature": 0.5, "memory_momentum": 0.5}
CONR = {
    "learning_rate_scale": 0.5,
    "context_size": 4,
    "propagation_size": 3,
    "neighbours": 5,
    "kept_at_start": 0.5,
    "kept_ramp_epochs": 10.0,
    "kmeans_seed": 0,
    "kmeans_inits": 10,
}
RESCOM = {
    "classifier_init": "default",
    "projection_width": 8,
    "temperature": 0.2,
    "contrast_weight": 0.5,
    "classified_views": 2,
    "beta": 0.9,
    "class_weight": "mean_normalised",
    "queue": "balanced",
    "keys_per_class": 3,
    "hard_positives": 1,
    "hard_negatives": 4,
    "contrast": "batch_and_queue",
    "anchor_views": 2,
    "enqueued_view": 1,
}
PACO = {**CONTRASTIVE, "queue_size": 32, "target_momentum": 0.9, "alpha": 0.1, "divided": True}
OBJECTIVES = {
    "simclr": ("simclr:SimCLR", CONTRASTIVE),
    "sdclr": ("sdclr:SDCLR", {**CONTRASTIVE, "prune_ratio": 0.5}),
    "conmix": ("conmix:ConMix", {**CONTRASTIVE, "tags": 5}),
    "moco": ("moco:MoCo", {**CONTRASTIVE, "queue_size": 32, "target_momentum": 0.9, "batchnorm_splits": 6}),
    "byol": ("byol:BYOL", BYOL),
    "conr": ("conr:CoNR", {**BYOL, **CONR}),
    "idfd": ("instance:IDFD", {**INSTANCE, "feature_temperature": 2.0, "feature_reduction": "sums"}),
    "dmicc": (
        "instance:DMICC",
        {**INSTANCE, "feature_weight": 0.1, "instance_weight": 0.1, "regularization": 1.0, "joint_of": "softmax"},
    ),
    "miniclustering": ("miniclustering:MiniClustering", MINICLUSTERING),
    "bbn": ("recognition.bbn:BBN", {"classifier_init": "default"}),
    "reslt": (
        "recognition.reslt:ResLT",
        {"classifier_init": "default", "beta": 0.9, "medium_from": 1, "few_from": 2},
    ),
    "rescom": ("recognition.rescom:ResCom", {**RESCOM, "batch_groups": 6}),
    "paco": ("recognition.paco:PaCo", {**PACO, "batch_groups": 3}),
    "paco_in_four": ("recognition.paco:PaCo", {**PACO, "batch_groups": 4}),
    "manifold_mixup": ("mixup:ManifoldMixup", {**CONTRASTIVE, "alpha": 1.0}),
}
BATCHES = {"moco": (18, 18), "rescom": (18, 18), "paco": (18, 18), "simclr": (18, 17, 2)}
"""Images per step. 17 cannot be shared out evenly, and of 2 one process of three gets none."""


class Pictures:
    """The images of a split."""

    def __init__(self, images):
        self.images = images

    @torch.no_grad()
    def encode(self, encoder, order=None):
        encoder.eval()
        return encoder(self.images)


def new_objective(name):
    implementation, settings = OBJECTIVES[name]
    place = implementation if "." in implementation else f"clustering.{implementation}"
    stretch = {"objective": name, "implementation": f"longtail.methods.{place}", "start": "fresh"}
    stretch |= {"first_epoch": 0, "last_epoch": 1, "clock": 1}
    training = {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "schedule": "constant",
        "batch_size": 18,
        "drop_last": False,
        "augmentation": {},
        "normalization": {"mean": [0.5], "std": [0.25]},
    }
    lineage = [{**stretch, "settings": {**training, **settings}}]
    if name == "miniclustering":
        byol = {**stretch, "objective": "byol", "implementation": "longtail.methods.clustering.byol:BYOL"}
        lineage = [{**byol, "settings": {**training, **BYOL}}, {**lineage[0], "start": "transfer"}]
    data = {"dataset": "noise", "classes": 3, "image_size": 8, "channels": 1, "test_transform": {}}
    backbone = {"name": "resnet_small", "stem": "cifar"}
    spec = {"identity": name, "data": data, "backbone": backbone, "precision": "float32", "lineage": lineage, "seed": 0}
    return build(parse(spec).with_rows(40, [20, 15, 5]))


def steps(name, objective, group, images, dtype=torch.float64):
    """Losses, weights and statistics of a few steps of plain gradient descent."""
    objective = objective.to(dtype) if dtype is torch.float64 else objective
    group.spread(objective)
    pictures, losses, first = Pictures(images), [], 0
    objective.prepare(pictures)
    objective.start_epoch(0, pictures)
    group.replicate(objective)
    objective.train()
    for number, size in enumerate(BATCHES.get(name, (18, 17))):
        rows = torch.arange(first, first + size)
        first += size
        noise = torch.Generator().manual_seed(number)
        views = tuple(
            images[rows] + 0.1 * torch.randn(images[rows].shape, generator=noise, dtype=images.dtype)
            for _ in range(1 if name == "idfd" else 2)
        )
        objective.before_step((number + 1) / 10)
        objective.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            draws = torch.Generator().manual_seed(100 + number)
            loss = objective.loss(Batch(views, (rows,) * 2, draws, (rows % 3,) * 2))["loss"]
        loss.backward()
        group.add_gradients(objective)
        with torch.no_grad():
            for parameter in objective.parameters():
                if parameter.grad is not None:
                    parameter -= 0.01 * parameter.grad
        objective.after_step((number + 1) / 10)
        losses.append(loss.item())
    return losses, {key: value.double() for key, value in copy.deepcopy(objective.state_dict()).items()}


def main(out):
    torch.use_deterministic_algorithms(True)
    group = distributed.join(torch.device("cpu"))
    images = torch.randn(40, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = {}
    for name in OBJECTIVES:
        try:
            losses, state = steps(name, new_objective(name), group, images)
        except LongtailError as error:
            found[name] = {"error": str(error)}
            continue
        expected, alone = steps(name, new_objective(name), distributed.ALONE, images)
        apart = max((state[key] - alone[key]).abs().max().item() for key in alone if alone[key].numel())
        weights = new_objective(name).named_parameters()
        moved = [(alone[key] - value).abs().max().item() for key, value in weights if "conv1" in key]
        found[name] = {"losses": losses, "expected": expected, "apart": apart, "moved": max(moved)}
    half = [
        steps("conmix", new_objective("conmix"), each, images.float(), torch.bfloat16)[0][0]
        for each in (group, distributed.ALONE)
    ]
    found["bfloat16"] = {"losses": half[:1], "expected": half[1:]}
    Path(f"{out}.{group.rank}").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
