"""``python -m longtail merge``: the metrics of all cells of one table, figure or cell, in one tidy Parquet."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import pyarrow as pa

from longtail.errors import LongtailError
from longtail.files import read_json, read_provenance, read_table, write_table
from longtail.study.plan import Measurement, load_study


def computed(measurements: Sequence[Measurement], paths: Sequence[str]) -> list[Measurement]:
    """The cells that are computed already, when ``paths`` are the files of these alone.

    Args:
        measurements: all cells, in the order of the study.
        paths: the files that exist, in the same order (they may lie under a prefix).

    Raises:
        LongtailError: if a file belongs to no cell.
    """
    found: list[Measurement] = []
    for measurement in measurements:
        if len(found) < len(paths) and f"/{paths[len(found)]}".endswith(f"/{measurement.path}"):
            found.append(measurement)
    if len(found) < len(paths):
        raise LongtailError(f"{paths[len(found)]} is no metric file of these cells, or stands out of their order.")
    return found


def merge(measurements: Sequence[Measurement], paths: Sequence[str]) -> pa.Table:
    """Concatenate metric files and give every line the keys of its cell.

    Args:
        measurements: the cells, in the order of ``paths``.
        paths: the files, as the workflow hands them over (they may lie under a prefix).

    Raises:
        LongtailError: if a file is missing or unreadable, or the numbers of files and cells differ.
    """
    if len(measurements) != len(paths):
        raise LongtailError(f"{len(paths)} metric files were given for {len(measurements)} cells.")
    tables = []
    for measurement, path in zip(measurements, paths, strict=True):
        table = read_table(path)
        for name, value in measurement.keys.items():
            kind = pa.int64() if isinstance(value, int) else pa.string()
            table = table.append_column(name, pa.array([value] * len(table), type=kind))
        tables.append(table.replace_schema_metadata(None))
    return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``merge``."""
    parser.add_argument("--config", required=True, help="the run's configuration as JSON, or @FILE with that JSON")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--artefact", nargs=2, metavar=("PAPER", "NAME"), help="a table or figure")
    what.add_argument("--cell", nargs=3, metavar=("METHOD", "CUT", "SEED"), help="a single cell")
    parser.add_argument("--metrics", nargs="*", default=[], help="the cells' files, in the order of the study")
    parser.add_argument("--out", required=True)


def run(arguments: argparse.Namespace) -> None:
    """Merge and write."""
    study = load_study(read_json(arguments.config, "--config"))
    if arguments.artefact:
        measurements = study.measurements(*arguments.artefact)
    else:
        method, cut, seed = arguments.cell
        measurements = study.cell_measurements(method, cut, int(seed))
    found = computed(measurements, arguments.metrics) if study.config.partial else measurements
    merged = merge(found, arguments.metrics)
    write_table(
        arguments.out,
        merged,
        revisions=sorted({str(read_provenance(path).get("revision")) for path in arguments.metrics}),
        cells={"merged": len(found), "wanted": len(measurements)},
    )
