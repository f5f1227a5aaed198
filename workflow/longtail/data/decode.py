"""From what a source holds of an image to the pixels that are stored."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, TiffImageFile

from longtail.data.places import place_of
from longtail.data.rows import Sample
from longtail.data.sources import ImageSet
from longtail.errors import LongtailError

DEEP = 16
"""Bits that the values of a file with more than 8 are taken to have, unless its source says otherwise."""

WHITE_IS_ZERO = 0
"""What the photometric interpretation of a TIFF file is called whose greatest value is black."""


class Deep(NamedTuple):
    """What an image with more than 8 bits a value reaches: its greatest value, and whether it has several channels."""

    greatest: int
    colour: bool


LONGEST_SIDE = 2048
"""Pixels that an image keeps of a side, where images keep their sizes: bounds what a batch takes, whatever is among
them. Larger ones become smaller by a whole factor, as means of squares of pixels; a view has 224 pixels of them."""


class Picture(NamedTuple):
    """Pixels of one image as they are kept, uint8 (H, W, C); and what they were made from, if of more than 8 bits."""

    pixels: np.ndarray
    deep: Deep | None


def decode(sample: Sample, image_set: ImageSet) -> np.ndarray:
    """Pixels of one image as they are stored: those of :func:`read`."""
    return read(sample, image_set).pixels


def read(sample: Sample, image_set: ImageSet) -> Picture:
    """One image as it is kept: a square of the set's size, or, where images stay whole, all of it.

    Whatever the file holds (grey, palette, CMYK, 16 bit, transparency) becomes 8-bit RGB, or 8-bit grey for an image
    set of one channel. EXIF rotation is not applied, as in the official pipelines.

    Values of more than 8 bits are scaled by what their bits can hold, all images of a set alike and however dark one of
    them is. A file does not tell how many of its 16 bits a camera filled (12, often): the source does, as ``bits``.

    Args:
        sample: the image.
        image_set: says channels and size, how to resize, and how many bits values of more than 8 have.

    Raises:
        LongtailError: if the image is missing, truncated, suspiciously large, of values that do not fit the bits, or
            not of the stored size.
    """
    try:
        image, deep = _eight_bit(*_open(sample.content), image_set.source.get("bits"))
        mode = "L" if image_set.channels == 1 else "RGB"
        if image.mode != mode:  # else it would be copied
            image = image.convert(mode)
        if image_set.is_whole:
            return Picture(_bounded(image), deep)
        if image_set.source.get("resize") or image_set.source.get("crop"):
            image = _square(image, image_set.source.get("resize"), image_set.stored_size)
    except FileNotFoundError as error:
        raise LongtailError(f"The image {sample.name} does not exist ({place_of(error.filename)}).") from error
    except Image.DecompressionBombError as error:
        raise LongtailError(
            f"The image {sample.name} claims to be huge and was not decoded ({error}). Remove or replace it."
        ) from error
    except _Unreadable as error:
        raise LongtailError(f"The image {sample.name} cannot be decoded: {error}.") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        if isinstance(error, OSError) and error.errno is not None:  # said by the system, and not by a decoder
            raise LongtailError(
                f"The image {sample.name} cannot be read: {error.strerror} ({place_of(error.filename or sample.name)})."
            ) from error
        raise LongtailError(
            f"The image {sample.name} cannot be decoded ({error}). It is damaged, no image, or of a kind that Pillow "
            f"cannot read: get it again, or save it anew as PNG."
        ) from error
    size = image_set.stored_size
    if image.size != (size, size):
        raise LongtailError(
            f"The image {sample.name} is {image.width}x{image.height}, but {image_set.images} has images of "
            f"{size}x{size}. Correct image_size in the catalogue, or give its source 'resize' and 'crop'."
        )
    return Picture(np.asarray(image).reshape(size, size, image_set.channels), deep)


def require_filled(deep: Iterable[Deep], image_set: ImageSet, part: str) -> None:
    """Check that images of more than 8 bits, all together, fill the 16 that they were scaled by.

    A single dark image may be dark. A set of which no image reaches half of what its type holds was most probably
    recorded with fewer bits, and would be stored almost black.

    Args:
        deep: what each image of more than 8 bits reaches.
        image_set: the set.
        part: of the set, which was read to its end.

    Raises:
        LongtailError: if they do not, and the source does not say how many bits there are.
    """
    found = list(deep)
    if not found or image_set.source.get("bits"):
        return
    greatest = max(image.greatest for image in found)
    bits = max(1, greatest.bit_length())
    if bits >= DEEP:
        return
    if any(image.colour for image in found):
        way_out = "Of several channels of 16 bits only the upper 8 are read: convert these images to 8 bits"
    else:
        way_out = f"Give the source `bits: {bits}`, so that {2**bits - 1:,} becomes white"
    raise LongtailError(
        f"Of {image_set.images}, part {part!r}, {len(found):,} have files of more than 8 bits, and the greatest value "
        f"in all of them is {greatest:,}: they seem to have {bits} bits, and as images of {DEEP} they would be almost "
        f"black. {way_out}; or `bits: {DEEP}`, if they are as dark as that."
    )


def _bounded(image: Image.Image) -> np.ndarray:
    """Pixels of an image, (H, W, C), of which no side is longer than :data:`LONGEST_SIDE`."""
    factor = -(-max(image.size) // LONGEST_SIDE)
    pixels = np.asarray(image.reduce(factor) if factor > 1 else image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


class _Unreadable(Exception):
    """An image that is whole, but of a kind that cannot be read rightly."""


def _open(content: np.ndarray | bytes | Path) -> tuple[Image.Image, bool]:
    """The image, and whether it has several channels of 16 bits, of which Pillow reads the upper 8."""
    if isinstance(content, np.ndarray):
        return Image.fromarray(content), False
    if isinstance(content, Path) and content.exists() and not content.is_file():
        raise _Unreadable("it is no file")  # a named pipe would be waited for, for ever
    with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
        if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError(f"{image.width}x{image.height} pixels")  # Pillow itself only warns here
        is_deep = not image.mode.startswith("I") and any(";16" in _raw_mode(tile) for tile in image.tile)
        image.load()
        return image, is_deep


def _raw_mode(tile: Any) -> str:
    """How a file has the pixels of one tile, in Pillow's words, such as ``RGB;16B``."""
    first = tile.args[0] if isinstance(tile.args, tuple) and tile.args else tile.args
    return first if isinstance(first, str) else ""


