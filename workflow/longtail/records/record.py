"""A record: what is left of a finished cell when its weights are gone, in one Parquet file of a few kilobytes.

Its lines are the metrics of all that was measured of one training, and the curves of the trainings that lead to it. Its
metadata say how it came about, and carry a digest over all of that, so that a record which was changed or cut short is
no longer one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from longtail.errors import LongtailError
from longtail.files import read_with_provenance, write_described
from longtail.study import layout
from longtail.study.phases import canonical, identity_of, kinship

FORMAT = 1

SCHEMA = pa.schema(
    [
        ("training", pa.string()),
        ("epoch", pa.int64()),
        ("features", pa.string()),
        ("split", pa.string()),
        ("readout", pa.string()),
        ("scorer", pa.string()),
        ("trial", pa.int64()),
        ("metric", pa.string()),
        ("class", pa.int64()),
        ("cluster", pa.int64()),
        ("parameter", pa.string()),
        ("value", pa.float64()),
        ("unit", pa.string()),
    ]
)
"""A point of a curve has ``training`` (folder name of the phase), ``epoch`` and, as ``metric``, a column of the
history; a measured value has the columns from ``features`` on, those of metric files included."""

FACTS = ("format", "cut", "spec", "methods", "label", "overlooked", "trainings", "measured", "revisions", "digest")


OVERLOOKED = {
    "dirty": "the code had changes that no commit has, or was in no checkout",
    "budget": "it was trained at a smaller budget than the papers'",
    "unknown": "the catalogue trains nothing like it",
    "partial": "it is not measured by its method's own readout",
}
"""What a cell is refused for, unless ``--overlook`` says otherwise; the record then says so."""


@dataclass(frozen=True)
class Measured:
    """One metric file of a cell.

    Attributes:
        features, split, readout, scorer: what was measured, as in the file's path.
        settings: canonical JSON of the settings of readout and scorer.
    """

    features: str
    split: str
    readout: str
    scorer: str
    settings: str

    @property
    def place(self) -> tuple[str, str, str, str]:
        """What was measured, whatever the settings."""
        return (self.features, self.split, self.readout, self.scorer)


@dataclass(frozen=True)
class Record:
    """One finished cell.

    Attributes:
        cut: folder name of the split that it was trained on.
        spec: of the training that was measured, with its seed.
        methods: ``method``, ``settings`` and ``backbone`` of the cells of the catalogue that it was when it was
            recorded; several methods may measure one training.
        label: what kept it from being a reproduction as printed: budget, protocol, precision, source of the data.
        overlooked: what a record is refused for and this one was not, since somebody said so.
        trainings: of each job behind it, the earliest first: ``training`` (folder name of its phase), ``seed``,
            ``device``, ``precision``, ``threads``, ``seconds``, ``images_per_second``, ``peak_memory_bytes``,
            ``revision``, ``longtail``, ``python``, ``versions``, ``created``.
        measured: the metric files.
        revisions: of the code that made these.
        lines: with the columns of :data:`SCHEMA`.
        path: where it lies, as it was read; empty before it is written.
    """

    cut: str
    spec: Mapping[str, Any]
    methods: tuple[Mapping[str, str], ...]
    label: str
    overlooked: tuple[str, ...]
    trainings: tuple[Mapping[str, Any], ...]
    measured: tuple[Measured, ...]
    revisions: tuple[str, ...]
    lines: pa.Table = field(repr=False)
    path: str = ""

    @property
    def seed(self) -> int:
        """Of its training."""
        return int(self.spec["seed"])

    @cached_property
    def kin(self) -> str:
        """What it was trained as, wherever its images came from: see :func:`longtail.study.phases.kinship`."""
        return kinship(self.spec)

    @property
    def source(self) -> str:
        """Where its images or texts came from."""
        return str(self.spec["data"]["source"])

    @property
    def reservations(self) -> str:
        """All that keeps its values from being as printed, and is to be said wherever they stand; empty if nothing."""
        told = [f"recorded although {OVERLOOKED[word]}" for word in self.overlooked]
        return "; ".join(filter(None, [self.label, *told]))

    @property
    def device(self) -> str:
        """What its last job trained on."""
        return str(self.trainings[-1]["device"])

    @property
    def precision(self) -> str:
        """The number format that its last job computed in."""
        return str(self.trainings[-1]["precision"])

    @property
    def commit(self) -> str:
        """The commit of the code that its last job ran."""
        return str(self.trainings[-1]["revision"])

    @property
    def seconds(self) -> float:
        """Of all trainings behind it."""
        return sum(training["seconds"] for training in self.trainings)

    @property
    def objective(self) -> str:
        """What its last job minimised."""
        return str(self.spec["lineage"][-1]["objective"])

    @property
    def name(self) -> str:
        """Its file name: phase, seed, and a digest of the trainings, which are others on another machine."""
        last = self.spec["lineage"][-1]
        made = hashlib.sha256(canonical([self.cut, self.spec, *self.trainings]).encode()).hexdigest()[:8]
        return f"{last['objective']}-{last['last_epoch']}-{self.spec['identity']}-seed{self.seed}-{made}.parquet"

    def curves(self) -> Iterator[tuple[Mapping[str, Any], str, np.ndarray, np.ndarray]]:
        """Each curve: its training, what it is of, complete epochs of the clock (E,) int64, and values (E,) float64."""
        points = self.lines.filter(pc.field("training").is_valid())
        of, metric = (np.asarray(points[name].to_pylist(), dtype=str) for name in ("training", "metric"))
        epochs, values = points["epoch"].to_numpy(), points["value"].to_numpy()
        for training in self.trainings:
            here = of == training["training"]
            for name in dict.fromkeys(metric[here].tolist()):
                chosen = here & (metric == name)
                yield training, name, epochs[chosen], values[chosen]

    def values(self) -> pa.Table:
        """The measured values: the columns of metric files, and those that say what was measured."""
        return self.lines.filter(pc.field("training").is_null()).drop_columns(["training", "epoch"])

    def facts(self) -> dict[str, Any]:
        """All but the lines, as data; ``digest`` is over both."""
        found: dict[str, Any] = {
            "format": FORMAT,
            "cut": self.cut,
            "spec": dict(self.spec),
            "methods": [dict(method) for method in self.methods],
            "label": self.label,
            "overlooked": list(self.overlooked),
            "trainings": [dict(training) for training in self.trainings],
            "measured": [measured.__dict__ for measured in self.measured],
            "revisions": list(self.revisions),
        }
        return {**found, "digest": _digest(found, self.lines)}

    def write(self, folder: str) -> str:
        """Write it into the folder of all records, over an older record of the same training.

        Returns:
            The path.

        Raises:
            LongtailError: when the folder cannot be written.
        """
        path = layout.record(folder, self.cut, self.name)
        write_described(path, self.lines, self.facts())
        return path


def read(path: str) -> Record:
    """The record in a file.

    Raises:
        LongtailError: naming the file, if it is missing, damaged, of another format, or not as it was written.
    """
    way_out = "Get it anew (git checkout), or delete it."
    try:
        lines, facts = read_with_provenance(path)
    except LongtailError as error:
        reason = str(error).split(". Delete it")[0]
        raise LongtailError(f"The record {reason.removesuffix('.')}. {way_out}") from error
    if not set(FACTS) <= set(facts) or not lines.schema.equals(SCHEMA, check_metadata=False):
        raise LongtailError(f"{path} is no record, or lacks part of one. {way_out}")
    if facts["format"] != FORMAT:
        raise LongtailError(
            f"The record {path} is of format {facts['format']}, and this version reads format {FORMAT}. Update the "
            f"checkout, or delete the record."
        )
    lines = lines.replace_schema_metadata(None)
    told = {key: value for key, value in facts.items() if key != "digest"}
    if _digest(told, lines) != facts["digest"]:
        raise LongtailError(f"The record {path} is not as it was written: its digest does not fit. {way_out}")
    found = Record(
        cut=facts["cut"],
        spec=facts["spec"],
        methods=tuple(facts["methods"]),
        label=facts["label"],
        overlooked=tuple(facts["overlooked"]),
        trainings=tuple(facts["trainings"]),
        measured=tuple(Measured(**measured) for measured in facts["measured"]),
        revisions=tuple(facts["revisions"]),
        lines=lines,
        path=path,
    )
    if identity_of(found.spec) != found.spec["identity"] or Path(path).name != found.name:
        raise LongtailError(
            f"The record {path} does not hold what its name says: that would be {found.cut}/{found.name}. {way_out}"
        )
    return found


def read_all(folder: str, cuts: Iterable[str] = ("*",)) -> tuple[Record, ...]:
    """All records of a folder, or those on some splits.

    Raises:
        LongtailError: naming every record that is none.
    """
    found, wrong = [], []
    for path in layout.records(folder, cuts):
        try:
            found.append(read(path))
        except LongtailError as error:
            wrong.append(str(error))
    if wrong:
        raise LongtailError("\n".join(wrong))
    return tuple(found)


def _digest(facts: Mapping[str, Any], lines: pa.Table) -> str:
    """Of the contents and not of the bytes, which another release of Parquet's library would write otherwise."""
    digest = hashlib.sha256(canonical(facts).encode())
    for column in lines.schema:
        digest.update(canonical([column.name, *_exact(lines[column.name].to_pylist())]).encode())
    return digest.hexdigest()


def _exact(values: Sequence[Any]) -> list[Any]:
    return [value.hex() if isinstance(value, float) else value for value in values]
