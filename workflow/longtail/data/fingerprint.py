"""What raw data look like from outside: a text that changes when files are exchanged, added or removed.

Nothing is opened. A file counts by its name, size and time of change, a folder by all files below it, of which those
with hidden names are left out, as they are when images are read. Where the files lie does not count, so data may be
moved, or reached by another link, without being decoded again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

HIDDEN = frozenset({"__MACOSX", "@eaDir", "lost+found"})
"""Names that systems and archivers leave behind, beside all that begin with a point (``.ipynb_checkpoints``)."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is no part of a dataset."""
    return name.startswith(".") or name in HIDDEN


def fingerprint(paths: Iterable[str | os.PathLike[str]]) -> str:
    """A text of 32 hexadecimal digits for the present state of files and folders, in their order.

    Args:
        paths: files, and folders that stand for all that lies below them. What does not exist counts as missing, and
            what cannot be looked at as unreadable: whoever reads it says what is wrong.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        for line in _lines(Path(path)):
            digest.update(os.fsencode(f"{line}\n"))
    return digest.hexdigest()


def _lines(path: Path) -> Iterator[str]:
    try:
        state = path.stat()
        if not path.is_dir():
            yield f"{path.name!r} {state.st_size} {state.st_mtime_ns}"
            return
    except (OSError, ValueError):  # the latter where the name holds a zero
        yield f"{path.name!r} missing"
        return
    yield f"{path.name!r}:"
    yield from _below(os.fspath(path), "", frozenset({(state.st_dev, state.st_ino)}))


def _below(folder: str, within: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    """A line for every file below a folder; ``above`` are the folders that it lies in, for links that lead back."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry for entry in entries if not is_hidden(entry.name)), key=lambda entry: entry.name)
    except OSError:
        yield f"{within!r} unreadable"
        return
    for entry in found:
        name = f"{within}{entry.name}"
        try:
            state = entry.stat()
            is_folder = entry.is_dir()
        except OSError:  # a link to nothing
            yield f"{name!r} missing"
            continue
        if not is_folder:
            yield f"{name!r} {state.st_size} {state.st_mtime_ns}"
        elif (state.st_dev, state.st_ino) not in above:
            yield from _below(entry.path, f"{name}/", above | {(state.st_dev, state.st_ino)})
