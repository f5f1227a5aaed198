"""``python -m tests.faults --count 100 --seed 0``: kill a small study at random, resume it, and compare its results."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.faults.kills import Kill, Patient, draw
from tests.faults.study import reference

PER_STUDY = 10  # kills of one copy of the finished study, which then runs to its end


def main() -> int:
    """Draw, kill, report; 1 if a kill did any harm."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="kills (100)")
    parser.add_argument("--seed", type=int, default=0, help="of their stages, victims, signals and moments (0)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        harmless = inflict(Path(folder), options.count, options.seed)
    for kind, counts in {
        "stage": Counter(kill.stage for kill in harmless),
        "signal": Counter(kill.signal.name for kill in harmless),
        "victim": Counter(f"{kill.victim} ({kill.within})" for kill in harmless),
    }.items():
        print(f"by {kind}:", ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    print(f"seed {options.seed}: {len(harmless)} of {options.count} kills ended identical")
    return 0 if len(harmless) == options.count else 1


def inflict(folder: Path, count: int, seed: int) -> list[Kill]:
    """Inflict kills on studies below ``folder``.

    Returns:
        Those without harm.
    """
    study, jobs, expected = reference(folder)
    kills = draw(count, seed, jobs)
    harmless: list[Kill] = []
    for within in ("job", "workflow"):
        chosen = [kill for kill in kills if kill.within == within]
        for begin in range(0, len(chosen), PER_STUDY):
            patient = Patient(study.copy(folder / f"{within}{begin}"), jobs, expected)
            harmless += live(patient, within, chosen[begin : begin + PER_STUDY])
    return harmless


def live(patient: Patient, within: str, kills: Sequence[Kill]) -> list[Kill]:
    """Let one study suffer its kills in the order of its jobs, then run to its end.

    Returns:
        The kills that did no harm; none of them if the end shows any.
    """
    harmless = []
    for kill in sorted(kills, key=lambda kill: kill.job):
        try:
            said = patient.suffer(kill)
        except AssertionError as error:
            print(f"{kill}  FAILED: {error}", flush=True)
            return []
        print(said, flush=True)
        harmless.append(kill)
    try:
        patient.end(within)
    except AssertionError as error:
        print(f"The study whose kills stand above: FAILED: {error}", flush=True)
        return []
    print(
        f"The study whose {len(harmless)} kills stand above has ended identical, and nothing is to be done.", flush=True
    )
    return harmless


if __name__ == "__main__":
    sys.exit(main())
