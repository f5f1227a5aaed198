"""What the page of all results shows, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from longtail.discrepancies.points import Point
from longtail.reporting.formats import Document
from longtail.results_page.cells import Log, ShownCell
from longtail.results_page.curves import TrainingCurve
from longtail.results_page.origins import Setting
from longtail.study.artefacts import TablePlan


@dataclass(frozen=True)
class Count:
    """How many there are of what was asked for."""

    there: int
    wanted: int


@dataclass(frozen=True)
class Summary:
    """The head of the page.

    Attributes:
        label: what keeps all of it from being a reproduction; empty if nothing does.
        written: when it was collected, in ISO format with the zone.
        version: of the package.
        running: trainings that are under way.
        cells, trainings: of the tables and figures that were asked for.
    """

    label: str
    written: str
    version: str
    running: int
    cells: Count
    trainings: Count


@dataclass(frozen=True)
class ShownTable:
    """A table.

    Attributes:
        id, paper, paper_title, paper_short: for links and headings.
        plan: its places.
        document: laid out.
        frame: a line per place, see ``aggregate.FRAME_TYPES``.
        first: how many places the tables before it have.
        cells: of each place, the indices of its cells, seed by seed.
        downloads: format and address of each of its files that is there.
    """

    id: str
    paper: str
    paper_title: str
    paper_short: str
    plan: TablePlan
    document: Document
    frame: pd.DataFrame
    first: int
    cells: tuple[tuple[int, ...], ...]
    downloads: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ShownFigure:
    """A figure as it was drawn last; without either picture ``missing`` says why."""

    id: str
    paper: str
    title: str
    caption: str
    label: str
    svg: str | None
    png: bytes | None
    missing: str


@dataclass(frozen=True)
class Content:
    """All that stands on the page.

    Attributes:
        title: of the page; empty for the plain one.
        summary: its head.
        tables, figures: those that were asked for first.
        cells: behind the places of the tables.
        settings, curves, logs, points: what the indices of cells mean.
        discrepancies: address of the page of discrepancies, None if there is none.
        others: name and address of the pages of other views that are there.
        notices: what is wrong with files that are left out.
    """

    title: str
    summary: Summary
    tables: tuple[ShownTable, ...]
    figures: tuple[ShownFigure, ...]
    cells: tuple[ShownCell, ...]
    settings: tuple[tuple[Setting, ...], ...]
    curves: tuple[TrainingCurve, ...]
    logs: tuple[Log, ...]
    points: tuple[Point, ...]
    discrepancies: str | None
    others: Mapping[str, str]
    notices: tuple[str, ...]
