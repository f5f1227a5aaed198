"""``python -m longtail job merge``: the metrics of all cells of one table, figure or cell, in one tidy Parquet.

The files lie where the study says. The rule does not name them on the command line, as other rules do: some hundred
of them are longer than the 128 KiB that Linux allows for the one argument that a shell gets its command in.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from longtail.errors import LongtailError
from longtail.files import read_json, read_with_provenance, write_tables
from longtail.reporting.finished import timed_on, trained_on
from longtail.study import layout
from longtail.study.cells import Measurement
from longtail.study.study import Study, load_study

CHUNK = 1000
"""Cells that are in memory at a time."""


Reader = Callable[[str], tuple[pa.Table, Mapping[str, Any]]]


def merged(
    measurements: Sequence[Measurement], revisions: set[str], read: Reader = read_with_provenance
) -> Iterator[pa.Table]:
    """The lines of metric files with the keys of their cells, for some cells after the other.

    Args:
        measurements: the cells.
        revisions: filled with those of the code that made the files.
        read: what reads one of them, with its provenance.

    Raises:
        LongtailError: if a file is missing, unreadable, or of other columns than the first.
    """
    schema: pa.Schema | None = None
    for start in range(0, len(measurements), CHUNK):
        chunk = measurements[start : start + CHUNK]
        tables = []
        for measurement in chunk:
            table, made_by = read(measurement.path)
            schema = schema or table.schema.remove_metadata()
            if not table.schema.equals(schema):
                raise LongtailError(
                    f"{measurement.path} has other columns than the files it is merged with: "
                    f"{_columns(table.schema)} instead of {_columns(schema)}. Delete it and run the workflow again."
                )
            tables.append(table.replace_schema_metadata(None))
            revisions.add(str(made_by.get("revision")))
        lines = pa.concat_tables(tables)
        cell_of_line = np.repeat(np.arange(len(chunk)), [len(table) for table in tables])
        for name, value in chunk[0].keys.items():
            kind = pa.int64() if isinstance(value, int) else pa.string()
            values = pa.array([measurement.keys[name] for measurement in chunk], kind)
            lines = lines.append_column(name, values.take(pa.array(cell_of_line)))
        yield lines


def facts_of(study: Study, wanted: Sequence[Measurement], found: Sequence[Measurement]) -> dict[str, Any]:
    """What merged metrics say of their making: which of the ``wanted`` cells they are of, and how these were made.

    Raises:
        LongtailError: if a file does not say on what its network was timed.
    """
    return {
        "cells": {"merged": len(found), "wanted": len(wanted)},
        "label": study.label_of([measurement.keys for measurement in wanted]),
        "trained": trained_on(measurement.run for measurement in found),
        "timed": timed_on(found),
    }


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``merge``."""
    parser.add_argument("--config", required=True, help="the run's configuration as JSON, or @FILE with that JSON")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--artefact", nargs=2, metavar=("PAPER", "NAME"), help="a table or figure")
    what.add_argument("--cell", nargs=3, metavar=("METHOD", "CUT", "SEED"), help="a single cell")
    parser.add_argument("--out", required=True)
    parser.add_argument("--results", default="results", metavar="FOLDER", help="where all results lie")


def run(arguments: argparse.Namespace) -> None:
    """Merge and write."""
    layout.move(arguments.results)
    study = load_study(read_json(arguments.config, "--config"))
    if arguments.artefact:
        measurements = study.measurements(*arguments.artefact)
    else:
        method, cut, seed = arguments.cell
        if not seed.isdecimal():
            raise LongtailError(f"A training seed is a whole number from 0 on, not {seed!r}.")
        measurements = study.cell_measurements(method, cut, int(seed))
    found = [cell for cell in measurements if Path(cell.path).exists()] if study.config.partial else measurements
    revisions: set[str] = set()
    tables = merged(found, revisions) if found else [pa.table({})]
    facts = facts_of(study, measurements, found)
    write_tables(arguments.out, tables, lambda: {"revisions": sorted(revisions), **facts})
