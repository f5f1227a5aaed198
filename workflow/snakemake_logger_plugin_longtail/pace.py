"""How long what is left to do will take."""

from __future__ import annotations

import datetime
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

SLOW = "train"
"""The rule that nearly all the time goes into: nothing is foretold before one of its jobs has ended."""

UNITS = ((59.5, 1, "s"), (3570, 60, "min"), (48 * 3600, 3600, "h"), (float("inf"), 24 * 3600, "days"))
"""Seconds below which a unit is used, its length in seconds, its name."""


class Pace:
    """Time per job of each rule so far, and from it the time left.

    Args:
        jobs: how many jobs each rule has to run.
        begun: when they began, in seconds.
    """

    def __init__(self, jobs: Mapping[str, int], begun: float) -> None:
        self.left_to_end = Counter(jobs)
        self.begun = begun
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def ended(self, rule: str, seconds: float) -> None:
        """Count a job that has ended well."""
        self.left_to_end[rule] -= 1
        self.seconds[rule].append(seconds)

    def left(self, now: float, running: Iterable[tuple[str, float]]) -> float | None:
        """Seconds until all jobs have ended, if they go on as they did; None where that is not known.

        Args:
            now: in seconds.
            running: rule and start, in seconds, of each job that runs.
        """
        missing = {rule: count for rule, count in self.left_to_end.items() if count > 0}
        if not self.seconds or (SLOW in missing and SLOW not in self.seconds):
            return None
        means = {rule: statistics.fmean(seconds) for rule, seconds in self.seconds.items()}
        short = [mean for rule, mean in means.items() if rule != SLOW]
        unseen = statistics.median(short or means.values())
        work = sum(count * means.get(rule, unseen) for rule, count in missing.items())
        under_way = sum(min(now - start, means.get(rule, unseen)) for rule, start in running)
        done = sum(map(sum, self.seconds.values())) + under_way
        at_once = max(done / max(now - self.begun, 1e-3), 1e-3)
        return max(work - under_way, 0.0) / at_once


def duration(seconds: float) -> str:
    """Time in the unit that fits it: ``3.4 s``, ``4 min``, ``2.5 h``, ``3.1 days``."""
    size, unit = next((size, unit) for upto, size, unit in UNITS if seconds < upto)
    amount = max(seconds, 0.0) / size
    return f"{amount:.1f} {unit}" if amount < 10 and unit != "min" else f"{amount:.0f} {unit}"


def clock(when: float, now: float) -> str:
    """Local time of the day, with the date where that is another day."""
    then, today = datetime.datetime.fromtimestamp(when), datetime.datetime.fromtimestamp(now)
    return then.strftime("%H:%M" if then.date() == today.date() else "%d %b %H:%M")
