"""What the commands of training and embedding are given: specifications and paths. Imports no torch."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from longtail.errors import LongtailError
from longtail.files import read_json
from longtail.training.spec import require_spec

GPUS_HELP = "1: on a GPU, 0: on the CPU; a GPU if there is one when not given, in a Slurm job what that was given"


def read_spec(text: str) -> dict[str, Any]:
    """A phase's specification from JSON, or from the file after an ``@``.

    Raises:
        LongtailError: if it cannot be read, lacks a part or has one of the wrong type.
    """
    spec = read_json(text, "The specification")
    require_spec(spec)
    return spec


def with_rows(spec: Mapping[str, Any], labels: Sequence[int], split: Path) -> dict[str, Any]:
    """The specification with what only the split tells of its data: ``rows``, and ``class_sizes`` of them.

    Args:
        spec: a phase as data.
        labels: true class of each row of the training split.
        split: its path, for the message.

    Raises:
        LongtailError: if the specification names another number of rows.
    """
    rows, stated = len(labels), spec["data"].get("rows", len(labels))
    if stated != rows:
        raise LongtailError(
            f"{split} has {rows} rows, but the specification says {stated}. One of them is out of date: delete the "
            f"split and run the workflow again."
        )
    counted = Counter(labels)
    sizes = [counted[label] for label in range(spec["data"]["classes"])]
    return {**spec, "data": {**spec["data"], "rows": rows, "class_sizes": sizes}}


def stores(pairs: Sequence[str]) -> dict[str, Path]:
    """The image stores by part, from arguments ``part=path``."""
    found: dict[str, Path] = {}
    for pair in pairs:
        part, separator, path = pair.partition("=")
        if not (part and separator and path):
            raise LongtailError(f"--images {pair} does not say which part it is. Write --images train=PATH.")
        if part in found:
            raise LongtailError(f"--images gives part {part!r} twice: {found[part]} and {path}.")
        found[part] = Path(path)
    return found


def thread_count(asked: int | None) -> int | None:
    """CPU threads to compute with: in a Slurm job those it was given, bound to them or not, else those asked for."""
    if "SLURM_JOB_ID" in os.environ and hasattr(os, "sched_getaffinity"):
        bound = len(os.sched_getaffinity(0))
        return min(bound, int(os.environ.get("SLURM_CPUS_PER_TASK", bound)))
    return asked
