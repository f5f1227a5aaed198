"""A study of seconds: one cell from images to table and figure, and what tells its results apart."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

ROOT = Path(__file__).parents[2]
CONFIG = """\
targets: [faults]
budget: {epochs: 0.1, head_class_rows: 100, batch_size: 32, backbone: resnet_small}
seeds: [0]
"""
PAPER = """\
paper: faults
title: "Faults: one cell, a table and a figure"
tables:
  table1:
    title: Table 1
    caption: One cell.
    seeds: 1
    metrics: [ACC, NMI]
    layout: {columns: [dataset, ratio]}
    rows: [{row: ConMix, method: conmix}]
    columns: [{dataset: digits, ratio: 10}]
figures:
  figure1:
    title: Figure 1
    caption: One cell.
    kind: class_bars
    seeds: 1
    scorers: [geometry]
    cells: [{label: ConMix, method: conmix, dataset: digits, ratio: 10}]
    options: {panels: [{metric: class_similarity, title: Similarity, axis: mean cosine}]}
"""
PACE = ["images_per_second", "seconds"]
UNDATED = {".parquet", ".pt", ".json", ".npy", ".csv", ".md", ".tex", ".html", ".pdf", ".svg", ".png"}
"""Outputs without the time of their making, once provenance and pace are left out."""


@dataclass(frozen=True)
class Job:
    """A job of the workflow.

    Attributes:
        rule: its name.
        inputs: the files it reads.
        outputs: the files it makes.
        benchmark: the file in which Snakemake notes what it took; it counts as an output of an earlier time.
        command: what its shell runs.
        cpu_seconds: it took without a fault, as Snakemake sampled them.
    """

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    benchmark: str
    command: str
    cpu_seconds: float

    @property
    def words(self) -> list[str]:
        """The command line of its Python process, without the interpreter."""
        words = shlex.split(self.command)
        return words[1 : words.index(">")]

    @property
    def log(self) -> str:
        """The file that takes what it says."""
        words = shlex.split(self.command)
        return words[words.index(">") + 1]


class Study:
    """A working directory, and the checkout whose workflow runs in it."""

    def __init__(self, folder: Path, checkout: Path) -> None:
        self.folder, self.checkout = folder, checkout
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "config.yaml").write_text(CONFIG)
            (folder / "profiles").symlink_to(ROOT / "profiles")

    def copy(self, folder: Path) -> Study:
        """The same state of affairs in another folder, down to the times of all files."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Study(folder, self.checkout)

    @property
    def environment(self) -> dict[str, str]:
        """Of everything that is run here."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        facts = {"PYTHONPATH": str(self.checkout / "workflow"), "XDG_CACHE_HOME": str(self.folder / "cache")}
        return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **facts}

    def start(self, command: list[str], output: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own, as a shell with job control does."""
        with (output or Path(os.devnull)).open("wb") as file:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def snakemake(self, *arguments: str) -> list[str]:
        """The command line of the workflow."""
        snakefile = str(self.checkout / "Snakefile")
        return [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--cores", "2", *arguments]

    def succeed(self, command: list[str]) -> str:
        """Run a command to its end, and return what it said.

        Raises:
            AssertionError: if it fails.
        """
        output = self.folder / "output.txt"
        status = self.start(command, output).wait(timeout=900)
        assert status == 0, f"{shlex.join(command)[:300]} ended with {status}:\n{output.read_text()[-3000:]}"
        return output.read_text()

    def run(self, job: Job) -> None:
        """Run a job as the workflow would."""
        self.succeed(self.shell(job))

    def shell(self, job: Job) -> list[str]:
        """The command line of a job's shell, after making the folder of its log as Snakemake does."""
        (self.folder / job.log).parent.mkdir(parents=True, exist_ok=True)
        return ["bash", "-c", f"set -euo pipefail; {job.command}"]

    def digests(self, paths: Iterable[str]) -> dict[str, str]:
        """Of those that exist and bear no date."""
        existing = [path for path in paths if (self.folder / path).exists() and Path(path).suffix in UNDATED]
        return {path: digest(self.folder / path) for path in existing}

    def stamps(self, paths: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Inode and time of change: whoever writes a file anew changes them, even to the same content."""
        found = {path: (self.folder / path).stat() for path in paths if (self.folder / path).exists()}
        return {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in found.items()}

    def temporary(self) -> list[str]:
        """Files that a killed writer left behind."""
        return sorted(str(path.relative_to(self.folder)) for path in (self.folder / "results").rglob(".*.tmp*"))


def reference(folder: Path) -> tuple[Study, list[Job], dict[str, str]]:
    """Run the study without a fault, below ``folder``.

    Returns:
        The study, its jobs in an order in which they can be run, and the digests of all that they make.
    """
    checkout = folder / "checkout"
    shutil.copytree(ROOT / "workflow", checkout / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "envs", checkout / "envs")
    shutil.copy(ROOT / "Snakefile", checkout)
    (checkout / "workflow/catalog/papers/faults.yaml").write_text(PAPER)
    study = Study(folder / "reference", checkout)
    announced = announcements(study.succeed(study.snakemake("--printshellcmds")))
    jobs = in_order(_job(study, facts) for facts in announced.values() if "command" in facts)
    return study, jobs, study.digests(path for job in jobs for path in job.outputs)


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Every job after those whose outputs it reads, and otherwise by name: the order that Snakemake took may vary."""
    left = sorted(jobs, key=lambda job: job.outputs)
    ordered: list[Job] = []
    while left:
        missing = {path for job in left for path in job.outputs}
        ready = next(job for job in left if not missing.intersection(job.inputs))
        left.remove(ready)
        ordered.append(ready)
    return ordered


def announcements(output: str) -> dict[str, dict[str, str]]:
    """What Snakemake has said about the jobs it started, in their order: facts by name, by number of the job."""
    found = {}
    for block in re.split(r"^\[.*\]$", output, flags=re.M):
        rule = re.search(r"^(?:local)?rule (\w+):$", block, re.M)
        facts = dict(re.findall(r"^ +(\w+): (.*)$", block, re.M))
        if rule is not None and "jobid" in facts:
            command = re.search(r"^(?:Shell command: )?(python -m longtail .*)$", block, re.M)
            found[facts["jobid"]] = {"rule": rule[1], **facts, **({"command": command[1]} if command else {})}
    return found


def finished(output: str) -> list[str]:
    """The files that are finished by Snakemake's own word."""
    announced = announcements(output)
    numbers = re.findall(r"^Finished jobid: (\d+)", output, re.M)
    return [path for number in numbers for path in announced[number].get("output", "").split(", ") if path]


def _job(study: Study, facts: Mapping[str, str]) -> Job:
    sampled = json.loads((study.folder / facts["benchmark"]).read_text())["cpu_time"]
    return Job(
        facts["rule"],
        tuple(facts.get("input", "").split(", ")),
        tuple(facts["output"].split(", ")),
        facts["benchmark"],
        facts["command"],
        max(sampled, 0.2),
    )


def digest(path: Path) -> str:
    """Of the data in a file: columns of a table, values of a checkpoint, else the bytes."""
    if path.suffix == ".parquet":
        table = pq.read_table(path).replace_schema_metadata(None).combine_chunks()
        table = table.drop_columns([name for name in PACE if name in table.column_names])
        with pa.BufferOutputStream() as stream:
            with pa.ipc.new_stream(stream, table.schema) as writer:
                writer.write_table(table)
            return hashlib.sha256(stream.getvalue()).hexdigest()
    found = hashlib.sha256()
    if path.suffix == ".pt":
        _feed(found, torch.load(path, weights_only=True))
    else:
        found.update(path.read_bytes())
    return found.hexdigest()


def _feed(found: Any, value: Any) -> None:
    """Feed a tree of dictionaries and lists to a hash, tensors bit for bit."""
    if isinstance(value, torch.Tensor):
        found.update(f"{value.dtype}{tuple(value.shape)}".encode())
        found.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            found.update(repr(key).encode())
            _feed(found, value[key])
    elif isinstance(value, (list, tuple)):
        found.update(f"[{len(value)}".encode())
        for item in value:
            _feed(found, item)
    else:
        found.update(repr(value).encode())
