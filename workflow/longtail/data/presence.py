"""Whether the images that a list names are there, each once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from longtail.data.places import place_of
from longtail.data.rows import listed
from longtail.errors import LongtailError


def absent(paths: Iterable[Path]) -> list[int]:
    """Positions of paths where nothing is; looks once at a folder, and again only at what it has not or is a link."""
    seen: dict[str, set[str]] = {}
    found = []
    for position, path in enumerate(paths):
        folder, name = os.path.split(path)
        if folder not in seen:
            seen[folder] = set()
            with suppress(OSError, ValueError), os.scandir(folder) as entries:
                seen[folder].update(entry.name for entry in entries if not entry.is_symlink())
        if name not in seen[folder] and not os.path.exists(path):  # noqa: PTH110 - which takes any text
            found.append(position)
    return found


def do_not_exist(missing: Sequence[tuple[str, Path]]) -> str:
    """What is said of images that are not there, by their names and places; there is at least one."""
    (name, path), *others = missing
    more = f"; nor do {len(others):,} more: {listed(other for other, _ in others)}" * bool(others)
    return f"The image {name} does not exist ({place_of(path)}){more}."


def require_once(paths: Sequence[Path], name: Callable[[int], str], way_out: str) -> None:
    """Check that no file is named twice: an image that counts double would be trained on or tested twice.

    Args:
        paths: the files that are named.
        name: what messages call the entry at a position.
        way_out: what to do about it.

    Raises:
        LongtailError: naming both entries of the first file that is.
    """
    if len(set(paths)) == len(paths):
        return
    first: dict[Path, int] = {}
    twice = [(first[path], here) for here, path in enumerate(paths) if first.setdefault(path, here) != here]
    before, after = twice[0]
    others = len(twice) - 1
    more = f", and {others:,} more {'is such a repetition' if others == 1 else 'are such repetitions'}" * (others > 0)
    raise LongtailError(f"{name(after)} names the same image as {name(before)}{more}. {way_out}")
