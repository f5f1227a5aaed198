"""A split whose images stay encoded: worker processes decode them while the device trains.

ImageNet-LT is 13 GB as JPEG and 65 GB as pixels, iNaturalist ten times that. What a training takes of either is a few
batches: its requests are known some updates ahead, so workers read and decode those images while the device is busy,
and hand over pixels, which the device augments as it does those of a resident split. Order and random numbers are the
resident split's; only where pixels come from differs, and where both hold the same pixels the weights become the same.

The processes of one training on several GPUs share the decoding and give each other what they have decoded.

Workers are those of ``torch.utils.data.DataLoader``. A request is a few images and not a batch, so that what is under
way stays small, whatever the size of the set: beside the batches of one item, :data:`AHEAD` requests of :data:`CHUNK`
images per worker.
"""

from __future__ import annotations

import hashlib
import itertools
import mmap
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from longtail.data.decode import decode
from longtail.data.index import Entry, Index, encoded, open_index
from longtail.data.pictures import Pictures
from longtail.data.resident import SplitRows
from longtail.data.rows import Sample
from longtail.errors import LongtailError

Item = TypeVar("Item")

CHUNK = 16
"""Images that a worker decodes at a time: eight megabytes of photographs."""

AHEAD = 4
"""Requests that wait for each worker, so that none stands still while another has large images."""

SHELF = CHUNK * 2**20
"""Bytes of a shelf: photographs of 500x400 pixels take 600,000 each."""


class Request(NamedTuple):
    """What a worker is asked for: some rows, and a shelf for what it makes of them, unless all are in use."""

    rows: list[int]
    shelf: int | None


class Decoded(NamedTuple):
    """Images as a worker hands them over: uint8, one image (H, W, C) after the other.

    Attributes:
        sizes: heights and widths.
        length: values in all, the sum of H W C.
        shelf: where the pixels lie.
        pixels: the pixels, (length,), where there is no shelf or they do not fit.
    """

    sizes: list[tuple[int, int]]
    length: int
    shelf: int | None
    pixels: Tensor | None


class Failed(NamedTuple):
    """What a worker hands over in place of images that it could not read."""

    message: str


class Sharing(Protocol):
    """The processes that train together and share the decoding, as ``longtail.devices.distributed.Group`` has them."""

    @property
    def rank(self) -> int:
        """Of this process, from 0."""

    @property
    def size(self) -> int:
        """How many there are."""

    def gathered(self, tensor: Tensor) -> list[Tensor]:
        """The tensors of all processes, by rank, which may differ in their first dimension."""


