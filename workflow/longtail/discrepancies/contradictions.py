"""What the printed numbers of the papers say against each other, computed from the numbers alone."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from longtail.discrepancies import formulas, statements, transcripts
from longtail.discrepancies.numbers import Contradiction, Number, Row, half_unit, metrics_of, numbers
from longtail.errors import LongtailError
from longtail.study.cells import Cell

if TYPE_CHECKING:
    from longtail.study.study import Study

PREDICTION_99 = Decimal("4.604") * Decimal("1.2").sqrt()
"""Within how many standard deviations of five trainings' mean one more falls with 99 %: t(4 degrees) sqrt(1 + 1/5)."""


def derive(study: Study) -> list[Contradiction]:
    """All contradictions, those within the papers first, in the order of the catalogue.

    Raises:
        LongtailError: if the catalogue's ``inconsistencies`` name numbers that are not printed.
    """
    every = numbers(study)
    found = [*printed_twice(every), *beyond_spread(every), *averages(study, every), *shared(every)]
    found += [
        *better_under_longer_tail(every),
        *statements.derive(study, every),
        *transcripts.derive(study),
        *formulas.derive(study, every),
    ]
    order = {paper: index for index, paper in enumerate([*study.catalog.papers, "between"])}
    return sorted(found, key=lambda one: order[one.paper])


def printed_twice(every: Sequence[Number]) -> Iterator[Contradiction]:
    """Cells whose numbers differ between two tables, means over the same number of trainings each."""
    cells: defaultdict[tuple[Cell, int], list[Number]] = defaultdict(list)
    for number in every:
        if number.cell is not None:
            cells[number.cell, number.seeds].append(number)
    for involved in cells.values():
        values: defaultdict[str, set[Decimal]] = defaultdict(set)
        for number in involved:
            values[number.metric].add(number.value)
        apart = {metric for metric, printed in values.items() if len(printed) > 1}
        if not apart:
            continue
        by_table: defaultdict[tuple[str, str], dict[str, Number]] = defaultdict(dict)
        for number in involved:
            by_table[number.title, number.row][number.metric] = number
        shown = [metric for metric in metrics_of(involved) if any(metric in row for row in by_table.values())]
        rows = tuple(
            (
                title,
                row,
                *((printed[m].printed, m in apart) if m in printed else "" for m in shown),
            )
            for (title, row), printed in by_table.items()
            if apart & set(printed)
        )
        first = involved[0]
        agree = len(values) - len(apart)
        text = f"One cell, {len(apart)} of its {len(values)} numbers printed with different values"
        text += f"; the other {agree} agree." if agree else "."
        yield Contradiction(
            _home([number for number in involved if number.metric in apart]),
            f"{first.row.removesuffix(' (Ours)')} on {first.column} is not the same everywhere",
            text,
            ("printed in", "row", *shown),
            rows,
            tuple(number for number in involved if number.metric in apart),
        )


def _home(involved: Sequence[Number]) -> str:
    """The paper that contradicts itself; ``between`` if only several papers together do."""
    for number in involved:
        if any(
            (other.paper, other.metric) == (number.paper, number.metric) and other.value != number.value
            for other in involved
        ):
            return number.paper
    return "between"


def beyond_spread(every: Sequence[Number]) -> Iterator[Contradiction]:
    """Single trainings that lie outside of what the five trainings of another table allow."""
    singles = {_key(number): number for number in every if number.seeds == 1 and number.cell is not None}
    of_five = (number for number in every if number.std is not None and number.seeds == 5)
    tables = list(dict.fromkeys((number.paper, number.table) for number in of_five))
    for paper, table in tables:
        several = [number for number in every if (number.paper, number.table) == (paper, table)]
        pairs = [(number, singles[_key(number)]) for number in several if _key(number) in singles]
        rows: list[Row] = []
        involved: list[Number] = []
        inside = 0
        for mean, single in pairs:
            assert mean.std is not None
            # The mean, the single value and the spread are all rounded.
            least = PREDICTION_99 * (mean.std + half_unit(mean.std)) + mean.half + single.half
            distance = single.value - mean.value
            if abs(distance) <= least:
                inside += 1
                continue
            spread = f"{abs(distance) / mean.std:z.0f}" if mean.std else "∞"
            before = f"{single.title}: {single.printed}"
            rows.append((mean.row, mean.column, mean.metric, before, mean.printed, (f"{distance:+}", True), spread))
            involved += [mean, single]
        if rows:
            yield Contradiction(
                paper,
                f"Single trainings that {several[0].artefact} rules out",
                f"In 99 of 100 cases a single training should lie within {PREDICTION_99:z.1f} standard deviations of "
                f"the mean of five others. Of the {len(pairs)} numbers that are printed both ways, {inside} do and "
                f"these {len(rows)} do not.",
                ("row", "column", "metric", "single training", "mean of five", "difference", "in deviations"),
                tuple(rows),
                tuple(involved),
            )


