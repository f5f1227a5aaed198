"""Test images that are corrupted on purpose, as ImageNet-C has them: by which corruption, how badly, of which class.

Source: Hendrycks and Dietterich, ICLR 2019; hendrycks/robustness. Images lie in folders
``<corruption>/<severity>/<class>/``; the archives of the distribution (``noise``, ``blur``, ``weather``, ``digital``)
may each have a folder of their own above that. Classes are called by their WordNet ids, and which number each has is
not theirs to say: the list that was trained on does, whose paths lie in folders of the same names
(``train/n01440764/...``).

There are 3.75 million such images: nothing here holds more than those of one corruption and severity.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from longtail.data.fingerprint import is_hidden
from longtail.data.folders import EXTENSIONS
from longtail.data.keys import check_keys, is_count
from longtail.data.places import below
from longtail.data.rows import Sample, listed, sentences
from longtail.data.sources import ImageSet, samples
from longtail.errors import LongtailError, unknown
from longtail.files import read_json

KIND = "corruptions"
"""What the source of such images is called in the catalogue."""


@dataclass(frozen=True)
class CorruptedSet:
    """What the catalogue says about corrupted versions of one set's test images.

    Attributes:
        name: of the set of corrupted images.
        source: ``root`` and ``folder`` they lie in; ``obtain``, where to get them.
        corruptions: what they are called, which is what their folders are called.
        severities: each has 1 to this.
        rows: number of images of each corruption and severity.
        trained: the image set whose training part says which number a class has.
    """

    name: str
    source: Mapping[str, Any]
    corruptions: Sequence[str]
    severities: int
    rows: int
    trained: ImageSet

    @classmethod
    def from_json(cls, text: str) -> CorruptedSet:
        """Parse the ``--set`` of the corruptions command.

        Raises:
            LongtailError: if the text is no JSON object, or a key is missing, unknown or of the wrong type.
        """
        spec = read_json(text, "--set")
        known = [field.name for field in fields(cls)]
        check_keys("the specification of corrupted images", spec, known, required=known)
        name, source = spec["name"], spec["source"]
        if not isinstance(source, dict) or source.get("kind") != KIND:
            raise LongtailError(f"source of {name} must have `kind: {KIND}`: {source!r}.")
        for key, value in source.items():
            if key not in (options := ("kind", "name", "root", "folder", "obtain")):
                raise unknown(f"key in the source of {name}", key, options)
            if not isinstance(value, str):
                raise LongtailError(f"{key!r} in the source of {name} is {value!r}; it is text.")
        if "folder" not in source:
            raise LongtailError(f"The source of {name} lacks the folder: {source!r}.")
        for key in ("severities", "rows"):
            if not is_count(spec[key]):
                raise LongtailError(f"{key} of {name} is {spec[key]!r}; it must be a positive integer.")
        names = spec["corruptions"]
        if not isinstance(names, list) or not names or not all(isinstance(each, str) for each in names):
            raise LongtailError(f"corruptions of {name} must be a list of names of folders: {names!r}.")
        return cls(**{**spec, "trained": ImageSet.from_json(json.dumps(spec["trained"]))})

    @property
    def folder(self) -> Path:
        """Where the images lie."""
        return below(self.source.get("root", "data"), self.source["folder"])

    def conditions(self) -> Iterator[tuple[str, int]]:
        """Every corruption at every severity, in order."""
        return ((corruption, 1 + step) for corruption in self.corruptions for step in range(self.severities))


def class_numbers(trained: ImageSet) -> dict[str, int]:
    """The number of each class by the folder that its training images lie in.

    Raises:
        LongtailError: if the training images are no files in folders, images of one folder are of two classes, those of
            one class in two folders, or a class has none.
    """
    numbers: dict[str, int] = {}
    names: dict[int, str] = {}
    for sample in samples(trained, "train"):
        if not isinstance(sample.content, Path):
            raise LongtailError(
                f"The source of {trained.images} has images in tables, so the names of its classes are not known, by "
                f"which corrupted images are sorted. Name its list of files instead (kind: imagefolder)."
            )
        name = sample.content.parent.name
        if numbers.setdefault(name, sample.label) != sample.label or names.setdefault(sample.label, name) != name:
            other = f"{name!r} has the classes {numbers[name]} and {sample.label}"
            if numbers[name] == sample.label:
                other = f"class {sample.label} lies in {names[sample.label]!r} and {name!r}"
            raise LongtailError(
                f"Folders of the training images of {trained.images} are not its classes: {other} ({sample.name}). "
                f"Corrupted images are sorted by their folders' names alone, so each class must have one."
            )
    lacking = [str(label) for label in range(trained.classes) if label not in names]
    if lacking:
        raise LongtailError(
            f"The training part of {trained.images} has no image of {len(lacking):,} of its {trained.classes} classes "
            f"({listed(lacking)}), so it is not known how their folders are called. Get the whole list."
        )
    return numbers


def place_of_corruption(corrupted: CorruptedSet, corruption: str) -> Path:
    """The folder of a corruption: one of that name in the set's folder, or in a folder in it.

    Raises:
        LongtailError: if there is none, or more than one.
    """
    top = corrupted.folder
    try:
        inner = sorted(entry.name for entry in top.iterdir() if not is_hidden(entry.name) and entry.is_dir())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        what = f"The images of {corrupted.name} cannot be looked at: {reason} ({top})."
        raise LongtailError(sentences(what, _obtain(corrupted))) from error
    found = [place for place in (top / corruption, *(top / name / corruption for name in inner)) if place.is_dir()]
    if len(found) > 1:
        raise LongtailError(
            f"{corruption} of {corrupted.name} lies in two places: {found[0]} and {found[1]}. Move one."
        )
    if not found:
        what = (
            f"{corrupted.name} lacks the corruption {corruption}: in {top} there is {listed(inner, 20) or 'nothing'}."
        )
        raise LongtailError(sentences(what, _obtain(corrupted)))
    return found[0]


def images_of(corrupted: CorruptedSet, corruption: str, severity: int, numbers: Mapping[str, int]) -> list[Sample]:
    """The images of a corruption and severity with their classes, by folder and name.

    Args:
        corrupted: the set.
        corruption: its name.
        severity: from 1.
        numbers: see :func:`class_numbers`.

    Raises:
        LongtailError: if a folder is missing or unknown, or there are not as many images as the catalogue says.
    """
    place = place_of_corruption(corrupted, corruption) / str(severity)
    found = []
    for name in _class_folders(corrupted, place, numbers):
        folder = place / name
        try:
            files = sorted(os.listdir(folder))  # noqa: PTH208 - names are wanted
        except OSError as error:
            raise LongtailError(f"{folder} cannot be looked at: {error.strerror}.") from error
        images = [file for file in files if file.lower().endswith(EXTENSIONS) and not is_hidden(file)]
        if not images:
            raise LongtailError(sentences(f"There is no image in {folder}.", _obtain(corrupted)))
        found += [Sample(f"{folder}/{file}", folder / file, numbers[name]) for file in images]
    if len(found) != corrupted.rows:
        counted = f"{len(found):,}" if len(found) > corrupted.rows else f"only {len(found):,}"
        what = f"{place} has {counted} images, {corrupted.name} has {corrupted.rows:,} of each corruption and severity."
        raise LongtailError(sentences(what, _obtain(corrupted)))
    return found


def _class_folders(corrupted: CorruptedSet, place: Path, numbers: Mapping[str, int]) -> list[str]:
    """The folders of the classes, all of which are there and no other."""
    try:
        names = sorted(entry.name for entry in os.scandir(place) if not is_hidden(entry.name) and entry.is_dir())
    except OSError as error:
        there: list[str] = []
        with suppress(OSError):
            there = sorted(entry.name for entry in place.parent.iterdir())
        what = f"{corrupted.name} lacks {place.parent.name} at severity {place.name}: {place} cannot be listed"
        hint = f"In {place.parent} there is {listed(there) or 'nothing'}."
        raise LongtailError(sentences(f"{what} ({error.strerror}).", hint, _obtain(corrupted))) from error
    strange = [name for name in names if name not in numbers]
    if strange:
        raise LongtailError(
            f"{place} has folders of unknown classes: {listed(strange)}. Classes are called as the folders of the "
            f"training images of {corrupted.trained.images} are, such as {min(numbers)}."
        )
    lacking = sorted(set(numbers) - set(names))
    if lacking:
        what = f"{place} lacks {len(lacking):,} of the {len(numbers):,} classes: {listed(lacking)}."
        raise LongtailError(sentences(what, _obtain(corrupted)))
    return names


def check(corrupted: CorruptedSet) -> None:
    """Raise what reading all images would, as far as it can be known from the folders of corruptions and classes.

    Images are not counted: that would be a look at seventy-five thousand folders.

    Raises:
        LongtailError: naming all corruptions that are missing, or the first other thing that is wrong.
    """
    missing: list[str] = []
    places = {}
    first: LongtailError | None = None
    for corruption in corrupted.corruptions:
        try:
            places[corruption] = place_of_corruption(corrupted, corruption)
        except LongtailError as error:
            first = first or error
            missing.append(corruption)
    if first is not None:
        if len(missing) < 2 or not corrupted.folder.is_dir():
            raise first
        there = f"has {listed(places, 20)}" if places else "has none of them"
        what = f"{corrupted.name} lacks {len(missing)} of its {len(corrupted.corruptions)} corruptions"
        where = f"{listed(missing, 20)} ({corrupted.folder} {there})."
        raise LongtailError(sentences(f"{what}: {where}", _obtain(corrupted)))
    numbers = class_numbers(corrupted.trained)
    for corruption, severity in corrupted.conditions():
        _class_folders(corrupted, places[corruption] / str(severity), numbers)


def _obtain(corrupted: CorruptedSet) -> str:
    return str(corrupted.source.get("obtain", ""))
