"""Whether image files are whole, as far as their bytes tell without decoding: what broken copies and downloads leave.

A JPEG begins with FFD8 and ends with FFD9. Cameras and programs write on behind that, and thumbnails, which stand
before the image itself, have an end of their own. So segments are skipped up to the first scan, and the mark of the end
is looked for behind it: in the last kilobytes, where it is in nearly every file, and only then in all of the rest.
Within the scan no FFD9 can stand, as FF is followed by 00 or by the number of a restart there.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from longtail.data.places import place_of
from longtail.errors import LongtailError

JPEG, END = b"\xff\xd8", b"\xff\xd9"
PNG, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
OTHERS = (b"BM", b"II*\x00", b"MM\x00*", b"RIFF", *(f"P{kind}".encode() for kind in range(1, 7)))
"""How files begin that are images of other kinds (BMP, TIFF, WebP, PBM to PPM), of which nothing more is asked."""

TAIL = 8192
"""Bytes at the end of a file that are looked at first."""

SCAN, WITHOUT_LENGTH = 0xDA, {0x01, 0xD8, *range(0xD0, 0xD8)}
"""Markers of JPEG: of a scan, and those that no length follows."""


def require_whole(path: Path, name: str = "") -> None:
    """Check that an image file is there, not empty, an image, and not cut off. Reads a few kilobytes of it.

    A file that passes may still be damaged within; decoding it tells. ImageNet has a PNG that is called ``.JPEG``, so
    what a file is follows from how it begins, whatever its name.

    Args:
        path: of the file.
        name: what the message calls the image; empty for its path.

    Raises:
        LongtailError: if it is not.
    """
    called = name or str(path)
    try:
        with path.open("rb") as file:
            wrong = _wrong(file)
    except (OSError, ValueError) as error:  # the latter where the name holds a zero
        if isinstance(error, FileNotFoundError):
            raise LongtailError(f"The image {called} does not exist ({place_of(path)}).") from error
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise LongtailError(f"The image {called} cannot be read: {reason} ({place_of(path)}).") from error
    if wrong:
        raise LongtailError(f"The image {called} {wrong}. Get it again.")


def _wrong(file: BinaryIO) -> str:
    """What is wrong with a file; empty if nothing is."""
    start = file.read(len(PNG))
    size = file.seek(0, 2)
    if not start:
        return "is an empty file"
    if start.startswith(JPEG):
        scan = _first_scan(file, size)
        return "" if scan is not None and _ends(file, scan, size, END) else "is cut off: its JPEG has no end (FFD9)"
    if start == PNG:
        return "" if _ends(file, len(PNG), size, PNG_END) else "is cut off: its PNG has no end (IEND)"
    if start.startswith(OTHERS):
        return ""
    return f"is no image: it begins with {start!r}, and no JPEG does (FFD8)"


def _first_scan(file: BinaryIO, size: int) -> int | None:
    """Where the first scan of a JPEG begins, behind its tables and thumbnails; None if the file ends before."""
    position = len(JPEG)
    while position + 4 <= size:
        file.seek(position)
        head = file.read(4)
        if head[0] != 0xFF:
            return None
        if head[1] == 0xFF or head[1] in WITHOUT_LENGTH:  # markers may be filled up with FF
            position += 1 if head[1] == 0xFF else 2
        elif head[1] == SCAN:
            return position
        else:
            position += 2 + int.from_bytes(head[2:], "big")
    return None


def _ends(file: BinaryIO, first: int, size: int, end: bytes) -> bool:
    """Whether the mark of the end stands somewhere from ``first`` on."""
    for position in (max(first, size - TAIL), first):
        file.seek(position)
        if end in file.read():
            return True
    return False
