"""Decode a dataset's images once, into one array that every ratio, seed and method maps into memory.

``images.npy`` is uint8 (N, H, W, C) in source order; ``labels.parquet`` holds the column ``label``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from longtail.data.decode import Deep, read, require_filled
from longtail.data.rows import Sample, note, wrong_number
from longtail.data.sources import ImageSet, inputs, samples
from longtail.data.watch import noting
from longtail.errors import LongtailError
from longtail.files import replacing, write_table
from longtail.signals import StopSignals

Made = TypeVar("Made")

CHUNK = 512
CHUNK_BYTES = 256 * 2**20
"""Images decoded before they are written, or fewer where their files are large: bounds the memory at any size of the
set."""

DARK = 64
"""A set of which no pixel is as bright as this is remarked upon."""


def write_store(
    image_set: ImageSet,
    part: str,
    images_path: str | PathLike[str],
    labels_path: str | PathLike[str],
    threads: int = 1,
) -> None:
    """Decode ``part`` and write its images and labels.

    The array is written front to back rather than through a memory map, so that a full disk is an error and not a
    killed process.

    Args:
        image_set: what the catalogue says about the images.
        part: ``train`` or ``test``.
        images_path: the ``.npy`` file to write.
        labels_path: the Parquet file to write.
        threads: images decoded at a time.

    Raises:
        LongtailError: if an image or label is wrong, their number differs from the catalogue's, or images of more than
            8 bits fill too few of them.
    """
    source = samples(image_set, part)
    expected = image_set.parts.get(part, 0)
    shape = (expected, image_set.stored_size, image_set.stored_size, image_set.channels)
    labels: list[int] = []
    deep: list[Deep] = []
    brightest = 0
    with replacing(images_path) as temporary:
        with temporary.open("wb") as file, ThreadPoolExecutor(threads) as pool:
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for chunk in chunks(source):
                labels += [sample.label for sample in chunk]
                if len(labels) > expected:
                    break
                pictures = in_threads(read, chunk, image_set, pool)
                deep += [picture.deep for picture in pictures if picture.deep is not None]
                pixels = np.stack([picture.pixels for picture in pictures])
                brightest = max(brightest, int(pixels.max()))
                file.write(pixels.tobytes())
                show_progress(image_set.images, part, len(labels), expected)
        require_number(image_set, part, len(labels))
        require_filled(deep, image_set, part)
        if brightest < DARK:
            note(f"the brightest pixel of {image_set.images}, part {part!r}, has {brightest} of 255: is that meant?")
        facts = {"images": image_set.images, "part": part, "source": dict(image_set.source)}
        write_table(labels_path, pa.table({"label": pa.array(labels, pa.int64())}), **facts)


def require_number(image_set: ImageSet, part: str, found: int) -> None:
    """Check that a part, which was read to its end or past the number that the catalogue says, has that number.

    Raises:
        LongtailError: if it has not.
    """
    expected = image_set.parts.get(part, 0)
    if found != expected:
        counted = f"more than {expected:,}" if found > expected else f"only {found:,}"
        raise wrong_number(image_set.images, "images", part, counted, expected)


def in_threads(
    work: Callable[[Sample, ImageSet], Made], chunk: list[Sample], image_set: ImageSet, pool: ThreadPoolExecutor
) -> list[Made]:
    """What ``work`` makes of each image of a chunk, in order; a signal to stop drops what has not begun."""
    made = []
    with StopSignals() as signals:
        for each in pool.map(work, chunk, itertools.repeat(image_set)):
            made.append(each)
            signals.obey()
    signals.obey()
    return made


def chunks(source: Iterator[Sample]) -> Iterator[list[Sample]]:
    """The images in order, as many at a time as may be in memory."""
    chunk: list[Sample] = []
    size = 0
    for sample in source:
        chunk.append(sample)
        size += 0 if isinstance(sample.content, Path) else len(sample.content)
        if len(chunk) == CHUNK or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def show_progress(images: str, part: str, done: int, expected: int) -> None:
    """Say on a terminal how many images of a part have been decoded; nothing in a log."""
    if sys.stderr.isatty():
        end = "\n" if done == expected else ""
        print(f"\r{images} {part}: {done:,} of {expected:,} images decoded", end=end, file=sys.stderr, flush=True)


def open_store(path: str | PathLike[str]) -> np.ndarray:
    """Map the images of a store into memory.

    Returns:
        Read-only uint8 array (N, H, W, C).

    Raises:
        LongtailError: if the file is missing, truncated or no store.
    """
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise LongtailError(f"{path} does not exist. Run the workflow, or `python -m longtail job store`.") from error
    except (OSError, ValueError, EOFError) as error:
        raise LongtailError(
            f"{path} is not a complete array of images ({error}). Delete it and run the workflow again to rebuild it."
        ) from error
    if images.dtype != np.uint8 or images.ndim != 4:
        raise LongtailError(
            f"{path} holds {images.dtype} of shape {images.shape}, not images (uint8, N x H x W x C). Rebuild it."
        )
    return images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m longtail job store``."""
    parser.add_argument(
        "--spec", required=True, metavar="JSON", help="images, source, classes, image_size, channels and parts"
    )
    parser.add_argument("--part", required=True, help="train or test")
    parser.add_argument("--images", required=True, metavar="NPY", help="the array to write")
    parser.add_argument("--labels", required=True, metavar="PARQUET", help="the labels to write")
    parser.add_argument("--threads", type=int, default=1, help="images decoded at a time (default: 1)")


def run(arguments: argparse.Namespace) -> None:
    """Write one part's store."""
    image_set = ImageSet.from_json(arguments.spec)
    with noting(Path(arguments.labels).parent, lambda: inputs(image_set, arguments.part)):
        write_store(image_set, arguments.part, arguments.images, arguments.labels, max(1, arguments.threads))
