"""``python -m longtail job infer-time``: how long the network of a phase takes for a batch (ResCom Tables 1 and 2).

Weights do not change how long a network takes, so it is not trained: it is built from the specification, with a split
of which nothing but its number of classes is known. ResCom says that a batch has 64 images and what it was timed on,
and nothing else. Here the network is in eval mode, without gradients and in float32, and takes noise of the size of
the dataset's images; forward passes that warm it up do not count, the device is waited for before and after each, and
the median stands for all. What one device says compares with nothing that another says, so files name it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from longtail.errors import LongtailError, unknown
from longtail.files import read_json, write_table
from longtail.training.arguments import thread_count

if TYPE_CHECKING:
    import torch
    from torch import nn

    from longtail.training.specification import Specification

SETTINGS = ("batch_size", "warm_up", "forwards", "warm_up_on_cpu", "forwards_on_cpu")
"""What a scorer says of the protocol, each a whole number above 0."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--spec", required=True, metavar="JSON", help="specification of the phase, or @FILE")
    parser.add_argument("--features", required=True, help="which features its network gives")
    parser.add_argument("--scorer", required=True, metavar="JSON", help="name and settings of the scorer")
    parser.add_argument("--gpus", type=int, choices=(0, 1), help="1: on a GPU, 0: on the CPU; a GPU if there is one")
    parser.add_argument("--threads", type=int, help="CPU threads; in a Slurm job those of the job")
    parser.add_argument("--out", required=True, type=Path, metavar="PATH", help="metrics file to write")


def run(arguments: argparse.Namespace) -> None:
    """Measure, and write the columns of a metrics file, with ``infer_ms`` in milliseconds as its one line.

    Raises:
        LongtailError: if the specification or the protocol is wrong, or the device has too little memory.
    """
    import torch

    from longtail.devices.memory import room_for
    from longtail.devices.precision import prepare_device
    from longtail.training.specification import read_spec
    from longtail.training.train import device_name

    scorer = read_json(arguments.scorer, "--scorer")
    wrong = [name for name in SETTINGS if type(scorer.get(name)) is not int or scorer[name] < 1]
    if wrong:
        raise LongtailError(f"The scorer's {wrong[0]} is a whole number above 0; see catalog/readouts.yaml.")
    spec = read_spec(arguments.spec)
    if spec.data.holds != "images":
        raise LongtailError(f"{spec.data.dataset} holds texts, and inference is timed on images.")
    device = prepare_device(thread_count(arguments.threads), arguments.gpus)
    network = untrained(spec, arguments.features).to(device).eval()
    size = (scorer["batch_size"], spec.data.channels, spec.data.image_size, spec.data.image_size)
    images = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(device)
    few = "_on_cpu" if device.type == "cpu" else ""
    with room_for(f"the activations of {len(images)} images", str(device)):
        taken = milliseconds(network, images, scorer[f"warm_up{few}"], scorer[f"forwards{few}"])
    facts = {
        "device": device_name(device),
        "precision": "float32",
        "threads": torch.get_num_threads(),
        "warm_up": scorer[f"warm_up{few}"],
        "milliseconds": [round(one, 4) for one in taken],
    }
    write_table(
        arguments.out,
        metrics(statistics.median(taken)),
        scorer=scorer,
        scored={"identity": spec.identity, "seed": spec.seed, "features": arguments.features},
        **facts,
    )


def untrained(spec: Specification, features: str) -> nn.Module:
    """The network behind some features of a phase, as it is before its first step, on the CPU.

    Args:
        spec: the phase, of which no split was read: one with a class more frequent than the others stands in for it.
        features: what the network gives.

    Raises:
        LongtailError: if the phase has no such features, or none that a network gives.
    """
    from longtail.training.build import build

    sizes = [2, *[1] * (spec.data.classes - 1)]
    objective = build(spec.with_rows(sum(sizes), sizes))
    if features not in objective.features:
        raise unknown(f"kind of features of {spec.last.objective!r}", features, objective.features)
    if objective.stored(features) is not None:
        raise LongtailError(f"{features!r} of {spec.last.objective!r} are held in a memory, which takes no time.")
    return objective.encoder(features)


def milliseconds(network: nn.Module, images: torch.Tensor, warm_up: int, forwards: int) -> list[float]:
    """What each of ``forwards`` passes of ``images``, (B, C, S, S), takes, after ``warm_up`` that do not count.

    The network is in the mode that it is in; gradients are off, and the device is waited for at both ends of a pass.
    """
    import torch

    def wait() -> None:
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)

    taken = []
    with torch.no_grad():
        for _ in range(warm_up + forwards):
            wait()
            start = time.perf_counter()
            network(images)
            wait()
            taken.append(1000 * (time.perf_counter() - start))
    return taken[warm_up:]


def metrics(value: float) -> pa.Table:
    """A metrics file of one line, ``infer_ms``."""
    nothing = pa.nulls(1, pa.int64())
    return pa.table(
        {
            "trial": pa.array([0], pa.int64()),
            "metric": ["infer_ms"],
            "class": nothing,
            "cluster": nothing,
            "parameter": pa.nulls(1, pa.string()),
            "value": pa.array([value], pa.float64()),
            "unit": ["ms"],
        }
    )
