"""What plan and status have in common: a page for the terminal, and the same as Parquet."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from tabulate import tabulate

from longtail import files
from longtail.study import asked, layout
from longtail.study.config import CONFIG, of_folder
from longtail.study.study import Study, load_study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of both commands."""
    add_study_arguments(parser)
    parser.add_argument("--out", metavar="STEM", help="the files to write, without .md and .parquet; else in results")


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say of which study to speak (:func:`study_of`)."""
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="papers, tables or figures; the configuration's")
    parser.add_argument("--config", help=f"the run's configuration as JSON, or @FILE with that JSON; else {CONFIG}")
    parser.add_argument("--results", default="results", metavar="FOLDER", help="where all results lie")


def study_of(arguments: argparse.Namespace) -> Study:
    """The study that the targets stand for when they are complete, whether or not partial tables are asked for.

    From then on all paths are those of the folder of results that is given.

    Raises:
        LongtailError: if the configuration is wrong.
    """
    layout.move(arguments.results)
    config = files.read_json(arguments.config, "--config") if arguments.config else of_folder()
    study = load_study({**config, "partial": False})
    targets = asked.of_overview(study, arguments.targets) if arguments.targets else []
    return Study(replace(study.config, targets=tuple(targets)), study.catalog) if targets else study


def heading(study: Study, title: str) -> list[str]:
    """The title with the targets, and how all that follows is made."""
    config = study.config
    label = study.label(study.catalog.datasets) or "the papers' own budget, official protocol"
    seeds = f"seeds {', '.join(map(str, config.seeds))}" if config.seeds else "the seeds of each table"
    chosen = [
        f"{kind} {', '.join(names)}"
        for kind, names in (("methods", config.methods), ("datasets", config.datasets))
        if names
    ]
    return [f"# {title}: {', '.join(config.targets)}", "", f"Made with {'; '.join([label, seeds, *chosen])}."]


def listing(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A Markdown table that is also aligned to be read as it stands.

    Args:
        header: names of the columns.
        rows: the cells, as they are shown.
        texts: how many of the columns, from the left, are text; the others are numbers.
    """
    alignment = ["left" if column < texts else "right" for column in range(len(header))]
    shown = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return tabulate(shown, header, tablefmt="pipe", colalign=alignment, disable_numparse=True)


def write(stem: str, text: str, table: pa.Table, **facts: Any) -> None:
    """Write ``<stem>.md`` and ``<stem>.parquet``: if one cannot be written, the other is not replaced either.

    Raises:
        LongtailError: when the folder cannot be written.
    """
    with ExitStack() as stack:
        page = stack.enter_context(files.replacing(Path(f"{stem}.md")))
        page.write_text(text, encoding="utf-8")
        files.write_table(stack.enter_context(files.replacing(Path(f"{stem}.parquet"))), table, **facts)
