"""``python -m benchmarks.train``: images per second of the training loop, beside its ceiling and the usual stacks."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F

from benchmarks.report import Row, machine, median, parser, ratio, report, usable_cores
from benchmarks.stacks import (
    AUGMENTATION,
    FORWARD_BACKWARD,
    OPTIMIZER,
    Ceiling,
    Ours,
    Stack,
    Tensors,
    Timing,
    Usual,
    Work,
)
from longtail.data.resident import ResidentSplit
from longtail.devices.precision import PRECISIONS, computing_type, prepare_device
from longtail.study.study import load_study
from longtail.training.arguments import positive
from longtail.training.compiled import WORTH_IT, pays
from longtail.training.specification import Specification, parse

LEARNING_RATE = 1e-4
"""Instead of the schedule's peak: networks that start untrained after the warm-up would diverge. It costs the same."""


def main() -> None:
    """Measure every method asked for and report."""
    arguments = command_line().parse_args()
    device = prepare_device(arguments.threads)
    dtype = computing_type(arguments.precision, device)
    if arguments.steps is None:
        arguments.steps = 40 if device.type == "cuda" else 1
    described = machine(torch.get_num_threads(), "torchvision", "pillow")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for method in arguments.methods:
            split = random_split(Path(folder), arguments.steps * arguments.batch, arguments.image_size, device)
            spec = specification(method, arguments).with_split(split.labels.tolist(), Path(folder))
            as_long = spec.with_rows(
                WORTH_IT, [WORTH_IT] + [0] * (spec.data.classes - 1)
            )  # as a training of a paper is
            work = Work(spec, split, arguments.steps, dtype, arguments.workers, compiled=pays(as_long, device))
            rows += measure(work, arguments)
    report("train", {"stacks": rows}, described=described, settings=vars(arguments), out=arguments.out)


def command_line() -> argparse.ArgumentParser:
    """The options."""
    options = parser("Images per second of the training loop, beside its ceiling and two stacks of DataLoader workers.")
    options.add_argument("--methods", nargs="+", default=["simclr", "conmix"], help="their last objective is trained")
    options.add_argument("--cut", default="cifar10-ir10", help="whose settings of the methods are taken")
    options.add_argument("--backbone", help="resnet18, resnet50 or resnet_small; the cut's if not given")
    options.add_argument("--stem", default="cifar", help="cifar or imagenet")
    options.add_argument("--image-size", type=positive, default=32, help="pixels of an axis")
    options.add_argument("--batch", type=positive, default=512, help="images per update")
    options.add_argument("--steps", type=positive, help="updates per epoch; 40 on a GPU and 1 on a CPU if not given")
    options.add_argument("--precision", choices=PRECISIONS, default="mixed", help="of the loop, its ceiling and v2")
    options.add_argument("--threads", type=positive, default=usable_cores(), help="CPU threads of torch")
    options.add_argument("--workers", type=positive, default=usable_cores(), help="DataLoader processes")
    options.add_argument("--vendor-tflops", type=float, help="the vendor's peak, to state the utilisation of that too")
    return options


def specification(method: str, arguments: argparse.Namespace) -> Specification:
    """The phase in which ``method`` ends, as the catalogue describes it, with the sizes asked for.

    Raises:
        LongtailError: if there is no such method.
    """
    study = load_study({"targets": ["digits"]})
    (measured,) = study.cell_measurements(method, arguments.cut, 0)
    cut, name = measured.keys["run"].split("/")
    spec = study.phase(cut, name).spec(0)
    spec["data"] |= {"image_size": arguments.image_size}
    if arguments.backbone:
        spec["backbone"] = {"name": arguments.backbone, "stem": arguments.stem}
    spec["lineage"][-1]["settings"] |= {"batch_size": arguments.batch, "learning_rate": LEARNING_RATE}
    return parse(spec)


def random_split(folder: Path, rows: int, size: int, device: torch.device) -> ResidentSplit:
    """Images of noise, stored and read as a training job reads its own."""
    draws = np.random.default_rng(0)
    np.save(folder / "images.npy", draws.integers(0, 256, (rows, size, size, 3), dtype=np.uint8))
    columns = {"part": ["train"] * rows, "source_row": np.arange(rows), "label": np.sort(draws.integers(0, 10, rows))}
    pq.write_table(pa.table(columns), folder / "split.parquet")
    return ResidentSplit(folder / "split.parquet", {"train": folder / "images.npy"}, device)


