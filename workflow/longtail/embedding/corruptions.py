"""``python -m longtail corruptions``: how many corrupted test images of each class a trained classifier gets right.

ImageNet-C has 3.75 million images. They are decoded in threads while the network computes, a few batches ahead of it,
and nothing of them is kept but the counts. Each image is cut to its centre at the size that the network sees and never
resized, as in ImageNet-C/test.py of hendrycks/robustness (the images of ImageNet-C have that size). The network is in
eval mode and computes in float32, as everything that is tested; the class is that of the largest logit.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from longtail.data.corruptions import CorruptedSet, class_numbers, images_of
from longtail.data.decode import decode
from longtail.data.rows import Sample, note
from longtail.data.sources import ImageSet
from longtail.errors import LongtailError
from longtail.files import write_table
from longtail.signals import StopSignals
from longtail.training.arguments import GPUS_HELP, PER_GPU_HELP, positive, thread_count

if TYPE_CHECKING:
    import torch

    from longtail.methods.base import Objective
    from longtail.training.specification import Specification

BATCH = 256
AHEAD = 3
"""Batches that are decoded, or about to be, while the network computes: what is in memory at most, beside its own."""

Predict = Callable[[np.ndarray], np.ndarray]
"""From images, uint8 (B, S, S, C), to the class of each, (B,) int64."""


class Decoded(NamedTuple):
    """Images with their classes and conditions: ``images`` uint8 (B, S, S, C), the others (B,) int64."""

    images: np.ndarray
    labels: np.ndarray
    conditions: np.ndarray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--spec", type=Path, required=True, help="specification that the training wrote")
    parser.add_argument("--checkpoint", type=Path, required=True, help="its checkpoint")
    parser.add_argument("--features", required=True, help="which features, of those that have a classifier")
    parser.add_argument("--set", required=True, metavar="JSON", help="where the images lie, what they are corrupted by")
    parser.add_argument("--out", type=Path, required=True, help="output: images and right ones by condition and class")
    parser.add_argument("--gpus", type=int, choices=(0, 1), help=GPUS_HELP)
    parser.add_argument("--trainings-per-gpu", type=positive, default=1, metavar="K", help=PER_GPU_HELP)
    parser.add_argument("--threads", type=int, help="CPU threads, to decode as well; in a Slurm job those of the job")


def run(arguments: argparse.Namespace) -> None:
    """Count, and write a line per corruption, severity and class.

    Raises:
        LongtailError: on anything the user can act on.
    """
    from longtail.devices.precision import prepare_device
    from longtail.embedding.trained import trained_objective

    corrupted = CorruptedSet.from_json(arguments.set)
    numbers = class_numbers(corrupted.trained)
    spec, objective, _ = trained_objective(arguments.spec, arguments.checkpoint, arguments.features)
    threads = thread_count(arguments.threads)
    device = prepare_device(threads, arguments.gpus, arguments.trainings_per_gpu)
    predict = predictor(spec, objective, arguments.features, device)
    decoded = ImageSet(
        corrupted.name,
        {"crop": spec.data.image_size},
        spec.data.classes,
        spec.data.image_size,
        spec.data.channels,
        {"test": corrupted.rows},
    )
    images, right = count(corrupted, numbers, decoded, predict, threads or 1)
    facts = {"identity": spec.identity, "seed": spec.seed, "features": arguments.features}
    source = {"name": corrupted.name, "source": corrupted.source.get("name", corrupted.source["kind"])}
    write_table(arguments.out, table_of(corrupted, images, right), corrupted=source, **facts)


def predictor(spec: Specification, objective: Objective, features: str, device: torch.device) -> Predict:
    """The classifier behind the features.

    Raises:
        LongtailError: when it is called, if there is none or it knows other classes.
    """
    import torch

    from longtail.data.augment import Normalization
    from longtail.devices.memory import room_for

    encoder = objective.to(device).to(memory_format=torch.channels_last).encoder(features).eval()
    given = spec.last.settings.normalization
    normalize = Normalization(given["mean"], given["std"], device)

    @torch.no_grad()
    def predict(images: np.ndarray) -> np.ndarray:
        with room_for(f"the activations of {len(images)} images", str(device)):
            views = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).to(torch.float32).div_(255)
            output = encoder(normalize(views).contiguous(memory_format=torch.channels_last))
        if not isinstance(output, tuple):
            raise LongtailError(
                f"Behind {features!r} of {spec.last.objective!r} there is no classifier, so it predicts no classes. "
                f"Name features that have one, such as 'backbone' of a method of recognition."
            )
        if output[1].shape[1] != spec.data.classes:
            raise LongtailError(
                f"The classifier behind {features!r} knows {output[1].shape[1]} classes, and there are "
                f"{spec.data.classes}. Name features with a classifier of the true classes."
            )
        return output[1].float().argmax(1).cpu().numpy()

    return predict


def count(
    corrupted: CorruptedSet, numbers: Mapping[str, int], decoded: ImageSet, predict: Predict, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images, and those that are predicted rightly, of each condition and class.

    Args:
        corrupted: the images.
        numbers: of the classes, see :func:`~longtail.data.corruptions.class_numbers`.
        decoded: size and channels that images are decoded to.
        predict: tells the classes of a batch.
        threads: that decode.

    Returns:
        Two arrays (conditions, K) int64.
    """
    names = list(corrupted.conditions())
    shape = (len(names), decoded.classes)
    images, right = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    begun, said = time.monotonic(), 0
    for batch in batches(_rows(corrupted, numbers), decoded, threads):
        predicted = predict(batch.images)
        np.add.at(images, (batch.conditions, batch.labels), 1)
        hits = predicted == batch.labels
        np.add.at(right, (batch.conditions[hits], batch.labels[hits]), 1)
        while said < len(names) and images[said].sum() == corrupted.rows:
            pace = images.sum() / (time.monotonic() - begun)
            share = 100 * right[said].sum() / corrupted.rows
            corruption, severity = names[said]
            note(f"{corruption} {severity}: {share:z.1f} % of {corrupted.rows:,} right; {pace:z,.0f} images/s so far")
            said += 1
    return images, right


