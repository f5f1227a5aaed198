"""``longtail.table``: a table of a paper as a data frame."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from longtail.interface.asked import Asked, Settings, results_in
from longtail.records.ledger import Ledger
from longtail.records.record import read_all
from longtail.reporting import unfinished
from longtail.reporting.from_records import recorded_places
from longtail.study import layout


def table(
    paper: str,
    name: str,
    *,
    budget: str | Mapping[str, Any] | None = None,
    protocol: str | None = None,
    results: str | os.PathLike[str] = "results",
    records: str | os.PathLike[str] | None = None,
    config: Settings | None = None,
) -> pd.DataFrame:
    """A table of a paper: what is printed, what is recorded, and what was computed here so far.

    Nothing is computed and nothing written: values whose cells are not finished are missing.

    Args:
        paper: a paper of the catalogue, such as ``"conmix"``.
        name: one of its tables, such as ``"table2"``.
        budget: of the trainings that are shown, by name or in numbers of your own; the configuration's if None.
        protocol: ``"official"`` or ``"paper"``; the configuration's if None.
        results: the folder of all results; it need not be there.
        records: a folder of records; those within ``results`` if None.
        config: of the study; ``config.yaml`` of the working directory if None, or the default study without one.

    Returns:
        A line per place of the table, with the columns of the table's Parquet file. ``published``, ``recorded`` and
        ``computed`` are floats in ``unit``, NaN where there is none, ``difference`` is ``computed`` less
        ``published``, and ``status`` is one of missing, computed, reproduced and differs.

    Raises:
        LongtailError: for an unknown paper or table, a wrong configuration, or files that cannot be read.
    """
    study = Asked(config, budget, protocol).study
    with results_in(results):
        plan, wanted = study.table(paper, name), study.measurements(paper, name)
        folder = layout.records_folder() if records is None else os.fspath(records)
        ledger = Ledger(read_all(folder, study.cuts(paper, name)), study)
        found = [each for each in wanted if Path(each.path).exists()]
        return unfinished.rendered(study, plan, wanted, found, recorded_places(plan, ledger.of(paper, name))).frame
