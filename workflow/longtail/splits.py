"""What splits there are, of which parts and how many rows: for ``study``, which plans them, and ``data``, which cuts.

Plain arithmetic, so that whoever plans a study needs no NumPy, and nothing is stated twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from longtail.errors import LongtailError, unknown

SPLITS = ("train", "val", "test")
"""What is trained on and clustered, what is chosen by, what is only tested on. Parts of a store are called so, too."""

PIXELS, FILES = STORAGES = ("pixels", "files")
"""How images are kept: all decoded once, or as they are encoded, to be decoded whenever they are needed."""

LONG_TAILS = ("longtail", "shuffled-longtail")
CONSTRUCTIONS = (*LONG_TAILS, "list")
"""How a training split is made of its pool.

``longtail`` keeps the first rows of each class (clustering papers), ``shuffled-longtail`` rows that are drawn once and
for all (recognition papers), ``list`` every row of a source that has a long tail of its own.
"""


def class_sizes(head_class_rows: int, classes: int, ratio: float, construction: str = "longtail") -> list[int]:
    """Rows that a long tail keeps of each class, n_k = floor(n_max ratio^(-k / (K - 1))) in double precision.

    The codes of both constructions compute this power differently, which matters where it is a whole number:

    * ``longtail`` (LZX-001/ConMix): n_max mu^k with mu = (1 / ratio)^(1 / (K - 1)); the last class is
      floor(n_max / ratio), which the power misses by a rounding error at some ratios.
    * ``shuffled-longtail`` (kaidic/LDAM-DRW): n_max (1 / ratio)^(k / (K - 1)), the last class included.

    Args:
        head_class_rows: n_max, rows of class 0.
        classes: K, at least 2.
        ratio: imbalance ratio, largest class over smallest; 1 is balanced.
        construction: one of :data:`LONG_TAILS`.

    Returns:
        K sizes, not increasing.

    Raises:
        LongtailError: for a ratio below 1 or one that leaves the last class empty.
    """
    if construction not in LONG_TAILS:
        raise unknown("long tail", construction, LONG_TAILS)
    if classes < 2:
        raise LongtailError(f"A long-tailed split needs at least 2 classes, not {classes}.")
    if not math.isfinite(ratio) or ratio < 1:
        raise LongtailError(
            f"The imbalance ratio is largest over smallest class and at least 1 (balanced), not {ratio}."
        )
    if construction == "longtail":
        decay = (1 / ratio) ** (1 / (classes - 1))
        sizes = [math.floor(head_class_rows * decay**k) for k in range(classes - 1)]
        sizes.append(math.floor(head_class_rows / ratio))
    else:
        sizes = [math.floor(head_class_rows * (1 / ratio) ** (k / (classes - 1))) for k in range(classes)]
    if sizes[-1] < 1:
        raise LongtailError(
            f"At ratio {ratio:g} a head class of {head_class_rows} images leaves the last class empty; "
            f"the ratio can be at most {head_class_rows}."
        )
    return sizes


class Cut(Protocol):
    """How a dataset is cut, in the catalogue's words."""

    @property
    def pool(self) -> Sequence[str]:
        """Parts that the train split is cut from."""

    @property
    def val(self) -> Sequence[str] | None:
        """Parts of the validation split; None for no such split."""

    @property
    def test(self) -> Sequence[str] | None:
        """Parts of the test split; None for no such split, or one that is held out."""

    @property
    def held_out(self) -> int | None:
        """Rows of each class of the pool that are the test split, and not trained on; None for none."""


def parts_of(name: str, cut: Cut, split: str) -> Sequence[str]:
    """The parts that a split takes rows from.

    Args:
        name: of the dataset, for messages.
        cut: how it is cut.
        split: one of :data:`SPLITS`.

    Raises:
        LongtailError: if there is no such split, here or at all.
    """
    parts = {"train": cut.pool, "val": cut.val, "test": cut.test if cut.held_out is None else cut.pool}
    if split not in parts:
        raise unknown("split", split, SPLITS)
    found = parts[split]
    if not found:
        raise LongtailError(
            f"The dataset {name!r} has no {split} split: its entry in catalog/datasets names no part for one, and its "
            f"pool {list(cut.pool)} is trained on."
        )
    return found


def require_apart(name: str, cut: Cut) -> None:
    """Check that no row can be in two splits.

    Args:
        name: of the dataset, for messages.
        cut: how it is cut.

    Raises:
        LongtailError: if a part is listed twice, or the test split is said to be both parts and held out of the pool.
    """
    if cut.held_out is not None and cut.test:
        raise LongtailError(
            f"{name} has a test split of parts {list(cut.test)}, and held_out says another: leave one out."
        )
    listed = [*cut.pool, *(cut.val or ()), *(cut.test or ())]
    for part in listed:
        if listed.count(part) > 1:
            raise LongtailError(
                f"{name} takes part {part!r} for two splits, or twice for one; each part can stand once."
            )