def _rows(corrupted: CorruptedSet, numbers: Mapping[str, int]) -> Iterator[tuple[int, Sample]]:
    """All images with the number of their condition."""
    for position, (corruption, severity) in enumerate(corrupted.conditions()):
        for sample in images_of(corrupted, corruption, severity, numbers):
            yield position, sample


def batches(rows: Iterable[tuple[int, Sample]], decoded: ImageSet, threads: int) -> Iterator[Decoded]:
    """The images in order, decoded by threads that are at most :data:`AHEAD` batches ahead of whoever takes them.

    Raises:
        LongtailError: if an image cannot be decoded, when its batch is taken.
    """
    remaining = iter(rows)
    with StopSignals() as signals, ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[list[Future[np.ndarray]], list[tuple[int, Sample]]]] = deque()

        def begin() -> None:
            chunk = list(itertools.islice(remaining, BATCH))
            if chunk:
                waiting.append(([pool.submit(decode, sample, decoded) for _, sample in chunk], chunk))

        try:
            for _ in range(AHEAD):
                begin()
            while waiting:
                futures, chunk = waiting.popleft()
                images = np.stack([future.result() for future in futures])
                signals.obey()
                begin()
                labels, conditions = [sample.label for _, sample in chunk], [position for position, _ in chunk]
                yield Decoded(images, np.array(labels), np.array(conditions))
        finally:  # what is not begun is not waited for
            pool.shutdown(wait=False, cancel_futures=True)


def table_of(corrupted: CorruptedSet, images: np.ndarray, right: np.ndarray) -> pa.Table:
    """A line per corruption, severity and class: how many images there are, and how many are right."""
    names = list(corrupted.conditions())
    conditions, classes = images.shape
    return pa.table(
        {
            "corruption": pa.array(np.repeat([name for name, _ in names], classes).tolist(), pa.string()),
            "severity": pa.array(np.repeat([severity for _, severity in names], classes), pa.int64()),
            "class": pa.array(np.tile(np.arange(classes), conditions), pa.int64()),
            "images": pa.array(images.ravel(), pa.int64()),
            "right": pa.array(right.ravel(), pa.int64()),
        }
    )
