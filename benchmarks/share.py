"""``python -m benchmarks.share``: images per second of all trainings together that share a GPU, beside one alone."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.report import Row, machine, median, parser, ratio, report
from benchmarks.stacks import Ours, Work
from benchmarks.train import random_split, specification
from longtail.devices.precision import computing_type, prepare_device
from longtail.training.arguments import positive

READY, GO = "ready", "go"


def main() -> None:
    """Measure every number of trainings, or be one of them."""
    arguments = command_line().parse_args()
    if arguments.of:
        be_one(arguments)
        return
    rates: dict[int, list[float]] = {number: [] for number in [1, *arguments.trainings]}
    device = ""
    for _ in range(arguments.repeats):
        for number, found in rates.items():
            together, device = side_by_side(number, arguments)
            found.append(together)
    rows: list[Row] = [
        {
            "objective": arguments.method,
            "batch": arguments.batch,
            "device": device,
            "trainings": number,
            "images_per_second": median(found),
            "of_one_alone": ratio(found, rates[1]),
        }
        for number, found in rates.items()
    ]
    settings = {key: value for key, value in vars(arguments).items() if key != "of"}
    report("share", {"sharing": rows}, described=machine(1), settings=settings, out=arguments.out)


def command_line() -> argparse.ArgumentParser:
    """The options."""
    options = parser("Images per second of all trainings together that share a GPU, beside one alone.")
    options.add_argument("--trainings", nargs="+", type=positive, default=[2, 4, 8], help="at once, beside 1")
    options.add_argument("--method", default="ce", help="its last objective is trained")
    options.add_argument("--cut", default="cifar10-lt-ir100", help="whose settings of the method are taken")
    options.add_argument("--backbone", help="the cut's if not given")
    options.add_argument("--stem", default="cifar", help="cifar or imagenet")
    options.add_argument("--image-size", type=positive, default=32, help="pixels of an axis")
    options.add_argument("--batch", type=positive, default=128, help="images per update")
    options.add_argument("--steps", type=positive, default=20, help="updates per epoch")
    options.add_argument("--seconds", type=float, default=10.0, help="that trainings run side by side")
    options.add_argument("--of", type=positive, help=argparse.SUPPRESS)
    return options


def side_by_side(number: int, arguments: argparse.Namespace) -> tuple[float, str]:
    """Images per second of so many trainings together, each a process, and the device they name.

    All are warm before the first begins, and each counts the epochs that it ends within the time.
    """
    command = [sys.executable, "-m", "benchmarks.share", "--of", str(number), *sys.argv[1:]]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(number)
    ]
    try:
        for process in started:
            if said(process) != READY:
                raise SystemExit("A training has ended before it began; what it said stands above.")
        for process in started:
            print(GO, file=process.stdin, flush=True)
        found = [said(process).split(maxsplit=1) for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()
    return sum(float(rate) for rate, _ in found), found[0][1]


def said(process: subprocess.Popen[str]) -> str:
    """The next line of a process; empty when it has ended."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def be_one(arguments: argparse.Namespace) -> None:
    """Train one of several networks that share a GPU: warm up, wait for the word, and say images per second."""
    device = prepare_device(1, per_gpu=arguments.of)
    dtype = computing_type("mixed", device)
    with tempfile.TemporaryDirectory() as folder:
        split = random_split(Path(folder), arguments.steps * arguments.batch, arguments.image_size, device)
        spec = specification(arguments.method, arguments).with_split(split.labels.tolist(), Path(folder))
        ours = Ours(Work(spec, split, arguments.steps, dtype, 0, compiled=False))
        ours.epoch()
        print(READY, flush=True)
        sys.stdin.readline()
        began, epochs = time.perf_counter(), 0
        while time.perf_counter() - began < arguments.seconds:
            ours.epoch()
            epochs += 1
        rate = epochs * len(split) / (time.perf_counter() - began)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(rate, f"{name} in {str(dtype).removeprefix('torch.')}", flush=True)


if __name__ == "__main__":
    main()
