"""``python -m longtail figure``: one figure of a paper, and what it was drawn from."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
import pyarrow as pa

from longtail import files
from longtail.reporting.aggregate import METRIC_COLUMNS
from longtail.reporting.command import add_common_arguments, as_merged, read_metrics
from longtail.reporting.figures import pictures, style
from longtail.reporting.figures.draw import draw
from longtail.reporting.figures.values import PROJECTION_COLUMNS

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan


PICTURES = ("pdf", "svg", "png")


def write_figure(plan: FigurePlan, data: pd.DataFrame, folder: Path, name: str) -> None:
    """Write ``<name>.{pdf,svg,png,parquet}``: if one cannot be written, the others are not replaced either.

    Args:
        plan: what the figure shows, from ``study``.
        data: merged metrics or projections of its cells.
        folder: where the files go.
        name: their common stem.

    Raises:
        LongtailError: when the folder cannot be written or the plan cannot be drawn.
    """
    figure, drawn = draw(plan, data)
    try:
        with ExitStack() as stack, style.applied():
            for suffix in PICTURES:
                picture = stack.enter_context(files.replacing(folder / f"{name}.{suffix}"))
                pictures.save(figure, picture, f"{plan.paper}-{plan.name}", f"{plan.paper_title}, {plan.title}")
            files.write_table(
                stack.enter_context(files.replacing(folder / f"{name}.parquet")),
                pa.Table.from_pandas(drawn, preserve_index=False),
                artefact=f"{plan.paper}-{plan.name}",
                label=plan.label,
                notes=list(plan.footnotes),
            )
    finally:
        plt.close(figure)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--figure", required=True, help="name of the figure, e.g. figure1")
    add_common_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Draw one figure in all formats."""
    from longtail.study.study import load_study

    plan = load_study(files.read_json(arguments.config, "--config")).figure(arguments.paper, arguments.figure)
    columns = METRIC_COLUMNS if plan.projection is None else PROJECTION_COLUMNS
    metrics = read_metrics(arguments.metrics, columns)
    write_figure(as_merged(plan, arguments.metrics), metrics, Path(arguments.out_dir), arguments.figure)
