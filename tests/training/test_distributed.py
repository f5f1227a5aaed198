"""Several processes train what one process trains. They meet through gloo on the CPU; no GPU is needed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from longtail.files import read_provenance

HERE = Path(__file__).parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
LAUNCH = """
import sys
from pathlib import Path
from longtail.errors import LongtailError
from longtail.devices.distributed import launch
try:
    launch(sys.argv[2:], 2, Path(sys.argv[1]), 75)
except LongtailError as error:
    sys.exit(f"error: {error}")
"""
CONMIX = {"noise": None, "temperature": 0.2, "projection_width": 8, "tags": 5, "learning_rate": 1e-8}


@pytest.fixture
def environment(monkeypatch):
    path = os.pathsep.join([str(HERE), str(HERE.parents[1] / "workflow")])
    for name, value in {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def launch(desk, environment):
    """Start a training in two processes on the CPU, as ``--gpus 2`` does on GPUs."""
    started = []

    def start(spec, name="two", **options):
        command = desk.arguments(spec, name, **options)
        checkpoint = desk.folder / name / "checkpoint.pt"
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", LAUNCH, str(checkpoint), *command], stderr=subprocess.PIPE, text=True
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def said(process):
    """Everything that is said until the end."""
    return process.communicate(timeout=300)[1]


def read_until(process, words):
    """Lines up to the one with ``words``."""
    lines = []
    while words not in (line := process.stderr.readline()):
        assert line, "".join(lines)
        lines.append(line)


def workers(process):
    """Process ids of what ``process`` has started, by rank."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            environ = stat.with_name("environ").read_bytes().split(b"\0")
        except OSError:
            continue
        ranks = [entry[5:] for entry in environ if entry.startswith(b"RANK=")]
        if parent == process.pid and ranks:
            found[int(ranks[0])] = int(stat.parent.name)
    return found


def test_every_objective_takes_the_same_steps_in_three_processes_as_in_one(tmp_path, environment):
    """In float64, so that rounding is far below anything that a wrong formula would change."""
    out = tmp_path / "found"
    subprocess.run([*TORCHRUN, "3", str(HERE / "spread_steps.py"), str(out)], check=True, timeout=600)
    by_rank = [json.loads(Path(f"{out}.{rank}").read_text()) for rank in range(3)]
    assert by_rank[0] == by_rank[1] == by_rank[2]  # weights, queues, memories, statistics: to the last bit
    found = by_rank[0]
    assert "inside the backbone" in found.pop("manifold_mixup")["error"]
    in_four = "4 groups of batch normalisation (batchnorm_splits, batch_groups) cannot be dealt out to 3 GPUs"
    assert in_four in found.pop("paco_in_four")["error"]
    half = found.pop("bfloat16")
    assert half["losses"] == pytest.approx(half["expected"], rel=0.05)
    assert set(found) == {
        *(
            "simclr",
            "sdclr",
            "conmix",
            "moco",
            "byol",
            "conr",
            "idfd",
            "dmicc",
            "miniclustering",
            "bbn",
            "reslt",
            "rescom",
            "paco",
        ),
    }
    for name, steps in found.items():
        assert steps["losses"] == pytest.approx(steps["expected"], rel=1e-10), name
        assert steps["apart"] < 1e-10, name
        assert steps["moved"] > 1e-6, name


def test_a_training_in_two_processes_is_stopped_and_goes_on_to_the_weights_of_one_process(desk, tools, launch):
    """At a rate so low that rounding does not grow: moments and statistics show that the gradients are the same."""
    stretch = tools.stretch("conmix", last=20, clock=20, **CONMIX)
    spec = tools.spec({**stretch, "implementation": "longtail.methods.clustering.conmix:ConMix"})
    stopped = launch(spec, checkpoint_seconds=0)  # a save after every update, so there is one soon
    state = desk.folder / "two-state"
    while not list(state.glob("*.pt")):
        assert stopped.poll() is None, said(stopped)
        time.sleep(0.02)
    stopped.send_signal(signal.SIGUSR1)
    text = said(stopped)
    assert stopped.returncode == 75, text
    assert text.count("Stopped by SIGUSR1: saved in") == 1
    at = re.search(r"goes on from epoch (\d+), step (\d+)", text)
    assert max(state.glob("*.pt")).name.endswith(f"-epoch{int(at[1]):06}-step{int(at[2]):06}.pt")
    assert not (desk.folder / "two").exists()

    subprocess.run([*TORCHRUN, "2", "-m", "longtail", *desk.arguments(spec, "two")], check=True, timeout=300)
    assert not state.exists()
    assert read_provenance(desk.folder / "two" / "history.parquet")["device"].startswith("2 × ")
    assert desk.train(spec, "one") == 0
    one, many = desk.checkpoint("one"), desk.checkpoint("two")
    assert (one["epoch"], one["step"]) == (many["epoch"], many["step"]) == (20, 0)
    torch.testing.assert_close(many["objective"], one["objective"], rtol=1e-3, atol=1e-4)
    assert many["moments"].keys() == one["moments"].keys()
    for name, moments in one["moments"].items():
        apart = (many["moments"][name]["momentum"] - moments["momentum"]).norm()
        assert apart <= 0.02 * moments["momentum"].norm() + 1e-5, name
    for column in ("epoch", "loss", "learning_rate"):
        found, expected = (desk.history(name)[column].to_pylist() for name in ("two", "one"))
        assert found == pytest.approx(expected, rel=1e-4)


def test_a_process_that_dies_ends_the_others(desk, tools, launch):
    process = launch(tools.spec(tools.stretch("slow", "Slow", last=400, clock=400)))
    read_until(process, "Training slow")
    ranks = workers(process)
    assert set(ranks) == {0, 1}
    os.kill(ranks[1], signal.SIGKILL)
    text = said(process)
    assert process.returncode == 1
    assert "error: Process 1 of 2 (counted from 0) was ended by SIGKILL, and the others have been stopped." in text
    assert not Path(f"/proc/{ranks[0]}").exists()


def test_what_is_wrong_is_said_once(desk, tools, launch):
    process = launch(tools.spec(tools.stretch("diverging", "Diverging")))
    text = said(process)
    assert process.returncode == 1
    assert text.count("error: Training diverging has diverged") == 1
    assert text.count("Training diverging up to") == 1
    assert "Traceback" not in text


def test_processes_do_not_outlive_the_one_that_started_them(desk, tools, launch):
    process = launch(tools.spec(tools.stretch("slow", "Slow", last=4000, clock=4000)))
    read_until(process, "Training slow")
    ranks = workers(process)
    process.kill()
    assert ": saved in" in said(process)
    for each in ranks.values():
        while Path(f"/proc/{each}").exists():
            time.sleep(0.05)


def test_more_gpus_than_there_are(desk, tools, monkeypatch, capsys):
    from longtail.devices import gpus
    from longtail.devices.gpus import Gpu, Pool

    monkeypatch.setattr(gpus, "_leased", [])
    monkeypatch.setattr(gpus, "pool", lambda: Pool((Gpu("GPU-a", "Model"), Gpu("GPU-b", "Model"))))
    assert desk.train(tools.spec(), gpus=4) == 1
    message = capsys.readouterr().err
    assert "asks for 4 GPUs, but CUDA shows only 2" in message
    assert "train:gpu=2" in message
    assert desk.train(tools.spec(), gpus=-1) == 1
    assert "--gpus is -1" in capsys.readouterr().err
