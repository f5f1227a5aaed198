"""Networks that a compiler makes faster, in the trainings and on the devices where that pays.

A ResNet-32 has 16 to 64 channels: memory traffic and the start of each operation outweigh its arithmetic, and torch's
compiler saves of both (docs/performance.md). ResNet-18 gains nothing, and no GPU was there to be measured.

A compiled network rounds otherwise than an eager one. Whether it is compiled therefore depends on the specification and
the machine alone, and on nothing that an interruption changes: a resumed training goes on with the same bits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from longtail.models.branches import LastBlocks, LastNorms
from longtail.models.cifar_resnet import CifarResNet
from longtail.models.experts import ExpertTrunk
from longtail.training.specification import Specification

BACKBONES = ("resnet32",)
NETWORKS = (CifarResNet, ExpertTrunk, LastBlocks, LastNorms)
"""What objectives make of such a backbone."""
WORTH_IT = 200_000
"""Images from which on the time that is saved is more than compiling takes, up to a minute of two cores."""


def pays(spec: Specification, device: torch.device) -> bool:
    """Whether the networks of a training are to be compiled.

    Args:
        spec: the phase, with its rows. Of its last stretch the whole clock counts, which is the same for all
            jobs that a training may be cut into.
        device: where it runs.
    """
    images = spec.last.clock * (spec.data.rows or 0)
    return device.type == "cpu" and spec.backbone.name in BACKBONES and images >= WORTH_IT


def compile_networks(objective: nn.Module, batch_size: int, say: Callable[[str], None]) -> None:
    """Have the networks of ``objective`` compiled, for whole batches in training mode.

    Everything else, as the last batch of an epoch or what is embedded, goes through the network as it is: each shape
    would be compiled by itself. So does what forward hooks mix within it: with hooks of its own, each batch would be.
    Names of parameters and buffers stay. Where the machine cannot compile, for want of a C++ compiler as a rule,
    nothing is changed. The compiler keeps what it has made in a cache of the user's; several jobs may share it, since
    files in it are locked, and moved into place when they are complete.

    Args:
        objective: on its device.
        batch_size: images of a whole batch, of which a network may see several views at once.
        say: told what is to be expected.
    """
    from torch._inductor import config, cpu_vec_isa

    config.compile_threads = torch.get_num_threads()  # and not as many as the machine has cores
    if (problem := _problem()) is not None:
        say(f"Training without a compiler, which takes longer: {problem}")
        return
    # The compiler finds what it made before by its settings, and not by the processor: without this one, code that was
    # written for the registers of AVX-512 would be run on AVX2, and compute nonsense.
    config.cpp.simdlen = cpu_vec_isa.pick_vec_isa().bit_width()
    say("Networks are compiled with the first batch, up to a minute's work the first time on a machine.")
    for network in objective.modules():
        if isinstance(network, NETWORKS):
            compiled = torch.compile(type(network).forward, dynamic=False)
            # The attribute goes before the method of the class, and copies of the network get one of their own.
            network.forward = functools.partial(_forward, network, compiled, batch_size)  # type: ignore[method-assign]


def _problem() -> str | None:
    """What keeps this machine from compiling, found out by a function of one line."""
    try:
        torch.compile(lambda x: x.relu() + 1, dynamic=False)(torch.zeros(64))
    except RuntimeError as error:  # whatever comes of a compiler: none, one without headers, a full disk
        return str(error).strip().splitlines()[0]
    return None


def _forward(network: nn.Module, compiled: Callable[..., Tensor], batch_size: int, x: Tensor, *branch: int) -> Tensor:
    whole = network.training and len(x) % batch_size == 0
    hooked = any(layer._forward_hooks for layer in network.modules())
    return compiled(network, x, *branch) if whole and not hooked else type(network).forward(network, x, *branch)
