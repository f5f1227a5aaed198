"""What an entry of catalog/datasets may say, and what of it is refused."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import yaml

from longtail.errors import LongtailError
from longtail.study import catalog as catalogue


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
        ("imagenet_lt.yaml", "imagenet_lt", {"construction": "shuffled-longtail"}, "needs head_class_rows"),
    ],
)
def test_what_a_dataset_cannot_say_is_refused(changed, file, dataset, values, message):
    with pytest.raises(LongtailError, match=message):
        changed(file, dataset, **values)
