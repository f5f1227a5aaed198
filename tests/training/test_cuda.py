from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from longtail.devices import gpus
from longtail.files import read_provenance

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.fixture
def cuda_desk(desk, monkeypatch, tmp_path):
    """The desk without its blindness for GPUs, whose leases no other test waits for."""
    monkeypatch.undo()
    monkeypatch.setattr(gpus, "FOLDER", tmp_path / "locks")
    return desk


@pytest.mark.parametrize("precision", ["mixed", "float32"])
def test_training_on_a_gpu(cuda_desk, tools, precision):
    assert cuda_desk.train(tools.spec(precision=precision), gpus=1) == 0
    facts = read_provenance(cuda_desk.folder / "run" / "history.parquet")
    assert facts["device"] == torch.cuda.get_device_name()
    assert facts["precision"] == ("float32" if precision == "float32" else "bfloat16")
    assert facts["peak_memory_bytes"] > 0
    losses = cuda_desk.history()["loss"].to_pylist()
    assert losses[-1] < losses[0]


def test_a_state_of_the_gpu_goes_on(cuda_desk, tools):
    assert cuda_desk.train(tools.spec(tools.stretch(last=2)), "half", gpus=1) == 0
    assert cuda_desk.train(tools.spec(), "rest", parent="half", gpus=1) == 0
    assert cuda_desk.checkpoint("rest")["epoch"] == 4


def test_a_gpu_out_of_memory_says_how_much_would_fit(cuda_desk, tools, monkeypatch, capsys):
    """A quarter of the batch fits into what is left of the GPU; the batch of 16 takes 2 GB and more."""
    free, _ = torch.cuda.mem_get_info()
    ballast = torch.empty(free - 1_500_000_000, dtype=torch.uint8, device="cuda")
    assert cuda_desk.train(tools.spec(tools.stretch("gluttonous", "Gluttonous")), gpus=1) == 1
    del ballast
    message = capsys.readouterr().err
    for words in (
        "is out of memory training gluttonous with batch size 16",
        "An update takes about",
        "images would fit",
    ):
        assert words in message


def test_activations_computed_again_train_the_same_on_a_gpu(cuda_desk, tools):
    settings = {"noise": None, "temperature": 0.2, "projection_width": 8, "prune_ratio": 0.9}
    stretch = {**tools.stretch("sdclr", **settings), "implementation": "longtail.methods.clustering.sdclr:SDCLR"}
    assert cuda_desk.train(tools.spec(stretch), "kept", gpus=1) == 0
    assert cuda_desk.train(tools.spec(stretch), "again", gpus=1, recompute_activations=1) == 0
    kept, again = (cuda_desk.checkpoint(name)["objective"] for name in ("kept", "again"))
    for name, value in kept.items():  # two trainings on a GPU need not agree to the last bit
        torch.testing.assert_close(value.float(), again[name].float(), rtol=1e-2, atol=1e-3)
    assert kept["network.backbone.bn1.dense.num_batches_tracked"] == 12


SHARER = """
import sys
import torch
from longtail.devices import gpus
from longtail.devices.precision import prepare_device
gpus.FOLDER = gpus.Path(sys.argv[1])
device = prepare_device(None, 1, per_gpu=2)
size = torch.cuda.get_device_properties(0).total_memory // 100
kept = []
try:
    while True:
        kept.append(torch.empty(size, dtype=torch.uint8, device=device))
except torch.OutOfMemoryError:
    print(len(kept), flush=True)
sys.stdin.read()
"""


def test_two_processes_share_a_gpu_and_each_can_fill_its_half(tmp_path):
    """The second is told of no shortage although the first keeps all that it could get."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "workflow")}
    environment["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    command = [sys.executable, "-c", SHARER, str(tmp_path / "locks")]
    torch.cuda.empty_cache()  # this process holds a little of the same GPU
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    try:
        hundredths = [int(process.stdout.readline()) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert all(40 <= got < 50 for got in hundredths)
