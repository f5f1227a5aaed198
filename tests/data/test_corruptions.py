"""Corrupted test images are found in folders, and their classes are those of the list that was trained on."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from longtail.data.corruptions import CorruptedSet, check, class_numbers, images_of, place_of_corruption
from longtail.errors import LongtailError
from tests.corrupted import CORRUPTIONS, GROUP_OF, NUMBERS, corrupted_spec, write_corrupted, write_training_list

PER_CLASS, TRAINING = 2, (3, 2, 1)


@pytest.fixture(params=[False, True], ids=["plain", "grouped"])
def place(tmp_path, request):
    """A root with a list to train on, and with corrupted images in it; below the archives' folders, or not."""
    write_training_list(tmp_path, TRAINING)
    write_corrupted(tmp_path / "c", ["fog", "snow"], 2, PER_CLASS, grouped=request.param)
    return tmp_path


def corrupted(place, **changes):
    return CorruptedSet.from_json(json.dumps(corrupted_spec(place, PER_CLASS, sum(TRAINING), **changes)))


def of_fog(place):
    return next(place.glob("c/**/fog"))


def images(place, corruption="fog", severity=1, **changes):
    one = corrupted(place, **changes)
    return images_of(one, corruption, severity, class_numbers(one.trained))


def ask_check(place):
    check(corrupted(place))


ASK = [ask_check, images]


def test_the_fifteen_corruptions_lie_in_the_four_archives():
    assert len(CORRUPTIONS) == len(set(CORRUPTIONS)) == len(GROUP_OF) == 15


def test_classes_have_the_numbers_of_the_list_and_not_of_their_order(place):
    check(corrupted(place))
    assert class_numbers(corrupted(place).trained) == NUMBERS
    assert sorted(NUMBERS, key=NUMBERS.get) != sorted(NUMBERS)
    found = images(place)
    expected = [(of_fog(place) / "1" / name, NUMBERS[name]) for name in sorted(NUMBERS) for _ in range(PER_CLASS)]
    assert [(sample.content.parent, sample.label) for sample in found] == expected
    assert len({sample.content for sample in found}) == PER_CLASS * len(NUMBERS)
    assert all(sample.content.is_file() for sample in found)


def test_what_is_no_image_is_passed_over(place):
    folder = of_fog(place) / "1"
    before = images(place)
    (folder / "n01440764" / "readme.txt").write_text("x")
    (folder / "n01440764" / "._a.JPEG").write_text("x")
    (folder / ".DS_Store").write_text("x")
    (folder / "__MACOSX").mkdir()
    assert images(place) == before
    check(corrupted(place))


@pytest.mark.parametrize("ask", ASK)
def test_a_class_of_an_unknown_name_is_named(place, ask):
    (of_fog(place) / "1" / "n99999999").mkdir()
    message = (
        r"fog/1 has folders of unknown classes: n99999999\. Classes are called .* of tiny are, such as n01440764\."
    )
    with pytest.raises(LongtailError, match=message):
        ask(place)


@pytest.mark.parametrize("ask", ASK)
def test_a_class_that_is_missing_is_named(place, ask):
    shutil.rmtree(of_fog(place) / "1" / "n02105855")
    with pytest.raises(LongtailError, match=r"fog/1 lacks 1 of the 3 classes: n02105855\. Ask\."):
        ask(place)


def test_a_severity_that_is_missing_is_named(place):
    shutil.rmtree(of_fog(place) / "2")
    message = r"tiny_c lacks fog at severity 2: .*fog/2 cannot be listed .*In .*fog there is 1\. Ask\."
    with pytest.raises(LongtailError, match=message):
        check(corrupted(place))
    with pytest.raises(LongtailError, match=message):
        images(place, severity=2)


def test_corruptions_that_are_missing_are_named(place):
    with pytest.raises(LongtailError, match=r"tiny_c lacks the corruption frost: in .*/c there is .*\. Ask\."):
        check(corrupted(place, corruptions=["fog", "snow", "frost"]))
    more = ["fog", "frost", "snow", "contrast"]
    with pytest.raises(
        LongtailError, match=r"lacks 2 of its 4 corruptions: frost, contrast \(.*/c has fog, snow\)\. Ask"
    ):
        check(corrupted(place, corruptions=more))
    with pytest.raises(LongtailError, match=r"lacks 2 of its 2 corruptions: frost, contrast \(.*/c has none of them\)"):
        check(corrupted(place, corruptions=["frost", "contrast"]))


