"""The published files of annotations of iNaturalist 2018, and what they look like when they are broken."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from longtail.data import sources
from longtail.data.decode import decode
from longtail.data.sources import samples
from longtail.errors import LongtailError

FILES = ["Plantae/1/c.jpg", "Aves/0/b.jpg", "Plantae/1/a.jpg"]
CATEGORIES = [{"id": 0, "name": "0", "supercategory": "Aves"}, {"id": 1, "name": "1", "supercategory": "Plantae"}]
ASK = [sources.check, lambda spec, part: list(samples(spec, part))]


def document():
    """As the published ones: every entry with more than is read, images numbered from anywhere."""
    return {
        "info": {"year": 2018},
        "images": [
            {"id": 7 - n, "width": 800, "height": 600, "file_name": f"train_val2018/{name}", "license": 3}
            for n, name in enumerate(FILES)
        ],
        "annotations": [
            {"id": 7 - n, "image_id": 7 - n, "category_id": int("Plantae" in name)} for n, name in enumerate(FILES)
        ],
        "categories": CATEGORIES,
        "licenses": [],
    }


@pytest.fixture
def place(tmp_path, encoded):
    for seed, name in enumerate(FILES):
        path = tmp_path / "inat" / "train_val2018" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(seed, kind="JPEG"))
    path = tmp_path / "inat" / "train2018.json"
    path.write_text(json.dumps(document()))
    return path


def spec(image_set, place, **changes):
    files = {"train": f"inat/{place.name}"}
    return image_set(
        {"kind": "inaturalist", "root": str(place.parents[1]), "files": files, "obtain": "Ask."}, **changes
    )


def test_images_come_in_their_order_with_the_categories_as_labels(image_set, place):
    one = spec(image_set, place)
    sources.check(one, "train")
    found = list(samples(one, "train"))
    folder = place.parent / "train_val2018"
    assert [(sample.content, sample.label) for sample in found] == [
        (folder / name, label) for name, label in zip(FILES, [1, 0, 1], strict=True)
    ]
    assert found[0].name == f"{place}, image 7 (train_val2018/{FILES[0]})"
    assert decode(found[1], one).shape == (4, 4, 3)
    assert sources.inputs(one, "train") == [place, *(folder / name for name in FILES)]


def test_the_list_of_the_official_code_has_the_same_images_in_the_same_order(image_set, place):
    """What gen_lists.py of facebookresearch/classifier-balancing does: the i-th annotation is of the i-th image."""
    told = document()
    lines = []
    for i in range(len(told["images"])):
        assert told["images"][i]["id"] == told["annotations"][i]["id"]
        lines.append(f"{told['images'][i]['file_name']} {told['annotations'][i]['category_id']}\n")
    (place.parent / "iNaturalist18_train.txt").write_text("".join(lines))
    lists = {"train": "inat/iNaturalist18_train.txt"}
    listed = image_set({"kind": "imagefolder", "root": str(place.parents[1]), "lists": lists})
    pairs = [[(s.content, s.label) for s in samples(one, "train")] for one in (listed, spec(image_set, place))]
    assert pairs[0] == pairs[1]


def test_an_annotation_is_that_of_the_image_that_it_names(image_set, place):
    told = document()
    told["annotations"].reverse()
    place.write_text(json.dumps(told))
    assert [sample.label for sample in samples(spec(image_set, place), "train")] == [1, 0, 1]


def without(kind, **of):
    told = document()
    told[kind] = [entry for entry in told[kind] if not of.items() <= entry.items()]
    return told


def with_entry(kind, **entry):
    told = document()
    told[kind] = [*told[kind], entry]
    return told


def changed(kind, number, **values):
    told = document()
    told[kind][number] = {**told[kind][number], **values}
    return told


def lacking(*keys):
    told = document()
    for key in keys[:-1]:
        for entry in told[key]:
            entry.pop(keys[-1])
    if len(keys) == 1:
        del told[keys[0]]
    return told


BROKEN = {
    "no annotations": (lacking("annotations"), "it has no list 'annotations', but 'info', 'images', 'categories'"),
    "no images": (lacking("images"), "it has no list 'images', but"),
    "a list": ([1, 2], "it holds a list, and no images, annotations, categories"),
    "no file name": (lacking("images", "file_name"), "entry 0 of 'images' must have 'file_name', text: {'id': 7"),
    "no image": (lacking("annotations", "image_id"), "entry 0 of 'annotations' must have 'image_id', a whole number"),
    "a text": (changed("annotations", 1, category_id="0"), "entry 1 of 'annotations' must have 'category_id', a whole"),
    "a truth": (changed("annotations", 1, category_id=True), "entry 1 of 'annotations' must have 'category_id'"),
    "no entry": ({**document(), "images": [3]}, "entry 0 of 'images' must have 'id', a whole number: 3"),
    "not annotated": (without("annotations", id=6), f"one image has no annotation: 6 (train_val2018/{FILES[1]})"),
    "none annotated": ({**document(), "annotations": []}, "3 images have no annotation: 7 ("),
    "annotated twice": (
        with_entry("annotations", id=9, image_id=6, category_id=1),
        f"image 6 (train_val2018/{FILES[1]}) is annotated twice, as 0 and 1",
    ),
    "unknown image": (with_entry("annotations", id=9, image_id=9, category_id=1), "an annotation is of the image 9"),
    "unknown category": (
        changed("annotations", 1, category_id=2),
        f"image 6 (train_val2018/{FILES[1]}) is of the unknown category 2; its categories are 0..1",
    ),
    "image twice": (with_entry("images", id=6, file_name="x.jpg"), "the image 6 stands in it twice"),
    "categories": (
        {**document(), "categories": [*CATEGORIES[:1], {"id": 2}]},
        "it has 2 categories, and tiny has the classes 0..1: 1 are missing and 2 are unknown",
    ),
}


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_annotations_is_said_with_the_way_out(image_set, place, name, ask):
    told, what = BROKEN[name]
    place.write_text(json.dumps(told))
    start = re.escape(f"{place} is not a file of annotations of iNaturalist: {what}")
    with pytest.raises(LongtailError, match=rf"^{start}.*\. Get the published file\. Ask\.$"):
        ask(spec(image_set, place), "train")


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(document()).encode()[:-40], r"is not valid JSON \(.*\): it is cut off, or another file\. .* Ask\."),
        (b"", r"is not valid JSON"),
        (b"\xff\xfe\xff", r"is not valid JSON"),
        (b"[" * 100_000, r"is not valid JSON"),
        (gzip.compress(json.dumps(document()).encode()), r"is compressed: unpack it first\."),
    ],
    ids=["cut", "empty", "binary", "deep", "compressed"],
)
def test_what_is_no_json_is_named(image_set, place, content, message, ask):
    place.write_bytes(content)
    with pytest.raises(LongtailError, match=rf"^{place} {message}"):
        ask(spec(image_set, place), "train")


def test_missing_files_are_known_before_reading(image_set, place):
    (place.parent / "train_val2018" / FILES[2]).unlink()
    message = rf"image 5 \(train_val2018/{FILES[2]}\) does not exist .*from the folder that train2018\.json is in\. Ask"
    with pytest.raises(LongtailError, match=message):
        sources.check(spec(image_set, place), "train")
    place.unlink()
    assert sources.inputs(spec(image_set, place), "train") == [place]
    for ask in ASK:
        with pytest.raises(LongtailError, match=r"train2018\.json does not exist\. Ask\."):
            ask(spec(image_set, place), "train")


def test_another_number_of_images_and_a_file_of_two_images_are_named(image_set, place):
    with pytest.raises(LongtailError, match=r"has only 3 images in part 'train', the catalogue says 4 .*Ask\."):
        sources.check(spec(image_set, place, parts={"train": 4}), "train")
    told = changed("images", 1, file_name=f"train_val2018/{FILES[0]}")
    place.write_text(json.dumps(told))
    for ask in ASK:
        with pytest.raises(
            LongtailError, match=rf"Image 6 of {place} names the same image as Image 7 of {place}\. Get"
        ):
            ask(spec(image_set, place), "train")


def test_a_part_without_a_file_is_named(image_set, place):
    with pytest.raises(LongtailError, match="part in the files of this source"):
        sources.check(spec(image_set, place, parts={"train": 3, "test": 1}), "test")
