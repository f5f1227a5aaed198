"""What an entry of catalog/datasets may say, and what of it is refused."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from longtail.errors import LongtailError
from longtail.splits import SPLITS
from longtail.study import catalog as catalogue
from longtail.study.study import load_study


@pytest.fixture
def changed(tmp_path):
    """Loads the catalogue with other values in the entry of one dataset."""

    def load(file: str, dataset: str, **values: Any) -> catalogue.Dataset:
        shutil.copytree(catalogue.CATALOG, tmp_path / "catalog")
        path = tmp_path / "catalog/datasets" / file
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        document["datasets"][dataset].update(values)
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return catalogue.load(tmp_path / "catalog").dataset(dataset)

    return load


def test_a_dataset_stands_over_its_image_set(changed):
    own = {"backbone": {"name": "resnet_small", "stem": "cifar"}, "precision": "float32"}
    dataset = changed("cifar10.yaml", "cifar10-b", **own)
    assert {key: dataset.images[key] for key in own} == own
    assert dataset.images["normalization"] == catalogue.load().dataset("cifar10-b").images["normalization"]


@pytest.mark.parametrize(
    ("file", "dataset", "values", "message"),
    [
        ("cifar10.yaml", "cifar10", {"image_size": 64}, "image_size"),
        ("cifar10.yaml", "cifar10", {"backbone": {"name": "resnet32"}}, "stem"),
        ("cifar10.yaml", "cifar10", {"construction": "shuffled"}, "shuffled-longtail"),
        ("agnews.yaml", "agnews", {"backbone": {"name": "a", "stem": "b"}}, "agnews is cut from texts.*no backbone"),
        ("cifar10.yaml", "cifar10", {"held_out": 5}, "cifar10 has a test split of parts.*leave one out"),
        ("cifar10.yaml", "cifar10", {"test": ["train"]}, "cifar10 takes part 'train' for two splits"),
        ("cifar10.yaml", "cifar10", {"val": ["val"]}, "cifar10 takes part 'val', but its images have"),
        ("imagenet_lt.yaml", "imagenet_lt", {"construction": "shuffled-longtail"}, "needs head_class_rows"),
    ],
)
def test_what_a_dataset_cannot_say_is_refused(changed, file, dataset, values, message):
    with pytest.raises(LongtailError, match=message):
        changed(file, dataset, **values)


def enumerated(schema: Any) -> Iterator[list[str]]:
    """Every list of names with ``train`` among them in a schema."""
    if isinstance(schema, dict):
        if "train" in schema.get("enum", ()):
            yield schema["enum"]
        for inner in schema.values():
            yield from enumerated(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from enumerated(inner)


def test_schemas_know_the_splits_that_there_are():
    found = {}
    for path in (catalogue.CATALOG.parent / "schemas").glob("*.yaml"):
        for names in enumerated(yaml.safe_load(path.read_text(encoding="utf-8"))):
            found.setdefault(path.name, []).append(tuple(names))
    assert set(found) == {"config.schema.yaml", "dataset.schema.yaml", "paper.schema.yaml"}
    assert {names for of in found.values() for names in of} == {SPLITS}


def test_a_held_out_test_split_is_part_of_what_is_trained_on():
    of = load_study({"targets": ["digits"]})
    digits, tailed = of.catalog.dataset("digits"), of.catalog.dataset("digits-lt")
    assert of.parts("digits-lt-ir10", "test") == of.parts("digits-lt-ir10", "train") == ("train",)
    assert (of.rows("digits-lt-ir10", "train"), of.rows("digits-lt-ir10", "test")) == (503, 500)
    assert of.split_spec("digits-lt-ir10")["held_out"] == of.data_spec(tailed, 10)["held_out"] == 50
    assert not {"held_out", "val"} & (of.split_spec("digits-ir10").keys() | of.data_spec(digits, 10).keys())
    with pytest.raises(LongtailError, match="'digits-lt' has no val split"):
        of.parts("digits-lt-ir10", "val")


def test_rows_of_a_list_are_those_that_are_not_held_out(changed):
    dataset = changed("cifar100.yaml", "cifar100", construction="list", test=None, held_out=20)
    of = load_study({"targets": ["digits"]})
    of.catalog = dataclasses.replace(of.catalog, datasets={**of.catalog.datasets, "cifar100": dataset})
    assert (of.rows("cifar100-ir1", "train"), of.rows("cifar100-ir1", "test")) == (48_000, 2_000)
