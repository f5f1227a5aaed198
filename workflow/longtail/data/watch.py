"""Whether raw data are still those that were decoded. Imports no torch.

The job that reads raw data leaves a note beside what it makes, ``raw.json``: what the files looked like from outside
(:mod:`longtail.data.fingerprint`), and a digest of each. Whoever starts a workflow compares: the look costs next to
nothing, and contents are read only when that has changed, so files that were merely copied or touched do not make
anything to be redone. Nor do files that are missing, as what is decoded may be removed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

from longtail.data.fingerprint import files, fingerprint
from longtail.errors import LongtailError
from longtail.files import replacing

NOTE = "raw.json"
CHUNK = 2**20


class Raw(Enum):
    """What has become of the raw data behind a decoded set."""

    SAME = "same"
    CHANGED = "changed"
    GONE = "gone"
    """Some or all are missing, and what is left is as it was."""
    UNKNOWN = "unknown"
    """There is no note: nothing is decoded yet, or an earlier version did it."""


def digests(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """16 hexadecimal digits for name and bytes of each file, and of all files below folders, in their order.

    Raises:
        OSError: if one cannot be read.
    """
    found = []
    for path in paths:
        for name, file, _ in files(path):
            digest = hashlib.blake2b(os.fsencode(f"{name!r}\n"), digest_size=8)
            _read(file, digest)
            found.append(digest.hexdigest())
    return found


def _digest_of_all(paths: Iterable[Path]) -> str:
    """What earlier versions noted: one digest of all files that are not hidden, whether or not they were read."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        for name, file, state in files(os.fspath(path)):
            digest.update(os.fsencode(f"{name!r} {state.st_size}\n"))
            _read(file, digest)
    return digest.hexdigest()


def _read(file: str, digest: hashlib.blake2b) -> None:
    with open(file, "rb") as opened:  # noqa: PTH123 - of a million
        while chunk := opened.read(CHUNK):
            digest.update(chunk)


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
            _write(Path(folder), look, digests(paths))
        except OSError as error:
            raise LongtailError(f"Cannot read {error.filename} any more: {error.strerror or error}.") from error


def state(folder: str | os.PathLike[str], paths: list[Path]) -> Raw:
    """What has become of the raw data behind the decoded data in a folder.

    Reads contents only where files look different; where none is another, the new look is noted.

    Args:
        folder: of what was made.
        paths: what would be read now.
    """
    try:
        known = json.loads((Path(folder) / NOTE).read_text(encoding="utf-8"))
        noted, read = known["fingerprint"], list(known["files"] if "files" in known else [known["contents"]])
    except (OSError, ValueError, KeyError, TypeError):
        return Raw.UNKNOWN
    there = sum(1 for path in paths for _ in files(path))
    if not there:
        return Raw.GONE
    look = fingerprint(paths)
    if look != noted:
        try:
            found = digests(paths)
            if "files" not in known and [_digest_of_all(paths)] == read:
                read = found
        except OSError:  # some may not be read
            return Raw.CHANGED
        rest = iter(read)
        if not all(digest in rest for digest in found):  # in their order
            return Raw.CHANGED
        with suppress(LongtailError):  # results that may only be read: they are compared again the next time
            _write(Path(folder), look, read)
    return Raw.SAME if there == len(read) else Raw.GONE


def _write(folder: Path, look: str, read: list[str]) -> None:
    with replacing(folder / NOTE) as temporary:
        temporary.write_text(json.dumps({"fingerprint": look, "files": read}) + "\n", encoding="utf-8")


def _named(paths: list[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
