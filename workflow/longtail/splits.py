"""What a split is in names and numbers, for those who plan one (``study``) and those who cut it (``data``).

Plain arithmetic, so that whoever plans a study needs no NumPy, and no number of rows is stated twice.
"""

from __future__ import annotations

import math

from longtail.errors import LongtailError, unknown

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
