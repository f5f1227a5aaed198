"""Where images come from: one class per kind of source.

A source lists the images of one part (``train`` or ``test``) in *source order*: the order of the files as they were
published. The long-tailed protocol takes the first rows of each class, so this order is part of the science (ConMix
Sec. 5.1.1 and its official code, LZX-001/ConMix). Decoding is apart from listing, so that it can run in threads.
"""

from __future__ import annotations

import importlib
import io
import os
import pickle
import struct
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from longtail.data.spec import check_keys, is_count
from longtail.errors import LongtailError, unknown
from longtail.files import read_json

BY_PART = ("files", "folders", "lists")
"""Options of sources that give a path, or several, for each part."""

LARGEST_SIDE = 16_384
MOST_CLASSES = 1_000_000


class Sample(NamedTuple):
    """One image before decoding.

    Attributes:
        name: what an error message calls the image (a file, or a file and its row).
        content: pixels (uint8, (H, W) or (H, W, C)), an encoded image, or the path of one.
        label: class index as the source gives it.
    """

    name: str
    content: np.ndarray | bytes | Path
    label: int


class Labelled(Protocol):
    """A row of a source: what messages call it, and its class."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> int: ...  # noqa: D102


Row = TypeVar("Row", bound=Labelled)


@dataclass(frozen=True)
class ImageSet:
    """What the catalogue says about one set of images.

    Attributes:
        images: its name.
        source: ``kind`` and the options of that kind. All kinds take ``root``, the folder that relative paths start
            from, ``name``, what tables call the source, and ``resize`` and ``crop``, which make any image square.
        classes: number of classes K; labels are 0..K-1.
        image_size: height and width the networks see.
        channels: 1 or 3.
        parts: number of images in each part.
    """

    images: str
    source: Mapping[str, Any]
    classes: int
    image_size: int
    channels: int
    parts: Mapping[str, int]

    @classmethod
    def from_json(cls, text: str) -> ImageSet:
        """Parse the ``--spec`` of the store command.

        Raises:
            LongtailError: if the text is no JSON object, or a key is missing, unknown or of the wrong type.
        """
        spec = read_json(text, "--spec")
        known = [field.name for field in fields(cls)]
        check_keys("the specification of an image set", spec, known, required=known)
        for key in ("classes", "image_size", "channels"):
            if not is_count(spec[key], LARGEST_SIDE if key == "image_size" else MOST_CLASSES):
                raise LongtailError(
                    f"{key} of {spec['images']} is {spec[key]!r}; it must be a positive integer, and no huge one."
                )
        if spec["channels"] not in (1, 3):
            raise LongtailError(f"channels of {spec['images']} is {spec['channels']}; images have 1 or 3 channels.")
        if not isinstance(spec["images"], str):
            raise LongtailError(f"images is {spec['images']!r}; it must be the name of the set.")
        if not isinstance(spec["parts"], dict) or not spec["parts"] or not all(map(is_count, spec["parts"].values())):
            raise LongtailError(f"parts of {spec['images']} must give a number of images per part: {spec['parts']!r}.")
        require_source(spec["images"], spec["source"])
        return cls(**spec)

    @property
    def stored_size(self) -> int:
        """Height and width of the stored images: the source's ``crop`` where it has one, else ``image_size``."""
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


@dataclass(frozen=True)
class SklearnSource:
    """The handwritten digits that come with scikit-learn: 1,797 images of 8x8, grey values 0..16, one part.

    They need no download. Grey values are scaled to 0..255.
    """

    dataset: str = "digits"
    root: str = ""  # every source has one; nothing is read from it

    def samples(self, part: str) -> Iterator[Sample]:
        """Yield the digits in scikit-learn's order."""
        from sklearn.datasets import load_digits

        self.check(part)
        digits = load_digits()
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        for row, (image, label) in enumerate(zip(images, digits.target.tolist(), strict=True)):
            yield Sample(f"scikit-learn digits, row {row}", image, label)

    def inputs(self, part: str) -> list[Path]:
        """None: the digits are part of scikit-learn."""
        return []

    def check(self, part: str) -> None:
        """Check that there is such a set, and such a part of it."""
        if self.dataset != "digits":
            raise unknown("scikit-learn image set", self.dataset, ["digits"])
        if part != "train":
            raise unknown("part of the scikit-learn digits", part, ["train"])