def test_a_folder_that_is_missing_is_named_once(place):
    shutil.rmtree(place / "c")
    message = rf"^The images of tiny_c cannot be looked at: No such file or directory \({place}/c\)\. Ask\.$"
    for ask in ASK:
        with pytest.raises(LongtailError, match=message):
            ask(place)


def test_a_corruption_in_two_places_is_named(place):
    other = place / "c" / "other" / "fog"
    shutil.copytree(of_fog(place), other)
    for ask in ASK:
        with pytest.raises(LongtailError, match=r"fog of tiny_c lies in two places: .*fog and .*fog\. Move one\."):
            ask(place)


def test_too_few_and_too_many_images_are_counted(place):
    folder = of_fog(place) / "1" / "n01440764"
    file = next(folder.iterdir())
    shutil.copy(file, folder / "more.JPEG")
    with pytest.raises(
        LongtailError, match=r"fog/1 has 7 images, tiny_c has 6 of each corruption and severity\. Ask\."
    ):
        images(place)
    (folder / "more.JPEG").unlink()
    file.unlink()
    with pytest.raises(LongtailError, match=r"fog/1 has only 5 images, tiny_c has 6"):
        images(place)
    for each in folder.iterdir():
        each.unlink()
    with pytest.raises(LongtailError, match=rf"There is no image in {folder}\. Ask\."):
        images(place)


def relisted(place, change):
    path = place / "list_train.txt"
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("n15075141_0.JPEG 2", "n15075141_0.JPEG 1"), "class 1 lies in '.*' and '.*'"),
        (lambda text: text.replace("n02105855_2.JPEG 0", "n02105855_2.JPEG 2"), "(has the classes|lies in)"),
    ],
)
def test_folders_of_training_images_that_are_no_classes_are_named(place, change, message):
    relisted(place, change)
    with pytest.raises(
        LongtailError, match=rf"Folders of the training images of tiny are not its classes: .*{message}"
    ):
        class_numbers(corrupted(place).trained)


def test_classes_without_a_training_image_are_named(place):
    relisted(place, lambda text: re.sub(r".*n15075141.*\n", "", text))
    spec = corrupted_spec(place, PER_CLASS, sum(TRAINING) - 1)
    message = r"The training part of tiny has no image of 1 of its 3 classes \(2\).*Get the whole list\."
    with pytest.raises(LongtailError, match=message):
        class_numbers(CorruptedSet.from_json(json.dumps(spec)).trained)


def test_classes_of_images_in_tables_have_no_names(place):
    one = corrupted(place, trained={
        "images": "digits", "source": {"kind": "sklearn", "dataset": "digits"}, "classes": 10, "image_size": 8,
        "channels": 1, "parts": {"train": 1797},
    })  # fmt: skip
    with pytest.raises(LongtailError, match="The source of digits has images in tables"):
        class_numbers(one.trained)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": {"kind": "parquet"}}, "must have `kind: corruptions`"),
        ({"source": {"kind": "corruptions"}}, "lacks the folder"),
        ({"source": {"kind": "corruptions", "folder": 3}}, "'folder' in the source of tiny_c is 3"),
        ({"source": {"kind": "corruptions", "floder": "c"}}, "Did you mean 'folder'"),
        ({"severities": 0}, "severities of tiny_c is 0"),
        ({"rows": True}, "rows of tiny_c is True"),
        ({"corruptions": []}, "must be a list of names"),
        ({"corruptions": [1]}, "must be a list of names"),
        ({"crop": 224}, "key in the specification of corrupted images 'crop'"),
        ({"trained": {"images": "tiny"}}, "the specification of an image set lacks"),
    ],
)
def test_what_a_specification_cannot_say_is_refused(tmp_path, changes, message):
    with pytest.raises(LongtailError, match=f"(?i){message}"):
        corrupted(tmp_path, **changes)


def test_a_folder_may_lie_anywhere(tmp_path):
    write_training_list(tmp_path, TRAINING)
    write_corrupted(tmp_path / "elsewhere", ["fog"], 1, PER_CLASS)
    source = {"kind": "corruptions", "name": "mine", "root": "data", "folder": str(tmp_path / "elsewhere")}
    one = corrupted(tmp_path, source=source, corruptions=["fog"], severities=1)
    check(one)
    assert place_of_corruption(one, "fog") == tmp_path / "elsewhere" / "fog"
    assert list(one.conditions()) == [("fog", 1)]
