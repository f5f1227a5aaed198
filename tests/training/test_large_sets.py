"""Recipes of the large sets, step by step, by the networks with a stem for large images, on a few small photographs."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from longtail.study import phases
from longtail.study.study import load_study
from tests.methods.recognition.published.large import LARGE_RECIPES
from tests.methods.recognition.test_large_recipes import TRAINED

from . import test_photographs
from .test_photographs import Studio, as_before  # noqa: F401 - a fixture, used by all

ROWS, CLASSES, SIZE = 48, 12, 32
BUDGET = {"epochs": 0.002, "batch_size": 24}
STUDY = load_study({"targets": ["digits"], "budget": BUDGET})
RATIOS = {"imagenet_lt": 256, "places_lt": 996, "inaturalist18": 500}
CELLS = [(method, dataset) for method, recipes in LARGE_RECIPES.items() for dataset in recipes]
CELLS += [(method, dataset) for method, dataset, _ in TRAINED]
SMALL = {"queue_size": 32, "hidden_width": 16, "projection_width": 16}


def specifications(method: str, dataset: str, backbone: str) -> list[dict[str, Any]]:
    """What the job of each step of a recipe is told, of fewer and smaller images, one epoch a step."""
    chosen, cut = STUDY.catalog.method(method), STUDY.catalog.dataset(dataset)
    final = phases.final_phase(chosen, {}, backbone, cut, RATIOS[dataset], STUDY.config, STUDY.catalog)
    spec = final.spec(0)
    assert spec["backbone"] == {"name": backbone, "stem": "imagenet"}
    spec["data"] |= {"classes": CLASSES, "image_size": SIZE, "test_transform": {"resize": None, "crop": SIZE}}
    spec["precision"] = "float32"
    first = 0
    for stretch in spec["lineage"]:
        first = 0 if stretch["start"] == "transfer" else first
        stretch |= {"first_epoch": first, "last_epoch": first + 1}
        first += 1
        settings = stretch["settings"]
        settings |= {name: value for name, value in SMALL.items() if name in settings}
        if "smallest" in settings:  # of a thousand classes, or eight thousand
            settings["smallest"] = [8, 4][: len(settings["smallest"])]
    for position, stretch in enumerate(spec["lineage"]):
        rest = [later["start"] for later in spec["lineage"][position + 1 :]]
        following = rest.index("transfer") if "transfer" in rest else len(rest)
        stretch["clock"] = stretch["last_epoch"] + following
    return [{**spec, "lineage": spec["lineage"][: last + 1]} for last in range(len(spec["lineage"]))]


class Room(Studio):
    """A studio of photographs of twelve classes."""

    def require_progress(self, spec: dict[str, Any], parent: Path | None, out: Path) -> None:
        """Losses are finite."""
        history = pq.read_table(out / "history.parquet").to_pandas()
        assert torch.tensor(history["loss"].to_numpy()).isfinite().all()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The room of a backbone, where recipes share what they have in common."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_photographs, "ROWS", ROWS)
        patch.setattr(test_photographs, "CLASSES", CLASSES)
        yield functools.cache(lambda backbone: Room(tmp_path_factory.mktemp(backbone), SIZE + 8))


@pytest.mark.parametrize(("method", "dataset"), CELLS)
def test_a_recipe_trains_step_by_step(room: Any, method: str, dataset: str) -> None:
    parent = None
    several = method.startswith("ride-")  # up to six experts, which a small network has as well
    backbone = "resnet_small" if several else "resnet18"
    for spec in specifications(method, dataset, backbone):
        parent = room(backbone).train(spec, parent)
