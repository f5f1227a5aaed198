"""The public lists of ImageNet-LT, Places-LT and iNaturalist 2018, written as they are published and read as they are.

Their images are not here. What can be held is what a list says: how many there are, of which classes, in which groups.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from longtail.data import sources
from longtail.data.decode import decode
from longtail.data.lists import read_list
from longtail.data.longtail import shot_groups
from longtail.data.sources import ImageSet, samples
from longtail.data.split import SplitSpec, make_split
from longtail.errors import LongtailError
from longtail.evaluation.recognition import strict_shots

CATALOG = Path(__file__).parents[2] / "workflow" / "catalog"
LISTS = {
    ("imagenet_lt", "val"): ("ImageNet_LT_val.txt", 20),
    ("imagenet_lt", "test"): ("ImageNet_LT_test.txt", 50),
    ("places_lt", "train"): ("Places_LT_train.txt", None),
    ("places_lt", "val"): ("Places_LT_val.txt", 20),
    ("places_lt", "test"): ("Places_LT_test.txt", 100),
    ("inaturalist18", "val"): ("iNaturalist18_val.txt", 3),
}
STRICT = {"places_lt": (131, 163, 71), "imagenet_lt": (385, 479, 136), "inaturalist18": (842, 4076, 3224)}


def images_of(name):
    return yaml.safe_load((CATALOG / "datasets" / f"{name}.yaml").read_text(encoding="utf-8"))["images"]


def cut_of(name):
    return yaml.safe_load((CATALOG / "datasets" / f"{name}.yaml").read_text(encoding="utf-8"))["datasets"][name]


def written(shared_data, name, part, folder):
    """The list in a folder, a line ``path label`` for each image, as the repositories have it."""
    table = pq.read_table(shared_data / "splits" / f"{name}_{part}.parquet")
    rows = zip(table["path"].to_pylist(), table["label"].to_pylist(), strict=True)
    path = folder / LISTS[name, part][0]
    path.write_text("".join(f"{image} {label}\n" for image, label in rows))
    return path


def image_set_of(name, path, part):
    images = images_of(name)
    keys = ("classes", "image_size", "channels")
    source = {"kind": "imagefolder", "root": str(path.parent), "lists": {part: path.name}}
    rows = {part: images["parts"].get(part, images["parts"]["test"])}
    described = {"images": name, "source": source, "parts": rows, **{key: images[key] for key in keys}}
    return ImageSet.from_json(json.dumps(described))


@pytest.mark.parametrize(("name", "part"), LISTS)
def test_a_list_has_the_images_that_the_catalogue_says(shared_data, tmp_path, name, part):
    path = written(shared_data, name, part, tmp_path)
    lines = read_list(path, "")
    one = image_set_of(name, path, part)
    assert len(lines) == one.parts[part]
    assert len({line.path for line in lines}) == len(lines)
    sizes = np.bincount([line.label for line in lines], minlength=one.classes)
    assert len(sizes) == one.classes
    if LISTS[name, part][1] is not None:
        assert (sizes == LISTS[name, part][1]).all()
    found = list(samples(one, part))
    assert [(sample.content, sample.label) for sample in found] == [(line.path, line.label) for line in lines]
    with pytest.raises(LongtailError, match=rf"{path.name}, line 1 .* does not exist .*nor do {len(lines) - 1:,} more"):
        sources.check(one, part)
    path.write_text(f"{path.read_text()}{lines[0].written} {lines[0].label}\n")
    with pytest.raises(LongtailError, match=f"has {len(lines) + 1:,} images in part '{part}', the catalogue says"):
        sources.check(one, part)


def test_no_image_of_a_set_is_in_two_of_its_lists(shared_data, tmp_path):
    for name in ("imagenet_lt", "places_lt"):
        parts = [part for each, part in LISTS if each == name]
        paths = [{line.path for line in read_list(written(shared_data, name, part, tmp_path), "")} for part in parts]
        assert len(set.union(*paths)) == sum(map(len, paths))


def test_the_tail_of_places_is_the_published_one(shared_data, tmp_path):
    path = written(shared_data, "places_lt", "train", tmp_path)
    labels = np.array([sample.label for sample in samples(image_set_of("places_lt", path, "train"), "train")])
    sizes = np.bincount(labels)
    assert (sizes.max(), sizes.min(), sizes.sum()) == (4980, 5, 62500)
    assert groups(strict_shots(sizes)) == STRICT["places_lt"]
    cut = cut_of("places_lt")
    assert groups(shot_groups(sizes, cut["shots"])) == tuple(cut["shots"])
    spec = SplitSpec.from_json(json.dumps({"dataset": "places_lt", "ratio": 996, "classes": 365, **cut}))
    table = make_split(spec, "train", {"train": labels})
    assert len(table) == 62500
    assert np.array_equal(table["class_size"].to_numpy(), sizes[table["label"].to_numpy()])


def groups(shots):
    return tuple(int((shots == group).sum()) for group in ("many", "medium", "few"))


@pytest.mark.parametrize("name", STRICT)
def test_the_groups_of_a_set_are_those_that_tables_are_checked_by(name):
    known = yaml.safe_load((CATALOG / "shot_groups.yaml").read_text(encoding="utf-8"))[images_of(name)["title"]]
    assert tuple(known["strict"]) == STRICT[name]
    assert known["index"] == cut_of(name)["shots"]
    assert sum(known["index"]) == sum(known["strict"]) == images_of(name)["classes"]


@pytest.mark.parametrize("name", STRICT)
def test_whole_files_are_kept_and_embedded_in_the_usual_way(name):
    images = images_of(name)
    assert images["storage"] == "files"
    assert images["test_transform"] == {"resize": 256, "crop": 224}
    assert not {"resize", "crop"} & images["source"].keys()


# --- small folders of the real layouts, by the catalogue's own sources ------------------------------------------------

LAYOUTS = {
    "imagenet_lt": {
        "train": (
            "imagenet/ImageNet_LT_train.txt",
            ["train/n02105855/n02105855_2933.JPEG", "train/n01440764/n01440764_2.JPEG"],
        ),
        "val": (
            "imagenet/ImageNet_LT_val.txt",
            ["train/n02105855/n02105855_9.JPEG", "train/n01440764/n01440764_7.JPEG"],
        ),
        "test": (
            "imagenet/ImageNet_LT_test.txt",
            ["val/n02105855/ILSVRC2012_val_00000001.JPEG", "val/n01440764/ILSVRC2012_val_00000293.JPEG"],
        ),
    },
    "places_lt": {
        "train": (
            "places/Places_LT_train.txt",
            ["data_256/a/airfield/00004851.jpg", "data_256/z/zen_garden/00000151.jpg"],
        ),
        "val": ("places/Places_LT_val.txt", ["data_256/a/airfield/00002049.jpg", "data_256/z/zen_garden/00002003.jpg"]),
        "test": (
            "places/Places_LT_test.txt",
            ["val_256/Places365_val_00003597.jpg", "val_256/Places365_val_00020787.jpg"],
        ),
    },
    "inaturalist18": {
        "train": (
            "inaturalist18/train2018.json",
            ["train_val2018/Plantae/7291/9f8e.jpg", "train_val2018/Aves/3178/9622.jpg"],
        ),
        "test": (
            "inaturalist18/val2018.json",
            ["train_val2018/Plantae/7291/ab01.jpg", "train_val2018/Aves/3178/cd23.jpg"],
        ),
    },
}
PLACES = [(name, part) for name, parts in LAYOUTS.items() for part in parts]


def laid_out(name, root, encoded):
    """The catalogue's set of two classes, with an image of each in every part."""
    for part, (place, files) in LAYOUTS[name].items():
        folder = (root / place).parent
        for row, file in enumerate(files):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(encoded(row + len(part), size=(30 + 10 * row, 40), kind="JPEG"))
        write(root / place, list(zip(files, [1, 0], strict=True)))
    images = images_of(name)
    parts = dict.fromkeys(LAYOUTS[name], 2)
    keys = {"image_size": 224, "channels": 3, "classes": 2, "parts": parts}
    return ImageSet.from_json(json.dumps({"images": name, "source": {"root": str(root), **images["source"]}, **keys}))


