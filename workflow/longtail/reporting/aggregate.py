"""From the metrics of all trials and seeds to one computed number per place of a table."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from longtail.errors import LongtailError
from longtail.reporting.spread import allowed_difference
from longtail.study.artefacts import printed_seeds_of, seeds_of

if TYPE_CHECKING:
    from longtail.reporting.from_records import RecordedPlace
    from longtail.study.artefacts import TableEntry, TablePlan

CELL_KEYS = ("method", "settings", "backbone", "dataset", "ratio", "split", "features", "readout", "scorer")
"""What identifies a cell in merged metrics, its training seed apart."""

METRIC_COLUMNS = ("trial", "metric", "class", "cluster", "parameter", "value", "unit", "seed", *CELL_KEYS)
"""The columns of a merged metrics file that reporting reads."""

PART_COLUMNS = ("class", "cluster", "parameter")
"""What a value belongs to that is not one of the whole cell; tables show those of whole cells only."""

FRAME_TYPES = {
    "paper": "str",
    "table": "str",
    "row": "str",
    "group": "str",
    "dataset": "str",
    "ratio": "float64",
    "metric": "str",
    "unit": "str",
    "published": "float64",
    "published_std": "float64",
    "computed": "float64",
    "computed_std": "float64",
    "difference": "float64",
    "tolerance": "float64",
    "seeds": "int64",
    "trials": "int64",
    "trial_std": "float64",
    "p_value": "float64",
    "status": "str",
    "reason": "str",
    "label": "str",
    "recorded": "float64",
    "recorded_std": "float64",
    "recorded_difference": "float64",
    "recorded_seeds": "int64",
    "recorded_status": "str",
    "recorded_on": "str",
    "recorded_in": "str",
    "recorded_too": "str",
    "outdated": "str",
}
"""The columns of a rendered table's tidy frame, in order."""

NOT_RECORDED: Mapping[str, Any] = {
    "recorded_seeds": 0,
    **dict.fromkeys(("recorded_status", "recorded_on", "recorded_in", "recorded_too", "outdated"), ""),
}
"""The columns of a place of which there is no record."""

MISSING, COMPUTED, REPRODUCED, DIFFERS = "missing", "computed", "reproduced", "differs"
"""What a value can be: see :func:`tidy`."""

NO_CLASS = "no class has so many training images (shots: index groups them by place)"
"""Why there is no value of a shot group by numbers of images: a scorer has no line for a group without a class."""

CONFIDENCE = 0.95
"""Of the interval in which a value has to lie that is printed with the spread of its trainings."""


def cell_key(cell: Mapping[str, Any], keys: tuple[str, ...] = CELL_KEYS) -> tuple[str, ...]:
    """A cell's keys in comparable form: ratios as numbers (10 and 10.0 are one ratio), everything else as text."""
    return tuple(f"{float(cell[key]):g}" if key == "ratio" else str(cell[key]) for key in keys)


def seed_values(metrics: pd.DataFrame) -> dict[tuple[str, ...], pd.DataFrame]:
    """Mean and spread over the trials of every seed.

    Args:
        metrics: merged metrics with the columns :data:`METRIC_COLUMNS`. Values of single classes, clusters or
            parameters are left to the figures.

    Returns:
        For every (cell key..., metric) a frame indexed by ``seed``: ``mean``, ``std`` (ddof 1), ``trials``, ``unit``.

    Raises:
        LongtailError: if a trial of a cell stands twice.
    """
    if metrics.empty:
        return {}
    whole = metrics[metrics[list(PART_COLUMNS)].isna().all(axis=1)]
    keys = [*CELL_KEYS, "metric"]
    twice = whole.duplicated([*keys, "seed", "trial"])
    if twice.any():
        first = whole[twice].iloc[0]
        raise LongtailError(
            f"The merged metrics hold {first['metric']} of {first['method']} ({first['dataset']}, "
            f"ratio {first['ratio']}, seed {first['seed']}, trial {first['trial']}) twice. "
            "Delete the merged file and merge again."
        )
    values = {}
    for key, group in whole.groupby(keys, sort=False):
        by_seed = group.groupby("seed")
        values[(*cell_key(dict(zip(keys, key, strict=True))), str(key[-1]))] = pd.DataFrame(
            {
                "mean": by_seed["value"].mean(),
                "std": by_seed["value"].std(ddof=1),
                "trials": by_seed["value"].size(),
                "unit": by_seed["unit"].first(),
            }
        )
    return values


