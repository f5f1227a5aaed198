"""Every method of the catalogue on the digits at ratio 10, from images to metrics, at toy length.

Classifiers are trained on the long tail of recognition and tested on what was held out of it.

The commands are those that Snakemake would run, but one process runs them all: to import torch once for each would take
longer than all that they compute. How Snakemake runs them is for the other tests.
"""

from __future__ import annotations

import math
import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from longtail.__main__ import main
from longtail.evaluation import recognition
from longtail.files import read_table
from longtail.study.catalog import load
from longtail.study.layout import Run
from longtail.study.study import load_study

CATALOG = load()
STAGES = ("store", "split", "train", "embed", "cluster", "classify", "score", "merge")
METHODS = sorted(
    name for name, method in CATALOG.methods.items() if method.recipe and not name.startswith("text-")
)  # digits have no words
CLASSIFIERS = {name for name in METHODS if CATALOG.methods[name].readout in CATALOG.classifiers}


def cut_of(method: str) -> str:
    return "digits-lt-h100-ir10" if method in CLASSIFIERS else "digits-h100-ir10"


def run_of(method: str, protocol: str, cut: str | None = None) -> Run:
    study = load_study({"targets": ["digits"], "budget": "smoke", "protocol": protocol})
    (measurement,) = study.cell_measurements(method, cut or cut_of(method), 0)
    return measurement.run


# Both protocols share every training in which they do not differ.
TWOFOLD = [name for name in METHODS if run_of(name, "official") != run_of(name, "paper")]
CELLS = [
    *(("official", name, cut_of(name)) for name in METHODS),
    *(("paper", name, cut_of(name)) for name in TWOFOLD),
    ("official", "conmix", "digits-h100-ir1"),  # as ConMix-B is trained: without a tail
]


def cell_file(protocol: str, method: str, cut: str) -> str:
    view = "smoke" if protocol == "official" else f"smoke-{protocol}-protocol"
    return f"results/{view}/cells/{method}/{cut}/seed0.parquet"


def compute(workflow) -> None:
    """Make all cells by the commands of a dry run, stage after stage (it lists the jobs of a group in any order)."""
    done: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workflow.folder)
        for protocol in ("official", "paper"):
            cells = [cell_file(*cell) for cell in CELLS if cell[0] == protocol]
            output = workflow.succeed(
                *cells, "--dry-run", "--printshellcmds", "--config", f"protocol={protocol}", "seeds=[0]"
            )
            commands = re.findall(r"python -m longtail job (.*) > results/\S+ 2>&1", output)
            for command in sorted(commands, key=lambda command: STAGES.index(command.split()[0])):
                if command not in done:
                    assert main(["job", *shlex.split(command)]) == 0, command
                    done.add(command)


@pytest.fixture(scope="session")
def results(once) -> Path:
    """The folder in which every cell was made."""
    return once("methods", run=compute).folder


@pytest.mark.parametrize(("protocol", "method", "cut"), CELLS)
def test_a_method_runs_through_to_metrics(results: Path, protocol: str, method: str, cut: str) -> None:
    found: dict[str, list[float]] = {}
    for row in pq.read_table(results / cell_file(protocol, method, cut)).to_pylist():
        assert math.isfinite(row["value"]), row
        if row["class"] is None and row["cluster"] is None:
            found.setdefault(row["metric"], []).append(row["value"])
    assert all(-100 <= value <= 100 for values in found.values() for value in values)
    if method in CLASSIFIERS:
        groups = {f"{group} ({shots})" for group in recognition.GROUPS for shots in ("strict", "index")}
        groups -= {"many (strict)", "head (strict)"}  # no class has over 100
        assert set(found) == {"accuracy", "calibration_error", *groups}
    else:
        assert {"ACC", "CAA", "NMI", "ARI"} <= set(found)
        assert min(found["ACC"]) >= 10 - 1e-9  # ten clusters can always be matched with a tenth of the images
    losses = read_table(results / run_of(method, protocol, cut).history)["loss"].to_numpy()
    assert len(losses)
    assert np.isfinite(losses).all()


def test_recipes_and_protocols_that_differ_are_trained_apart() -> None:
    assert run_of("byol", "official") != run_of("byol-encoder", "official")
    assert {"miniclustering", "dmicc"} <= set(TWOFOLD)
    assert not {"conmix", "simclr", "sdclr"} & set(TWOFOLD)