def measure(work: Work, arguments: argparse.Namespace) -> list[Row]:
    """All stacks in turn, once to warm up and then ``repeats`` times, so that a drift of the machine hits all alike."""
    ours = Ours(work)
    ceiling = Ceiling(work, ours.views(0))
    stacks: dict[str, Stack] = {"ours": ours, "ceiling": ceiling, "usual": Usual(work), "tensors": Tensors(work)}
    flops = ceiling.flops()
    for stack in stacks.values():
        stack.epoch()
    timings: defaultdict[str, list[Timing]] = defaultdict(list)
    peaks: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(arguments.repeats):
        for name, stack in stacks.items():
            timings[name].append(stack.epoch())
        for name, peak in PEAKS.items():
            peaks[name].append(peak(work.device, work.dtype))
    peak_of = max(peaks, key=lambda name: median(peaks[name]))
    return [
        row(name, work, flops, timings, peaks[peak_of]) | {"peak_of": peak_of} | vendor(arguments, flops, work, taken)
        for name, taken in timings.items()
    ]


def row(name: str, work: Work, flops: int, timings: Mapping[str, Sequence[Timing]], peaks: Sequence[float]) -> Row:
    """One stack's line: medians over the repeats, and medians of the repeats' own ratios.

    Args:
        name: of the stack.
        work: what was done.
        flops: of one update.
        timings: of all stacks, one per repeat.
        peaks: floating point operations per second that the device can do, one per repeat.
    """
    batch = work.spec.last.settings.batch_size
    seconds = [timing.seconds for timing in timings[name]]
    shared = (
        "ceiling" if name == "ours" else name
    )  # the loop is not interrupted to time what it shares with its ceiling
    parts = {
        part: [timing.parts.get(part, 0.0) for timing in timings[source]]
        for part, source in ((AUGMENTATION, name), (FORWARD_BACKWARD, shared), (OPTIMIZER, shared))
    }
    apart = (FORWARD_BACKWARD, OPTIMIZER) if name in ("usual", "tensors") else tuple(parts)
    waiting = [whole - sum(parts[part][i] for part in apart) for i, whole in enumerate(seconds)]
    each = 1000 / work.steps
    return {
        "objective": work.spec.last.objective,
        "backbone": f"{work.spec.backbone.name}/{work.spec.backbone.stem}",
        "image_size": work.spec.data.image_size,
        "batch": batch,
        "device": str(work.device),
        "stack": name,
        "precision": "float32" if name == "usual" else str(work.dtype).removeprefix("torch."),
        "network": "compiled" if work.compiled and name != "usual" else "eager",
        "images_per_second": batch * work.steps / median(seconds),
        "slowest": batch * work.steps / max(seconds),
        "fastest": batch * work.steps / min(seconds),
        "of_ceiling": ratio([timing.seconds for timing in timings["ceiling"]], seconds),
        "utilisation": ratio([flops * work.steps / whole for whole in seconds], peaks),
        "augmentation_ms": None if name == "ceiling" else each * median(parts[AUGMENTATION]),
        "forward_backward_ms": each * median(parts[FORWARD_BACKWARD]),
        "optimizer_ms": each * median(parts[OPTIMIZER]),
        "waiting_ms": each * median(waiting),
        "update_tflop": flops / 1e12,
        "peak_tflops": median(peaks) / 1e12,
    }


def vendor(arguments: argparse.Namespace, flops: int, work: Work, timings: Sequence[Timing]) -> Row:
    """The utilisation of what the vendor states, where it was given."""
    if arguments.vendor_tflops is None:
        return {}
    achieved = median([flops * work.steps / timing.seconds for timing in timings]) / 1e12
    return {"vendor_tflops": arguments.vendor_tflops, "utilisation_of_vendor": achieved / arguments.vendor_tflops}


def fastest(work: Callable[[], object], device: torch.device, times: int = 5) -> float:
    """Seconds of the fastest of some runs: a peak is what the device can do when nothing disturbs it."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


@torch.no_grad()
def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating point operations per second of a product of square matrices."""
    n = 8192 if device.type == "cuda" else 1024
    a = torch.randn(n, n, device=device, dtype=dtype)  # of ones a GPU could do more, as they take less power
    return 2 * n**3 / fastest(lambda: a @ a, device)


@torch.no_grad()
def convolution_peak(device: torch.device, dtype: torch.dtype) -> float:
    """The same of a 3x3 convolution, which some libraries do faster than their products."""
    batch, width, size = (256, 512, 32) if device.type == "cuda" else (8, 256, 32)
    x = torch.randn(batch, width, size, size, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    w = torch.randn(width, width, 3, 3, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    return 2 * 9 * batch * (width * size) ** 2 / fastest(lambda: F.conv2d(x, w, padding=1), device)


PEAKS: Mapping[str, Callable[[torch.device, torch.dtype], float]] = {
    "matmul": matmul_peak,
    "convolution": convolution_peak,
}

if __name__ == "__main__":
    main()