def found_values(entry: TableEntry, values: Mapping[tuple[str, ...], pd.DataFrame]) -> pd.DataFrame | None:
    """The :func:`seed_values` of an entry. What has members has those of the seeds that all of them have."""
    if not entry.members:
        return None if entry.cell is None else values.get((*cell_key(entry.cell), entry.measured))
    parts = [values.get((*cell_key(cell), entry.measured)) for cell in entry.members]
    there = [part for part in parts if part is not None]
    if len(there) < len(parts):
        return None
    seeds = functools.reduce(lambda some, more: some.intersection(more), (part.index for part in there))
    if seeds.empty:
        return None
    return pd.DataFrame(
        {
            "mean": _combined(entry, [part.loc[seeds, "mean"].to_numpy() for part in there]),
            "std": math.nan,  # trials of different cells do not belong together
            "trials": np.max([part.loc[seeds, "trials"] for part in there], axis=0),
            "unit": "percent" if entry.combined == "increase" else there[0].loc[seeds, "unit"],
        },
        index=seeds,
    )


def _combined(entry: TableEntry, means: Sequence[np.ndarray]) -> np.ndarray:
    """What an entry makes of its members' values, each (seeds,); the best of others is the best over all seeds."""
    if entry.combined == "mean":
        return np.mean(means, axis=0)
    own, *others = means
    base = (min if entry.lowest_is_best else max)(others, key=lambda values: float(values.mean()))
    return own - base if entry.combined == "difference" else 100 * (own / base - 1)


def _check_unit(entry: TableEntry, units: set[str]) -> None:
    """Fractions printed beside percentages would differ by a factor of a hundred without looking wrong."""
    if len({unit == "percent" for unit in {entry.unit, *units}}) > 1:
        raise LongtailError(
            f"{entry.metric} of {entry.row} on {entry.dataset} was computed in {', '.join(sorted(units))}, but the "
            f"table is in {entry.unit}. The scorer and the catalogue must agree on the unit."
        )


def _p_values(plan: TablePlan, seeds: list[pd.Series | None]) -> list[float]:
    """Two-sided Welch t-tests over the seeds' means, NaN where there is nothing to test."""
    if not plan.significance:
        return [math.nan] * len(seeds)
    against = plan.significance["against"]

    def place(entry: TableEntry) -> tuple[Any, ...]:
        return (entry.group, entry.dataset, entry.ratio, entry.metric)

    reference = {
        place(entry): values
        for entry, values in zip(plan.entries, seeds, strict=True)
        if entry.cell is not None and entry.cell["method"] == against and values is not None
    }
    tested = []
    for entry, values in zip(plan.entries, seeds, strict=True):
        other = reference.get(place(entry))
        p_value = math.nan
        if values is not None and other is not None and other is not values and min(len(values), len(other)) > 1:
            spread = np.ptp(values) > 0 or np.ptp(other) > 0  # without any the statistic is undefined
            p_value = float(stats.ttest_ind(values, other, equal_var=False).pvalue) if spread else math.nan
        tested.append(p_value)
    return tested


def _tolerance(plan: TablePlan, entry: TableEntry, std: float, seeds: int, as_printed: bool) -> float:
    """How far a value may lie from the printed one, NaN unless it was trained ``as_printed``, with as many seeds.

    The catalogue gives it for a single printed training. Where the spread of several is printed, it is what that and
    our own spread allow. Half a unit of the last printed digit comes on top: that is what printing may have changed.
    """
    if entry.published is None or not as_printed or seeds < printed_seeds_of(plan, entry):
        return math.nan
    digits = len(entry.published_text.partition(".")[2])
    allowed = math.nan
    if entry.published_std is not None:
        allowed = allowed_difference(std, seeds, entry.published_std, printed_seeds_of(plan, entry), CONFIDENCE)
    if math.isnan(allowed):
        assert entry.tolerance is not None  # the catalogue is asked for one wherever a number is printed
        allowed = entry.tolerance
    return allowed + 0.5 * 10.0**-digits


def _judged(difference: float, tolerance: float) -> tuple[str, str]:
    """The status of a computed value, and what is to be said about it."""
    if math.isnan(tolerance):
        return COMPUTED, ""
    if abs(difference) <= tolerance * (1 + 1e-9):  # a difference of decimal numbers is not exact
        return REPRODUCED, ""
    return DIFFERS, "trained as printed, yet further from the published value than the tolerance"


@dataclass(frozen=True)
class Mean:
    """A value over training seeds, held against the printed one.

    Attributes:
        mean: over the seeds, of the means over their trials.
        std: of the seeds (ddof 1), NaN for one.
        seeds: how many.
        difference: from the printed number, NaN without one.
        tolerance: how large that may be, NaN where the two are not to be compared.
        status: computed, reproduced or differs.
        remark: what is the matter with a value that differs.
    """

    mean: float
    std: float
    seeds: int
    difference: float
    tolerance: float
    status: str
    remark: str


