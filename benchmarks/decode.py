"""``python -m benchmarks.decode``: what decoding costs a worker process, beside torchvision's usual loader.

Photographs of about ImageNet's size, made of the two that come with scikit-learn, in folders of classes. Each way has
one worker process; the process that takes what it hands over does nothing else. Processor time is what to compare:
other work on the machine hardly moves it.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.report import Row, machine, median, parser, ratio, report
from longtail.data.index import write_index
from longtail.data.sources import ImageSet
from longtail.data.streamed import StreamedSplit
from longtail.devices.allocator import keep_freed_memory
from longtail.devices.distributed import ALONE
from longtail.files import write_table
from longtail.training.arguments import positive

QUALITY = 96
"""Of the JPEG files, which then take about a hundred kilobytes, as those of ImageNet do (110)."""

TRANSFORMS = {
    "crop, flip": [],
    "crop, flip, jitter": [transforms.ColorJitter(0.4, 0.4, 0.4)],
}
"""What the usual loader does to an image besides; the official codes of the large sets have either."""


def photographs(folder: Path, count: int, width: int, height: int) -> int:
    """Write ``count`` crops of two photographs as JPEG files of two classes, and a list; returns their bytes."""
    draws, lines, size = np.random.default_rng(0), [], 0
    for number in range(count):
        picture = Image.fromarray(load_sample_images().images[number % 2])
        left, top = int(draws.integers(0, 100)), int(draws.integers(0, 60))
        path = folder / f"class{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        picture.crop((left, top, left + 540, top + 360)).resize((width, height)).save(path, quality=QUALITY)
        size += path.stat().st_size
        lines.append(f"{path.relative_to(folder)} {number % 2}")
    (folder / "list.txt").write_text("\n".join(lines) + "\n")
    return size


def ours(folder: Path, count: int) -> StreamedSplit:
    """The split of all photographs, streamed by one worker."""
    source = {"kind": "imagefolder", "root": str(folder), "lists": {"train": "list.txt"}}
    images = ImageSet("photographs", source, 2, 224, 3, {"train": count}, "files")
    index = folder / "files.parquet"
    write_index(images, "train", index, folder / "encoded.bin", folder / "labels.parquet")
    rows = {"part": ["train"] * count, "source_row": np.arange(count), "label": np.arange(count) % 2}
    write_table(folder / "train.parquet", pa.table(rows))
    return StreamedSplit(folder / "train.parquet", {"train": index}, "cpu", 1, ALONE, keep_freed_memory)


def usual(folder: Path, batch: int, extra: list[torch.nn.Module]) -> DataLoader[object]:
    """Torchvision's loader with one worker."""
    listed = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), *extra]
    listed += [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    images = ImageFolder(str(folder), transforms.Compose(listed))
    return DataLoader(images, batch_size=batch, shuffle=True, num_workers=1)


class Pass(NamedTuple):
    """One pass over all photographs: images per second on the clock, and milliseconds of processor time for each."""

    images_per_second: float
    worker_ms: float
    main_ms: float


def timed(batches: Callable[[], Iterator[object]], count: int) -> Pass:
    """Go through all photographs once."""

    def used(who: int) -> float:
        found = resource.getrusage(who)
        return found.ru_utime + found.ru_stime

    whose = (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)
    before, began = [used(who) for who in whose], time.perf_counter()
    for _ in batches():
        pass
    seconds = time.perf_counter() - began
    worker, own = (1000 * (used(who) - was) / count for who, was in zip(whose, before, strict=True))
    return Pass(count / seconds, worker, own)


def main() -> None:
    """Measure, and report."""
    options = parser(str(__doc__).split("\n", maxsplit=1)[0])
    options.add_argument("--images", type=positive, default=2048, help="photographs")
    options.add_argument("--batch", type=positive, default=128, help="images of a batch")
    options.add_argument("--width", type=positive, default=500, help="of the photographs, in pixels")
    options.add_argument("--height", type=positive, default=375, help="likewise")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder, count, batch = Path(name), arguments.images, arguments.batch
        size = photographs(folder, count, arguments.width, arguments.height)
        split = ours(folder, count)

        def streamed() -> Iterator[object]:
            return split.ahead(torch.randperm(count).split(batch), lambda rows: (rows,))

        ways: dict[str, Callable[[], Iterator[object]]] = {"ours, decoded for the device": streamed}
        for title, extra in TRANSFORMS.items():
            loader = usual(folder, batch, extra)
            ways[f"ImageFolder and DataLoader: {title}"] = loader.__iter__
        found: dict[str, list[Pass]] = {way: [] for way in ways}
        for _ in range(arguments.repeats):
            for way, batches in ways.items():
                found[way].append(timed(batches, count))
    first = [one.worker_ms for one in next(iter(found.values()))]
    rows: list[Row] = [
        {
            "way": way,
            "images_per_second": median([one.images_per_second for one in passes]),
            "worker_ms": median([one.worker_ms for one in passes]),
            "main_ms": median([one.main_ms for one in passes]),
            "images_per_core_second": 1000 / median([one.worker_ms for one in passes]),
            "worker_time_to_ours": ratio([one.worker_ms for one in passes], first),
        }
        for way, passes in found.items()
    ]
    settings = {**vars(arguments), "kilobytes_per_image": size / count / 1000}
    described = {**machine(1, "torchvision", "pillow"), "kilobytes_per_image": round(size / count / 1000, 1)}
    report("decode", {"decoding": rows}, described=described, settings=settings, out=arguments.out)


if __name__ == "__main__":
    main()