PUBLISHED: Mapping[str, tuple[str, Mapping[str, Sequence[str]]]] = {
    "CIFAR10": (
        "cifar-10-batches-py",
        {"train": [f"data_batch_{batch}" for batch in range(1, 6)], "test": ["test_batch"]},
    ),
    "CIFAR100": ("cifar-100-python", {"train": ["train"], "test": ["test"]}),
    "STL10": ("stl10_binary", {part: [f"{part}_X.bin", f"{part}_y.bin"] for part in ("train", "test")}),
}
"""Folder and files that each part of torchvision's sets is read from, known without torchvision, which takes seconds to
import."""


@dataclass(frozen=True)
class TorchvisionSource:
    """CIFAR-10, CIFAR-100 and STL-10 as torchvision downloads them, verified by checksum.

    Attributes:
        dataset: torchvision's name.
        root: folder of the downloads.
        labels: for CIFAR-100, ``fine`` (100 classes) or ``coarse`` (the 20 superclasses stored in the same files, which
            are the classes of CIFAR-20).
    """

    dataset: str
    root: str = "data"
    labels: str | None = None

    def samples(self, part: str) -> Iterator[Sample]:
        """Yield the images in the order of the published files."""
        images, labels = self._load(part)
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield Sample(f"{self.dataset} {part}, row {row}", image, int(label))

    def inputs(self, part: str) -> list[Path]:
        """The published files of the part, as far as they are there already."""
        self.check(part)
        folder, files = PUBLISHED[self.dataset]
        return [path for path in (Path(self.root, folder, name) for name in files[part]) if path.exists()]

    def check(self, part: str) -> None:
        """Check that there is such a set, such a part and such a choice of labels."""
        if self.dataset not in PUBLISHED:
            raise unknown("torchvision image set", self.dataset, PUBLISHED)
        if part not in PUBLISHED[self.dataset][1]:
            raise unknown(f"part of {self.dataset}", part, PUBLISHED[self.dataset][1])
        choices = ("fine", "coarse") if self.dataset == "CIFAR100" else ("fine",)
        if self.labels is not None and self.labels not in choices:
            raise unknown(f"labels of {self.dataset}", self.labels, choices)

    def _load(self, part: str) -> tuple[np.ndarray, Sequence[int]]:
        """Images (N, H, W, 3) uint8 and labels."""
        self.check(part)
        from filelock import FileLock
        from torchvision import datasets

        try:
            Path(self.root).mkdir(parents=True, exist_ok=True)
            with FileLock(Path(self.root) / f".{self.dataset}.lock"):  # the jobs of two parts share one download
                if self.dataset == "STL10":
                    stl = datasets.STL10(self.root, split=part, download=True)
                    return stl.data.transpose(0, 2, 3, 1), stl.labels
                kind = getattr(datasets, self.dataset)
                cifar = kind(self.root, train=part == "train", download=True)
            if self.labels != "coarse":
                return cifar.data, cifar.targets
            coarse: list[int] = []
            for name, _ in cifar.train_list if part == "train" else cifar.test_list:
                with (Path(self.root) / cifar.base_folder / name).open("rb") as file:  # its checksum was verified above
                    coarse += pickle.load(file, encoding="latin1")["coarse_labels"]
            return cifar.data, coarse
        except (
            OSError,
            RuntimeError,
            ValueError,
            KeyError,
            EOFError,
            pickle.UnpicklingError,
            tarfile.TarError,
        ) as error:
            raise LongtailError(
                f"Cannot obtain {self.dataset} in {Path(self.root).absolute()}: {error}. torchvision downloads it "
                f"there: check the connection, or put the published archive into that folder, or name another source."
            ) from error


