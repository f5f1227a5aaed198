"""What the benchmarks share: options, the machine's description, medians, memory, and the report itself."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
from tabulate import tabulate

from longtail.files import provenance, replacing, write_table
from longtail.training.arguments import positive

Row = dict[str, Any]
"""One line of a table; the keys are the columns, and the same in all rows of a table."""


def parser(description: str) -> argparse.ArgumentParser:
    """A command line with the options that all benchmarks have."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--out", type=Path, metavar="FOLDER", help="where to leave the figures as JSON and Parquet")
    made.add_argument("--repeats", type=positive, default=3, help="how often everything is measured")
    return made


def usable_cores() -> int:
    """Processor cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine(threads: int, *packages: str) -> dict[str, Any]:
    """What the figures were measured on, found out without loading torch.

    Args:
        threads: that the benchmark computes with.
        packages: whose versions matter to it, besides those that every result names.
    """
    made_by = provenance()
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "threads": threads,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpu": _gpu_models(),
        "system": f"{platform.system()} {platform.release()}",
        "python": made_by["python"],
        **made_by["versions"],
        **{package: metadata.version(package) for package in packages},
        "revision": made_by["revision"],
        "created": made_by["created"],
    }


def _cpu_model() -> str:
    """The processor's name; Linux keeps it where ``platform`` does not look."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu_models() -> str:
    """The names of the machine's NVIDIA GPUs, ``none`` without or where they are hidden."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "" or shutil.which("nvidia-smi") is None:
        return "none"
    asked = subprocess.run(
        ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    return ", ".join(asked.stdout.splitlines()) if asked.returncode == 0 else "none"


def median(values: Sequence[float]) -> float:
    """The middle value: what one disturbed repeat does not move."""
    return statistics.median(values)


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """The median of the repeats' own ratios, so that a machine that slows down meanwhile does so for both sides."""
    return median([one / other for one, other in zip(of, to, strict=True)])


def growth(sizes: Sequence[float], costs: Sequence[float]) -> float | None:
    """The exponent p of cost ~ size**p between the last two sizes; None for one size, or a cost below zero."""
    if len(sizes) < 2 or min(costs[-2:]) <= 0:
        return None
    return math.log(costs[-1] / costs[-2]) / math.log(sizes[-1] / sizes[-2])


def memory_in_use() -> float:
    """Megabytes that this process holds now; its peak where the system does not say."""
    return _status("VmRSS") or peak_memory()


def peak_memory() -> float:
    """Most megabytes that this process has held since it was started.

    ``ru_maxrss`` alone would do if Linux did not hand it on: a process starts with that of the one which started it.
    """
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _status(key: str) -> float | None:
    """A value in megabytes from Linux' account of this process."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    found = [float(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{key}:")]
    return found[0] if found else None


def report(
    name: str,
    tables: Mapping[str, Sequence[Row]],
    *,
    described: Mapping[str, Any],
    settings: Mapping[str, Any],
    out: Path | None,
) -> None:
    """Print the tables as Markdown, and leave all figures under ``out``.

    Args:
        name: of the benchmark: ``<out>/<name>.json`` holds everything, ``<out>/<name>-<table>.parquet`` one table.
        tables: rows by the table's name.
        described: :func:`machine`.
        settings: what was asked for.
        out: a folder, None for no files.
    """
    print(f"# Benchmark: {name}\n")
    print("\n".join(f"- {key}: {value}" for key, value in described.items()))
    for title, rows in tables.items():
        print(f"\n## {title}\n\n{markdown(rows)}")
    if out is None:
        return
    whole = {"benchmark": name, "machine": described, "settings": settings, "tables": tables}
    with replacing(out / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(whole, indent=2, default=str) + "\n", encoding="utf-8")
    for title, rows in tables.items():
        facts = {"benchmark": name, "machine": described, "settings": json.loads(json.dumps(settings, default=str))}
        write_table(out / f"{name}-{title}.parquet", pa.Table.from_pylist(list(rows)), **facts)


def markdown(rows: Sequence[Row]) -> str:
    """A table in Markdown, after a line with what is the same in all of its rows."""
    same = {key: value for key, value in rows[0].items() if all(row[key] == value for row in rows)}
    if len(rows) == 1:
        same = {key: value for key, value in same.items() if isinstance(value, str)}
    shown = [{key: value for key, value in row.items() if key not in same} for row in rows]
    head = "In all rows: " + ", ".join(f"{key} {value}" for key, value in same.items()) + ".\n\n" if same else ""
    return head + tabulate(shown, headers="keys", tablefmt="pipe", floatfmt=".4g", missingval="–")
