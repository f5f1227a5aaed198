"""What is said when memory is short. No GPU is needed: its memory is a function of the batch here."""

from __future__ import annotations

import types

import pytest
import torch

from longtail.devices import memory
from longtail.devices.memory import Footprint
from longtail.errors import LongtailError
from longtail.training import out_of_memory

GB = 10**9


def test_recomputing_is_recommended_where_it_is_enough():
    said = out_of_memory.advice(512, Footprint(GB, 10**8), Footprint(GB, 10**7), 24 * GB)
    for words in ("takes about 52.2 GB", "there are 24.0 GB", "takes about 6.1 GB and gives the same result"):
        assert words in said
    assert "--set-resources train:recompute_activations=1" in said
    assert "about 230 images would fit, but that trains something else" in said


@pytest.mark.parametrize("small", [None, Footprint(GB, 9 * 10**7)])
def test_recomputing_is_not_recommended_where_it_is_not_enough(small):
    said = out_of_memory.advice(512, Footprint(GB, 10**8), small, 24 * GB)
    assert "Not even --set-resources train:recompute_activations=1 would be enough" in said
    assert "about 230 images" in said


def test_where_not_one_image_fits():
    assert "not even one image would fit" in out_of_memory.advice(512, Footprint(GB, 10**8), None, GB / 2)


@pytest.mark.parametrize("plain", [None, Footprint(GB, 10**6)])
def test_without_a_usable_measurement_the_ways_out_remain(plain):
    said = out_of_memory.advice(512, plain, None, 24 * GB)
    assert "recompute_activations=1" in said
    assert "GB" not in said


@pytest.fixture
def gpu(monkeypatch):
    """torch.cuda as a GPU of 24 GB, a half of which another program holds."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (10 * GB, 24 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 2 * GB)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 0)


class Split:
    device = torch.device("cuda")

    def __len__(self):
        return 10_000


def run_with_blocks():
    block = torch.nn.Module()
    block.downsample = torch.nn.Identity()
    return types.SimpleNamespace(objective=block, optimizer=types.SimpleNamespace(zero_grad=lambda: None))


def test_a_gpu_out_of_memory_is_measured_and_told(gpu, tools, monkeypatch):
    training = run_with_blocks()

    def peak(_training, _spec, _split, _dtype, size):
        recomputing = "forward" in vars(training.objective)
        return GB + size * (5 * 10**6 if recomputing else 5 * 10**7)

    monkeypatch.setattr(out_of_memory, "peak_on_gpu", peak)
    error = torch.OutOfMemoryError("CUDA out of memory.")
    spec = tools.parse(tools.spec(tools.stretch(batch_size=512)))
    said = str(out_of_memory.out_of_memory(error, training, spec, Split(), torch.float32, "Model A"))
    for words in (
        "Model A is out of memory training toy with batch size 512",
        "12.0 GB of its 24.0 GB are in use outside this job",
        "An update takes about 26.6 GB, and there are 11.4 GB",
        "takes about 3.6 GB",
        "about 208 images would fit",
    ):
        assert words in said


def test_who_shares_a_gpu_is_told_that_fewer_would_have_more(gpu, tools, monkeypatch):
    monkeypatch.setattr(memory, "_sharers", 4)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda _: 0.2)
    monkeypatch.setattr(out_of_memory, "peak_on_gpu", lambda *arguments: GB + arguments[-1] * 5 * 10**8)
    error = torch.OutOfMemoryError("CUDA out of memory.")
    spec = tools.parse(tools.spec(tools.stretch(batch_size=512)))
    said = str(out_of_memory.out_of_memory(error, run_with_blocks(), spec, Split(), torch.float32, "Model A"))
    for words in ("one of 4 shares of that GPU's 24.0 GB", "there are 4.6 GB", "set a lower trainings_per_gpu"):
        assert words in said
    assert "outside this job" not in said


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(None, 0), (torch.OutOfMemoryError("CUDA out of memory."), None), (LongtailError("no batch"), None)],
)
def test_a_batch_that_cannot_be_tried_has_no_peak(gpu, tools, monkeypatch, raised, expected):
    def one_update(*_):
        if raised:
            raise raised

    monkeypatch.setattr(out_of_memory, "one_update", one_update)
    found = out_of_memory.peak_on_gpu(run_with_blocks(), tools.parse(tools.spec()), Split(), torch.float32, 4)
    assert found == expected


def test_a_fault_of_another_kind_is_not_hidden(gpu, tools, monkeypatch):
    def one_update(*_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(out_of_memory, "one_update", one_update)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        out_of_memory.peak_on_gpu(run_with_blocks(), tools.parse(tools.spec()), Split(), torch.float32, 4)


@pytest.mark.parametrize("size", [2, 8, 13, 19, 20])
def test_one_update_is_made_with_the_size_that_is_tried(desk, tools, size):

    from longtail.data.resident import ResidentSplit
    from longtail.training.train import start

    split = ResidentSplit(desk.split, {"train": desk.store}, "cpu")
    spec = desk.read(tools.spec())
    training = start(spec, None, torch.device("cpu"))
    sizes, loss = [], training.objective.loss
    training.objective.loss = lambda batch: sizes.append(len(batch.rows[0])) or loss(batch)
    out_of_memory.one_update(training, spec, split, torch.float32, size)
    assert sizes == [size]
    assert (training.epoch, training.step) == (0, 0)