@dataclass(frozen=True)
class ParquetFiles:
    """Rows of Parquet files; subclasses say what is in them.

    Attributes:
        files: file or files of each part, in order; relative to ``root``.
        root: folder of the files.
        label: name of the label column.
        obtain: where to get the files, for the message when they are missing.
    """

    files: Mapping[str, str | Sequence[str]]
    root: str = "data"
    label: str = "label"
    obtain: str = ""

    holds: ClassVar[str]
    """What the rows are, as messages call them."""

    def samples(self, part: str) -> Iterator[Any]:
        """Yield the rows in their order, file after file."""
        for path in self.inputs(part):
            with self._opened(path) as file:
                yield from self._rows(path, file)

    def inputs(self, part: str) -> list[Path]:
        """The Parquet files of the part, in order."""
        if part not in self.files:
            raise unknown("part in the files of this source", part, self.files)
        files = self.files[part]
        return [Path(self.root) / name for name in ([files] if isinstance(files, str) else files)]

    def check(self, part: str) -> None:
        """Open each file and look at its columns and their types."""
        for path in self.inputs(part):
            with self._opened(path) as file:
                self._check_columns(path, file)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[pq.ParquetFile]:
        require_file(path, self.obtain)
        try:
            with pq.ParquetFile(path) as file:
                yield file
        except (OSError, pa.ArrowException) as error:
            raise LongtailError(
                f"{path} is not a readable Parquet file ({error}). Get it again. {self.obtain}".rstrip()
            ) from error

    def _check_columns(self, path: Path, file: pq.ParquetFile) -> None:
        raise NotImplementedError

    def _rows(self, path: Path, file: pq.ParquetFile) -> Iterator[Any]:
        raise NotImplementedError

    def _require_columns(self, path: Path, file: pq.ParquetFile, **columns: str) -> None:
        """Check that a file has each column exactly once; ``columns`` are their names by role."""
        present = file.schema_arrow.names
        for role, name in columns.items():
            if present.count(name) != 1:
                raise LongtailError(
                    f"{path} has {present.count(name) or 'no'} {role} column {name!r}; it has {', '.join(present)}. "
                    f"Name the right one as {role!r} in the source of these {self.holds}."
                )


@dataclass(frozen=True)
class ParquetSource(ParquetFiles):
    """Images in Parquet files: a column of struct<bytes, path> with encoded images, and one of integer labels.

    Attributes:
        image: name of the image column.
    """

    image: str = "image"

    holds = "images"

    def _check_columns(self, path: Path, file: pq.ParquetFile) -> None:
        self._require_columns(path, file, image=self.image, label=self.label)
        schema = file.schema_arrow
        image_type = schema.field(self.image).type
        if not pa.types.is_struct(image_type) or not _is_binary(image_type):
            raise LongtailError(
                f"Column {self.image!r} of {path} is {image_type}; images must be struct<bytes: binary, path: string>."
            )
        if not pa.types.is_integer(schema.field(self.label).type):
            raise LongtailError(
                f"Column {self.label!r} of {path} is {schema.field(self.label).type}; labels must be integers."
            )

    def _rows(self, path: Path, file: pq.ParquetFile) -> Iterator[Sample]:
        self._check_columns(path, file)
        row = 0
        for batch in file.iter_batches(batch_size=256, columns=[self.image, self.label]):
            images = pc.struct_field(batch.column(self.image), "bytes").to_pylist()
            for data, label in zip(images, batch.column(self.label).to_pylist(), strict=True):
                if data is None or label is None:
                    column = self.image if data is None else self.label
                    raise LongtailError(
                        f"Row {row} of {path} has no {column!r} (null). Every row needs image and label."
                    )
                yield Sample(f"{path}, row {row}", data, label)
                row += 1


