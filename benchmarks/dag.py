"""``python -m benchmarks.dag``: what the workflow itself costs, before and between the jobs that do the work."""

from __future__ import annotations

import argparse
import math
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import ROOT
from benchmarks.process import Process, run_python
from benchmarks.report import Row, growth, machine, median, parser, report
from longtail.study.study import load_study
from longtail.training.arguments import positive

NO_WORK = Path(__file__).with_name("no_work.py")


class Checkout:
    """A copy of the workflow in a folder of its own, whose jobs make their outputs and nothing else.

    Args:
        folder: an empty one.
        cores: that Snakemake gets.
    """

    def __init__(self, folder: Path, cores: int) -> None:
        self.folder, self.cores = folder, cores
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("workflow", "profiles", "envs"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        shutil.copy(ROOT / "Snakefile", folder)
        shutil.copy(NO_WORK, folder / "workflow/longtail/__main__.py")

    def configure(self, target: str, seeds: int) -> None:
        """Ask for ``target`` with so many training seeds, from nothing."""
        numbers = ", ".join(map(str, range(seeds)))
        (self.folder / "config.yaml").write_text(f"targets: [{target}]\nseeds: [{numbers}]\n", encoding="utf-8")
        for name in ("results", ".snakemake"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def snakemake(self, *arguments: str) -> Process:
        """Run Snakemake."""
        return self.run("-m", "snakemake", "--cores", str(self.cores), *arguments)

    def run(self, *arguments: str) -> Process:
        """Run Python to the end."""
        environment = {"XDG_CACHE_HOME": str(self.folder / "cache"), "PYTHONPATH": str(self.folder / "workflow")}
        return run_python(self.folder, environment, *arguments)


def main() -> None:
    """Plan studies that grow, run smaller ones without work, and report."""
    arguments = command_line().parse_args()
    per_seed = cells_per_seed(arguments.target)
    planned: list[Row] = []
    ran: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout(Path(folder), arguments.cores)
        for cells in sorted(arguments.cells):
            seeds = math.ceil(cells / per_seed)
            planned.append(plan(checkout, arguments, seeds, seeds * per_seed, planned))
        for cells in sorted(arguments.run_cells):
            seeds = math.ceil(cells / per_seed)
            ran.append(execute(checkout, arguments, seeds, seeds * per_seed, ran))
    report(
        "dag",
        {"plan": planned, "run": ran},
        described=machine(arguments.cores, "snakemake"),
        settings=vars(arguments),
        out=arguments.out,
    )


def command_line() -> argparse.ArgumentParser:
    """The options."""
    options = parser("What the workflow itself costs, before and between the jobs that do the work.")
    options.add_argument(
        "--target", default="digits_table1", help="whose cells are counted; seeds make up their number"
    )
    options.add_argument("--cells", nargs="+", type=positive, default=[100, 1_000, 10_000], help="of the dry runs")
    options.add_argument("--run-cells", nargs="+", type=positive, default=[20, 100], help="of the runs without work")
    options.add_argument("--cores", type=positive, default=1, help="that Snakemake gets: jobs at a time")
    return options


def cells_per_seed(target: str) -> int:
    """Cells (method, settings, backbone, dataset, ratio) of a target for each of its seeds."""
    study = load_study({"targets": [target], "seeds": [0]})
    keys = ("method", "settings", "backbone", "dataset", "ratio")
    measured = [
        tuple(measurement.keys[key] for key in keys)
        for paper, _, name in study.artefacts(target)
        for measurement in study.measurements(paper, name)
    ]
    return len(set(measured))


def plan(checkout: Checkout, arguments: argparse.Namespace, seeds: int, cells: int, smaller: Sequence[Row]) -> Row:
    """A dry run's line. Parsing is what Snakemake needs to list the rules, building what a dry run takes on top."""
    checkout.configure(arguments.target, seeds)
    found: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(arguments.repeats):
        parse = checkout.snakemake("--list-rules")
        dry = checkout.snakemake("--dry-run", "--quiet", "rules")
        found["jobs"].append(jobs(dry))
        found["parse_seconds"].append(parse.seconds)
        found["parse_cpu_seconds"].append(parse.cpu_seconds)
        found["build_seconds"].append(dry.seconds - parse.seconds)
        found["build_cpu_seconds"].append(dry.cpu_seconds - parse.cpu_seconds)
        found["build_ms_per_cell"].append(1000 * (dry.cpu_seconds - parse.cpu_seconds) / cells)
        found["peak_mb"].append(dry.peak_mb)
        found["kb_per_cell"].append(1000 * (dry.peak_mb - parse.peak_mb) / cells)
    return line(arguments, seeds, cells, found, smaller, "build_cpu_seconds")


def execute(checkout: Checkout, arguments: argparse.Namespace, seeds: int, cells: int, smaller: Sequence[Row]) -> Row:
    """A run's line: what a job costs that does nothing, the plan apart."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(arguments.repeats):
        checkout.configure(arguments.target, seeds)
        dry = checkout.snakemake("--dry-run", "--quiet", "rules")
        start = checkout.run("-m", "longtail", "job", "split", "--out", "nothing")
        whole = checkout.snakemake("--quiet", "all")
        number = jobs(dry)
        found["jobs"].append(number)
        found["seconds"].append(whole.seconds - dry.seconds)
        found["cpu_seconds"].append(whole.cpu_seconds - dry.cpu_seconds)
        found["ms_per_job"].append(1000 * (whole.seconds - dry.seconds) / number)
        found["cpu_ms_per_job"].append(1000 * (whole.cpu_seconds - dry.cpu_seconds) / number)
        found["start_ms"].append(1000 * start.seconds)
        found["start_cpu_ms"].append(1000 * start.cpu_seconds)
        found["peak_mb"].append(whole.peak_mb)
        found["files"].append(files(checkout.folder / "results")[0])
        metadata = files(checkout.folder / ".snakemake")
        found["metadata_files"].append(metadata[0])
        found["metadata_mb"].append(metadata[1])
    return line(arguments, seeds, cells, found, smaller, "cpu_seconds")


def files(folder: Path) -> tuple[int, float]:
    """How many files lie below a folder, and the room that they take on the disk in MB, by blocks and not by bytes."""
    found = [path.lstat() for path in folder.rglob("*") if path.is_file()]
    return len(found), sum(512 * status.st_blocks for status in found) / 1e6


def line(
    arguments: argparse.Namespace,
    seeds: int,
    cells: int,
    found: Mapping[str, Sequence[float]],
    smaller: Sequence[Row],
    cost: str,
) -> Row:
    """Medians over the repeats, and how ``cost`` has grown with the cells since the line before."""
    medians: Row = {name: median(values) for name, values in found.items()}
    sizes, costs = [row["cells"] for row in smaller], [row[cost] for row in smaller]
    return {
        "target": arguments.target,
        "cells": cells,
        "seeds": seeds,
        **medians,
        "jobs": int(medians["jobs"]),
        "growth": growth([*sizes, cells], [*costs, medians[cost]]),
    }


def jobs(dry: Process) -> int:
    """Jobs of a dry run, the target itself apart, which runs nothing."""
    totals = re.findall(r"^total +(\d+)$", dry.output, re.M)
    return int(totals[-1]) - 1


if __name__ == "__main__":
    main()
