"""What was made of files, until one of them changes: a page that is made again reads what is new and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

Made = TypeVar("Made")
Stamp = tuple[int, int, int]


class Remembered:
    """Keeps what was made of files, each under a name."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[tuple[Stamp | None, ...], Any]] = {}

    def of(self, name: Hashable, paths: Iterable[str], make: Callable[[], Made]) -> Made:
        """What ``make`` returns, called again only when one of the files is another one, comes or goes.

        Args:
            name: what it is kept under.
            paths: the files that it is made of.
            make: makes it. What it raises is not kept.
        """
        stamps = tuple(map(stamp, paths))
        if name in self._kept and self._kept[name][0] == stamps:
            return self._kept[name][1]
        made = make()
        self._kept[name] = stamps, made
        return made


def stamp(path: str) -> Stamp | None:
    """What tells a file from the one that takes its place; None without one."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
