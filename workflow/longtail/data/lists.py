"""Lists of images, such as ``ImageNet_LT_train.txt``: a line ``path label`` per image, as many tools write them.

Path and label may be parted by white space, a tab, a comma or a semicolon, and stand in quotes; the first line may name
the columns; any line ends and a byte-order mark will do.
"""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path
from typing import NamedTuple

from longtail.data.places import ADDRESS, expanded, require_file
from longtail.errors import LongtailError

LINE = re.compile(
    r"""(?: "(?P<double>(?:[^"]|"")+)" | '(?P<single>[^']+)' | (?P<plain>.*?\S) )
        (?: \s*[,;]\s* | \s+ )
        (?P<quote>["']?) (?P<label>[+-]?[0-9]{1,18}) (?P=quote)""",
    re.VERBOSE,
)
COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
"""How files begin that gzip, zip, bzip2, xz and zstd make."""
LABEL_FIRST = re.compile(r"""["']?[0-9]+["']?\s*[\s,;]\s*\S.*""")
OF_PATHS = r"(?:(?:image|img|file|sample)?[ _-]?(?:path|name|file|image|img|id)s?|images?|imgs?|files?|filepath)"
OF_LABELS = r"(?:(?:class|label|target|category)(?:[ _-]?(?:id|idx|index|label))?(?:s|es)?|targets?|y)"
HEADER = re.compile(rf"#?\s*{OF_PATHS}[\s,;]+{OF_LABELS}", re.IGNORECASE)


class Line(NamedTuple):
    """One image of a list: the number of its line, the path as it is written there, where it is, and its label."""

    number: int
    written: str
    path: Path
    label: int


def read_list(path: Path, obtain: str) -> list[Line]:
    """The images of a list, in its order.

    Args:
        path: of the list; paths in it are relative to its folder.
        obtain: where to get it, for the message.

    Raises:
        LongtailError: if it cannot be read, or a line is no path and label.
    """
    require_file(path, obtain)
    try:
        content = path.read_bytes()
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as PowerShell's `>` writes
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except OSError as error:
        raise LongtailError(f"{path} cannot be read: {error.strerror}. {obtain}".rstrip()) from error
    except UnicodeDecodeError as error:
        way_out = "It is compressed: unpack it first." if content.startswith(COMPRESSED) else "Save it as UTF-8."
        raise LongtailError(f"{path} is not a readable list of images: {error}. {way_out}") from error
    found: list[Line] = []
    begun = False
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        content_of_line = line.strip()
        if not content_of_line or (not begun and HEADER.fullmatch(re.sub("[\"']", "", content_of_line))):
            begun = begun or bool(content_of_line)
            continue
        begun = True
        found.append(_parsed(path, number, content_of_line))
    return found


def _parsed(path: Path, number: int, line: str) -> Line:
    parsed = LINE.fullmatch(line)
    if parsed is None:
        hint = " The label comes after the path." if LABEL_FIRST.fullmatch(line) else ""
        raise LongtailError(f"Line {number} of {path} is not 'path label': {line!r}.{hint}")
    written = parsed["plain"] or parsed["single"] or parsed["double"].replace('""', '"')
    return Line(number, written, _located(path.parent, written, f"Line {number} of {path}:"), int(parsed["label"]))


def _located(folder: Path, written: str, where: str) -> Path:
    """The file that a path in a list means.

    What is there as it is written is taken. Other tools write paths from the list's own folder with a slash in front,
    or with the slashes of Windows; that is tried where the path shows signs of it.
    """
    if ADDRESS.match(written):
        expanded(written, where)
    if written[0] not in "/~" and "\\" not in written:
        return folder / written
    forward = written.replace("\\", "/")
    for name in (written, os.path.expanduser(written), written.lstrip("/"), forward, forward.lstrip("/")):  # noqa: PTH111
        if os.path.exists(folder / name):  # noqa: PTH110 - which takes any text
            return folder / name
    return folder / written
