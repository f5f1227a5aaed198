"""Numbers, times and lists of names as people read them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

UNITS = ((59.5, 1, "s"), (3570, 60, "min"), (48 * 3600, 3600, "h"), (float("inf"), 24 * 3600, "days"))
"""Seconds below which a unit is used, its length in seconds, its name."""


def counted(number: int, what: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def listed(counts: Mapping[str, int]) -> str:
    """``84 train, 81 score``, the most first."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda one: -one[1]))


def several(names: Iterable[str], what: str) -> str:
    """All different names, or how many there are."""
    different = list(dict.fromkeys(filter(None, names)))
    return ", ".join(different) if len(different) <= 3 else f"{len(different)} {what}"


def duration(seconds: float) -> str:
    """Time in the unit that fits it: ``3.4 s``, ``4 min``, ``2.5 h``, ``3.1 days``."""
    size, unit = next((size, unit) for upto, size, unit in UNITS if seconds < upto)
    amount = max(seconds, 0.0) / size
    return f"{amount:z.1f} {unit}" if amount < 10 and unit != "min" else f"{amount:z.0f} {unit}"


def clock(when: float, now: float) -> str:
    """Local time of the day, with the date where that is another day."""
    then, today = datetime.datetime.fromtimestamp(when), datetime.datetime.fromtimestamp(now)
    return then.strftime("%H:%M" if then.date() == today.date() else "%d %b %H:%M")
