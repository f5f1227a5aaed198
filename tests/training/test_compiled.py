"""Compiled networks compute what eager ones do, and an interrupted training is the same, bit for bit."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import longtail
from longtail.methods.mixing import interpolated_output
from longtail.models.branches import LastBlocks, LastNorms
from longtail.models.cifar_resnet import CifarResNet
from longtail.models.experts import ExpertTrunk
from longtail.training import compiled, loop
from longtail.training.compiled import compile_networks, pays

CPU = torch.device("cpu")


class Narrow(nn.Module):
    """A few layers of a ResNet-32, as each takes its time to be compiled."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.bn(self.conv(x)).relu().mean((2, 3))


@pytest.fixture
def narrow(monkeypatch):
    """Networks that tests can wait for count as those of a ResNet-32; here, those of a ``toys.Toy``, too."""
    monkeypatch.setattr(compiled, "NETWORKS", (Narrow, nn.Sequential))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Narrow()
    torch.set_num_threads(threads)
    torch.compiler.reset()


def spec(rows=12_406, clock=200, backbone="resnet32", first=0):
    return SimpleNamespace(
        data=SimpleNamespace(rows=rows),
        backbone=SimpleNamespace(name=backbone),
        last=SimpleNamespace(first_epoch=first, last_epoch=clock, clock=clock),
    )


def test_long_trainings_of_narrow_networks_on_cpus_are_compiled():
    assert pays(spec(), CPU)
    assert not pays(spec(), torch.device("cuda"))
    assert not pays(spec(backbone="resnet18"), CPU)
    assert not pays(spec(rows=700, clock=100), CPU)


def test_where_a_training_is_cut_does_not_matter():
    assert [pays(spec(clock=17, first=first), CPU) for first in (0, 16)] == [True, True]
    assert [pays(spec(clock=16, first=first), CPU) for first in (0, 15)] == [False, False]


def test_values_gradients_and_statistics_are_those_of_the_eager_network(narrow):
    eager, said = copy.deepcopy(narrow), []
    compile_networks(narrow, 4, said.append)
    assert len(said) == 1
    assert "compiled with the first batch" in said[0]
    assert narrow.state_dict().keys() == eager.state_dict().keys()
    stats = torch._dynamo.utils.counters["stats"]
    before = stats["unique_graphs"]
    for images in (4, 8, 4):  # a view of a batch, both views at once
        x = torch.randn(images, 1, 8, 8)
        ours, theirs = narrow(x), eager(x)
        torch.testing.assert_close(ours, theirs)
        ours.square().mean().backward()
        theirs.square().mean().backward()
    assert stats["unique_graphs"] == before + 2
    for ours, theirs in zip(narrow.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(narrow.state_dict(), eager.state_dict())

    eager.load_state_dict(narrow.state_dict())
    x = torch.randn(4, 1, 8, 8)  # what is no whole batch, or no training, or mixed within, is as eager as ever
    assert torch.equal(narrow(x[:3]), eager(x[:3]))
    for share in (0.3, 0.6):
        mixture = torch.tensor(share), torch.tensor([2, 0, 3, 1])
        with interpolated_output(narrow.conv, *mixture), interpolated_output(eager.conv, *mixture):
            assert torch.equal(narrow(x), eager(x))
    assert torch.equal(narrow.eval()(x), eager.eval()(x))
    assert stats["unique_graphs"] == before + 2

    other = copy.deepcopy(narrow.train())
    with torch.no_grad():
        other.bn.weight.zero_()
        other.bn.bias.fill_(1)
    assert other(x).eq(1).all(), "a copy has weights of its own"
    assert narrow(x).ne(1).all()


def test_all_that_a_resnet_32_is_made_into_is_compiled():
    two = [CifarResNet(), CifarResNet()]
    for network in (CifarResNet(), ExpertTrunk(two), LastBlocks(two), LastNorms(CifarResNet(), 3)):
        objective = nn.Sequential(network, nn.Linear(64, 3))
        compile_networks(objective, 4, lambda text: None)
        assert [module for module in objective.modules() if "forward" in vars(module)] == [network]


@pytest.mark.parametrize("updates", [1, 4])
def test_an_interrupted_training_is_the_same(desk, tools, narrow, monkeypatch, capfd, updates):
    """Three updates an epoch, the last of them incomplete; compiled anew after the interruption."""
    monkeypatch.setattr(compiled, "WORTH_IT", 0)
    monkeypatch.setattr(compiled, "BACKBONES", (tools.spec()["backbone"]["name"],))
    assert desk.train(tools.spec(), "straight") == 0
    assert capfd.readouterr().err.count("Networks are compiled") == 1

    advance, count = loop.Progress.advance, 0

    def stop(self, *arguments):
        nonlocal count
        count += 1
        if count == updates:
            signal.raise_signal(signal.SIGTERM)
        advance(self, *arguments)

    monkeypatch.setattr(loop.Progress, "advance", stop)
    assert desk.train(tools.spec(), "run") == 75
    torch.compiler.reset()
    assert desk.train(tools.spec(), "run") == 0
    tools.assert_same_training(desk.checkpoint("straight"), desk.checkpoint("run"))


def test_what_was_compiled_for_wider_registers_is_not_run_in_narrower_ones(tmp_path):
    """Both processes share a cache, as processors of a cluster do that have AVX-512 or only AVX2."""
    code = """
import torch
from longtail.training import compiled
network = torch.nn.Sequential(torch.nn.Softplus())
compiled.NETWORKS = (torch.nn.Sequential,)
compiled.compile_networks(network, 2, lambda text: None)
x = torch.linspace(-1, 1, 486).reshape(2, 243)
torch.testing.assert_close(network(x), torch.nn.functional.softplus(x))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(longtail.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    environment |= {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    for narrower in ({}, {"ATEN_CPU_CAPABILITY": "avx2"}):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment | narrower)
        assert done.returncode == 0, done.stderr


def test_a_machine_without_a_compiler_trains_without(tmp_path):
    code = """
import torch
from longtail.models.branches import LastBlocks, LastNorms
from longtail.models.cifar_resnet import CifarResNet
from longtail.training.compiled import compile_networks
network = CifarResNet()
compile_networks(network, 2, print)
assert "forward" not in vars(network)
"""
    environment = {"PYTHONPATH": str(Path(longtail.__file__).parents[1]), "PATH": str(tmp_path)}
    environment |= {
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
        "HOME": os.environ["HOME"],
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert "Training without a compiler" in done.stdout
    assert "g++" in done.stdout
