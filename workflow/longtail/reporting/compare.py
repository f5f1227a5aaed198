"""``python -m longtail compare A B``: whether two runs of the same tables differ by more than their seeds do.

Training on another kind of processor, or with another release of a library, rounds otherwise, and after some epochs
that is another draw from the same distribution. Two tables of one study then seldom agree to the digit; whether they
agree as well as two draws do can be tested. Every value has an interval (``spread.allowed_difference``), and all of
them together are held to one confidence: of as many values as a table has, some lie outside of a 95 % interval of their
own by chance.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longtail.errors import LongtailError
from longtail.files import read_with_provenance
from longtail.reporting.overview import listing
from longtail.reporting.spread import ROUNDING, allowed_difference

CONFIDENCE = 0.95
"""That no value lies outside by chance, all of them together."""

PLACE = ("paper", "table", "row", "group", "dataset", "ratio", "metric")
"""What tells the values of tables apart."""

ROW, COLUMN = ("paper", "table", "row", "group"), ("paper", "table", "metric")
"""The parts of a place that values of one row, and of one metric of a table, have in common."""

COLUMNS = (*PLACE, "unit", "computed", "computed_std", "seeds", "label")

WITHIN, OUTSIDE, UNJUDGED = "within", "OUTSIDE", "not judged"
SHOWN = 20
"""How many of the values that lie within are shown."""


@dataclass(frozen=True)
class Value:
    """A mean over training seeds.

    Attributes:
        mean: of the seeds.
        std: their standard deviation (ddof 1), NaN for one seed.
        seeds: how many.
        unit: of both.
    """

    mean: float
    std: float
    seeds: int
    unit: str

    def __str__(self) -> str:
        spread = "" if math.isnan(self.std) else f" ± {self.std:z.4g}"
        return f"{self.mean:z.5g}{spread} ({self.seeds})"


@dataclass(frozen=True)
class Side:
    """The computed values of one side.

    Attributes:
        name: the path as it was given.
        values: by what tells them apart, see :data:`PLACE`; those that are missing in their table are not among them.
        labels: what keeps them from being a reproduction.
        origins: with which revision of the code they were made, and on what.
    """

    name: str
    values: dict[tuple[str, ...], Value]
    labels: tuple[str, ...]
    origins: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join([self.name, *filter(None, self.labels), *self.origins])


@dataclass(frozen=True)
class Comparison:
    """A value that both runs have.

    Attributes:
        place: which one it is.
        first, second: the two.
        plain: how far they may lie apart if this were the only value; NaN if each is a single training.
        allowed: how far they may lie apart as one of all values.
    """

    place: tuple[str, ...]
    first: Value
    second: Value
    plain: float
    allowed: float

    @property
    def difference(self) -> float:
        """Second minus first."""
        return self.second.mean - self.first.mean

    @property
    def verdict(self) -> str:
        """Whether the two lie as near to each other as they should."""
        if abs(self.difference) <= rounding(self.first, self.second):
            return WITHIN
        if math.isnan(self.allowed):
            return UNJUDGED
        return WITHIN if abs(self.difference) <= self.allowed else OUTSIDE

    @property
    def badness(self) -> tuple[int, float]:
        """The larger, the worse."""
        distance = abs(self.difference)
        share = distance / self.allowed if self.allowed > 0 else distance  # NaN, too, is not above 0
        return (WITHIN, UNJUDGED, OUTSIDE).index(self.verdict), share


def rounding(first: Value, second: Value) -> float:
    """How far equal values may lie apart."""
    return ROUNDING * max(1.0, abs(first.mean), abs(second.mean))


def read(path: Path) -> Side:
    """The values of a table's Parquet file, or of all tables under a folder of results or records.

    Raises:
        LongtailError: if there is none, one cannot be read or holds no table, or a folder has one twice.
    """
    if path.is_dir():
        files = sorted(path.glob("tables/*/*.parquet")) or sorted([*path.glob("*.parquet"), *path.glob("*/*.parquet")])
    else:
        files = [path]
    values: dict[tuple[str, ...], Value] = {}
    found: dict[tuple[str, str], Path] = {}
    labels, origins = [], []
    for file in files:
        table, facts = read_with_provenance(file)
        lacking = [name for name in COLUMNS if name not in table.column_names]
        if lacking and path.is_dir():
            continue  # what a figure was drawn from
        if lacking:
            raise LongtailError(
                f"{file} is no table, or one of an older version: it lacks {', '.join(lacking)}. Tables are the "
                "Parquet files in results/tables/<paper>/; Snakemake renders an older one anew when asked for it."
            )
        for line in table.select(COLUMNS).to_pylist():
            other = found.setdefault((line["paper"], line["table"]), file)
            place = tuple(_text(line[name]) for name in PLACE)
            if other != file:
                raise LongtailError(f"{other} and {file} are the same table. Compare the two files, not their folder.")
            if place in values:
                raise LongtailError(f"{file} has {describe(place)} twice. Render the table again.")
            if line["computed"] is not None and math.isfinite(line["computed"]):
                std = math.nan if line["computed_std"] is None else line["computed_std"]
                values[place] = Value(line["computed"], std, line["seeds"], line["unit"])
            labels.append(line["label"])
        origins.append(f"revision {facts.get('revision', 'unknown')}")
        origins += [note.removesuffix(".") for note in facts.get("notes", ()) if note.startswith("Trained on ")]
    if not found:
        raise LongtailError(f"There is no table in {path}. Name a table's Parquet file, or a folder like results/.")
    return Side(str(path), values, tuple(dict.fromkeys(labels)), tuple(dict.fromkeys(origins)))


def _text(value: Any) -> str:
    """A part of a place; averages over several ratios have none."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:g}"
    return "" if value is None else str(value)


