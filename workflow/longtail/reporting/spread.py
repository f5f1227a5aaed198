"""How far two means over training seeds may lie apart before that is more than the seeds' spread."""

from __future__ import annotations

import math

from scipy import stats

ROUNDING = 1e-5
"""Two numbers this close, relative to the larger one or to 1, are equal: sums in float32 agree no better."""


def allowed_difference(
    first_std: float, first_seeds: int, second_std: float, second_seeds: int, confidence: float
) -> float:
    """Half the width of the interval around 0 in which the difference of two means lies with this confidence.

    That is Welch's interval where both have a spread. Where one of the two is a single training, the other's spread is
    taken to be that of both, and the interval is the one that predicts it: ``t(n - 1) s sqrt(1/n + 1)``.

    Args:
        first_std: standard deviation of the first over its seeds (ddof 1); NaN, or anything for a single seed, where
            there is none.
        first_seeds: how many seeds the first mean is over, at least 1.
        second_std: the same of the second.
        second_seeds: the same of the second.
        confidence: in (0, 1).

    Returns:
        The half width in the unit of the standard deviations; NaN if neither mean has a spread.
    """
    given = [(first_std, first_seeds), (second_std, second_seeds)]
    known = [(std, seeds) for std, seeds in given if seeds > 1 and math.isfinite(std)]
    if not known:
        return math.nan
    if len(known) == 2:
        errors = [std / math.sqrt(seeds) for std, seeds in known]
        error = math.hypot(*errors)
        if error == 0:
            return 0.0
        freedom = 1 / sum((part / error) ** 4 / (seeds - 1) for part, (_, seeds) in zip(errors, known, strict=True))
    else:
        ((std, seeds),) = known
        error = std * math.sqrt(1 / first_seeds + 1 / second_seeds)
        freedom = seeds - 1.0
    return float(stats.t.isf((1 - confidence) / 2, freedom) * error)
