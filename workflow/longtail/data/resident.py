"""A split held on the device that trains on it, and the random numbers of an epoch.

Long-tailed sets of small images fit a GPU as 8-bit pixels (CIFAR-10 at ratio 10: 63 MB), so a batch is one indexing
operation and no worker ever waits for a disk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from longtail.data.store import open_store
from longtail.errors import LongtailError
from longtail.files import read_table

Item = TypeVar("Item")

CHUNK = 4096  # rows copied at a time


@dataclass(frozen=True)
class SplitRows:
    """The rows of a split as ``python -m longtail job split`` wrote them.

    Attributes:
        path: the table.
        parts: text (N,), the part that each is of.
        source_rows: int64 (N,), its row in that part.
        labels: int64 (N,).
    """

    path: str | PathLike[str]
    parts: np.ndarray
    source_rows: np.ndarray
    labels: np.ndarray

    @classmethod
    def read(cls, path: str | PathLike[str], stores: Mapping[str, str | PathLike[str]]) -> SplitRows:
        """Read a table whose parts have ``stores``.

        Raises:
            LongtailError: if it has no rows, or a part has no store.
        """
        table = read_table(path, ["part", "source_row", "label"])
        if not len(table):
            raise LongtailError(f"{path} has no rows. Delete it and run the workflow again to rebuild it.")
        parts = np.asarray(table.column("part").to_pylist())
        rows = cls(
            path, parts, table.column("source_row").to_numpy(), table.column("label").to_numpy().astype(np.int64)
        )
        for part in rows.names:
            if part not in stores:
                raise LongtailError(f"{path} has rows of part {part!r}, but no store was given for it.")
        return rows

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> list[str]:
        """The parts that there are rows of, by name."""
        return sorted(set(self.parts.tolist()))

    def require(self, part: str, store: str | PathLike[str], there: int, holds: str) -> None:
        """Check that the ``there`` images or texts (``holds``) in the store of ``part`` are enough.

        Raises:
            LongtailError: if not.
        """
        last = int(self.source_rows[self.parts == part].max())
        if last >= there:
            raise LongtailError(
                f"{self.path} wants row {last} of part {part!r}, but {store} has {there} "
                f"{holds}. One of them is out of date: delete both and run the workflow again."
            )


class ResidentSplit:
    """The images and labels of a split, in the order of its rows, all of them on the device.

    Attributes:
        images: uint8 (N, C, H, W), channels last in memory.
        labels: int64 (N,).
        device: where both are.
        digest: hexadecimal digits that tell these images from others, whatever the device.
        planned_on: the device on which it is cheapest to say which rows are wanted.
        at_once: rows that networks in eval mode are given at a time.

    Args:
        split_path: a table that ``python -m longtail job split`` wrote.
        stores: for each part, the ``images.npy`` of the store.
        device: where to hold the images.

    Raises:
        LongtailError: if a store is missing or shorter than the split says, or the device has no room.
    """

    at_once = 512

    def __init__(
        self, split_path: str | PathLike[str], stores: Mapping[str, str | PathLike[str]], device: torch.device | str
    ) -> None:
        rows = SplitRows.read(split_path, stores)
        opened = {part: open_store(stores[part]) for part in rows.names}
        for part, images in opened.items():
            rows.require(part, stores[part], len(images), "images")
        shapes = {images.shape[1:] for images in opened.values()}
        if len(shapes) > 1:
            raise LongtailError(f"The parts of {split_path} have images of different shapes: {sorted(shapes)}.")
        shape = (len(rows), *shapes.pop())
        try:
            pixels = torch.empty(shape, dtype=torch.uint8, device=device)
        except RuntimeError as error:  # torch.OutOfMemoryError on CUDA, plain on the CPU
            size = np.prod(shape, dtype=np.int64) / 1e9
            raise LongtailError(
                f"{split_path} needs {size:z.1f} GB on {device}: {error}. With `storage: files` its images stay "
                f"encoded and are decoded while networks train (docs/raw-data.md)."
            ) from error
        digest = hashlib.blake2b(digest_size=16)
        for part, images in opened.items():
            positions = np.flatnonzero(rows.parts == part)
            positions = positions[np.argsort(rows.source_rows[positions])]  # the file is read front to back
            for chunk in np.array_split(positions, -(-len(positions) // CHUNK)):
                read = images[rows.source_rows[chunk]]
                digest.update(chunk.data)
                digest.update(np.ascontiguousarray(read).data)
                pixels[torch.from_numpy(chunk).to(device)] = torch.from_numpy(read).to(device)
        self.digest = digest.hexdigest()
        self.images: Tensor = pixels.permute(0, 3, 1, 2)
        self.labels: Tensor = torch.from_numpy(rows.labels).to(device)
        self.device = self.planned_on = pixels.device

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor) -> Tensor:
        """Images of ``rows``.

        Args:
            rows: (B,) int64 positions in the split, on any device.

        Returns:
            uint8 (B, C, H, W), channels last in memory.
        """
        rows = rows.to(self.device, non_blocking=True)
        return self.images.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)

    def ahead(
        self, items: Iterable[Item], rows_of: Callable[[Item], Sequence[Tensor]]
    ) -> Iterator[tuple[Item, tuple[Tensor, ...]]]:
        """Each item with a batch of images for each of the rows that it asks for; nothing has to be done ahead."""
        for item in items:
            yield item, tuple(map(self.batch, rows_of(item)))


def derived_seed(*parts: int | str) -> int:
    """A seed for what ``parts`` name, such as (phase seed, purpose, epoch): 63 bits of their SHA-256."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(device: torch.device | str, *parts: int | str) -> torch.Generator:
    """A generator on ``device`` seeded by ``parts`` alone, so that draws do not depend on what was drawn before."""
    return torch.Generator(device).manual_seed(derived_seed(*parts))


def epoch_order(seed: int, epoch: int, rows: int, weights: Tensor | None = None) -> Tensor:
    """The order in which an epoch visits the rows, (rows,) int64 on the CPU: the same on every device.

    Args:
        seed: of the phase.
        epoch: of the clock.
        rows: number of rows N.
        weights: (N,), if rows are to be drawn with replacement, in proportion to them.
    """
    draws = generator("cpu", seed, "order", epoch)
    if weights is None:
        return torch.randperm(rows, generator=draws)
    return torch.multinomial(weights.double().cpu(), rows, replacement=True, generator=draws)
