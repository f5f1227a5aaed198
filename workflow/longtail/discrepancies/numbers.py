"""The printed numbers of the catalogue, and what can be wrong between them.

Numbers are taken as printed, in decimal arithmetic, and rounding is given its due: a number printed as 0.43 may have
been anything between 0.425 and 0.435.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from longtail.study.artefacts import printed_seeds_of
from longtail.study.cells import Cell

if TYPE_CHECKING:
    from longtail.study.study import Study

Row = tuple[str | tuple[str, bool], ...]
"""A line of a contradiction's table."""


@dataclass(frozen=True)
class Number:
    """One printed number and where it stands.

    Attributes:
        paper, table: names in the catalogue.
        source: the paper's short name, e.g. ``ConMix``.
        artefact: e.g. ``Table 2``.
        row, group, dataset, ratio, metric: as the table's specification has them; an average over ratios has none.
        value: as printed.
        std: the printed standard deviation.
        seeds: trainings that it is the mean of.
        cell: what it is measured on here; None if nobody has written that yet.
        backbone: as the transcript has it, of numbers that were read from one whole.
    """

    paper: str
    table: str
    source: str
    artefact: str
    row: str
    group: str
    dataset: str
    ratio: int | None
    metric: str
    value: Decimal
    std: Decimal | None
    seeds: int
    cell: Cell | None
    backbone: str = ""

    @property
    def title(self) -> str:
        """Where it is printed, e.g. ``ConMix Table 2``."""
        return f"{self.source} {self.artefact}"

    @property
    def printed(self) -> str:
        """The number as the paper has it."""
        return f"{self.value}" + (f" ± {self.std}" if self.std is not None else "")

    @property
    def half(self) -> Decimal:
        """Half a unit of the last printed digit."""
        return half_unit(self.value)

    @property
    def column(self) -> str:
        """Group, dataset and ratio in words."""
        ratio = "" if self.ratio is None or self.dataset == "ImageNet-LT" else f" at ratio {self.ratio}"
        return ", ".join(filter(None, [f"{self.dataset}{ratio}", self.group]))


@dataclass(frozen=True)
class Contradiction:
    """Numbers that do not go together.

    Attributes:
        paper: in whose section it stands; ``between`` for more than one paper.
        title: in a few words.
        text: what is wrong with them, as far as can be told.
        header, rows: the numbers as a table; a cell that is emphasised is a pair of text and True.
        numbers: all that are involved.
    """

    paper: str
    title: str
    text: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    numbers: tuple[Number, ...]


def half_unit(value: Decimal) -> Decimal:
    """Half a unit of the last digit of a printed number."""
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    return Decimal(5).scaleb(exponent - 1)


@functools.lru_cache(maxsize=4)
def numbers(study: Study) -> tuple[Number, ...]:
    """Every printed number of the catalogue that stands in a row and a column of its table."""
    found = []
    for paper, spec in study.catalog.papers.items():
        for name, table in spec.get("tables", {}).items():
            if "published" not in table:
                continue
            plan = study.table(paper, name)
            for entry in plan.entries:
                if not entry.published_text:
                    continue
                cell = None if entry.cell is None else Cell(**entry.cell)
                printed_seeds = printed_seeds_of(plan, entry)
                std = None if entry.published_std is None else Decimal(str(entry.published_std))
                found.append(
                    Number(
                        paper, name, study.catalog.short(paper), table["title"], entry.row, entry.group, entry.dataset,
                        entry.ratio, entry.metric, Decimal(entry.published_text), std, printed_seeds, cell,
                    )
                )  # fmt: skip
    return tuple(found)


def agreement(study: Study) -> tuple[int, int]:
    """Cells and metrics that more than one single-training table prints: how many agree, and how many there are."""
    values: defaultdict[Any, list[Decimal]] = defaultdict(list)
    for number in numbers(study):
        if number.cell is not None and number.seeds == 1:
            values[number.cell, number.metric].append(number.value)
    several = [printed for printed in values.values() if len(printed) > 1]
    return sum(len(set(printed)) == 1 for printed in several), len(several)


def metrics_of(involved: Iterable[Number]) -> list[str]:
    """The metrics of some numbers, each once."""
    return list(dict.fromkeys(number.metric for number in involved))
