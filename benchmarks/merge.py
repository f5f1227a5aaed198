"""``python -m benchmarks.merge``: what it costs to bring the metrics of very many cells into one table."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks import ROOT
from benchmarks.dag import cells_per_seed
from benchmarks.process import Process, run_python
from benchmarks.report import Row, growth, machine, median, parser, report
from longtail.__main__ import main as longtail
from longtail.files import write_table
from longtail.study.study import load_study
from longtail.training.arguments import positive

ROWS, CLASSES, TRIALS = 200, 10, 10


def main() -> None:
    """Merge and render studies that grow, and report."""
    options = parser("What it costs to bring the metrics of very many cells into one table.")
    options.add_argument("--target", default="digits_table1", help="a table; seeds make up the number of its cells")
    options.add_argument("--cells", nargs="+", type=positive, default=[1_000, 10_000, 100_000])
    arguments = options.parse_args()
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for cells in sorted(arguments.cells):
            found.append(measure(Path(folder), arguments, cells, found))
    report("merge", {"merge": found}, described=machine(1, "pyarrow"), settings=vars(arguments), out=arguments.out)


def measure(folder: Path, arguments: argparse.Namespace, cells: int, smaller: list[Row]) -> Row:
    """The line of one number of cells."""
    per_seed = cells_per_seed(arguments.target)
    seeds = math.ceil(cells / per_seed)
    config = {"targets": [arguments.target], "seeds": list(range(seeds))}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    files, megabytes = write_metrics(folder, config)
    paper, name = arguments.target.split("_")
    costs: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(arguments.repeats):
        merge = ["merge", "--artefact", paper, name, "--out", "merged.parquet"]
        table = ["table", "--paper", paper, "--table", name, "--metrics", "merged.parquet", "--out-dir", "tables"]
        for command in (merge, table):
            _add(costs, command[0], run(folder, "job", *command, "--config", "@config.json"))
    medians: Row = {name: median(values) for name, values in costs.items()}
    sizes, before = [row["cells"] for row in smaller], [row["merge_cpu_seconds"] for row in smaller]
    return {
        "target": arguments.target,
        "cells": seeds * per_seed,
        "files": files,
        "files_mb": megabytes,
        "merged_mb": (folder / "merged.parquet").stat().st_size / 1e6,
        **medians,
        "merge_ms_per_cell": 1000 * medians["merge_cpu_seconds"] / (seeds * per_seed),
        "growth": growth([*sizes, seeds * per_seed], [*before, medians["merge_cpu_seconds"]]),
    }


def run(folder: Path, *arguments: str) -> Process:
    """One command of the workflow, as its job runs it."""
    return run_python(folder, {"PYTHONPATH": str(ROOT / "workflow")}, "-m", "longtail", *arguments)


def _add(costs: defaultdict[str, list[float]], command: str, process: Process) -> None:
    costs[f"{command}_seconds"].append(process.seconds)
    costs[f"{command}_cpu_seconds"].append(process.cpu_seconds)
    costs[f"{command}_peak_mb"].append(process.peak_mb)


def write_metrics(folder: Path, config: Mapping[str, object]) -> tuple[int, float]:
    """Leave a metrics file for every cell of the study where the workflow would, and say how many and their size in MB.

    All hold the same numbers: those that the scorer makes of random assignments in ten trials.
    """
    draws = np.random.default_rng(0)
    labels = np.sort(draws.integers(0, CLASSES, ROWS))
    rows = np.arange(ROWS)
    write_table(folder / "split.parquet", pa.table({"row": rows, "label": labels, "shot": ["many"] * ROWS}))
    assignments = {
        "trial": np.repeat(np.arange(TRIALS), ROWS),
        "row": np.tile(rows, TRIALS),
        "cluster": draws.integers(0, CLASSES, TRIALS * ROWS),
    }
    write_table(folder / "assignments.parquet", pa.table(assignments))
    scored = folder / "metrics.parquet"
    options = ["--split", folder / "split.parquet", "--scored", folder / "assignments.parquet", "--out", scored]
    scorer = {"name": "clustering", "reads": "assignments"}
    if longtail(["job", "score", "--scorer", json.dumps(scorer), *map(str, options)]) != 0:
        raise RuntimeError("scoring failed")
    content = scored.read_bytes()
    shutil.rmtree(folder / "results", ignore_errors=True)
    study = load_study(config)
    paths = {
        measurement.path
        for target in study.config.targets
        for paper, _, name in study.artefacts(target)
        for measurement in study.measurements(paper, name)
    }
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return len(paths), len(paths) * len(content) / 1e6


if __name__ == "__main__":
    main()
