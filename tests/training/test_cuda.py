from __future__ import annotations

import pytest
import torch

from longtail.files import read_provenance
from longtail.training import gpus

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