def averages(study: Study, every: Sequence[Number]) -> Iterator[Contradiction]:
    """Printed averages that the printed numbers do not give."""
    for paper, spec in study.catalog.papers.items():
        for name, table in spec.get("tables", {}).items():
            for column in table["columns"]:
                if "average_of" not in column or "published" not in table:
                    continue
                published = study.catalog.published(paper, table["published"])
                own = [number for number in every if (number.paper, number.table) == (paper, name)]
                rows: list[Row] = []
                involved: list[Number] = []
                count, possible = 0, True
                for row, metric in itertools.product(table["rows"], table["metrics"]):
                    asked = {**column, **column.get("published", {})}
                    key = (row["row"], *(str(asked.get(part, "")) for part in ("group", "dataset", "ratio")), metric)
                    if key not in published:
                        raise LongtailError(f"{paper} {name}: the published table has no number for {key}.")
                    printed = Decimal(published[key].text)
                    parts = [
                        number
                        for number in own
                        if number.row == row["row"] and number.metric == metric and number.group in column["average_of"]
                    ]
                    mean = sum((number.value for number in parts), Decimal(0)) / len(parts)
                    count += 1
                    if abs(mean - printed) > half_unit(printed):
                        slack = sum((number.half for number in parts), Decimal(0)) / len(parts) + half_unit(printed)
                        possible &= abs(mean - printed) <= slack
                        listed = ", ".join(str(number.value) for number in parts)
                        rows.append((row["row"], metric, listed, f"{mean}", (f"{printed}", True)))
                        involved += parts
                if rows:
                    why = " Averages taken before rounding could give them." if possible else ""
                    yield Contradiction(
                        paper,
                        f"Averages of {table['title']}",
                        f"{len(rows)} of its {count} averages are not those of the numbers beside them.{why}",
                        ("row", "metric", "printed numbers", "their average", "printed average"),
                        tuple(rows),
                        tuple(involved),
                    )


def shared(every: Sequence[Number]) -> Iterator[Contradiction]:
    """Two rows of a column that share some of their numbers, at least two, but not all: a copied pair, or chance."""
    columns: defaultdict[tuple[str, str, str], dict[str, dict[str, Number]]] = defaultdict(dict)
    for number in every:
        columns[number.paper, number.table, number.column].setdefault(number.row, {})[number.metric] = number
    seen: set[tuple[Any, ...]] = set()
    for (paper, _, column), by_row in columns.items():
        for (first, one), (second, other) in itertools.combinations(by_row.items(), 2):
            metrics = [metric for metric in one if metric in other]
            same = [metric for metric in metrics if one[metric].value == other[metric].value]
            key = (column, *sorted(str(n[m].value) for n in (one, other) for m in metrics))
            unit_numbers = all(one[metric].value > 1 for metric in same)
            if len(same) < 2 or len(same) == len(metrics) or not unit_numbers or key in seen:
                continue
            seen.add(key)
            rows: list[Row] = [
                (row, *((numbers_of[m].printed, m in same) for m in metrics))
                for row, numbers_of in ((first, one), (second, other))
            ]
            yield Contradiction(
                paper,
                f"{first} and {second} share {' and '.join(same)} on {column}",
                f"{one[same[0]].artefact} gives both rows the same {' and '.join(same)}, and different numbers "
                "otherwise: a copied pair, or chance.",
                ("row", *metrics),
                tuple(rows),
                tuple(numbers_of[m] for numbers_of in (one, other) for m in same),
            )


def better_under_longer_tail(every: Sequence[Number]) -> Iterator[Contradiction]:
    """Rows that are better on every metric at a longer tail of the same dataset, while most rows are worse."""
    runs: defaultdict[tuple[str, Cell], dict[int, dict[str, Number]]] = defaultdict(dict)
    for number in every:
        if number.cell is None or number.seeds > 1 or number.metric not in {"ACC", "CAA", "NMI", "ARI"}:
            continue
        by_ratio = runs[number.paper, replace(number.cell, ratio=0)]
        by_ratio.setdefault(number.cell.ratio, {}).setdefault(number.metric, number)
    for (paper, _), by_ratio in runs.items():
        for shorter, longer in itertools.combinations(sorted(by_ratio), 2):
            one, other = by_ratio[shorter], by_ratio[longer]
            metrics = [metric for metric in one if metric in other]
            cited = any(
                number.paper != paper
                and _key(number) == _key(one[metrics[0]])
                and number.value == one[metrics[0]].value
                for number in every
            ) and paper != _first_of(every, one[metrics[0]])
            if len(metrics) < 4 or cited or not all(other[m].value > one[m].value for m in metrics):
                continue
            first = one[metrics[0]]
            yield Contradiction(
                paper,
                f"{first.row} is better under the longer tail of {first.dataset}",
                f"On every metric, at ratio {longer} more than at ratio {shorter}.",
                ("printed in", "ratio", *metrics),
                tuple(
                    (by[metrics[0]].title, str(ratio), *((by[m].printed, True) for m in metrics))
                    for ratio, by in ((shorter, one), (longer, other))
                ),
                tuple(by[m] for by in (one, other) for m in metrics),
            )


def _first_of(every: Iterable[Number], like: Number) -> str:
    """The first paper of the catalogue that prints a cell."""
    return next(number.paper for number in every if _key(number) == _key(like))


def _key(number: Number) -> tuple[Cell | None, str]:
    """What makes two printed numbers ones of the same thing."""
    return number.cell, number.metric