@dataclass(frozen=True)
class ImageFolderSource:
    """Image files in folders, one per class in lexicographic order, or named by a list file.

    Any depth below the class folder will do (Tiny ImageNet has ``train/<class>/images/<file>``); files come in the
    order of torchvision's ``ImageFolder``, which the official codes use.

    Attributes:
        root: folder that ``folders`` and ``lists`` are relative to.
        folders: for each part, the folder that holds the class folders.
        lists: for each part, a file with lines ``path label``, where the rows are not all the files of a folder
            (ImageNet-LT); paths in it are relative to the folder it is in.
        obtain: where to get the files, for the message when they are missing.
    """

    root: str = "data"
    folders: Mapping[str, str] | None = None
    lists: Mapping[str, str] | None = None
    obtain: str = ""

    def samples(self, part: str) -> Iterator[Sample]:
        """Yield the files of the list in its order, or of the class folders in lexicographic order."""
        place = self._place(part)
        yield from self._listed(place) if part in (self.lists or {}) else self._found(place)

    def inputs(self, part: str) -> list[Path]:
        """The folder with the class folders; or the list and the files that it names."""
        place = self._place(part)
        if part not in (self.lists or {}) or not place.is_file():
            return [place]
        return [place, *(sample.content for sample in self._listed(place) if isinstance(sample.content, Path))]

    def check(self, part: str) -> None:
        """Read the list, or list the folder, without opening an image."""
        for _ in self.samples(part):
            pass

    def _place(self, part: str) -> Path:
        named = {**(self.folders or {}), **(self.lists or {})}
        if part not in named:
            raise unknown("part in the folders and lists of this source", part, named)
        return Path(self.root) / named[part]

    def _found(self, folder: Path) -> Iterator[Sample]:
        from torchvision.datasets import ImageFolder

        _require_no_circle(folder)
        try:
            found = ImageFolder(str(folder)).samples
        except OSError as error:  # also for a folder without classes or a class without images
            raise LongtailError(f"Cannot list the images of {folder}: {error}. {self.obtain}".rstrip()) from error
        for path, label in found:
            yield Sample(path, Path(path), label)

    def _listed(self, path: Path) -> Iterator[Sample]:
        require_file(path, self.obtain)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise LongtailError(f"{path} is not a readable list of images: {error}.") from error
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            image, _, label = line.strip().rpartition(" ")
            try:
                yield Sample(f"{path}, line {number} ({image})", path.parent / image.strip(), int(label))
            except ValueError as error:
                raise LongtailError(f"Line {number} of {path} is not 'path label': {line!r}.") from error


def require_file(path: Path, obtain: str) -> None:
    """Nothing but a file is opened: reading a named pipe would wait for ever, and a device never end."""
    try:
        exists, is_file = path.exists(), path.is_file()
    except OSError as error:  # such as a name that is too long
        raise LongtailError(f"{path} cannot be read: {error.strerror}. {obtain}".rstrip()) from error
    if not is_file:
        raise LongtailError(f"{path} {'is no file' if exists else 'does not exist'}. {obtain}".rstrip())


def _require_no_circle(folder: Path) -> None:
    """Links may lead elsewhere, but not to a folder that they lie in: several such would never be walked to an end."""
    for root, names, _ in os.walk(folder, followlinks=True):
        for path in (Path(root, name) for name in names):
            if path.is_symlink() and os.path.realpath(path) in map(os.path.realpath, path.parents):
                raise LongtailError(f"The link {path} leads in a circle, back to a folder that it lies in. Remove it.")


def _is_binary(image_type: pa.StructType) -> bool:
    position = image_type.get_field_index("bytes")
    return position >= 0 and any(
        check(image_type.field(position).type)
        for check in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    )