def describe(place: Sequence[str]) -> str:
    """A place in words."""
    paper, table, row, group, dataset, ratio, metric = place
    column = " ".join(filter(None, [dataset, f"at {ratio}" if ratio else ""]))
    return f"{paper} {table}: {', '.join(filter(None, [group, row, column, metric]))}"


def compare(first: Side, second: Side) -> list[Comparison]:
    """All values that both runs have, the worst first.

    Raises:
        LongtailError: if they have none in common, or one in different units.
    """
    common = [place for place in first.values if place in second.values]
    if not common:
        raise LongtailError(
            f"{first.name} and {second.name} have no computed value in common: they are of different tables, or one of "
            "them is empty."
        )
    for place in common:
        units = first.values[place].unit, second.values[place].unit
        if len(set(units)) > 1:
            raise LongtailError(f"{describe(place)} is in {units[0]} in {first.name}, in {units[1]} in {second.name}.")

    spreads = {place: _spreads(place, first, second) for place in common}

    def allowed(place: tuple[str, ...], confidence: float) -> float:
        a, b = spreads[place]
        return allowed_difference(a, first.values[place].seeds, b, second.values[place].seeds, confidence)

    plain = {place: allowed(place, CONFIDENCE) for place in common}
    tested = sum(plain[place] > rounding(first.values[place], second.values[place]) for place in common)
    each = 1 - (1 - CONFIDENCE) / max(tested, 1)  # Bonferroni's: values of one training depend on each other
    found = [
        Comparison(place, first.values[place], second.values[place], plain[place], allowed(place, each))
        for place in common
    ]
    return sorted(found, key=lambda comparison: comparison.badness, reverse=True)


def _spreads(place: tuple[str, ...], first: Side, second: Side) -> tuple[float, float]:
    """The standard deviations that a value is judged by: its own, unless all of its seeds agree on both sides.

    Nothing varies in a row of a control. In any other row seeds that agree do so by chance, as a share of a few test
    images may; the spread is then the root mean square of those of the table's values in the same metric.
    """
    stds = first.values[place].std, second.values[place].std
    if any(stds) or not any(value.std > 0 for value in _alike(place, ROW, first, second)):
        return stds
    others = [value.std for value in _alike(place, COLUMN, first, second) if value.std > 0]
    pooled = math.sqrt(sum(std**2 for std in others) / len(others)) if others else 0.0
    return pooled, pooled


