"""The catalogue's image sets: what the tables print, and that the room can read them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.datasets import load_digits

from longtail.data.decode import decode
from longtail.data.longtail import class_sizes, shot_groups
from longtail.data.sources import ImageSet, open_source, samples
from longtail.data.split import SplitSpec, make_split
from longtail.data.texts import TextSet
from longtail.evaluation.recognition import strict_shots
from longtail.study.catalog import OVERRIDABLE

CATALOG = Path(__file__).parents[2] / "workflow" / "catalog" / "datasets"
DOCUMENTS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(CATALOG.glob("*.yaml"))}
CUTS = {name: (document, cut) for document in DOCUMENTS.values() for name, cut in document["datasets"].items()}

# Rows per dataset and ratio; ConMix Sec. 5.1.1 and Table 10, MiniClustering Sec. 4.1.
ROWS = {
    ("cifar10", 1): 50000,
    ("cifar10", 2): 36223,
    ("cifar10", 5): 25423,
    ("cifar10", 10): 20431,
    ("cifar10", 20): 17023,
    ("cifar10", 50): 13996,
    ("cifar10", 100): 12406,
    ("cifar10-full", 1): 60000,
    ("cifar10-b", 1): 20430,
    ("cifar20", 5): 25114,
    ("cifar20", 10): 19954,
    ("cifar20-full", 1): 60000,
    ("cifar100", 100): 10847,
    ("cifar10-lt", 10): 20431,
    ("cifar10-lt", 50): 13996,
    ("cifar10-lt", 100): 12406,
    ("cifar100-lt", 10): 19573,
    ("cifar100-lt", 50): 12608,
    ("cifar100-lt", 100): 10847,
    ("stl10", 5): 6607,
    ("stl10", 10): 5309,
    ("tiny_imagenet", 10): 39072,
    ("stackoverflow", 10): 7975,
    ("agnews", 10): 3558,
    ("digits-lt", 10): 503,  # by hand: 124 96 74 57 44 34 26 20 16 12
    ("digits-lt", 20): 417,  # by hand: 124 88 63 45 32 23 16 12 8 6
    ("digits", 10): 707,  # by hand: 174 134 104 80 62 48 37 29 22 17
}


def held(document):
    """What is said about the images, or the texts, of a file."""
    return document.get("images") or document["texts"]


@pytest.mark.parametrize("name", [name for name, document in DOCUMENTS.items() if "texts" in document])
def test_text_sources_open(name):
    texts = DOCUMENTS[name]["texts"]
    keys = ("source", "classes", "max_tokens", "parts")
    text_set = TextSet.from_json(json.dumps({"texts": texts["name"], **{key: texts[key] for key in keys}}))
    assert text_set.texts == name
    assert set(text_set.source["files"]) == set(text_set.parts)


@pytest.mark.parametrize("name", [name for name, document in DOCUMENTS.items() if "images" in document])
def test_sources_open(name):
    images = DOCUMENTS[name]["images"]
    keys = ("source", "classes", "image_size", "channels", "parts")
    spec = {"images": images["name"], **{key: images[key] for key in keys}}
    spec["source"] = {"root": "data", **spec["source"]}
    assert open_source(ImageSet.from_json(json.dumps(spec)))
    assert name == images["name"]
    assert len(images["normalization"]["mean"]) == len(images["normalization"]["std"]) == images["channels"]


@pytest.mark.parametrize(("name", "ratio"), ROWS)
def test_datasets_have_the_published_rows(name, ratio):
    """Balanced labels of the right number stand in for the images."""
    document, cut = CUTS[name]
    images = held(document)
    told = {key: cut[key] for key in cut.keys() - {"title", *OVERRIDABLE}}
    spec = {"dataset": name, "ratio": ratio, "classes": images["classes"], **told}
    labels = {part: np.arange(rows) % images["classes"] for part, rows in images["parts"].items()}
    if images["name"] == "digits":
        labels = {"train": load_digits().target}
    assert len(make_split(SplitSpec.from_json(json.dumps(spec)), "train", labels)) == ROWS[name, ratio]


def test_every_cut_but_a_list_is_checked():
    assert {name for name, _ in ROWS} == {name for name, (_, cut) in CUTS.items() if cut["construction"] != "list"}


def test_digits_have_the_statistics_that_the_catalogue_says():
    images = DOCUMENTS["digits"]["images"]
    image_set = ImageSet(
        "digits", images["source"], images["classes"], images["image_size"], images["channels"], images["parts"]
    )
    pixels = np.stack([sample.content for sample in samples(image_set, "train")]) / 255
    assert pixels.mean() == pytest.approx(images["normalization"]["mean"][0], abs=5e-5)
    assert pixels.std() == pytest.approx(images["normalization"]["std"][0], abs=5e-5)
    cuts, smallest = DOCUMENTS["digits"]["datasets"], np.bincount(load_digits().target).min()
    assert cuts["digits"]["head_class_rows"] == cuts["digits-lt"]["head_class_rows"] + cuts["digits-lt"]["held_out"]
    assert cuts["digits"]["head_class_rows"] == smallest


def test_shots_of_cifar100_are_over_100_and_under_20_images():
    sizes = class_sizes(500, 100, 100)
    assert shot_groups(sizes, CUTS["cifar100"][1]["shots"]).tolist() == strict_shots(sizes).tolist()


def test_tiny_imagenet_is_the_published_tail_of_real_images(shared_data, tmp_path):
    """The pack holds the long tail at ratio 10 alone, so that is what the catalogue's cut has to find in it."""
    if not (shared_data / "tiny_imagenet" / "train_lt10.parquet").exists():
        pytest.skip(f"no Tiny ImageNet in {shared_data}; say where it is with LONGTAIL_SHARED_DATA")
    document, cut = CUTS["tiny_imagenet"]
    images = document["images"]
    source = {"kind": "parquet", "root": str(shared_data), "files": {"train": "tiny_imagenet/train_lt10.parquet"}}
    spec = {"images": "tiny_imagenet", "source": source, "parts": {"train": 39072}}
    keys = ("classes", "image_size", "channels")
    image_set = ImageSet.from_json(json.dumps({**spec, **{key: images[key] for key in keys}}))
    found = list(samples(image_set, "train"))
    labels = np.array([sample.label for sample in found])
    sizes = np.bincount(labels)
    assert sizes[:5].tolist() == [500, 494, 488, 482, 477]
    assert sizes[-5:].tolist() == [52, 51, 51, 50, 50]
    assert sizes.sum() == len(found) == 39072

    split = SplitSpec.from_json(json.dumps({"dataset": "tiny_imagenet", "ratio": 10, "classes": 200, **cut}))
    table = make_split(split, "train", {"train": labels})
    assert np.bincount(table["label"].to_numpy()).tolist() == sizes.tolist()
    assert sorted(table["source_row"].to_pylist()) == list(range(39072))
    for position in (0, 4321, 39071):
        pixels = decode(found[position], image_set)
        assert pixels.shape == (64, 64, 3)
        assert pixels.std() > 1


def test_imagenet_lt_is_the_public_list(shared_data):
    table = pq.read_table(shared_data / "splits" / "imagenet_lt_class_counts.parquet").to_pandas()
    document, cut = CUTS["imagenet_lt"]
    sizes = table.sort_values("label")["n_train"].to_numpy()
    assert sizes.sum() == document["images"]["parts"]["train"]
    assert strict_shots(sizes).tolist() == table.sort_values("label")["group"].tolist()
    assert np.unique_counts(shot_groups(sizes, cut["shots"])).counts.tolist() == [165, 390, 445]  # few, many, medium
    spec = SplitSpec.from_json(json.dumps({"dataset": "imagenet_lt", "ratio": 256, "classes": 1000, **cut}))
    assert len(make_split(spec, "train", {"train": np.repeat(np.arange(1000), sizes)})) == 115846