class StreamedSplit:
    """The images and labels of a split, in the order of its rows, of which only those in use are in memory.

    Attributes:
        labels: int64 (N,), on the device.
        device: where images are wanted.
        digest: hexadecimal digits that tell these images from others.
        planned_on: the device on which it is cheapest to say which rows are wanted.
        at_once: rows that networks in eval mode are given at a time.

    Args:
        split_path: a table that ``python -m longtail job split`` wrote.
        indexes: for each part, the index of its images.
        device: where images are wanted.
        workers: processes that decode; with 0 this one does.
        group: the processes that train together; each must ask for the same rows.
        at_start: called in each worker before it decodes.

    Raises:
        LongtailError: if an index is missing or shorter than the split says.
    """

    planned_on = torch.device("cpu")
    at_once = 128

    def __init__(
        self,
        split_path: str | PathLike[str],
        indexes: Mapping[str, str | PathLike[str]],
        device: torch.device | str,
        workers: int,
        group: Sharing,
        at_start: Callable[[], None] = lambda: None,
    ) -> None:
        rows = SplitRows.read(split_path, indexes)
        opened = {part: open_index(indexes[part]) for part in rows.names}
        for part, index in opened.items():
            rows.require(part, indexes[part], len(index), "images")
        self._images = _Images(rows, opened)
        self._workers, self._group, self._at_start = workers, group, at_start
        digest = hashlib.blake2b(digest_size=16)
        for part, index in opened.items():
            digest.update(np.flatnonzero(rows.parts == part).tobytes())
            digest.update("".join(index.digests[rows.source_rows[rows.parts == part]]).encode())
        self.digest = digest.hexdigest()
        self.labels = torch.from_numpy(rows.labels).to(device)
        self.device = self.labels.device

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor) -> Tensor | Pictures:
        """Images of ``rows``, (B,) int64 positions in the split: uint8 (B, C, H, W), or :class:`Pictures`."""
        ((_, (images,)),) = self.ahead([rows], lambda rows: (rows,))
        return images

    def ahead(
        self, items: Iterable[Item], rows_of: Callable[[Item], Sequence[Tensor]]
    ) -> Iterator[tuple[Item, tuple[Tensor | Pictures, ...]]]:
        """Each item with the images that it asks for; ``items`` is read further than it is given.

        Args:
            items: what is to be done, in order.
            rows_of: the rows that an item asks for, each (B,) int64 on any device; one batch of images for each.

        Raises:
            LongtailError: if an image can no longer be read.
            RuntimeError: if a worker has died, see :func:`workers_that_speak`.
        """
        asked: deque[tuple[Item, list[int]]] = deque()
        shelves = _Shelves(2 * AHEAD * self._workers)

        def requests() -> Iterator[Request]:
            for item in items:
                wanted = [rows.tolist() for rows in rows_of(item)]
                asked.append((item, [len(rows) for rows in wanted]))
                for rows in wanted:
                    own = rows[self._group.rank :: self._group.size]
                    for start in range(0, max(1, len(own)), CHUNK):
                        yield Request(own[start : start + CHUNK], shelves.take())

        parts = iter(self._loader(requests(), shelves))
        for first in parts:  # with which its item has been asked for
            item, lengths = asked.popleft()
            rest = itertools.chain([first], parts)
            yield item, tuple(self._images_of(rest, length, shelves) for length in lengths)

    def _loader(self, requests: Iterator[Request], shelves: _Shelves) -> DataLoader[Decoded | Failed]:
        return DataLoader(
            _Decoding(self._images, shelves),
            sampler=requests,  # any iterable of what the dataset is asked for
            batch_size=None,
            num_workers=self._workers,
            prefetch_factor=AHEAD if self._workers else None,
            worker_init_fn=lambda _: self._at_start(),
            multiprocessing_context="fork" if self._workers else None,  # only children inherit the shelves
            generator=torch.Generator(),  # whose draws are not taken from the training's
        )

    def _images_of(self, parts: Iterator[Decoded | Failed], length: int, shelves: _Shelves) -> Tensor | Pictures:
        """The next ``length`` images, of which this process asked for its share."""
        group = self._group
        own = len(range(group.rank, length, group.size))
        found: list[Decoded] = []
        for part in itertools.islice(parts, max(1, -(-own // CHUNK))):
            if isinstance(part, Failed):
                raise LongtailError(part.message)
            found.append(part)
        sizes = [size for part in found for size in part.sizes]
        there = [self._on_device(shelves.pixels(part)) for part in found]
        if group.size == 1:
            images = together([image for on, part in zip(there, found, strict=True) for image in _cut(on, part.sizes)])
        else:
            dealt = group.gathered(torch.tensor(sizes, dtype=torch.int64, device=self.device).view(-1, 2))
            shares = [
                list(_cut(pixels, [(height, width) for height, width in sizes.tolist()]))
                for pixels, sizes in zip(group.gathered(torch.cat(there)), dealt, strict=True)
            ]
            images = together([shares[place % group.size][place // group.size] for place in range(length)])
        for part in found:
            shelves.clear(part.shelf)
        return images

    def _on_device(self, pixels: Tensor) -> Tensor:
        """Where they are wanted; a GPU fetches them on its own, and from memory of this process alone."""
        if self.device.type == "cuda":
            return pixels.pin_memory().to(self.device, non_blocking=True)
        return pixels.to(self.device)


class _Shelves:
    """Memory that forked workers share with this process, and that is used again and again.

    New pages would cost a worker half the time in which it decodes what it puts there.
    """

    def __init__(self, count: int) -> None:
        self._all = [torch.frombuffer(mmap.mmap(-1, SHELF), dtype=torch.uint8) for _ in range(count)]
        self._free = deque(range(count))

    def take(self) -> int | None:
        """A shelf with nothing on it; None if there is none."""
        return self._free.popleft() if self._free else None

    def clear(self, shelf: int | None) -> None:
        """Nobody needs what lies on a shelf any more."""
        if shelf is not None:
            self._free.append(shelf)

    def put(self, images: list[np.ndarray], shelf: int | None) -> Decoded:
        """Hand over images, each uint8 (H, W, C)."""
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        flat = [image.reshape(-1) for image in images] or [np.empty(0, dtype=np.uint8)]
        length = sum(map(len, flat))
        if shelf is None or length > SHELF:
            return Decoded(sizes, length, shelf, torch.from_numpy(np.concatenate(flat)))
        np.concatenate(flat, out=self._all[shelf][:length].numpy())
        return Decoded(sizes, length, shelf, None)

    def pixels(self, part: Decoded) -> Tensor:
        """The pixels of what was handed over, (length,); valid until its shelf is cleared."""
        if part.pixels is not None:
            return part.pixels
        assert part.shelf is not None
        return self._all[part.shelf][: part.length]


def _cut(pixels: Tensor, sizes: Sequence[tuple[int, int]]) -> Iterator[Tensor]:
    """Images that lie one after the other, each uint8 (H, W, C)."""
    areas = [height * width for height, width in sizes]
    channels = len(pixels) // max(1, sum(areas))
    for image, (height, width) in zip(pixels.split([area * channels for area in areas]), sizes, strict=True):
        yield image.view(height, width, channels)


def together(images: Sequence[Tensor]) -> Tensor | Pictures:
    """Images as one batch, channels last in memory.

    Args:
        images: each uint8 (H, W, C).

    Returns:
        uint8 (B, C, H, W) if all are of one size, else :class:`Pictures`.
    """
    if len({image.shape for image in images}) == 1:
        return torch.stack(list(images)).permute(0, 3, 1, 2)
    heights, widths = ([image.shape[side] for image in images] for side in (0, 1))
    frames = images[0].new_zeros(len(images), max(heights), max(widths), images[0].shape[2])
    for frame, image in zip(frames, images, strict=True):
        frame[: image.shape[0], : image.shape[1]] = image
    tall, wide = (torch.tensor(side, device=frames.device) for side in (heights, widths))
    return Pictures(frames.permute(0, 3, 1, 2), tall, wide, whole=False)


class _Images:
    """Where the images of a split's rows are, and how they are decoded."""

    def __init__(self, rows: SplitRows, opened: Mapping[str, Index]) -> None:
        places = np.empty(len(rows), dtype=np.int64)  # of each row, among the parts one below the other
        tables, before = [], 0
        for part, index in opened.items():
            places[rows.parts == part] = before + rows.source_rows[rows.parts == part]
            tables.append(index.entries)
            before += len(index)
        self._entries = pa.concat_tables(tables).take(places).combine_chunks()
        first = next(iter(opened.values()))
        self._image_set, self._index = first.image_set, first.path

    def decoded(self, row: int) -> np.ndarray:
        """The image of a row, uint8 (H, W, C)."""
        entry = Entry(*(self._entries.column(name)[row].as_py() for name in Entry._fields))
        return decode(Sample(entry.name, encoded(entry, self._index), 0), self._image_set)


class _Decoding(Dataset["Decoded | Failed"]):
    """What a worker does with a request."""

    def __init__(self, images: _Images, shelves: _Shelves) -> None:
        self._images, self._shelves = images, shelves

    def __getitem__(self, request: Request) -> Decoded | Failed:
        """The images of its rows."""
        try:
            return self._shelves.put([self._images.decoded(row) for row in request.rows], request.shelf)
        except LongtailError as error:  # which another process would be told as a traceback
            return Failed(str(error))


@contextmanager
def workers_that_speak() -> Iterator[None]:
    """Say in one sentence that a process which decodes was killed, which is noticed anywhere: by a signal.

    Raises:
        LongtailError: if one was.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise LongtailError(
            f"A process that decodes images has ended: {str(error).splitlines()[0]} If memory was short, ask for more, "
            f"or for fewer threads (--set-threads train=4), each of which decodes. The next run goes on from the last "
            f"save."
        ) from error
