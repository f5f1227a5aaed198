"""``python -m longtail table``: one table of a paper, published numbers beside computed ones."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from longtail import files
from longtail.records.ledger import Ledger
from longtail.records.record import read_all
from longtail.reporting import formats
from longtail.reporting.aggregate import METRIC_COLUMNS, PART_COLUMNS, tidy
from longtail.reporting.command import add_common_arguments, as_merged, read_metrics
from longtail.reporting.from_records import RecordedPlace, recorded_places
from longtail.reporting.grid import arrange

if TYPE_CHECKING:
    from longtail.study.artefacts import TablePlan


@dataclass(frozen=True)
class RenderedTable:
    """A finished table.

    Attributes:
        frame: one line per printed or planned number, see ``aggregate.FRAME_TYPES``.
        document: the same, laid out for reading.
    """

    frame: pd.DataFrame
    document: formats.Document

    def write(self, folder: Path, name: str) -> None:
        """Write ``<name>.{parquet,csv,md,tex,html}``: if one cannot be written, the others are not replaced either.

        Raises:
            LongtailError: when the folder cannot be written.
        """
        texts = {
            "csv": self.frame.to_csv(index=False, float_format="{:z.10g}".format, lineterminator="\n"),
            "md": formats.markdown(self.document),
            "tex": formats.latex(self.document),
            "html": formats.html(self.document),
        }
        with ExitStack() as stack:
            for suffix, text in texts.items():
                stack.enter_context(files.replacing(folder / f"{name}.{suffix}")).write_text(text, encoding="utf-8")
            files.write_table(
                stack.enter_context(files.replacing(folder / f"{name}.parquet")),
                pa.Table.from_pandas(self.frame, preserve_index=False),
                artefact=self.document.name,
                label=self.document.label,
                notes=[*self.document.grid.notes, *self.document.grid.marks],
            )


def render_table(plan: TablePlan, metrics: pd.DataFrame | None, places: Sequence[RecordedPlace] = ()) -> RenderedTable:
    """Put what was recorded and what was computed beside what was printed.

    Args:
        plan: the table's places, from ``study``.
        metrics: merged metrics of its cells, possibly without a line; None for a table of records alone.
        places: what is recorded of each; empty if nothing of any is.

    Raises:
        LongtailError: if metrics and plan contradict each other (units, repeated trials, two numbers in one place).
    """
    frame = tidy(plan, pd.DataFrame() if metrics is None else metrics, places)
    labels = dict.fromkeys(value.group.label for place in places for value in place.values if value.group.label)
    document = formats.Document(
        title=plan.title,
        paper=plan.paper_title,
        caption=plan.caption,
        label="; ".join(filter(None, [plan.label, *(f"recorded values: {label}" for label in labels)])),
        name=f"{plan.paper}-{plan.name}",
        grid=arrange(plan, frame, places, only_recorded=metrics is None),
    )
    return RenderedTable(frame, document)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--table", required=True, help="name of the table, e.g. table2")
    parser.add_argument("--records", metavar="FOLDER", help="records whose values are shown, too")
    add_common_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Render one table in all formats."""
    from longtail.study.study import load_study

    study = load_study(files.read_json(arguments.config, "--config"))
    plan = study.table(arguments.paper, arguments.table)
    records = read_all(arguments.records, study.cuts(arguments.paper, arguments.table)) if arguments.records else ()
    places = recorded_places(plan, Ledger(records, study).of(arguments.paper, arguments.table))
    metrics = read_metrics(arguments.metrics, METRIC_COLUMNS, null=PART_COLUMNS)
    render_table(as_merged(plan, arguments.metrics), metrics, places).write(Path(arguments.out_dir), arguments.table)
