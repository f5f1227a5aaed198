"""Folders and lists of images as other programs leave them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from longtail.data import sources
from longtail.data.decode import decode
from longtail.data.folders import EXTENSIONS, list_folder
from longtail.data.lists import read_list
from longtail.data.sources import samples
from longtail.errors import LongtailError

SOURCE = {"kind": "imagefolder", "folders": {"train": "train"}}
IMAGES = ["a/1.png", "b/1.png", "b/2.png"]
ASK = [sources.check, lambda spec, part: list(samples(spec, part))]


@pytest.fixture
def train(tmp_path):
    for name in IMAGES:
        put(tmp_path / "train" / name)
    return tmp_path / "train"


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def spec(image_set, folder, **changes):
    return image_set({**SOURCE, "root": str(folder.parent)}, **changes)


def names(image_set, folder):
    return [os.path.relpath(sample.name, folder) for sample in samples(spec(image_set, folder), "train")]


def test_the_extensions_are_those_of_the_official_codes():
    assert set(EXTENSIONS) == set(IMG_EXTENSIONS)


NAME = st.text(string.ascii_letters + string.digits + "_- .", min_size=1, max_size=4).filter(
    lambda name: name.strip() == name and not name.startswith(".") and name.strip(".")
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(st.tuples(NAME, st.lists(NAME, max_size=2), NAME, st.sampled_from(["png", "JPEG", "txt"]))))
def test_without_hidden_names_the_order_is_that_of_the_official_codes(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("order")
    for first, below, last, extension in files:
        put(folder.joinpath(f"d{first}", "z.png"))
        put(folder.joinpath(f"d{first}", *(f"d{name}" for name in below), f"f{last}.{extension}"))
    found = list_folder(folder)
    assert found.images == (ImageFolder(str(folder)).samples if files else [])


@pytest.mark.parametrize(
    "hidden",
    [
        ".ipynb_checkpoints/1-checkpoint.png", "a/.ipynb_checkpoints/1-checkpoint.png", "b/._1.png", "._b/1.png",
        "__MACOSX/a/1.png", "a/deep/.cache/1.png", "@eaDir/1.png", "b/@eaDir/1.png", ".DS_Store", "b/.hidden.png",
    ],
)  # fmt: skip
def test_hidden_names_are_left_out_and_said(image_set, train, capsys, hidden):
    put(train / hidden)
    assert names(image_set, train) == IMAGES
    assert "Left out, as hidden: " in capsys.readouterr().err
    for ask in ASK:
        with pytest.raises(LongtailError, match="Left out, as hidden: "):
            ask(spec(image_set, train, parts={"train": 4}), "train")


@pytest.mark.parametrize("extension", [".jfif", ".gif", ".heic", ".npy", ".JPG_original", ""])
def test_passed_over_files_are_named(image_set, train, capsys, extension):
    (train / "b" / "2.png").rename(train / "b" / f"2{extension}")
    kind = extension.lower() or "no extension"
    for ask in ASK:
        with pytest.raises(LongtailError, match=rf"only 2 images .*Passed over, .*: 1 with {kind} \(b/2{extension}\)"):
            ask(spec(image_set, train), "train")
    assert len(list(samples(spec(image_set, train, parts={"train": 2}), "train"))) == 2
    assert f"1 with {kind}" in capsys.readouterr().err


def test_images_in_no_class_folder_are_named(image_set, train):
    put(train / "loose.png")
    with pytest.raises(LongtailError, match=r"in no class folder: loose\.png"):
        sources.check(spec(image_set, train, parts={"train": 4}), "train")


@pytest.mark.parametrize("inner", ["train", "tiny-imagenet-200", "images"])
def test_a_folder_too_many_is_named(image_set, train, inner):
    train.rename(train.with_name("t"))
    train.mkdir()
    train.with_name("t").rename(train / inner)
    for ask in ASK:
        with pytest.raises(
            LongtailError,
            match=rf"1 class folder \({inner}\); tiny has 2 classes\. In .*{inner} there are 2 .*\(a, b\)",
        ):
            ask(spec(image_set, train), "train")


def test_too_few_and_too_many_class_folders_are_named(image_set, train):
    with pytest.raises(LongtailError, match=r"has 2 class folders \(a, b\); tiny has 3 classes"):
        sources.check(spec(image_set, train, classes=3), "train")
    put(train / "c" / "1.png")
    with pytest.raises(LongtailError, match=r"has 3 class folders \(a, b, c\); tiny has 2 classes"):
        sources.check(spec(image_set, train), "train")


def test_a_folder_that_cannot_be_read_is_not_passed_over(image_set, train, monkeypatch):
    """`os.walk` alone passes over it, and the images in it would be missing without a word."""
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(LongtailError, match=r"Cannot list the images of .*train: Permission denied \(.*/b\)"):
        list(samples(spec(image_set, train), "train"))


@pytest.mark.parametrize("part", ["train", "test"])
def test_classes_of_other_names_in_another_part_are_named(image_set, train, part):
    """Names in order number them: unnoticed, b of one part would be 1, and of the other 0."""
    both = {"folders": {"train": "train", "test": "test"}}
    one = image_set({**SOURCE, "root": str(train.parent), **both}, parts={"train": 3, "test": 3})
    for name in IMAGES:
        put(train.with_name("test") / name)
    for ask in ASK:
        ask(one, part)
    (train.with_name("test") / "a").rename(train.with_name("test") / "zebra")
    (here, there) = ("a", "zebra") if part == "train" else ("zebra", "a")
    for ask in ASK:
        with pytest.raises(LongtailError, match=rf"of other names: {here} in the former, and {there} in the latter\."):
            ask(one, part)


@pytest.mark.parametrize("classes", [[], ["a"], ["a", "x", "z"]])
def test_a_part_that_is_not_there_or_has_other_classes_is_told_when_it_is_read(image_set, train, classes):
    for name in classes:
        put(train.with_name("test") / name / "1.png")
    both = {"folders": {"train": "train", "test": "test"}}
    one = image_set({**SOURCE, "root": str(train.parent), **both}, parts={"train": 3, "test": 1})
    for ask in ASK:
        ask(one, "train")
        with pytest.raises(LongtailError, match="Cannot list" if not classes else "tiny has 2 classes"):
            ask(one, "test")


@pytest.mark.parametrize("target", ["/nowhere/2.png", "2.png"])
def test_an_image_that_is_a_link_to_nothing_is_known_before_reading(image_set, train, target):
    for name in ("2.png", "3.png"):
        (train / "b" / name).unlink(missing_ok=True)
        (train / "b" / name).symlink_to(target)
    message = rf"The image .*/b/2\.png does not exist \(.*b/2\.png is a link to {target}\); nor do 1 more: .*/b/3\.png"
    for ask in ASK:
        with pytest.raises(LongtailError, match=message):
            ask(spec(image_set, train, parts={"train": 4}), "train")


@pytest.mark.parametrize("link", ["c", "b/images", "b/notes.txt"])
@pytest.mark.parametrize("target", ["/nowhere", "images", "c"])
def test_other_links_to_nothing_are_said(image_set, train, capsys, link, target):
    (train / link).symlink_to(target)
    assert names(image_set, train) == IMAGES
    assert f"Passed over, as links to nothing: {link}." in capsys.readouterr().err
    with pytest.raises(LongtailError, match=rf"tiny has 3 classes\. Passed over, as links to nothing: {link}\."):
        sources.check(spec(image_set, train, classes=3), "train")


# --- Lists ------------------------------------------------------------------------------------------------------------


def listed(image_set, folder, content, rows=3):
    (folder / "list.txt").write_bytes(content)
    source = {"kind": "imagefolder", "root": str(folder), "lists": {"train": "list.txt"}}
    one = image_set(source, parts={"train": rows})
    return [(sample.content, sample.label) for sample in samples(one, "train")]


ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\n", " \n", "\t\r\n"])
BETWEEN = st.sampled_from([" ", "  ", "\t", ",", ", ", ";", " , ", ",\t"])
HEADERS = st.sampled_from(
    ["", "path label", "# path label", "image,label", '"file name","class id"', "Filename\tClass",
     "image_id;category_id", "img_path, target", "FILE Y"]
)  # fmt: skip
CODECS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
PATHS = st.text(string.ascii_letters + string.digits + "éß_-,;. 'ひ", min_size=1, max_size=12).map(
    lambda text: f"p{text.strip()}.png"
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(PATHS, st.integers(0, 1)), min_size=1, max_size=5),
    end=ENDS, between=BETWEEN, header=HEADERS, codec=CODECS, quote=st.sampled_from(["", '"', "'"]),
    both=st.booleans(),
)  # fmt: skip
def test_lists_of_other_tools_are_read(tmp_path, image_set, rows, end, between, header, codec, quote, both):
    named = {path.replace("'", "") if quote == "'" else path: label for path, label in rows}
    rows = list(named.items())  # each file once
    mark = quote if both else ""
    lines = [f"{quote}{path}{quote}{between}{mark}{label}{mark}" for path, label in rows]
    content = end.join([header, *lines] if header else lines).encode(codec)
    expected = [(tmp_path / path, label) for path, label in rows]
    assert listed(image_set, tmp_path, content, len(rows)) == expected


@pytest.mark.parametrize("written", ["/a/1.png", "a\\1.png", "\\a\\1.png", "//a/1.png", "./a/1.png", "~/a/1.png"])
def test_paths_are_found_however_they_begin(tmp_path, image_set, monkeypatch, written):
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path / "a" / "1.png")
    ((found, _),) = listed(image_set, tmp_path, f"{written} 1\n".encode(), 1)
    assert found.samefile(tmp_path / "a" / "1.png")


def test_what_is_there_as_it_is_written_is_taken(tmp_path, image_set):
    put(tmp_path / "else" / "a.png")
    put(tmp_path / "list" / str(tmp_path)[1:] / "else" / "a.png")
    put(tmp_path / "list" / "b\\c.png")
    put(tmp_path / "list" / "b" / "c.png")
    content = f"{tmp_path}/else/a.png 0\nb\\c.png 1\n".encode()
    found = listed(image_set, tmp_path / "list", content, 2)
    assert found == [(tmp_path / "else" / "a.png", 0), (tmp_path / "list" / "b\\c.png", 1)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0 a.png\n", r"Line 1 of .* is not 'path label': '0 a\.png'\. The label comes after the path"),
        (b"path label\npath label\n", "Line 2 of"),
        (b"a.png 0\npath label\n", "Line 2 of"),
        (b"a.png 0.0\n", "Line 1 of"),
        (b"a.png cat\n", "Line 1 of"),
        (b"caf\xe9.png 0\n", "Save it as UTF-8"),
        (gzip.compress(b"a.png 0\n", mtime=0), "It is compressed: unpack it first"),
        (bz2.compress(b"a.png 0\n"), "It is compressed: unpack it first"),
        (lzma.compress(b"a.png 0\n"), "It is compressed: unpack it first"),
    ],
)
def test_what_is_no_line_of_a_list_is_named(tmp_path, image_set, content, message):
    with pytest.raises(LongtailError, match=message):
        listed(image_set, tmp_path, content)


def test_a_list_that_leads_nowhere_is_known_before_reading(tmp_path, image_set):
    (tmp_path / "list.txt").write_text("gone.png 0\n")
    source = {"kind": "imagefolder", "root": str(tmp_path), "lists": {"train": "list.txt"}}
    with pytest.raises(LongtailError, match=r"line 1 \(gone\.png\) does not exist .*start from the folder"):
        sources.check(image_set(source, parts={"train": 1}), "train")
    with pytest.raises(LongtailError, match=r"has only 1 image in part 'train', the catalogue says 3 \(.*list\.txt\)"):
        sources.check(image_set(source), "train")


IMAGE_STATES = st.lists(st.sampled_from(["there", "link", "broken", "gone"]), min_size=1, max_size=8)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states=IMAGE_STATES, folders=st.lists(st.sampled_from("ab"), min_size=8, max_size=8))
def test_all_images_of_a_list_that_are_missing_are_known_before_reading(tmp_path_factory, image_set, states, folders):
    folder = tmp_path_factory.mktemp("list")
    put(folder / "elsewhere.png")
    names = [f"{within}/{number}.png" for number, within in enumerate(folders)][: len(states)]
    for name, state in zip(names, states, strict=True):
        if state == "there":
            put(folder / name)
        elif state != "gone":
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).symlink_to(folder / ("elsewhere.png" if state == "link" else "nothing.png"))
    (folder / "list.txt").write_text("".join(f"{name} 1\n" for name in names))
    source = {"kind": "imagefolder", "root": str(folder), "lists": {"train": "list.txt"}}
    absent = [name for name, state in zip(names, states, strict=True) if state in ("broken", "gone")]
    try:
        sources.check(image_set(source, parts={"train": len(names)}), "train")
        said = ""
    except LongtailError as error:
        said = str(error)
    assert bool(said) == bool(absent)
    assert all(f"({name})" in said for name in absent[:6])
    assert f"nor do {len(absent) - 1} more" in said or len(absent) < 2


@pytest.mark.parametrize("rows", ["a.png 1\nb.png 2\n", "a.png -1\nb.png 0\n", "a.png 1\nb.png 1000\n"])
def test_labels_of_a_list_out_of_range_are_known_before_reading(tmp_path, image_set, rows):
    put(tmp_path / "a.png")
    put(tmp_path / "b.png")
    (tmp_path / "list.txt").write_text(rows)
    source = {"kind": "imagefolder", "root": str(tmp_path), "lists": {"train": "list.txt"}}
    low, high = rows.split()[1::2]
    with pytest.raises(LongtailError, match=rf"list\.txt has label {low}\.\.{high}; tiny has 2 classes"):
        sources.check(image_set(source, parts={"train": 2}), "train")


@pytest.mark.parametrize("second", ["a/1.png", "./a/1.png", "a//1.png"])
def test_a_file_that_a_list_names_twice_is_named_by_both_lines(tmp_path, image_set, second):
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        put(tmp_path / name)
    (tmp_path / "list.txt").write_text(f"path label\na/1.png 0\nb/1.png 1\n{second} 1\n")
    source = {"kind": "imagefolder", "root": str(tmp_path), "lists": {"train": "list.txt"}, "obtain": "Ask."}
    place = tmp_path / "list.txt"
    wanted = f"Line 4 of {place} names the same image as Line 2 of {place}. Remove one of the two lines. Ask."
    for ask in ASK:
        with pytest.raises(LongtailError, match=f"^{re.escape(wanted)}$"):
            ask(image_set(source), "train")
    with place.open("a") as lines:
        lines.write("b/1.png 1\n")
    with pytest.raises(LongtailError, match=r"as Line 2 of .*list\.txt, and 1 more is such a repetition\. "):
        sources.check(image_set(source, parts={"train": 4}), "train")
    place.write_text("a/1.png 0\nb/1.png 1\nb/2.png 1\n")  # files of one name in other folders are others
    for ask in ASK:
        ask(image_set(source), "train")


@pytest.mark.parametrize("line", ["a.png,0,17", "a.png;0;17", "a.png\t0\t17", "a.png 0 17", "7,a.png,1"])
def test_more_columns_than_path_and_label_are_named(tmp_path, image_set, line):
    put(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text(line)
    source = {"kind": "imagefolder", "root": str(tmp_path), "lists": {"train": "list.txt"}}
    (found,) = read_list(tmp_path / "list.txt", "")
    with pytest.raises(
        LongtailError, match=r"A line is a path and a label, and nothing else: is '.*a\.png.*' the path"
    ):
        sources.check(image_set(source, parts={"train": 1}), "train")
    put(found.path)  # a file may be called like that
    sources.check(image_set(source, classes=20, parts={"train": 1}), "train")


@pytest.mark.parametrize("name", ["x" * 300, "x\0y"], ids=["long", "zero"])
@pytest.mark.parametrize("place", ["folders", "lists", "line"])
def test_names_that_no_file_can_have_are_named(tmp_path, image_set, name, place):
    (tmp_path / "list.txt").write_text(f"{name}.png 0\n")
    paths = {"lists": {"train": "list.txt"}} if place == "line" else {place: {"train": name}}
    one = image_set({"kind": "imagefolder", "root": str(tmp_path), **paths}, parts={"train": 1})
    with pytest.raises(LongtailError, match=f"{name[:2]}.*(too long|does not exist|null byte)"):
        sources.check(one, "train")
    assert sources.inputs(one, "train")
    with pytest.raises(LongtailError, match=name[:2]):
        decode(next(samples(one, "train")), one)


def test_inputs_of_folders_and_lists(tmp_path, image_set, train):
    assert sources.inputs(spec(image_set, train), "train") == [train]
    source = {"kind": "imagefolder", "root": str(tmp_path), "lists": {"train": "list.txt"}}
    assert sources.inputs(image_set(source), "train") == [tmp_path / "list.txt"]
    (tmp_path / "list.txt").write_text("train/a/1.png 0\n/train/b/2.png 1\n")
    found = sources.inputs(image_set(source), "train")
    assert found == [tmp_path / "list.txt", tmp_path / "train/a/1.png", tmp_path / "train/b/2.png"]
    assert len(read_list(tmp_path / "list.txt", "")) == 2
