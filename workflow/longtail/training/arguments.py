"""What the commands of training and embedding are given beside a specification. Imports no torch."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from longtail.errors import LongtailError

GPUS_HELP = "1: on a GPU, 0: on the CPU; a GPU if there is one when not given, in a Slurm job what that was given"

PER_GPU_HELP = "K: K processes share a GPU, each with a K-th of its memory; one on several GPUs has them alone (1)"


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above 0")
    return number


def stores(pairs: Sequence[str]) -> dict[str, Path]:
    """The stores of images or texts by part, from arguments ``part=path``."""
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
