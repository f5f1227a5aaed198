"""How long what is left to do will take."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from .jobs import TRAINING


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
        """Seconds until all jobs have ended, if they go on as they did; None before the first training has ended.

        Args:
            now: in seconds.
            running: rule and start, in seconds, of each job that runs.
        """
        missing = {rule: count for rule, count in self.left_to_end.items() if count > 0}
        if not self.seconds or (TRAINING in missing and TRAINING not in self.seconds):
            return None
        means = {rule: statistics.fmean(seconds) for rule, seconds in self.seconds.items()}
        short = [mean for rule, mean in means.items() if rule != TRAINING]
        unseen = statistics.median(short or means.values())
        work = sum(count * means.get(rule, unseen) for rule, count in missing.items())
        under_way = sum(min(now - start, means.get(rule, unseen)) for rule, start in running)
        done = sum(map(sum, self.seconds.values())) + under_way
        at_once = max(done / max(now - self.begun, 1e-3), 1e-3)
        return max(work - under_way, 0.0) / at_once
