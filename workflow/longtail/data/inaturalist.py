"""Images that a file of annotations names, as iNaturalist 2018 is published (``train2018.json``, ``val2018.json``).

The format is COCO's: ``images`` with ``id`` and ``file_name``, ``annotations`` with ``image_id`` and ``category_id``,
``categories`` with ``id``. The class of an image is the number of its category, and images come in the order of
``images``: that is the order, and those are the labels, of the lists that facebookresearch/classifier-balancing writes
out of these files (data/iNaturalist18/gen_lists.py). That code takes the i-th annotation for the i-th image; here an
annotation is that of the image that it names, which in the published files is the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from longtail.data.lists import COMPRESSED
from longtail.data.places import below, require_file
from longtail.data.presence import absent, do_not_exist, require_once
from longtail.data.rows import Expected, Sample, listed, sentences
from longtail.errors import LongtailError, unknown

LISTS: Mapping[str, Mapping[str, type]] = {
    "images": {"id": int, "file_name": str},
    "annotations": {"image_id": int, "category_id": int},
    "categories": {"id": int},
}
"""What is read of a file of annotations: the lists in it, and what each entry of them must have."""


class Annotated(NamedTuple):
    """One image of a file of annotations: its number there, its path as written, where it is, and its category."""

    number: int
    written: str
    path: Path
    label: int


@dataclass(frozen=True)
class InaturalistSource:
    """Image files that a file of annotations names for each part.

    Attributes:
        expected: what the catalogue says there is.
        root: folder that ``files`` are relative to.
        files: for each part, the file of annotations; paths of images start from the folder that it is in.
        obtain: where to get the files, for the message when they are missing or broken.
    """

    expected: Expected
    files: Mapping[str, str]
    root: str = "data"
    obtain: str = ""

    def samples(self, part: str) -> Iterator[Sample]:
        """Yield the images in the order of ``images``."""
        place = self._place(part)
        for image in self._images(part, place):
            yield Sample(_name(place, image), image.path, image.label)

    def inputs(self, part: str) -> list[Path]:
        """The file of annotations, and the images that it names."""
        place = self._place(part)
        if not place.is_file():
            return [place]
        return [place, *(image.path for image in read_annotations(place, self.expected, self.obtain))]

    def check(self, part: str) -> None:
        """Read the annotations and see whether the images are there, without opening one."""
        place = self._place(part)
        images = self._images(part, place)
        missing = [images[position] for position in absent(image.path for image in images)]
        if missing:
            hint = f"Paths start from the folder that {place.name} is in."
            names = [(_name(place, image), image.path) for image in missing]
            raise LongtailError(sentences(do_not_exist(names), hint, self.obtain))

    def _place(self, part: str) -> Path:
        if part not in self.files:
            raise unknown("part in the files of this source", part, self.files)
        return below(self.root, self.files[part])

    def _images(self, part: str, place: Path) -> list[Annotated]:
        images = read_annotations(place, self.expected, self.obtain)
        self.expected.require_rows(part, len(images), "images", str(place), self.obtain)
        return images


def read_annotations(path: Path, expected: Expected, obtain: str) -> list[Annotated]:
    """The images of a file of annotations with their categories, in the order of ``images``.

    Args:
        path: of the file; paths in it are relative to its folder.
        expected: how many classes the set has, which are its categories 0..K-1.
        obtain: where to get the file, for the message.

    Raises:
        LongtailError: if it cannot be read, is no such file, or does not give every image one category of the set.
    """
    document = _document(path, obtain)
    images, annotations, categories = (_entries(document, kind, path, obtain) for kind in LISTS)
    _require_categories(path, {category["id"] for category in categories}, expected, obtain)
    files = {image["id"]: image["file_name"] for image in images}
    if len(files) < len(images):
        ((twice, _),) = Counter(image["id"] for image in images).most_common(1)
        raise _broken(path, f"the image {twice} stands in it twice", obtain)
    labels: dict[int, int] = {}
    for annotation in annotations:
        number, label = annotation["image_id"], annotation["category_id"]
        if number not in files:
            raise _broken(path, f"an annotation is of the image {number}, which is not among its images", obtain)
        if not 0 <= label < expected.classes:
            known = f"its categories are 0..{expected.classes - 1}"
            raise _broken(path, f"image {number} ({files[number]}) is of the unknown category {label}; {known}", obtain)
        if number in labels:
            both = f"{labels[number]} and {label}"
            raise _broken(path, f"image {number} ({files[number]}) is annotated twice, as {both}", obtain)
        labels[number] = label
    without = [f"{number} ({files[number]})" for number in files if number not in labels]
    if without:
        count = f"{len(without):,} images have" if len(without) > 1 else "one image has"
        raise _broken(path, f"{count} no annotation: {listed(without)}", obtain)
    found = [Annotated(number, file, path.parent / file, labels[number]) for number, file in files.items()]
    require_once(
        [image.path for image in found],
        lambda position: f"Image {found[position].number} of {path}",
        sentences("Get the file again.", obtain),
    )
    return found


def _name(place: Path, image: Annotated) -> str:
    return f"{place}, image {image.number} ({image.written})"


def _document(path: Path, obtain: str) -> dict[str, Any]:
    require_file(path, obtain)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LongtailError(sentences(f"{path} cannot be read: {error.strerror}.", obtain)) from error
    if content.startswith(COMPRESSED):
        raise LongtailError(f"{path} is compressed: unpack it first.")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        what = f"{path} is not valid JSON ({error}): it is cut off, or another file. Get it again."
        raise LongtailError(sentences(what, obtain)) from error
    if not isinstance(document, dict):
        raise _broken(path, f"it holds a {type(document).__name__}, and no {', '.join(LISTS)}", obtain)
    return document


def _entries(document: Mapping[str, Any], kind: str, path: Path, obtain: str) -> list[dict[str, Any]]:
    """One of the lists, with entries that have what is read of them."""
    entries = document.get(kind)
    if not isinstance(entries, list):
        there = listed(map(repr, document)) or "nothing"
        raise _broken(path, f"it has no list {kind!r}, but {there}; test2018.json, for one, has no labels", obtain)
    for number, entry in enumerate(entries):
        for key, of in LISTS[kind].items():
            value = entry.get(key) if isinstance(entry, dict) else None
            if type(value) is not of:
                wanted = f"must have {key!r}, {'a whole number' if of is int else 'text'}"
                raise _broken(path, f"entry {number} of {kind!r} {wanted}: {str(entry)[:100]}", obtain)
    return entries


def _require_categories(path: Path, categories: set[int], expected: Expected, obtain: str) -> None:
    wanted = set(range(expected.classes))
    if categories != wanted:
        lacking, beyond = sorted(wanted - categories), sorted(categories - wanted)
        differences = [f"{listed(map(str, lacking))} are missing"] * bool(lacking)
        differences += [f"{listed(map(str, beyond))} are unknown"] * bool(beyond)
        raise _broken(
            path,
            f"it has {len(categories):,} categories, and {expected.name} has the classes 0..{expected.classes - 1}: "
            f"{' and '.join(differences)}",
            obtain,
        )


def _broken(path: Path, what: str, obtain: str) -> LongtailError:
    return LongtailError(
        sentences(f"{path} is not a file of annotations of iNaturalist: {what}. Get the published file.", obtain)
    )
