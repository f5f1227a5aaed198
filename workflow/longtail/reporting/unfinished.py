"""A table of those cells that are there, rendered in memory as ``merge`` and ``table`` would make it of them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from longtail.files import read_with_provenance
from longtail.reporting.aggregate import METRIC_COLUMNS, PART_COLUMNS
from longtail.reporting.command import described
from longtail.reporting.from_records import RecordedPlace
from longtail.reporting.merge import Reader, facts_of, merged
from longtail.reporting.table import RenderedTable, render_table
from longtail.study.artefacts import TablePlan
from longtail.study.cells import Measurement
from longtail.study.study import Study


def rendered(
    study: Study,
    plan: TablePlan,
    wanted: Sequence[Measurement],
    found: Sequence[Measurement],
    places: Sequence[RecordedPlace] = (),
    read: Reader = read_with_provenance,
) -> RenderedTable:
    """The table, with a value wherever the cells of one are there.

    Args:
        study: of the table.
        plan: the table's places.
        wanted: all its cells.
        found: those of them whose metrics are there.
        places: what is recorded of each.
        read: what reads a file of metrics, with its provenance.

    Raises:
        LongtailError: if metrics cannot be read or contradict the plan.
    """
    plan = described(plan, facts_of(study, wanted, found))
    if not found:
        return render_table(plan, pd.DataFrame(), places)
    lines = pa.concat_tables(merged(found, set(), read))
    for column in PART_COLUMNS:
        lines = lines.filter(pc.is_null(lines[column]))
    return render_table(plan, lines.select(METRIC_COLUMNS).to_pandas(), places)
