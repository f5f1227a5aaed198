"""How an epoch is cut into batches, and what that asks of a split. Imports no torch: it is asked before the first job.

A batch of one image has no batch statistics and nothing to be told apart from: batch normalisation refuses it, and
losses over pairs of rows are empty. Most official codes that keep an incomplete last batch end with an error when it
has one image. Here that image joins the batch before it. So an epoch still visits every row once, no number of rows has
to be avoided, and for all other numbers of rows nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from longtail.errors import LongtailError


@dataclass(frozen=True)
class Batches:
    """The batches of one epoch; the i-th is the slice ``batches[i]`` of the order in which rows are visited.

    Attributes:
        rows: images in the split, N.
        size: images in a complete batch, B.
        drop_last: whether an incomplete last batch is left out.
    """

    rows: int
    size: int
    drop_last: bool = False

    def __len__(self) -> int:
        """Updates in an epoch."""
        complete, left = divmod(self.rows, self.size)
        return complete if self.drop_last or (complete and left < 2) else complete + 1

    def __getitem__(self, step: int) -> slice:
        """The positions of batch ``step``. The last one takes what is left, up to B + 1, unless that is dropped."""
        if not 0 <= step < len(self):
            raise IndexError(step)
        last = step == len(self) - 1 and not self.drop_last
        return slice(step * self.size, self.rows if last else (step + 1) * self.size)

    def __iter__(self) -> Iterator[slice]:
        return (self[step] for step in range(len(self)))

    @property
    def visited(self) -> int:
        """How many images an epoch visits."""
        return len(self) * self.size if self.drop_last else self.rows

    @property
    def lengths(self) -> set[int]:
        """How many images the batches have: B, and in the last one perhaps another number."""
        ends = (self[0], self[len(self) - 1])
        return {batch.stop - batch.start for batch in ends}


def batches_of(objective: str, rows: int, size: int, drop_last: bool, own: Mapping[str, Any]) -> Batches:
    """The batches of an epoch of ``objective``.

    Args:
        objective: for the messages.
        rows: images or texts in the split.
        size: of a complete batch.
        drop_last: whether an incomplete last batch is left out.
        own: the objective's settings, of which ``batchnorm_splits``, ``batch_groups``, ``queue_size`` and
            ``mini_clusters`` are read.

    Raises:
        LongtailError: if there is no batch, a batch would have one image, cannot be normalised in groups of one size or
            does not fit the queue of keys, or the split has fewer images than are to be clusters.
    """
    place = f"{objective} cannot be trained on {rows} {'image' if rows == 1 else 'images'} (rows of the split)"
    if min(rows, size) < 2:
        raise LongtailError(
            f"{place} with batch_size {size} and drop_last {str(drop_last).lower()}: a batch of one image has no batch "
            f"statistics, and nothing to be told apart from. "
            + ("Set batch_size to at least 2." if rows > 1 else "Take a smaller imbalance ratio, or more images.")
        )
    if drop_last and rows < size:
        raise LongtailError(
            f"{objective} drops incomplete batches, and {rows} images do not fill one of {size}: there is nothing to "
            f"train on. Set batch_size to at most {rows}, or drop_last to false."
        )
    batches = Batches(rows, size, drop_last)
    grouped = "batch_groups" if "batch_groups" in own else "batchnorm_splits"
    splits, queue = own.get(grouped, 1), own.get("queue_size")
    uneven = sorted(length for length in batches.lengths if length % splits)
    if uneven:
        raise LongtailError(
            f"{place} with batch_size {size} and drop_last {str(drop_last).lower()}: batches of {uneven[0]} images "
            f"cannot be normalised in {splits} groups of one size ({grouped}). Set batch_size to a multiple of "
            f"{splits}, and drop_last to true."
        )
    if queue is not None and max(batches.lengths) > queue:
        raise LongtailError(
            f"{place} with batch_size {size}: a batch of {max(batches.lengths)} keys does not fit a queue of {queue}. "
            f"Raise queue_size, or lower batch_size."
        )
    if rows < own.get("mini_clusters", 0):
        raise LongtailError(
            f"{place} in {own['mini_clusters']} mini-clusters, which are more. Lower mini_clusters to at most {rows}."
        )
    return batches