SOURCES: Mapping[str, type[Source]] = {
    "sklearn": SklearnSource,
    "torchvision": TorchvisionSource,
    "parquet": ParquetSource,
    "imagefolder": ImageFolderSource,
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


def require_source(name: str, source: Any) -> None:
    """Check that the source of the set ``name`` is a mapping whose options are of the right types.

    Raises:
        LongtailError: if it is not.
    """
    if not isinstance(source, dict):
        raise LongtailError(f"source of {name} must be a mapping with a kind: {source!r}.")
    for key, value in source.items():
        if not _fits(key, value):
            raise LongtailError(
                f"{key!r} in the source of {name} is {value!r}; {', '.join(BY_PART)} give paths by part, "
                f"resize and crop are numbers of pixels up to {LARGEST_SIDE:,}, and every other option is text."
            )


def _fits(key: str, value: Any) -> bool:
    """Whether an option of a source is of the right type; null stands for its default."""
    if value is None:
        return key not in ("root", "image", "text", "label", "obtain", "dataset")
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
    options = {key: value for key, value in image_set.source.items() if key not in ("kind", "name", "resize", "crop")}
    kind = str(image_set.source.get("kind"))
    source = _class_of(kind)
    try:
        return source(**options)
    except TypeError as error:
        known = [field.name for field in fields(source)]  # type: ignore[arg-type]
        raise LongtailError(
            f"The source of {image_set.images} does not fit its kind {kind!r}: {error}. Options: {', '.join(known)}."
        ) from error


def samples(image_set: ImageSet, part: str) -> Iterator[Sample]:
    """The images of ``part`` in source order, labels checked, not yet decoded.

    Raises:
        LongtailError: if the part does not exist, a file is missing or broken, or a label is not in 0..classes-1.
    """
    require_part(image_set.images, part, image_set.parts)
    yield from with_labels_checked(open_source(image_set).samples(part), image_set.images, image_set.classes)


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
    if hasattr(source, "check"):
        source.check(part)


def require_part(name: str, part: str, parts: Mapping[str, int]) -> None:
    """Check that the set ``name`` has the part."""
    if part not in parts:
        raise unknown(f"part of {name}", part, parts)


def with_labels_checked(samples: Iterable[Row], name: str, classes: int) -> Iterator[Row]:
    """The samples of the set ``name``, up to the first whose label is not in 0..classes-1."""
    for sample in samples:
        if not 0 <= sample.label < classes:
            raise LongtailError(
                f"{sample.name} has label {sample.label}; {name} has {classes} classes, "
                f"0..{classes - 1}. Check the label column and the classes in the catalogue."
            )
        yield sample


def wrong_number(name: str, holds: str, part: str, found: str, expected: int) -> LongtailError:
    """The error for a source with other than the catalogue's number of images or texts in a part."""
    return LongtailError(
        f"The source of {name} has {found} {holds} in part {part!r}, the catalogue says "
        f"{expected:,}. Get the missing files, or correct 'parts' in the catalogue."
    )


def decode(sample: Sample, image_set: ImageSet) -> np.ndarray:
    """Pixels of one image as they are stored.

    Whatever the file holds (grey, palette, CMYK, 16 bit, transparency) becomes 8-bit RGB, or 8-bit grey for an image
    set of one channel. EXIF rotation is not applied, as in the official pipelines.

    Args:
        sample: the image.
        image_set: says channels and size, and how to resize.

    Returns:
        uint8 array (S, S, C) with S the stored size.

    Raises:
        LongtailError: if the image is missing, truncated, suspiciously large, or not of the stored size.
    """
    try:
        image = _eight_bit(_open(sample.content)).convert("L" if image_set.channels == 1 else "RGB")
        if image_set.source.get("resize") or image_set.source.get("crop"):
            image = _square(image, image_set.source.get("resize"), image_set.stored_size)
    except FileNotFoundError as error:
        raise LongtailError(f"The image {sample.name} does not exist ({error.filename}).") from error
    except Image.DecompressionBombError as error:
        raise LongtailError(
            f"The image {sample.name} claims to be huge and was not decoded ({error}). Remove or replace it."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise LongtailError(
            f"The image {sample.name} cannot be decoded ({error}). It is truncated or no image: get it again."
        ) from error
    size = image_set.stored_size
    if image.size != (size, size):
        raise LongtailError(
            f"The image {sample.name} is {image.width}x{image.height}, but {image_set.images} has images of "
            f"{size}x{size}. Correct image_size in the catalogue, or give its source 'resize' and 'crop'."
        )
    return np.asarray(image).reshape(size, size, image_set.channels)


def _open(content: np.ndarray | bytes | Path) -> Image.Image:
    if isinstance(content, np.ndarray):
        return Image.fromarray(content)
    if isinstance(content, Path) and content.exists() and not content.is_file():
        raise OSError("it is no file")  # a named pipe would be waited for, for ever
    with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
        if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError(f"{image.width}x{image.height} pixels")  # Pillow itself only warns here
        image.load()
        return image


def _eight_bit(image: Image.Image) -> Image.Image:
    """Pillow clips 16-bit grey values at 255 when it converts; here they are scaled. What floats mean is unknown."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; store it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"grey values {values.min()}..{values.max()} do not fit 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _square(image: Image.Image, resize: int | None, crop: int) -> Image.Image:
    """Resize the short side (bilinear, antialiased), then cut out the centre."""
    from torchvision.transforms import functional

    if resize:
        image = functional.resize(image, resize)
    if min(image.size) < crop:
        raise ValueError(f"{image.width}x{image.height} is smaller than the crop of {crop}")
    return functional.center_crop(image, crop)
