"""Every method for images, as the catalogue sets it, trains on real photographs at the sizes of the papers' datasets.

Each stretch of each recipe is trained for two epochs of one update, so that what happens between epochs happens, too:
by the command that the workflow runs, with the augmentations, views, optimiser and loss of the catalogue. Smaller than
the papers' are the backbone, the batch and the number of classes, of which 48 photographs cannot show 200.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from longtail.__main__ import main
from longtail.data.augment import unaugmented
from longtail.data.resident import ResidentSplit
from longtail.study import phases
from longtail.study.study import load_study
from longtail.training import train
from longtail.training.encode import SplitImages
from longtail.training.specification import Data, Specification, parse

from ..photographs import as_tensor, photographs

ROWS, CLASSES, UPDATES = 48, 10, 2
DATASETS = {"cifar10": 32, "tiny_imagenet": 64, "stl10": 96}
STUDY = load_study({"targets": ["digits"], "budget": {"epochs": 0.002, "batch_size": ROWS, "backbone": "resnet_small"}})
METHODS = [name for name, method in STUDY.catalog.methods.items() if method.recipe and method.reads == "images"]
FEWER = {
    "mini_clusters": 40,  # hundreds on Tiny ImageNet
    "confidence_threshold": 0.0,  # after two updates nobody is sure of anything, and SCAN leaves such steps out
}


def specifications(method: str, dataset: str) -> list[dict[str, Any]]:
    """What the job of each stretch of a method's recipe is told."""
    chosen, cut = STUDY.catalog.method(method), STUDY.catalog.dataset(dataset)
    final = phases.final_phase(chosen, {}, "resnet_small", cut, 10, STUDY.config, STUDY.catalog)
    spec = final.spec(0)
    spec["data"] |= {"classes": CLASSES}
    spec["precision"] = "float32"
    first = 0
    for position, stretch in enumerate(spec["lineage"]):
        first = 0 if stretch["start"] == "transfer" else first
        stretch |= {"first_epoch": first, "last_epoch": first + UPDATES}
        first += UPDATES
        rest = [later["start"] for later in spec["lineage"][position + 1 :]]
        following = rest.index("transfer") if "transfer" in rest else len(rest)
        stretch["clock"] = first + UPDATES * following
        stretch["settings"] |= {name: value for name, value in FEWER.items() if name in stretch["settings"]}
    return [{**spec, "lineage": spec["lineage"][: last + 1]} for last in range(len(spec["lineage"]))]


class Studio:
    """A folder with photographs of one size and what was trained on them; recipes share what they have in common."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.trained = folder, {}
        self.store, self.split = folder / "images.npy", folder / "train.parquet"
        np.save(self.store, photographs(ROWS, size))
        rows = np.arange(ROWS)
        labels = rows * CLASSES // ROWS
        pq.write_table(
            pa.table({"row": rows, "part": ["train"] * ROWS, "source_row": rows, "label": labels}), self.split
        )

    def train(self, spec: dict[str, Any], parent: Path | None) -> Path:
        """The checkpoint of the trained stretch, which has learned something."""
        key = json.dumps(spec["lineage"], sort_keys=True)
        if key not in self.trained:
            out = self.folder / str(len(self.trained))
            parts = ["job", "train", "--spec", json.dumps(spec)]
            parts += ["--split", self.split, "--images", f"train={self.store}"]
            parts += ["--state", out / "state", "--checkpoint", out / "checkpoint.pt", "--threads", 1, "--gpus", 0]
            parts += ["--history", out / "history.parquet", "--spec-out", out / "spec.json"]
            parts += ["--parent", parent] if parent else []
            assert main([str(part) for part in parts]) == 0
            self.require_progress(spec, parent, out)
            self.trained[key] = out / "checkpoint.pt"
        return self.trained[key]

    def require_progress(self, spec: dict[str, Any], parent: Path | None, out: Path) -> None:
        """Losses are finite, and every weight has moved, but those of a pruned branch that only some losses enter."""
        history = pq.read_table(out / "history.parquet")
        losses = history.drop_columns(["learning_rate", "images_per_second", "seconds"]).to_pandas().to_numpy()
        assert len(losses) == UPDATES
        assert np.isfinite(losses).all()
        read = parse(spec).with_split((np.arange(ROWS) * CLASSES // ROWS).tolist(), self.split)
        before = train.start(read, parent, torch.device("cpu"))
        after = torch.load(out / "checkpoint.pt", weights_only=True)["objective"]
        learned = {name: weights for group in before.optimizer.groups for name, weights in group.parameters.items()}
        assert learned
        still = {name for name, weights in learned.items() if torch.equal(weights, after[name])}
        assert {name for name in still if ".pruned." not in name} == set()


@pytest.fixture(autouse=True)
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """An objective that is not supervised trains on a split without true classes."""
    loop = train.train

    def trained(run: Any, spec: Specification, split: ResidentSplit, **options: Any) -> None:
        if not run.objective.supervised:
            split.labels = split.labels.to("meta")  # of which only the number is left
        loop(run, spec, split, **options)

    monkeypatch.setattr(train, "train", trained)


@pytest.fixture(scope="module", autouse=True)
def as_before() -> Iterator[None]:
    """Training sets how torch computes; other tests find it as it was."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The studio of a size of photographs."""
    return functools.cache(lambda size: Studio(tmp_path_factory.mktemp(f"photographs-{size}"), size))


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_on_photographs(studio: Any, method: str, dataset: str) -> None:
    parent = None
    for spec in specifications(method, dataset):
        parent = studio(DATASETS[dataset]).train(spec, parent)


@pytest.mark.parametrize(("dataset", "stored"), [("cifar10", 32), ("tiny_imagenet", 64), ("imagenet_lt", 256)])
def test_a_view_without_augmentation_is_the_image_as_it_is_embedded(tmp_path: Path, dataset: str, stored: int) -> None:
    """SCAN's self-labelling names clusters by the transform of its evaluation: on ImageNet the central 224 pixels."""
    store, device = Studio(tmp_path, stored), torch.device("cpu")
    description = STUDY.catalog.dataset(dataset).images
    transform, size, lists = description["test_transform"], description["image_size"], STUDY.catalog.augmentations
    images = SplitImages(
        ResidentSplit(store.split, {"train": store.store}, device),
        Data(dataset, description["classes"], "images", image_size=size, test_transform=transform),
        {"mean": [0.5] * 3, "std": [1.0] * 3},
        torch.float32,
    )
    found = as_tensor(photographs(4, stored))
    views = images.augmentation(lists["unaugmented"])(found, torch.Generator())
    assert torch.equal(views, unaugmented(found, transform, size))
    assert torch.equal(images.normalize(views), images.plain(found))
    if dataset == "imagenet_lt":
        assert torch.equal(views, found[..., 16:240, 16:240] / 255)