def held_against_print(plan: TablePlan, entry: TableEntry, found: pd.DataFrame, as_printed: bool) -> Mean:
    """The mean of an entry's :func:`found_values`, and whether it is the printed number.

    Args:
        plan: the table.
        entry: the place.
        found: finite values by seed.
        as_printed: whether they were trained as the printed one, apart from the number of seeds.

    Raises:
        LongtailError: if they are in another unit than the table.
    """
    _check_unit(entry, set(found["unit"]))
    seeds, mean = len(found), float(found["mean"].mean())
    std = float(found["mean"].std(ddof=1)) if seeds > 1 else math.nan
    difference = math.nan if entry.published is None else mean - entry.published
    tolerance = _tolerance(plan, entry, std, seeds, as_printed)
    return Mean(mean, std, seeds, difference, tolerance, *_judged(difference, tolerance))


def tidy(plan: TablePlan, metrics: pd.DataFrame, recorded: Sequence[RecordedPlace] = ()) -> pd.DataFrame:
    """One line per printed or planned number.

    ``computed`` is the mean over the training seeds of the means over their clustering trials, ``computed_std`` the
    standard deviation (ddof 1) of those means over the seeds (missing with fewer than two), ``trial_std`` the standard
    deviation over the trials of one seed (root mean square over the seeds; missing with fewer than two trials). An
    average is over its members' values seed by seed, and missing unless all of them are there.

    ``status`` is ``missing``, or ``computed``; a computed value that was trained as the printed one beside it (the
    paper's budget, its data, all of its seeds) has a ``tolerance``, and is ``reproduced`` if ``difference`` lies within
    it, else ``differs``.

    ``recorded`` and what begins so is of the records instead: of those that most seeds have in common, device, number
    format and source of data (``recorded_on``); ``recorded_in`` names their files, ``recorded_too`` the values of the
    others, and ``outdated`` the records that are none of this cell any more.

    Args:
        plan: what the table shows.
        metrics: merged metrics, possibly without a line.
        recorded: what is recorded of each of the plan's entries; empty if nothing of any is.

    Returns:
        The columns of :data:`FRAME_TYPES`; ``reason`` says why a missing value is missing, why a computed one rests on
        fewer seeds than the table asks for, or what is the matter with one that differs.

    Raises:
        LongtailError: if metrics and table disagree on the unit, or a trial stands twice.
    """
    values = seed_values(metrics)
    known = {key[:-1] for key in values}
    records: list[dict[str, Any]] = []
    means: list[pd.Series | None] = []
    for entry in plan.entries:
        found, wanted = found_values(entry, values), len(seeds_of(plan, entry))
        record: dict[str, Any] = {
            "paper": plan.paper,
            "table": plan.name,
            "row": entry.row,
            "group": entry.group,
            "dataset": entry.dataset,
            "ratio": math.nan if entry.ratio is None else float(entry.ratio),
            "metric": entry.metric,
            "unit": entry.unit,
            "published": entry.published,
            "published_std": entry.published_std,
            "seeds": 0,
            "trials": 0,
            "status": MISSING,
            "reason": entry.missing or "",
            "label": plan.label,
        }
        if found is not None and not np.isfinite(found["mean"]).all():
            record["reason"] = "the computed value is not a finite number"
            found = None
        elif entry.members and found is None:
            record["reason"] = "not all values that it is made from are computed yet"
        elif entry.cell is not None and found is None:
            some = cell_key(entry.cell) in known
            nothing = NO_CLASS if entry.measured.endswith(" (strict)") else "not among the computed metrics"
            record["reason"] = nothing if some else "not computed yet"
        if found is not None:
            ours = held_against_print(plan, entry, found, entry.as_printed)
            spreads = found["std"].dropna()
            record |= {
                "computed": ours.mean,
                "computed_std": ours.std,
                "difference": ours.difference,
                "tolerance": ours.tolerance,
                "seeds": ours.seeds,
                "trials": int(found["trials"].max()),
                "trial_std": float(np.sqrt((spreads**2).mean())) if len(spreads) else math.nan,
                "status": ours.status,
                "reason": f"{ours.seeds} of {wanted} training seeds" if ours.seeds < wanted else ours.remark,
            }
        records.append(record)
        means.append(None if found is None else found["mean"])
    remembered = [place.as_columns() for place in recorded] or [NOT_RECORDED] * len(records)
    for record, p_value, columns in zip(records, _p_values(plan, means), remembered, strict=True):
        record["p_value"] = p_value
        record |= columns
    return pd.DataFrame(records, columns=list(FRAME_TYPES)).astype(FRAME_TYPES)
