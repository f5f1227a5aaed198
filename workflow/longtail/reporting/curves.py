"""The loss over all trainings that lead to one state, on a single axis of epochs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from longtail.records.record import Record


@dataclass(frozen=True)
class Part:
    """What one training job has of a curve.

    Attributes:
        objective: what it minimised.
        epochs: complete epochs of its clock (E,) int64, rising.
        losses: (E,) float64.
    """

    objective: str
    epochs: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True)
class Curve:
    """The parts one after the other.

    Attributes:
        epochs: since the first one began (E,) int64.
        losses: (E,) float64.
        borders: after which of the epochs another objective begins, whose loss is another quantity.
    """

    epochs: np.ndarray
    losses: np.ndarray
    borders: tuple[int, ...]

    def thinned(self, points: int) -> Curve:
        """At most so many points of it, evenly spread, the first and the last among them."""
        kept = np.unique(np.linspace(0, max(len(self.epochs) - 1, 0), points).astype(int))[: len(self.epochs)]
        return Curve(self.epochs[kept], self.losses[kept], self.borders)


def joined(parts: Iterable[Part]) -> Curve:
    """One curve of what several jobs trained, the earliest first; an empty one of none.

    A job that does not go on where the one before it stopped has a clock of its own, and begins at epoch 1 of that.
    """
    epochs, losses, borders = [np.zeros(0, np.int64)], [np.zeros(0)], []
    done, last, objective = 0, 0, ""
    for part in parts:
        if not len(part.epochs):
            continue
        if part.epochs[0] <= last:  # another clock
            done, last = done + last, 0
        if objective and part.objective != objective:
            borders.append(int(done + last))
        epochs.append(part.epochs + done)
        losses.append(part.losses)
        last, objective = int(part.epochs[-1]), part.objective
    return Curve(np.concatenate(epochs), np.concatenate(losses), tuple(borders))


def of_record(record: Record) -> Curve:
    """The loss over all trainings behind a record."""
    return joined(
        Part(training["training"].rsplit("-", 2)[0], epochs, losses)
        for training, name, epochs, losses in record.curves()
        if name == "loss"
    )
