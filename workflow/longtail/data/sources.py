"""Where images come from: one class per kind of source.

A source lists the images of one part (``train`` or ``test``) in *source order*: the order of the files as they were
published. The long-tailed protocol takes the first rows of each class, so this order is part of the science (ConMix
Sec. 5.1.1 and its official code, LZX-001/ConMix). Decoding is apart from listing, so that it can run in threads.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol

from longtail.data.folders import ImageFolderSource
from longtail.data.inaturalist import InaturalistSource
from longtail.data.keys import check_keys, is_count
from longtail.data.parquet import ParquetSource
from longtail.data.published import SklearnSource, TorchvisionSource
from longtail.data.rows import Expected, Sample
from longtail.errors import LongtailError, unknown
from longtail.files import read_json
from longtail.splits import FILES, PIXELS, STORAGES

BY_PART = ("files", "folders", "lists")
"""Options of sources that give a path, or several, for each part."""

LARGEST_SIDE = 16_384
MOST_CLASSES = 1_000_000
MOST_BITS = 31

OF_IMAGES = ("kind", "name", "resize", "crop", "bits")
"""What the source of an image set says besides the options of its kind."""


@dataclass(frozen=True)
class ImageSet:
    """What the catalogue says about one set of images.

    Attributes:
        images: its name.
        source: ``kind`` and the options of that kind. All kinds take ``root``, the folder that relative paths start
            from, ``name``, what tables call the source, ``resize`` and ``crop``, which make any image square, and
            ``bits``, how many bits the values of images have whose files hold more than 8.
        classes: number of classes K; labels are 0..K-1.
        image_size: height and width the networks see.
        channels: 1 or 3.
        parts: number of images in each part.
        storage: ``pixels``, where all images are decoded once and kept, or ``files``, where they stay as they are
            encoded and are decoded whenever they are needed.
    """

    images: str
    source: Mapping[str, Any]
    classes: int
    image_size: int
    channels: int
    parts: Mapping[str, int]
    storage: str = PIXELS

    @classmethod
    def from_json(cls, text: str) -> ImageSet:
        """Parse the ``--spec`` of the store command.

        Raises:
            LongtailError: if the text is no JSON object, or a key is missing, unknown or of the wrong type.
        """
        spec = read_json(text, "--spec")
        known = [field.name for field in fields(cls)]
        check_keys("the specification of an image set", spec, known, [key for key in known if key != "storage"])
        for key in ("classes", "image_size", "channels"):
            if not is_count(spec[key], LARGEST_SIDE if key == "image_size" else MOST_CLASSES):
                raise LongtailError(
                    f"{key} of {spec['images']} is {spec[key]!r}; it must be a positive integer, and no huge one."
                )
        if spec["channels"] not in (1, 3):
            raise LongtailError(f"channels of {spec['images']} is {spec['channels']}; images have 1 or 3 channels.")
        if spec.get("storage", PIXELS) not in STORAGES:
            raise unknown(f"storage of {spec['images']}", spec["storage"], STORAGES)
        if not isinstance(spec["images"], str):
            raise LongtailError(f"images is {spec['images']!r}; it must be the name of the set.")
        if not isinstance(spec["parts"], dict) or not spec["parts"] or not all(map(is_count, spec["parts"].values())):
            raise LongtailError(f"parts of {spec['images']} must give a number of images per part: {spec['parts']!r}.")
        require_source(spec["images"], spec["source"], lambda kind: option_names(_class_of(kind)))
        return cls(**spec)

    @property
    def is_whole(self) -> bool:
        """Whether images keep the sizes they have: files that the source cuts no square out of."""
        return self.storage == FILES and not self.source.get("crop")

    @property
    def stored_size(self) -> int:
        """Height and width of images that are not whole: the source's ``crop`` where it has one, or ``image_size``."""
        return int(self.source.get("crop") or self.image_size)


class Source(Protocol):
    """The images of one part, in source order."""

    def samples(self, part: str) -> Iterator[Sample]:
        """Yield the images of ``part`` with their labels."""
        ...

    def inputs(self, part: str) -> list[Path]:
        """The files that samples of ``part`` are read from, and the folders of images. Opens no file of them."""
        ...

    def check(self, part: str) -> None:
        """Raise what :meth:`samples` would, as far as it can be known without decoding an image."""
        ...


SOURCES: Mapping[str, type[Source]] = {
    "sklearn": SklearnSource,
    "torchvision": TorchvisionSource,
    "parquet": ParquetSource,
    "imagefolder": ImageFolderSource,
    "inaturalist": InaturalistSource,
}


def _class_of(kind: str) -> type[Source]:
    """The class behind a kind of source: one of :data:`SOURCES`, or one in a file of its own, ``longtail.data.x:X``."""
    if ":" not in kind:
        if kind not in SOURCES:
            raise unknown("kind of source", kind, SOURCES)
        return SOURCES[kind]
    module, _, name = kind.partition(":")
    try:
        if not module.startswith("longtail."):
            raise ImportError("sources are modules of longtail")
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise LongtailError(
            f"The kind of source {kind!r} cannot be found: {error}. It is one of {', '.join(SOURCES)}, or module and "
            "class of a source, like 'longtail.data.sources:ParquetSource'."
        ) from error
    if not _is_source(found):
        raise LongtailError(f"{kind!r} is no source: it must be a dataclass with a method `samples(part)`.")
    return found


