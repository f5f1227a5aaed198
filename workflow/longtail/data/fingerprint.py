"""What raw data look like from outside: a text that changes when files are exchanged, added or removed.

Nothing is opened. A file counts by its name, size and times of change, a folder by all files below it that are read:
those with hidden names are left out, and of a folder of images all that are no images. Where the files lie does not
count, so data may be moved, or reached by another link, without being decoded again.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator

HIDDEN = frozenset({"__MACOSX", "@eaDir", "lost+found"})
"""Names that systems and archivers leave behind, beside all that begin with a point (``.ipynb_checkpoints``)."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is no part of a dataset."""
    return name.startswith(".") or name in HIDDEN


def fingerprint(paths: Iterable[str | os.PathLike[str]]) -> str:
    """A text of 32 hexadecimal digits for the present state of files and folders, in their order.

    The second time, that of the change of anything about a file, is set by nobody but the system, so another file of
    the same name, size and time of writing looks different.

    Args:
        paths: files, and folders that stand for what :func:`files` finds below them. What does not exist or cannot be
            looked at counts by its name alone: whoever reads it says what is wrong.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        digest.update(os.fsencode(f"{os.path.basename(path)!r}:\n"))  # noqa: PTH119 - of a million
        for name, _, state in files(path):
            digest.update(os.fsencode(f"{name!r} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}\n"))
    return digest.hexdigest()


def files(path: str | os.PathLike[str]) -> Iterator[tuple[str, str, os.stat_result]]:
    """The file, or those below the folder: what they are called there, their paths and states.

    Only what can be read to its end: no named pipes, no devices, and no links to nothing. Where a path has a method
    ``reads``, that tells by a name within the folder whether a file counts.
    """
    try:
        state = os.stat(path)  # noqa: PTH116 - of a million
    except (OSError, ValueError):  # the latter where the name holds a zero
        return
    if stat.S_ISDIR(state.st_mode):
        reads = getattr(path, "reads", lambda name: True)
        yield from _below(os.fspath(path), "", reads, frozenset({(state.st_dev, state.st_ino)}))
    elif stat.S_ISREG(state.st_mode):
        yield os.path.basename(path), os.fspath(path), state  # noqa: PTH119


def _below(
    folder: str, within: str, reads: Callable[[str], bool], above: frozenset[tuple[int, int]]
) -> Iterator[tuple[str, str, os.stat_result]]:
    """The files of a folder, then those further below; ``above`` are the folders it lies in, for links back."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry for entry in entries if not is_hidden(entry.name)), key=lambda entry: entry.name)
    except OSError:
        return
    folders = []
    for entry in found:
        name = f"{within}{entry.name}"
        try:
            state = entry.stat()
        except OSError:  # a link to nothing, or to itself
            continue
        if stat.S_ISDIR(state.st_mode):
            folders.append((entry.path, f"{name}/", (state.st_dev, state.st_ino)))
        elif stat.S_ISREG(state.st_mode) and reads(name):
            yield name, entry.path, state
    for path, name, place in folders:
        if place not in above:
            yield from _below(path, name, reads, above | {place})
