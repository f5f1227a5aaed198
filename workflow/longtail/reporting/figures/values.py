"""What a figure draws of merged metrics: the lines of its cells, means over seeds, parameters as numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from longtail.errors import LongtailError
from longtail.reporting.aggregate import CELL_KEYS, METRIC_COLUMNS, cell_key

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan

RUN_KEYS = tuple(key for key in CELL_KEYS if key not in ("readout", "scorer"))
"""What identifies the features a figure cell is about; a figure may read several scorers of them, and of a readout."""

EMBEDDINGS = "embeddings"
"""In place of a readout, of what was scored without one."""

PROJECTION_COLUMNS = ("part", "row", "label", "x", "y", "seed", *RUN_KEYS)
"""The columns of merged projections that a figure reads."""


def collect(plan: FigurePlan, data: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The lines of ``data`` that belong to the plan's cells, with ``series`` and ``panel``, and what is missing.

    Args:
        plan: what the figure shows.
        data: merged metrics or projections, possibly without a line.

    Returns:
        The lines in the order of the cells, ``series`` being a cell's label and ``panel`` its group, and one sentence
        for every cell that cannot be drawn.
    """
    by_run = {}
    if len(data):
        for key, lines in data.groupby(list(RUN_KEYS), sort=False):
            by_run[cell_key(dict(zip(RUN_KEYS, key, strict=True)), RUN_KEYS)] = lines
    parts: list[pd.DataFrame] = []
    missing: list[str] = []
    for cell in plan.cells:
        found = None
        if cell.cell is not None:
            found = _read_out(by_run.get(cell_key(cell.cell, RUN_KEYS)), cell.cell["readout"])
        if found is None:
            place = f"{cell.group}, {cell.label}" if cell.group else cell.label
            missing.append(f"Not drawn: {place} ({cell.missing or 'not computed yet'}).")
        else:
            parts.append(found.assign(series=cell.label, panel=cell.group))
    if parts:
        return pd.concat(parts, ignore_index=True), missing
    columns = dict.fromkeys([*METRIC_COLUMNS, *PROJECTION_COLUMNS, "series", "panel"])
    return pd.DataFrame(columns=list(columns)), missing


def _read_out(lines: pd.DataFrame | None, readout: str) -> pd.DataFrame | None:
    """Of the lines of some features those of one readout, and of the features themselves; None if there are none."""
    if lines is None or "readout" not in lines or readout == EMBEDDINGS:
        return lines
    own = lines[lines["readout"].isin([readout, EMBEDDINGS])]
    return None if own.empty else own


def over_seeds(lines: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean over the trials of a seed, then mean and standard deviation (ddof 1, missing for one seed) over the seeds.

    Args:
        lines: metric lines with ``seed`` and ``value``.
        by: the columns that tell one drawn value from another.

    Returns:
        ``by``, ``value``, ``std``, ``seeds``, in order of first appearance.
    """
    seeds = lines.groupby([*by, "seed"], sort=False, dropna=False)["value"].mean().reset_index()
    drawn = seeds.groupby(list(by), sort=False, dropna=False)["value"]
    return pd.DataFrame({"value": drawn.mean(), "std": drawn.std(ddof=1), "seeds": drawn.size()}).reset_index()


def parameters(text: str) -> dict[str, float]:
    """``"M=40,delta=0.3"`` as numbers by name.

    Raises:
        LongtailError: if the text is not of this form.
    """
    found = dict(part.split("=", 1) for part in re.split(r"[,;\s]+", text.strip()) if "=" in part)
    try:
        return {name: float(value) for name, value in found.items()}
    except ValueError as error:
        raise LongtailError(f"The metric parameter {text!r} is not of the form 'name=number,name=number'.") from error


def one_run(lines: pd.DataFrame) -> pd.DataFrame:
    """The first trial of the first seed: what shows one clustering cannot be averaged, cluster numbers mean nothing."""
    lines = lines[lines["seed"] == lines["seed"].min()]
    return lines[lines["trial"] == lines["trial"].min()] if "trial" in lines else lines
