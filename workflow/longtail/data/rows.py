"""What all sources of raw data share: a row before it is decoded, what a set should hold, and how they speak."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from longtail.errors import LongtailError


class Sample(NamedTuple):
    """One image before decoding.

    Attributes:
        name: what an error message calls the image (a file, or a file and its row).
        content: pixels (uint8, (H, W) or (H, W, C)), an encoded image, or the path of one.
        label: class index as the source gives it.
    """

    name: str
    content: np.ndarray | bytes | Path
    label: int


class Labelled(Protocol):
    """A row of a source: what messages call it, and its class."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> int: ...  # noqa: D102


Row = TypeVar("Row", bound=Labelled)


@dataclass(frozen=True)
class Expected:
    """What the catalogue says a set holds, for sources that can tell before anything is decoded.

    Attributes:
        name: of the set.
        classes: number of classes K; labels are 0..K-1.
        parts: number of rows in each part.
    """

    name: str
    classes: int
    parts: Mapping[str, int]

    def require_rows(self, part: str, found: int, holds: str, place: str, hint: str = "") -> None:
        """Raise unless the part has as many rows as the catalogue says.

        Args:
            part: ``train`` or ``test``.
            found: number of rows.
            holds: what the rows are.
            place: where they were found.
            hint: what else there is to know about the place.
        """
        if found != self.parts[part]:
            counted = f"{found:,}" if found > self.parts[part] else f"only {found:,}"
            raise wrong_number(self.name, holds, part, counted, self.parts[part], place, hint)

    def with_labels_checked(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows, up to the first whose label is not in 0..K-1, which is an error."""
        for row in rows:
            if not 0 <= row.label < self.classes:
                raise self.wrong_label(row.name, str(row.label))
            yield row

    def wrong_label(self, where: str, label: str) -> LongtailError:
        """The error for a label, or several, of which at least one is not in 0..K-1."""
        return LongtailError(
            f"{where} has label {label}; {self.name} has {self.classes} classes, 0..{self.classes - 1}. Check the "
            f"labels of the source and the classes in the catalogue."
        )


def wrong_number(
    name: str, holds: str, part: str, found: str, expected: int, place: str = "", hint: str = ""
) -> LongtailError:
    """The error for a source with other than the catalogue's number of images or texts in a part."""
    if found.split()[-1] == "1":
        holds = holds.removesuffix("s")
    return LongtailError(
        f"The source of {name} has {found} {holds} in part {part!r}, the catalogue says {expected:,}"
        f"{f' ({place})' * bool(place)}. Get the missing files, or correct 'parts' in the catalogue. {hint}".rstrip()
    )


def note(message: str) -> None:
    """Say in the job's log what was taken for granted."""
    print(f"note: {message}", file=sys.stderr, flush=True)


def sentences(*found: str) -> str:
    """Those that say something, one after the other."""
    return " ".join(filter(None, found))


def listed(names: Iterable[str], most: int = 5) -> str:
    """The first names of many, for a message."""
    found = list(names)
    more = f" and {len(found) - most:,} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