def _eight_bit(image: Image.Image, is_deep: bool, bits: int | None) -> tuple[Image.Image, Deep | None]:
    """The image with 8 bits a channel, and what it reaches if it had more.

    Pillow clips grey values of more than 8 bits at 255 when it converts; here they are scaled. It also leaves them as
    they are where a TIFF file says that zero is white, which it heeds for 8 bits. What floats mean is unknown.
    """
    if image.mode == "F":
        raise _Unreadable("its pixels are floating-point numbers; store it with 8 or 16 bits")
    if is_deep:
        if bits is not None and bits < DEEP:
            raise _Unreadable(
                f"it has several channels of 16 bits, of which only the upper 8 are read, too few for `bits: {bits}`; "
                f"convert it to 8 bits"
            )
        greatest = int(np.asarray(image.convert("RGB")).max(initial=0))
        return image, Deep((greatest << 8) | 0xFF, colour=True)
    if not image.mode.startswith("I"):
        return image, None
    values = np.asarray(image).astype(np.int64)
    white = 2 ** (bits or DEEP) - 1
    if values.min() < 0 or values.max() > white:
        raise _Unreadable(
            f"its grey values {values.min()}..{values.max()} do not fit {bits or DEEP} bits; say how many they "
            f"have, as `bits` of the source"
        )
    scaled = (values * 255 + white // 2) // white
    if isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO:
        scaled = 255 - scaled
    return Image.fromarray(scaled.astype(np.uint8)), Deep(int(values.max()), colour=False)


def _square(image: Image.Image, resize: int | None, crop: int) -> Image.Image:
    """Resize the short side (bilinear, antialiased), then cut out the centre."""
    from torchvision.transforms import functional

    if resize:
        image = functional.resize(image, resize)
    if min(image.size) < crop:
        raise _Unreadable(
            f"{image.width}x{image.height} is smaller than the crop of {crop}; give the source `resize: {crop}`, which "
            f"enlarges small images, or a smaller crop"
        )
    return functional.center_crop(image, crop)
