"""Records made by hand of cells that the catalogue has, as if they had been trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from longtail.records.record import SCHEMA, Measured, Record
from longtail.study.cells import Cell
from longtail.study.phases import canonical, identity_of
from longtail.study.study import Study, load_study

SHIPPED = Path(__file__).parents[2] / "results" / "records"


def study(**config: Any) -> Study:
    return load_study({"targets": ["digits"], **config})


def settings_of(study: Study, cell: Cell) -> str:
    return canonical(
        {"readout": study.catalog.readouts.get(cell.readout), "scorer": study.catalog.scorers[cell.scorer]}
    )


def record(
    study: Study,
    method: str,
    cut: str,
    seed: int = 0,
    values: Mapping[str, Sequence[float]] | None = None,
    unit: str = "percent",
    device: str = "some CPU",
    source: str | None = None,
    created: str = "2026-01-01T00:00:00+00:00",
    spec: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Record:
    """A record of a method by its own readout; ``values`` are by metric, one per trial."""
    (measurement,) = study.cell_measurements(method, cut, seed)
    cell = measurement.cell
    told = study.trained(cell, seed).spec(seed)
    if source is not None:
        told["data"]["source"] = source
    told |= spec or {}
    told["identity"] = identity_of(told)
    last = told["lineage"][-1]
    name = f"{last['objective']}-{last['last_epoch']}-{told['identity']}"
    training = {
        "training": name,
        "seed": seed,
        "device": device,
        "precision": "float32",
        "threads": 1,
        "seconds": 12.0,
        "images_per_second": 100.0,
        "peak_memory_bytes": 1,
        "revision": "0123456789ab",
        "longtail": "0.1.0",
        "python": "3.11.7",
        "versions": {"torch": "2.0"},
        "created": created,
    }
    of = {part: getattr(cell, part) for part in ("features", "split", "readout", "scorer")}
    lines = [{"training": name, "epoch": epoch, "metric": "loss", "value": 1 / epoch} for epoch in range(1, 5)]
    lines += [
        {**of, "trial": trial, "metric": metric, "value": value, "unit": unit}
        for metric, trials in (values or {}).items()
        for trial, value in enumerate(trials)
    ]
    parts: dict[str, Any] = {
        "cut": measurement.run.cut,
        "spec": json.loads(json.dumps(told)),
        "methods": ({"method": method, "settings": cell.settings, "backbone": cell.backbone},),
        "label": "",
        "overlooked": (),
        "trainings": (training,),
        "measured": (Measured(**of, settings=settings_of(study, cell)),),
        "revisions": ("0123456789ab",),
        "lines": pa.Table.from_pylist(lines, schema=SCHEMA),
    }
    return Record(**{**parts, **changes})
