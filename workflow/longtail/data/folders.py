"""Images in folders, one per class, or named by a list."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PosixPath

from longtail.data.fingerprint import is_hidden
from longtail.data.lists import Line, read_list
from longtail.data.places import below
from longtail.data.presence import absent, do_not_exist, require_once
from longtail.data.rows import Expected, Sample, listed, note, sentences
from longtail.errors import LongtailError, unknown

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""What torchvision's ``ImageFolder`` takes for an image, and so the official codes."""

MORE_COLUMNS = re.compile(r".*[,;\t].*|.*\s[0-9]+", re.DOTALL)
"""A path in a list, if there is no such file, that seems to hold more than the path."""


class ClassFolders(PosixPath):
    """The path of a folder with class folders, which tells whoever watches it what of it is read."""

    def reads(self, name: str) -> bool:
        """Whether a file of this name, relative to the folder, is one of the images."""
        return "/" in name and _is_image(name)


@dataclass(frozen=True)
class ImageFolderSource:
    """Image files in folders, one per class in lexicographic order, or named by a list file.

    Any depth below the class folder will do (Tiny ImageNet has ``train/<class>/images/<file>``); files come in the
    order of torchvision's ``ImageFolder``, which the official codes use. Hidden names are left out, which it does not.

    Attributes:
        expected: what the catalogue says there is.
        root: folder that ``folders`` and ``lists`` are relative to.
        folders: for each part, the folder that holds the class folders.
        lists: for each part, a file with lines ``path label``, where the rows are not all the files of a folder
            (ImageNet-LT); paths in it are relative to the folder it is in (:mod:`longtail.data.lists`).
        obtain: where to get the files, for the message when they are missing.
    """

    expected: Expected
    root: str = "data"
    folders: Mapping[str, str] | None = None
    lists: Mapping[str, str] | None = None
    obtain: str = ""

    def samples(self, part: str) -> Iterator[Sample]:
        """Yield the files of the list in its order, or of the class folders in lexicographic order."""
        place = self._place(part)
        if self._is_list(part):
            for line in self._lines(part, place):
                yield Sample(_name(place, line), line.path, line.label)
        else:
            listing = self._listing(part, place)
            if listing.remark():
                note(f"{place}: {listing.remark()}")
            for path, label in listing.images:
                yield Sample(path, Path(path), label)

    def inputs(self, part: str) -> list[Path]:
        """The folder with the class folders; or the list and the files that it names."""
        place = self._place(part)
        if not self._is_list(part) or not os.path.isfile(place):  # noqa: PTH113 - which takes any text
            return [ClassFolders(place)]
        return [place, *(line.path for line in read_list(place, self.obtain))]

    def check(self, part: str) -> None:
        """Read the list, or list the folder, and see whether the images are there, without opening one."""
        place = self._place(part)
        if not self._is_list(part):
            self._listing(part, place)
            return
        lines = self._lines(part, place)
        if missing := [lines[position] for position in absent(line.path for line in lines)]:
            hint = "Paths in a list start from the folder that the list is in."
            if MORE_COLUMNS.fullmatch(missing[0].written):
                hint += f" A line is a path and a label, and nothing else: is {missing[0].written!r} the path?"
            names = [(_name(place, line), line.path) for line in missing]
            raise LongtailError(sentences(do_not_exist(names), hint, self.obtain))
        labels = [line.label for line in lines]
        if not 0 <= min(labels) <= max(labels) < self.expected.classes:
            raise self.expected.wrong_label(str(place), f"{min(labels)}..{max(labels)}")

    def labels(self, part: str) -> tuple[list[int], list[str]]:
        """The label of each image, in source order, and the names of the classes, of which a list has none."""
        place = self._place(part)
        if self._is_list(part):
            return [line.label for line in self._lines(part, place)], []
        return [label for _, label in self._listing(part, place).images], _class_names(place)

    def _is_list(self, part: str) -> bool:
        return part in (self.lists or {})

    def _place(self, part: str) -> Path:
        named = {**(self.folders or {}), **(self.lists or {})}
        if part not in named:
            raise unknown("part in the folders and lists of this source", part, named)
        return below(self.root, named[part])

    def _lines(self, part: str, place: Path) -> list[Line]:
        lines = read_list(place, self.obtain)
        self.expected.require_rows(part, len(lines), "images", str(place))
        require_once(
            [line.path for line in lines],
            lambda position: f"Line {lines[position].number} of {place}",
            sentences("Remove one of the two lines.", self.obtain),
        )
        return lines

    def _listing(self, part: str, folder: Path) -> Listing:
        try:
            listing = list_folder(folder)
        except (OSError, ValueError) as error:  # the latter where the name holds a zero
            reason = f"{error.strerror} ({error.filename})" if isinstance(error, OSError) else str(error)
            raise LongtailError(f"Cannot list the images of {folder}: {reason}. {self.obtain}".rstrip()) from error
        remark, classes = listing.remark(), sorted(listing.sizes)
        if len(classes) != self.expected.classes:
            count = f"{len(classes) or 'no'} class folder{'s' * (len(classes) != 1)}"
            names = f" ({listed(classes, 10)})" if classes else ""
            what = f"{folder} has {count}{names}; {self.expected.name} has {self.expected.classes} classes."
            raise LongtailError(sentences(what, _below(folder, classes), remark, self.obtain))
        empty = [name for name in classes if not listing.sizes[name]]
        if empty:
            what = f"There is no image in the class folders {listed(empty)} of {folder}."
            raise LongtailError(sentences(what, remark, self.obtain))
        hint = sentences(remark, self.obtain)
        self.expected.require_rows(part, len(listing.images), "images", str(folder), hint)
        broken = [folder / name for name in listing.broken if _is_image(name)]
        if broken:
            raise LongtailError(sentences(do_not_exist([(str(path), path) for path in broken]), self.obtain))
        self._require_same_classes(part, folder, classes)
        return listing

    def _require_same_classes(self, part: str, folder: Path, classes: list[str]) -> None:
        """Check that classes are called alike in all parts, as their names in order are what numbers them.

        A part that is not there, or has another number of classes, is told when it is read.
        """
        for other in self.expected.parts:
            if other == part or other not in (self.folders or {}) or self._is_list(other):
                continue
            place, names = self._place(other), classes
            with suppress(OSError, ValueError):
                names = _class_names(place)
            if names != classes and len(names) == len(classes):
                here, there = (sorted({*one} - {*two}) for one, two in ((classes, names), (names, classes)))
                raise LongtailError(
                    f"{folder} and {place} have class folders of other names: {listed(here)} in the former, and "
                    f"{listed(there)} in the latter. Classes are numbered by their names in order, so the same class "
                    f"would have two numbers. Name the folders alike."
                )