def _alike(place: tuple[str, ...], keys: Sequence[str], *sides: Side) -> list[Value]:
    """The values of both sides that share some parts of their place."""
    positions = [PLACE.index(key) for key in keys]
    return [
        value for side in sides for other, value in side.values.items() if all(other[i] == place[i] for i in positions)
    ]


def page(first: Side, second: Side, compared: Sequence[Comparison]) -> str:
    """What people read: the worst values, what is allowed, and at last how many lie within."""
    bad = sum(one.verdict != WITHIN for one in compared)
    shown = compared[: max(bad, SHOWN)]
    header = ["value", "A (seeds)", "B (seeds)", "B - A", "alone", "allowed", "verdict"]
    rows = [
        [describe(one.place), str(one.first), str(one.second), f"{one.difference:+z.3g}"]
        + ["?" if math.isnan(width) else f"{width:z.3g}" for width in (one.plain, one.allowed)]
        + [one.verdict]
        for one in shown
    ]
    more = len(compared) - len(shown)
    alike = set(first.labels) == set(second.labels)
    return "\n".join(
        [
            f"A: {first}",
            f"B: {second}",
            *([] if alike else ["They were not made alike: what differs may be due to that, and not to chance."]),
            "",
            listing(header, rows),
            *([f"... and {more} more that lie within."] if more else []),
            "",
            *_rule(compared),
            "",
            _count(first, second, compared),
        ]
    )


def _rule(compared: Sequence[Comparison]) -> list[str]:
    """What is allowed, and how many values chance alone would put outside of intervals of their own."""
    tested = [one for one in compared if one.plain > rounding(one.first, one.second)]
    lines = []
    if tested:
        beyond = sum(abs(one.difference) > one.plain for one in tested)
        each = 1 - (1 - CONFIDENCE) / len(tested)
        lines = [
            f"Alone: the {CONFIDENCE:z.0%} interval of Welch, by the standard deviations over the seeds; if only one "
            "side has several seeds, the other is taken to spread as it does.",
            f"Beyond it lie {beyond} of {len(tested)} values; {(1 - CONFIDENCE) * len(tested):z.1f} are expected by "
            "chance, several at once, since the values of one training hang together.",
            f"Allowed: the same at {each:z.2%}, so that with {CONFIDENCE:z.0%} confidence chance puts none of all "
            f"{len(tested)} values outside.",
        ]
    return [
        *lines,
        "Where nothing in a row spreads, nothing but rounding is allowed. Where all seeds of one value of a row agree "
        "on both sides, it is taken to spread as the table's other values of that metric do.",
    ]


def _count(first: Side, second: Side, compared: Sequence[Comparison]) -> str:
    verdicts = [one.verdict for one in compared]
    unjudged = verdicts.count(UNJUDGED)
    lonely = {"A": first.values.keys() - second.values.keys(), "B": second.values.keys() - first.values.keys()}
    parts = [
        f"{verdicts.count(WITHIN)} of {len(compared)} values lie within, {verdicts.count(OUTSIDE)} outside",
        *([f"{unjudged} cannot be judged: they differ, and each is a single seed"] if unjudged else []),
        *(f"in {side} only: {len(places)}" for side, places in lonely.items() if places),
    ]
    return "; ".join(parts) + "."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = "Exits with 0 if all values lie within, 1 if not, 2 if the two cannot be compared."
    what = "a table's Parquet file, or a folder of results or records"
    parser.add_argument("first", type=Path, metavar="A", help=what)
    parser.add_argument("second", type=Path, metavar="B", help=what)


def run(arguments: argparse.Namespace) -> int:
    """Compare, print, and return the status to exit with."""
    try:
        first, second = read(arguments.first), read(arguments.second)
        compared = compare(first, second)
    except LongtailError as error:  # not 1, which says that values differ
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(page(first, second, compared))
    return 0 if all(one.verdict == WITHIN for one in compared) else 1
