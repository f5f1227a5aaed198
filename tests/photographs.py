"""Real photographs for tests, at the sizes that the datasets of the catalogue have.

CIFAR-10 (32 pixels) and Tiny ImageNet (64) where the shared data are; for every other size, and without them for these
two, crops of the two photographs that ship with scikit-learn. Either way there are photographs, so no test need skip.
"""

from __future__ import annotations

import functools
import io
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

SIZES = (32, 64, 96, 224)
SHARED = {32: ("cifar10/test.parquet", "img"), 64: ("tiny_imagenet/val_2k.parquet", "image")}
"""By size, the file below the folder of shared data, and its column of images."""


def shared_data() -> Path:
    """The folder of published images, whether or not this machine has one."""
    return Path(os.environ.get("LONGTAIL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def photographs(count: int, size: int) -> np.ndarray:
    """The first ``count`` of up to a thousand photographs, uint8 (count, size, size, 3); the same in every run."""
    file, column = SHARED.get(size, ("", ""))
    if file and (path := shared_data() / file).is_file():
        return _published(path, column, count)
    return _crops(count, size)


def as_tensor(pictures: np.ndarray) -> torch.Tensor:
    """Pictures (B, H, W, C) as augmentations take them: uint8 (B, C, H, W)."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def grey(pictures: np.ndarray) -> np.ndarray:
    """The same pictures with one channel, (B, H, W, 1)."""
    return np.stack([np.asarray(Image.fromarray(picture).convert("L"))[..., None] for picture in pictures])


@functools.cache
def _published(path: Path, column: str, count: int) -> np.ndarray:
    rows = next(pq.ParquetFile(path).iter_batches(1000, columns=[column])).column(0).to_pylist()
    return np.stack([np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in rows[:count]])


@functools.cache
def _crops(count: int, size: int) -> np.ndarray:
    """Squares of a temple and a flower, of half their height at least, brought to ``size``."""
    draws, scenes = np.random.default_rng(0), load_sample_images().images
    crops = []
    for number in range(count):
        scene = scenes[number % len(scenes)]
        side = int(draws.integers(min(scene.shape[:2]) // 2, min(scene.shape[:2]) + 1))
        top, left = (int(draws.integers(length - side + 1)) for length in scene.shape[:2])
        crop = Image.fromarray(scene[top : top + side, left : left + side])
        crops.append(np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR)))
    return np.stack(crops)
