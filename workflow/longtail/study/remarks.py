"""Remarks: what papers say, what official codes do and what is done here, where no setting of the catalogue tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longtail.errors import LongtailError, unknown
from longtail.study import documents

SECTIONS = ("data", "augmentation", "clustering", "figures")
"""The parts of ``catalog/remarks.yaml``; datasets' own remarks belong to the first."""

SUBJECTS = (
    "objectives",
    "methods",
    "datasets",
    "readouts",
    "scorers",
    "projections",
    "augmentations",
    "artefacts",
)
"""By what a remark says which cells it touches."""


@dataclass(frozen=True)
class Remark:
    """One remark.

    Attributes:
        home: the family of methods it belongs to, or one of :data:`SECTIONS`.
        kind: ``difference``, ``unstated``, ``departure`` or ``release``, see ``schemas/remarks.schema.yaml``.
        point: what it is about.
        paper: what the paper says; empty if nothing.
        official: what the official code does; empty if there is nothing to say of it.
        here: what is done here, by protocol.
        subjects: names by kind, see :data:`SUBJECTS`; a cell it touches has one name of every kind that is given.
    """

    home: str
    kind: str
    point: str
    paper: str
    official: str
    here: Mapping[str, str]
    subjects: Mapping[str, tuple[str, ...]]


def read(entries: Any, home: str, path: Path) -> Iterator[Remark]:
    """The remarks of one list in a file of the catalogue.

    Raises:
        LongtailError: for anything the schema does not allow.
    """
    documents.validate(entries, "remarks", path)
    for entry in entries:
        here = entry["here"]
        yield Remark(
            home=home,
            kind=entry["kind"],
            point=entry["point"],
            paper=entry.get("paper", ""),
            official=entry.get("official", ""),
            here=here if isinstance(here, Mapping) else {"official": here, "paper": here},
            subjects={kind: tuple(entry[kind]) for kind in SUBJECTS if kind in entry},
        )


def read_sections(path: Path) -> Iterator[Remark]:
    """The remarks of ``catalog/remarks.yaml``, which a catalogue need not have."""
    document = documents.read_yaml(path) if path.exists() else {}
    if not isinstance(document, Mapping):
        raise LongtailError(f"{path}: remarks stand below one of {', '.join(SECTIONS)}.")
    for section, entries in document.items():
        if section not in SECTIONS:
            raise unknown(f"section of {path}", section, SECTIONS)
        yield from read(entries, section, path)


def check(remark: Remark, known: Mapping[str, Any]) -> None:
    """That every name a remark mentions exists; otherwise it would touch no cell, and nobody would know.

    Args:
        remark: any remark.
        known: the names that exist, for each of :data:`SUBJECTS`, and the ``papers``. What is said of the tables of a
            paper that the catalogue lacks is let alone.
    """
    for kind, names in remark.subjects.items():
        for name in names:
            elsewhere = kind == "artefacts" and str(name).partition("_")[0] not in known["papers"]
            if name not in known[kind] and not elsewhere:
                raise unknown(f"{kind[:-1]} (remark {remark.point!r})", name, known[kind])