def _name(place: Path, line: Line) -> str:
    return f"{place}, line {line.number} ({line.written})"


@dataclass
class Listing:
    """What lies in a folder of class folders.

    Attributes:
        sizes: number of images in each class folder.
        images: their paths and labels, in the order of torchvision's ``ImageFolder``.
        hidden: names that were left out with all below them, relative to the folder.
        others: files without an extension of images.
        loose: images in no class folder.
        broken: links to nothing; those that are called as images are among the images, too.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    images: list[tuple[str, int]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def remark(self) -> str:
        """What is there besides the images, in sentences; empty if nothing is."""
        sentences = []
        if self.hidden:
            sentences.append(f"Left out, as hidden: {listed(self.hidden, 3)}.")
        if self.others:
            kinds = Counter(os.path.splitext(name)[1].lower() or "no extension" for name in self.others)  # noqa: PTH122
            counts = listed(f"{count:,} with {kind}" for kind, count in kinds.most_common())
            sentences.append(f"Passed over, as no {'/'.join(EXTENSIONS)}: {counts} ({listed(self.others, 3)}).")
        if self.broken:
            sentences.append(f"Passed over, as links to nothing: {listed(self.broken, 3)}.")
        if self.loose:
            sentences.append(f"Passed over, as in no class folder: {listed(self.loose, 3)}.")
        return " ".join(sentences)


def list_folder(folder: Path) -> Listing:
    """List what lies in a folder of class folders, of which no file is opened.

    Raises:
        LongtailError: if a link leads in a circle.
        OSError: if a folder cannot be read.
    """
    found = Listing()
    entries = sorted(os.listdir(folder))  # noqa: PTH208 - names are wanted
    found.hidden += filter(is_hidden, entries)
    classes = _class_names(folder)
    for name in sorted({*entries} - {*found.hidden, *classes}):
        if _is_image(name):
            found.loose.append(name)
        else:
            (found.others if os.path.exists(folder / name) else found.broken).append(name)  # noqa: PTH110
    for label, name in enumerate(classes):
        before = len(found.images)
        for root, files in _walked(folder, name, found):
            for file in files:
                path = os.path.join(root, file)  # noqa: PTH118 - of a million
                if _is_image(file):
                    found.images.append((path, label))
                elif (relative := os.path.relpath(path, folder)) not in found.broken:
                    found.others.append(relative)
        found.sizes[name] = len(found.images) - before
    return found


def _class_names(folder: Path) -> list[str]:
    """The folders in a folder that are not hidden, in order."""
    names = sorted(os.listdir(folder))  # noqa: PTH208 - names are wanted
    return [name for name in names if not is_hidden(name) and os.path.isdir(folder / name)]  # noqa: PTH112 - any text


def _walked(folder: Path, name: str, listing: Listing) -> list[tuple[str, list[str]]]:
    """The folders in and below a class folder and the names of their files, sorted; hidden ones are put aside.

    Links may lead elsewhere, but not to a folder that they lie in: several such would never be walked to an end.
    """
    walked, pending = [], [os.path.join(folder, name)]  # noqa: PTH118
    while pending:
        root, files = pending.pop(), []
        with os.scandir(root) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                is_link = entry.is_symlink()
                if is_hidden(entry.name):
                    listing.hidden.append(os.path.relpath(entry.path, folder))
                elif os.path.isdir(entry.path) if is_link else entry.is_dir():  # noqa: PTH112 - of a million
                    if is_link and os.path.realpath(entry.path) in map(os.path.realpath, Path(entry.path).parents):
                        raise LongtailError(
                            f"The link {entry.path} leads in a circle, back to a folder that it lies in. Remove it."
                        )
                    pending.append(entry.path)
                else:
                    files.append(entry.name)
                    if is_link and not os.path.exists(entry.path):  # noqa: PTH110
                        listing.broken.append(os.path.relpath(entry.path, folder))
        walked.append((root, files))
    return sorted(walked)


def _is_image(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)


def _below(folder: Path, classes: list[str]) -> str:
    """What a folder with a single folder in it is told, which is where archives are unpacked once too often."""
    if len(classes) != 1:
        return ""
    inner = folder / classes[0]
    names = _class_names(inner)
    return f"In {inner} there are {len(names)} folders ({listed(names)}): is it that one?" if names else ""