def _is_source(found: object) -> bool:
    return isinstance(found, type) and is_dataclass(found) and hasattr(found, "samples")


def require_source(name: str, source: Any, options: Callable[[str], Sequence[str]]) -> None:
    """Check that the source of the set ``name`` is a mapping whose options are of the right types.

    Args:
        name: of the set.
        source: as the catalogue or a configuration has it.
        options: of a kind of source; others that are of a wrong type have a wrong name.

    Raises:
        LongtailError: if it is not.
    """
    if not isinstance(source, dict):
        raise LongtailError(f"source of {name} must be a mapping with a kind: {source!r}.")
    kind = source.get("kind")
    for key, value in source.items():
        if not _fits(key, value):
            if isinstance(kind, str) and key not in (known := [*OF_IMAGES, *options(kind)]):
                raise unknown(f"key in the source of {name}", key, known)
            raise LongtailError(
                f"{key!r} in the source of {name} is {value!r}; {', '.join(BY_PART)} give paths by part, "
                f"resize and crop are numbers of pixels up to {LARGEST_SIDE:,}, bits is a number up to {MOST_BITS}, "
                f"and every other option is text."
            )


def _fits(key: str, value: Any) -> bool:
    """Whether an option of a source is of the right type; null stands for its default."""
    if value is None:
        return key not in ("root", "obtain", "dataset")
    if key == "bits":
        return is_count(value, MOST_BITS)
    if key in ("resize", "crop"):
        return is_count(value, LARGEST_SIDE)
    if key not in BY_PART:
        return isinstance(value, str)
    if not isinstance(value, Mapping):
        return False
    lists = [[paths] if key != "files" or isinstance(paths, str) else paths for paths in value.values()]
    return all(isinstance(paths, list) and all(isinstance(path, str) for path in paths) for paths in lists)


def open_source(image_set: ImageSet) -> Source:
    """The source that the catalogue names.

    Raises:
        LongtailError: if its kind or one of its options is unknown, or an option is missing.
    """
    kind = str(image_set.source.get("kind"))
    source = _class_of(kind)
    options = chosen(f"the source of {image_set.images} (of the kind {kind!r})", image_set.source, source, OF_IMAGES)
    if _wants_expected(source):
        options["expected"] = expected(image_set)
    return source(**options)


def expected(image_set: ImageSet) -> Expected:
    """What the catalogue says a source of the set should hold."""
    return Expected(image_set.images, image_set.classes, image_set.parts)


def option_names(source: type) -> list[str]:
    """The options of a kind of source: its fields, but for ``expected``, which a set gives to those that have it."""
    return [field.name for field in fields(source) if field.name != "expected"]


def chosen(what: str, options: Mapping[str, Any], source: type, besides: Sequence[str]) -> dict[str, Any]:
    """Those options that a kind of source is made with: without those ``besides``, and null, which is the default.

    Raises:
        LongtailError: if there is one that it does not know, or one is missing.
    """
    known = option_names(source)
    found = {
        key: value for key, value in options.items() if key not in besides and (value is not None or key not in known)
    }
    required = [field.name for field in fields(source) if field.default is field.default_factory is MISSING]
    check_keys(what, found, known, [name for name in required if name in known])
    return found


def _wants_expected(source: type) -> bool:
    return any(field.name == "expected" for field in fields(source))


def samples(image_set: ImageSet, part: str) -> Iterator[Sample]:
    """The images of ``part`` in source order, labels checked, not yet decoded.

    Raises:
        LongtailError: if the part does not exist, a file is missing or broken, or a label is not in 0..classes-1.
    """
    require_part(image_set.images, part, image_set.parts)
    yield from expected(image_set).with_labels_checked(open_source(image_set).samples(part))


def inputs(image_set: ImageSet, part: str) -> list[Path]:
    """The files that the images of ``part`` are read from, and the folders of images; none of them is opened.

    They need not exist. A source in a file of its own that has no method ``inputs`` reads none.

    Raises:
        LongtailError: if the part does not exist, an option of the source is wrong, or a list of images is broken.
    """
    require_part(image_set.images, part, image_set.parts)
    source = open_source(image_set)
    return source.inputs(part) if hasattr(source, "inputs") else []


def check(image_set: ImageSet, part: str) -> None:
    """Raise what reading ``part`` would, as far as it can be known without decoding an image.

    Raises:
        LongtailError: if the part does not exist, a file is missing or broken, or it does not hold what is said of it.
    """
    require_part(image_set.images, part, image_set.parts)
    source = open_source(image_set)
    if image_set.storage == FILES and not getattr(source, "is_encoded", True):
        raise holds_pixels(image_set.images)
    if hasattr(source, "check"):
        source.check(part)


def holds_pixels(name: str) -> LongtailError:
    """The error for a set whose images are to stay as they are encoded, and are not encoded."""
    return LongtailError(f"{name} has `storage: files`, but its source holds pixels and no encoded images. Remove it.")


def require_part(name: str, part: str, parts: Mapping[str, int]) -> None:
    """Check that the set ``name`` has the part."""
    if part not in parts:
        raise unknown(f"part of {name}", part, parts)
