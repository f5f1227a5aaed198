"""Images in folders, one per class, or named by a list."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PosixPath

from longtail.data.fingerprint import is_hidden
from longtail.data.lists import read_list
from longtail.data.places import below
from longtail.data.rows import Expected, Sample, listed, note, sentences
from longtail.errors import LongtailError, unknown

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""What torchvision's ``ImageFolder`` takes for an image, and so the official codes."""

LOOKED_AT = 3  # files of a list, to see whether its paths lead anywhere


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
            yield from self._listed(part, place)
        else:
            listing = self._listing(part, place)
            if listing.remark():
                note(f"{place}: {listing.remark()}")
            for path, label in listing.images:
                yield Sample(path, Path(path), label)

    def inputs(self, part: str) -> list[Path]:
        """The folder with the class folders; or the list and the files that it names."""
        place = self._place(part)
        if not self._is_list(part) or not place.is_file():
            return [ClassFolders(place)]
        return [place, *(line.path for line in read_list(place, self.obtain))]

    def check(self, part: str) -> None:
        """Read the list, or list the folder, without opening an image."""
        place = self._place(part)
        if not self._is_list(part):
            self._listing(part, place)
            return
        for sample in list(self._listed(part, place))[:LOOKED_AT]:
            if isinstance(sample.content, Path) and not sample.content.exists():
                raise LongtailError(
                    f"The image {sample.name} does not exist ({sample.content}). Paths in a list start from the folder "
                    f"that the list is in. {self.obtain}".rstrip()
                )

    def _is_list(self, part: str) -> bool:
        return part in (self.lists or {})

    def _place(self, part: str) -> Path:
        named = {**(self.folders or {}), **(self.lists or {})}
        if part not in named:
            raise unknown("part in the folders and lists of this source", part, named)
        return below(self.root, named[part])

    def _listed(self, part: str, place: Path) -> Iterator[Sample]:
        lines = read_list(place, self.obtain)
        self.expected.require_rows(part, len(lines), "images", str(place))
        for line in lines:
            yield Sample(f"{place}, line {line.number} ({line.written})", line.path, line.label)

    def _listing(self, part: str, folder: Path) -> Listing:
        try:
            listing = list_folder(folder)
        except OSError as error:
            raise LongtailError(
                f"Cannot list the images of {folder}: {error.strerror or error} ({error.filename}). "
                f"{self.obtain}".rstrip()
            ) from error
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
        return listing


@dataclass
class Listing:
    """What lies in a folder of class folders.

    Attributes:
        sizes: number of images in each class folder.
        images: their paths and labels, in the order of torchvision's ``ImageFolder``.
        hidden: names that were left out with all below them, relative to the folder.
        others: files without an extension of images.
        loose: images in no class folder.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    images: list[tuple[str, int]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)

    def remark(self) -> str:
        """What is there besides the images, in sentences; empty if nothing is."""
        sentences = []
        if self.hidden:
            sentences.append(f"Left out, as hidden: {listed(self.hidden, 3)}.")
        if self.others:
            kinds = Counter(os.path.splitext(name)[1].lower() or "no extension" for name in self.others)  # noqa: PTH122
            counts = listed(f"{count:,} with {kind}" for kind, count in kinds.most_common())
            sentences.append(f"Passed over, as no {'/'.join(EXTENSIONS)}: {counts} ({listed(self.others, 3)}).")
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
    visible = [name for name in entries if not is_hidden(name)]
    classes = [name for name in visible if os.path.isdir(folder / name)]  # noqa: PTH112 - which takes any text
    for name in sorted({*visible} - {*classes}):
        (found.loose if _is_image(name) else found.others).append(name)
    for label, name in enumerate(classes):
        before = len(found.images)
        for root, names in _walked(folder, name, found.hidden):
            for file in names:
                path = os.path.join(root, file)  # noqa: PTH118 - of a million
                if _is_image(file):
                    found.images.append((path, label))
                else:
                    found.others.append(os.path.relpath(path, folder))
        found.sizes[name] = len(found.images) - before
    return found


def _walked(folder: Path, name: str, hidden: list[str]) -> list[tuple[str, list[str]]]:
    """The folders in and below a class folder and the names of their files, sorted; hidden ones are put aside.

    Links may lead elsewhere, but not to a folder that they lie in: several such would never be walked to an end.
    """
    walked = []
    for root, folders, files in os.walk(folder / name, followlinks=True, onerror=_raise):
        for found in (folders, files):
            hidden += [os.path.relpath(os.path.join(root, entry), folder) for entry in found if is_hidden(entry)]  # noqa: PTH118
            found[:] = sorted(entry for entry in found if not is_hidden(entry))
        for path in (Path(root, entry) for entry in folders):
            if path.is_symlink() and os.path.realpath(path) in map(os.path.realpath, path.parents):
                raise LongtailError(f"The link {path} leads in a circle, back to a folder that it lies in. Remove it.")
        walked.append((root, files))
    return sorted(walked)


def _raise(error: OSError) -> None:
    raise error


def _is_image(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)


def _below(folder: Path, classes: list[str]) -> str:
    """What a folder with a single folder in it is told, which is where archives are unpacked once too often."""
    if len(classes) != 1:
        return ""
    inner = folder / classes[0]
    names = sorted(name for name in os.listdir(inner) if not is_hidden(name) and (inner / name).is_dir())  # noqa: PTH208
    return f"In {inner} there are {len(names)} folders ({listed(names)}): is it that one?" if names else ""
