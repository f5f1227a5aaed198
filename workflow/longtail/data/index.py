"""``python -m longtail job index``: where the images of a set lie that stay encoded, and that all can be decoded.

Photographs of a large set take ten times more room as pixels than as JPEG, and more than a GPU has. Such a set is read
through an index, one line per image in source order, ``files.parquet``:

* ``name``: what messages call the image;
* ``file``, ``offset``, ``length``: the bytes that hold it. Where a source has images in files of their own, those are
  named, and there is no offset; what it has within another file (Parquet) is copied into one beside the index;
* ``digest``: of these bytes, so that a training knows when they are no longer those that it began with.

Every image is decoded once here, so what is damaged is told before anything is trained, with the file's name.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa

from longtail.data.decode import Deep, read, require_filled
from longtail.data.places import place_of
from longtail.data.rows import Sample
from longtail.data.sources import ImageSet, holds_pixels, inputs, samples
from longtail.data.store import chunks, in_threads, require_number, show_progress
from longtail.data.watch import noting
from longtail.errors import LongtailError
from longtail.files import read_with_provenance, replacing, write_table


class Entry(NamedTuple):
    """Where one image lies: what messages call it, and the bytes that hold it, or no offset for all of a file."""

    name: str
    file: str
    offset: int | None
    length: int


class _Inspected(NamedTuple):
    """An image that can be decoded: number and digest of its bytes, and what it reaches if it has more than 8 bits."""

    length: int
    digest: str
    deep: Deep | None


def write_index(
    image_set: ImageSet,
    part: str,
    index_path: str | PathLike[str],
    encoded_path: str | PathLike[str],
    labels_path: str | PathLike[str],
    threads: int = 1,
) -> None:
    """Decode every image of ``part`` once, and write where they are and what their labels are.

    Args:
        image_set: what the catalogue says about the images.
        part: ``train``, ``val`` or ``test``.
        index_path: the Parquet file to write.
        encoded_path: the file to write for the bytes of images that are in no file of their own; may stay empty.
        labels_path: the Parquet file to write for the labels, as a store has it.
        threads: images decoded at a time.

    Raises:
        LongtailError: if an image or label is wrong, their number differs from the catalogue's, images of more than 8
            bits fill too few of them, or the source holds pixels.
    """
    expected = image_set.parts.get(part, 0)
    entries: list[Entry] = []
    labels: list[int] = []
    digests: list[str] = []
    deep: list[Deep] = []
    with replacing(encoded_path) as temporary, temporary.open("wb") as encoded, ThreadPoolExecutor(threads) as pool:
        for chunk in chunks(samples(image_set, part)):
            labels += [sample.label for sample in chunk]
            if len(labels) > expected:
                break
            for sample, found in zip(chunk, in_threads(_inspect, chunk, image_set, pool), strict=True):
                entries.append(_entry(sample, found.length, encoded, encoded_path))
                digests.append(found.digest)
                deep += [found.deep] if found.deep is not None else []
            show_progress(image_set.images, part, len(labels), expected)
        require_number(image_set, part, len(labels))
        require_filled(deep, image_set, part)
    facts = {"images": image_set.images, "part": part, "source": dict(image_set.source)}
    columns = {
        "name": pa.array([entry.name for entry in entries], pa.string()),
        "file": pa.array([entry.file for entry in entries], pa.string()),
        "offset": pa.array([entry.offset for entry in entries], pa.int64()),
        "length": pa.array([entry.length for entry in entries], pa.int64()),
        "digest": pa.array(digests, pa.string()),
    }
    write_table(index_path, pa.table(columns), **facts, image_set=dataclasses.asdict(image_set))
    write_table(labels_path, pa.table({"label": pa.array(labels, pa.int64())}), **facts)


def _inspect(sample: Sample, image_set: ImageSet) -> _Inspected:
    if isinstance(sample.content, np.ndarray):
        raise holds_pixels(image_set.images)
    content = _bytes(sample.name, sample.content) if isinstance(sample.content, Path) else sample.content
    picture = read(sample._replace(content=content), image_set)
    return _Inspected(len(content), hashlib.blake2b(content, digest_size=8).hexdigest(), picture.deep)


def _bytes(name: str, path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise LongtailError(f"The image {name} cannot be read: it is no file.")  # a named pipe would be waited for
        return path.read_bytes()
    except FileNotFoundError as error:
        raise LongtailError(f"The image {name} does not exist ({place_of(path)}).") from error
    except OSError as error:
        raise LongtailError(f"The image {name} cannot be read: {error.strerror} ({place_of(path)}).") from error


def _entry(sample: Sample, length: int, encoded: BinaryIO, encoded_path: str | PathLike[str]) -> Entry:
    if isinstance(sample.content, Path):
        return Entry(sample.name, fspath(sample.content), None, length)
    assert isinstance(sample.content, bytes)  # pixels were refused
    offset = encoded.tell()
    encoded.write(sample.content)
    return Entry(sample.name, fspath(encoded_path), offset, length)


@dataclass(frozen=True)
class Index:
    """An index as it was written.

    Attributes:
        path: of it.
        image_set: what the images are, and so how they are decoded.
        entries: table with the columns of the module's docstring but for the digest, (N lines).
        digests: text (N,).
    """

    path: str | PathLike[str]
    image_set: ImageSet
    entries: pa.Table
    digests: np.ndarray

    def __len__(self) -> int:
        return len(self.entries)


def open_index(path: str | PathLike[str]) -> Index:
    """Read an index.

    Raises:
        LongtailError: if the file is missing, truncated or no index.
    """
    table, facts = read_with_provenance(path)
    names = ["name", "file", "offset", "length", "digest"]
    if not set(names) <= set(table.column_names) or "image_set" not in facts:
        raise LongtailError(f"{path} is no index of images. Delete it and run the workflow again to rebuild it.")
    image_set = ImageSet.from_json(json.dumps(facts["image_set"]))
    return Index(path, image_set, table.select(names[:-1]), np.asarray(table.column("digest").to_pylist()))


def encoded(entry: Entry, index: str | PathLike[str]) -> bytes:
    """The bytes of an image, encoded.

    Raises:
        LongtailError: if they cannot be read, or are fewer or more than they were.
    """
    way_out = f"Put it back as it was, or delete {index} and run the workflow again: what rests on it is made anew."
    try:
        with Path(entry.file).open("rb") as file:
            file.seek(entry.offset or 0)
            content = file.read(entry.length)
            more = entry.offset is None and bool(file.read(1))
    except OSError as error:
        raise LongtailError(
            f"The image {entry.name} cannot be read any more: {error.strerror} ({place_of(entry.file)}). {way_out}"
        ) from error
    if len(content) != entry.length or more:
        raise LongtailError(f"The image {entry.name} is another than it was when the index was made. {way_out}")
    return content


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m longtail job index``."""
    parser.add_argument("--spec", required=True, metavar="JSON", help="as of `store`, with storage: files")
    parser.add_argument("--part", required=True, help="train, val or test")
    parser.add_argument("--files", required=True, metavar="PARQUET", help="the index to write")
    parser.add_argument("--encoded", required=True, metavar="BIN", help="the file to write for images without a file")
    parser.add_argument("--labels", required=True, metavar="PARQUET", help="the labels to write")
    parser.add_argument("--threads", type=int, default=1, help="images decoded at a time (default: 1)")


def run(arguments: argparse.Namespace) -> None:
    """Write the index of one part."""
    image_set = ImageSet.from_json(arguments.spec)
    with noting(Path(arguments.labels).parent, lambda: inputs(image_set, arguments.part)):
        write_index(
            image_set,
            arguments.part,
            arguments.files,
            arguments.encoded,
            arguments.labels,
            max(1, arguments.threads),
        )
