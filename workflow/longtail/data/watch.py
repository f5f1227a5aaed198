"""Whether raw data are still those that were decoded. Imports no torch.

The job that reads raw data leaves a note beside what it makes, ``raw.json``: what the files looked like from outside
(:mod:`longtail.data.fingerprint`), and a digest of their contents. Whoever starts a workflow compares: the look costs
next to nothing, and contents are read only when that has changed, so files that were merely copied or touched do not
make anything to be redone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

from longtail.data.fingerprint import fingerprint, is_hidden
from longtail.errors import LongtailError
from longtail.files import replacing

NOTE = "raw.json"
CHUNK = 2**20


class Raw(Enum):
    """What has become of the raw data behind a decoded set."""

    SAME = "same"
    CHANGED = "changed"
    GONE = "gone"
    UNKNOWN = "unknown"
    """There is no note: nothing is decoded yet, or an earlier version did it."""


def contents(paths: Iterable[str | os.PathLike[str]]) -> str:
    """32 hexadecimal digits for names and bytes of files, and of all files below folders, in their order.

    Raises:
        OSError: if one cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        for name, file in _files(Path(path)):
            digest.update(os.fsencode(f"{name!r} {file.stat().st_size}\n"))
            with file.open("rb") as opened:
                while chunk := opened.read(CHUNK):
                    digest.update(chunk)
    return digest.hexdigest()


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """The file, or the files below the folder, with what they are called there; hidden ones are no raw data."""
    if not path.is_dir():
        yield path.name, path
        return
    for folder, folders, names in os.walk(path, followlinks=True):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in sorted(names):
            if not is_hidden(name):
                file = Path(folder, name)
                yield str(file.relative_to(path)), file


@contextmanager
def noting(folder: str | os.PathLike[str], inputs: Callable[[], list[Path]]) -> Iterator[None]:
    """Leave word beside what the block makes which raw data it was made from; none where nothing is read from files.

    Args:
        folder: of what is made.
        inputs: tells the files and folders that are read; asked again at the end, as some are downloaded.

    Raises:
        LongtailError: if the raw data have changed while they were read, or cannot be read any more.
    """
    first = inputs()
    before = fingerprint(first)
    yield
    paths = inputs()
    look = fingerprint(paths)
    if paths == first and look != before:
        raise LongtailError(
            f"{_named(paths)} changed while they were read, so what was read may be partly old and partly new. Run it "
            f"again when nothing writes there any more."
        )
    if paths:
        try:
            _write(Path(folder), look, contents(paths))
        except OSError as error:
            raise LongtailError(f"Cannot read {error.filename} any more: {error.strerror or error}.") from error


def state(folder: str | os.PathLike[str], paths: list[Path]) -> Raw:
    """What has become of the raw data behind the decoded data in a folder.

    Reads contents only where files look different; where these are the same, the new look is noted.

    Args:
        folder: of what was made.
        paths: what would be read now.
    """
    try:
        known = json.loads((Path(folder) / NOTE).read_text(encoding="utf-8"))
        look, digest = known["fingerprint"], known["contents"]
    except (OSError, ValueError, KeyError, TypeError):
        return Raw.UNKNOWN
    if not any(True for path in paths if path.exists() for _ in _files(path)):
        return Raw.GONE
    now = fingerprint(paths)
    if now == look:
        return Raw.SAME
    try:
        if contents(paths) != digest:
            return Raw.CHANGED
    except OSError:  # some are missing, or may not be read
        return Raw.CHANGED
    with suppress(LongtailError):  # results that may only be read: they are compared again the next time
        _write(Path(folder), now, digest)
    return Raw.SAME


def _write(folder: Path, look: str, digest: str) -> None:
    with replacing(folder / NOTE) as temporary:
        temporary.write_text(json.dumps({"fingerprint": look, "contents": digest}) + "\n", encoding="utf-8")


def _named(paths: list[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
