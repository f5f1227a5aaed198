"""What finished jobs tell: on what they trained, and for the next ones images per second and sizes of files."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longtail.errors import LongtailError
from longtail.files import read_provenance
from longtail.study import layout
from longtail.study.cells import Measurement
from longtail.study.layout import Run

PaceKey = tuple[str, str, int, str]
"""Objective, backbone with its stem, image size, precision class: what makes trainings equally fast on a device."""


@dataclass(frozen=True)
class Pace:
    """How fast trainings of a kind were.

    Attributes:
        images_per_second: over all their epochs.
        device: the one on which most of their time was spent; the others are left out.
        trainings: how many finished on it.
    """

    images_per_second: float
    device: str
    trainings: int


@dataclass(frozen=True)
class Finished:
    """What is known from finished jobs.

    Attributes:
        paces: by :data:`PaceKey`.
        checkpoint_bytes: mean, by objective and backbone.
        row_bytes: of an embeddings file, by backbone (or control) and features.
        unreadable: phases whose records are damaged, by folder.
    """

    paces: Mapping[PaceKey, Pace] = field(default_factory=dict)
    checkpoint_bytes: Mapping[tuple[str, str], float] = field(default_factory=dict)
    row_bytes: Mapping[tuple[str, str], float] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()


def pace_key(objective: str, backbone: Mapping[str, Any], image_size: int, precision: str) -> PaceKey:
    """The key under which the pace of a training is known."""
    return (objective, "/".join(backbone[part] for part in ("name", "stem") if part in backbone), image_size, precision)


def input_size(data: Mapping[str, Any]) -> int:
    """How long what networks read is: pixels of a side of an image, or tokens of a text."""
    return int(data["max_tokens"] if "max_tokens" in data else data["image_size"])


def read() -> Finished:
    """The records of all phases under ``results/``, whatever configuration they were trained under."""
    seconds: dict[PaceKey, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    checkpoints: dict[tuple[str, str], list[int]] = defaultdict(list)
    embeddings: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    unreadable = []
    for run in layout.finished_phases():
        try:
            spec = json.loads(Path(run.spec).read_text(encoding="utf-8"))
            objective, backbone = spec["lineage"][-1]["objective"], spec["backbone"]
            if Path(run.history).exists():
                facts = read_provenance(run.history)
                if facts.get("images_per_second"):
                    key = pace_key(objective, backbone, input_size(spec["data"]), spec["precision"])
                    spent = facts["seconds"], facts["seconds"] * facts["images_per_second"]
                    seconds[key][facts["device"]].append(spent)
            if Path(run.checkpoint).exists():
                checkpoints[objective, backbone["name"]].append(Path(run.checkpoint).stat().st_size)
            for features, path in _embeddings(run):
                embeddings[backbone["name"], features].append((path.stat().st_size, pq.read_metadata(path).num_rows))
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException, LongtailError):
            unreadable.append(run.folder)
    return Finished(
        paces={key: _pace(by_device) for key, by_device in seconds.items()},
        checkpoint_bytes={key: sum(sizes) / len(sizes) for key, sizes in checkpoints.items()},
        row_bytes={
            key: sum(size for size, _ in files) / max(sum(rows for _, rows in files), 1)
            for key, files in embeddings.items()
        },
        unreadable=tuple(unreadable),
    )


def trained_on(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """On what the trainings of some phases ended, and in which number format: most trainings first.

    Args:
        runs: of phases or controls, of which the latter have no training.

    Returns:
        ``device``, ``precision`` and ``trainings`` of each kind; those without a readable record are left out.
    """
    found: Counter[tuple[str, str]] = Counter()
    for run in dict.fromkeys(runs):
        with suppress(LongtailError, KeyError):
            facts = read_provenance(run.history)
            found[facts["device"], facts["precision"]] += 1
    return [
        {"device": device, "precision": precision, "trainings": number}
        for (device, precision), number in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]


def timed_on(measurements: Iterable[Measurement]) -> list[dict[str, Any]]:
    """On what networks were timed, and in which number format: most networks first.

    Args:
        measurements: those of which none is a time are left out.

    Returns:
        ``device``, ``precision`` and ``networks`` of each kind.

    Raises:
        LongtailError: if a file does not say on what its network was timed, so that nothing compares with it.
    """
    found: Counter[tuple[str, str]] = Counter()
    for path in dict.fromkeys(each.path for each in measurements if each.keys["readout"] == "network"):
        facts = read_provenance(path)
        if not {"device", "precision"} <= facts.keys():
            raise LongtailError(f"{path} does not say on what it was timed. Delete it and run the workflow again.")
        found[facts["device"], facts["precision"]] += 1
    return [
        {"device": device, "precision": precision, "networks": number}
        for (device, precision), number in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]


def _embeddings(run: Run) -> list[tuple[str, Path]]:
    paths = Path(run.folder).glob("*/*/embeddings.parquet")
    return [(path.parent.parent.name, path) for path in sorted(paths)]


def _pace(by_device: Mapping[str, list[tuple[float, float]]]) -> Pace:
    device = max(by_device, key=lambda name: sum(seconds for seconds, _ in by_device[name]))
    trainings = by_device[device]
    pace = sum(images for _, images in trainings) / sum(seconds for seconds, _ in trainings)
    return Pace(pace, device, len(trainings))