def as_files(one):
    """The set as the catalogue keeps it, so that images may have any size."""
    return dataclasses.replace(one, storage="files")


def write(place, rows):
    """A list of files and labels, or such annotations."""
    if place.suffix == ".txt":
        place.write_text("".join(f"{file} {label}\n" for file, label in rows))
        return
    document = {
        "images": [{"id": row, "file_name": file} for row, (file, _) in enumerate(rows)],
        "annotations": [{"id": row, "image_id": row, "category_id": label} for row, (_, label) in enumerate(rows)],
        "categories": [{"id": 0}, {"id": 1}],
    }
    place.write_text(json.dumps(document))


@pytest.mark.parametrize(("name", "part"), PLACES)
def test_the_published_layout_is_read(tmp_path, encoded, name, part):
    one = laid_out(name, tmp_path, encoded)
    sources.check(one, part)
    place, files = LAYOUTS[name][part]
    found = list(samples(one, part))
    assert [(sample.content, sample.label) for sample in found] == [
        ((tmp_path / place).parent / file, label) for file, label in zip(files, [1, 0], strict=True)
    ]
    for sample in found:
        assert decode(sample, as_files(one)).shape[2] == 3
    assert sources.inputs(one, part) == [tmp_path / place, *(sample.content for sample in found)]


@pytest.mark.parametrize(("name", "part"), PLACES)
def test_whatever_is_wrong_with_a_layout_is_one_message(tmp_path, encoded, name, part):
    one = laid_out(name, tmp_path, encoded)
    place, (first, second) = LAYOUTS[name][part]
    place = tmp_path / place
    image = place.parent / second
    content = image.read_bytes()

    def said(ask=sources.check):
        with pytest.raises(LongtailError) as error:
            ask(one, part)
        assert "\n" not in str(error.value)
        return str(error.value)

    image.unlink()
    assert f"({second}) does not exist ({image})" in said()
    for broken, word in ((content[: len(content) // 2], "truncated"), (b"", "cannot identify")):
        image.write_bytes(broken)
        sources.check(one, part)  # which opens no image
        with pytest.raises(LongtailError, match=f"(?i){second}.* cannot be decoded .*{word}.* is damaged"):
            [decode(sample, as_files(one)) for sample in samples(one, part)]
    image.write_bytes(content)
    write(place, [(first, 1), (first, 0)])
    assert "names the same image as" in said()
    write(place, [(first, 1), (second, 2)])
    assert ("unknown category 2" if name == "inaturalist18" else "has label 1..2") in said()
    write(place, [(first, 1)])
    assert f"has only 1 image in part '{part}', the catalogue says 2" in said()
    place.unlink()
    assert f"{place} does not exist. Get " in said()
