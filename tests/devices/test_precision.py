from __future__ import annotations

import pytest
import torch

from longtail.devices.precision import autocast, computing_type
from longtail.errors import LongtailError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": False, "avx2": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_mixed_on_a_cpu_needs_instructions_for_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert computing_type("mixed", CPU) is expected
    assert computing_type("float32", CPU) is torch.float32


def test_mixed_on_a_cpu_keeps_to_the_instructions_that_are_allowed(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True, "avx512_bf16": True})
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert computing_type("mixed", CPU) is torch.float32


def test_a_cpu_that_does_not_say(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert computing_type("mixed", CPU) is torch.float32


@pytest.mark.parametrize("native", [True, False])
def test_mixed_on_cuda_needs_native_bfloat16(monkeypatch, native):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    expected = torch.bfloat16 if native else torch.float32
    assert computing_type("mixed", torch.device("cuda")) is expected


def test_unknown():
    with pytest.raises(LongtailError, match="Did you mean 'float32'"):
        computing_type("float23", CPU)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_autocast_computes_in_it(dtype):
    layer = torch.nn.Linear(3, 3)
    with autocast(dtype, CPU):
        assert layer(torch.ones(2, 3)).dtype is dtype


def test_a_training_records_what_it_used(desk, tools, monkeypatch):
    from longtail.files import read_provenance

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert desk.train(tools.spec(precision="mixed")) == 0
    assert read_provenance(desk.folder / "run" / "history.parquet")["precision"] == "bfloat16"
    assert desk.train(tools.spec(), "full") == 0
    assert not tools.same(desk.checkpoint()["objective"], desk.checkpoint("full")["objective"])
    assert all(value.dtype is not torch.bfloat16 for value in desk.checkpoint()["objective"].values())
