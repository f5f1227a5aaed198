"""What the printed numbers of the papers say against each other, computed from the numbers themselves.

Numbers are compared as printed, in decimal arithmetic, and rounding is given its due: a number printed as 0.43 may have
been anything between 0.425 and 0.435.
"""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from longtail.errors import LongtailError, unknown

if TYPE_CHECKING:
    from longtail.study.plan import Study

PREDICTION_99 = Decimal("4.604") * Decimal("1.2").sqrt()
"""Standard deviations of five trainings within which one more falls with 99 %: t(4 degrees of freedom) sqrt(1 + 1/5)."""


@dataclass(frozen=True)
class Number:
    """One printed number and where it stands.

    Attributes:
        paper, table: names in the catalogue.
        source: the paper's short name, e.g. ``ConMix``.
        artefact: e.g. ``Table 2``.
        row, group, dataset, ratio, metric: as the table's specification has them.
        value: as printed.
        std: the printed standard deviation.
        seeds: trainings that it is the mean of.
        cell: what it was measured on here; None if nobody has written that yet.
    """

    paper: str
    table: str
    source: str
    artefact: str
    row: str
    group: str
    dataset: str
    ratio: int
    metric: str
    value: Decimal
    std: Decimal | None
    seeds: int
    cell: tuple[Any, ...] | None

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
        ratio = "" if self.dataset == "ImageNet-LT" else f" at ratio {self.ratio}"
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
    rows: tuple[tuple[str | tuple[str, bool], ...], ...]
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
                cell = None if entry.cell is None else (*entry.cell.values(), entry.metric)
                std = None if entry.published_std is None else Decimal(str(entry.published_std))
                found.append(
                    Number(
                        paper, name, short(study, paper), table["title"], entry.row, entry.group, entry.dataset,
                        entry.ratio, entry.metric, Decimal(entry.published_text), std, table["seeds"], cell,
                    )
                )  # fmt: skip
    return tuple(found)


def short(study: Study, paper: str) -> str:
    """A paper's short name: the title before its colon, or that of the method which bears the paper's name."""
    methods = study.catalog.methods
    return methods[paper].title if paper in methods else study.catalog.paper(paper)["title"].partition(":")[0]


def derive(study: Study) -> list[Contradiction]:
    """All contradictions, those within the papers first, in the order of the catalogue.

    Raises:
        LongtailError: if the catalogue's ``inconsistencies`` name numbers that are not printed.
    """
    every = numbers(study)
    found = [*printed_twice(every), *beyond_spread(study, every), *averages(study, every), *shared(every)]
    found += [*better_under_longer_tail(study, every), *namesakes(study, every)]
    for paper, listed in study.catalog.inconsistencies.items():
        own = [number for number in every if number.paper == paper]
        found += [*ratios(paper, listed, own), *orders(paper, listed, own, study), *claims(paper, listed, own, study)]
        found += oddities(paper, listed, own)
    order = {paper: index for index, paper in enumerate([*study.catalog.papers, "between"])}
    return sorted(found, key=lambda one: order[one.paper])


def _home(involved: Sequence[Number]) -> str:
    """The paper that contradicts itself; ``between`` if only several papers together do."""
    for number in involved:
        if any((other.paper, other.metric) == (number.paper, number.metric) and other.value != number.value for other in involved):
            return number.paper
    return "between"


def _metrics(involved: Iterable[Number]) -> list[str]:
    return list(dict.fromkeys(number.metric for number in involved))


def printed_twice(every: Sequence[Number]) -> Iterator[Contradiction]:
    """Cells of one training whose numbers differ between two tables."""
    cells: defaultdict[tuple[Any, ...], list[Number]] = defaultdict(list)
    for number in every:
        if number.cell is not None and number.seeds == 1:
            cells[number.cell[:-1]].append(number)
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
        shown = [metric for metric in _metrics(involved) if any(metric in row for row in by_table.values())]
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


def beyond_spread(study: Study, every: Sequence[Number]) -> Iterator[Contradiction]:
    """Single trainings that lie outside of what the five trainings of another table allow."""
    singles = {number.cell: number for number in every if number.seeds == 1 and number.cell is not None}
    tables = list(dict.fromkeys((number.paper, number.table) for number in every if number.std is not None))
    for paper, table in tables:
        several = [number for number in every if (number.paper, number.table) == (paper, table)]
        pairs = [(number, singles[number.cell]) for number in several if number.cell in singles]
        rows, involved, inside = [], [], 0
        for mean, single in pairs:
            assert mean.std is not None
            # The mean, the single value and the spread are all rounded.
            least = PREDICTION_99 * (mean.std + half_unit(mean.std)) + mean.half + single.half
            distance = single.value - mean.value
            if abs(distance) <= least:
                inside += 1
                continue
            spread = f"{abs(distance) / mean.std:.0f}" if mean.std else "∞"
            rows.append(
                (mean.row, mean.column.rpartition(",")[0] or mean.column, mean.metric)
                + (f"{single.title}: {single.printed}", mean.printed, (f"{distance:+}", True), spread)
            )
            involved += [mean, single]
        if rows:
            yield Contradiction(
                paper,
                f"Single trainings that {several[0].artefact} rules out",
                f"In 99 of 100 cases a single training should lie within {PREDICTION_99:.1f} standard deviations of the "
                f"mean of five others. Of the {len(pairs)} numbers that are printed both ways, {inside} do and these "
                f"{len(rows)} do not.",
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
                rows, involved, count, possible = [], [], 0, True
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
            rows = tuple(
                (row, *((numbers_of[m].printed, m in same) for m in metrics))
                for row, numbers_of in ((first, one), (second, other))
            )
            yield Contradiction(
                paper,
                f"{first} and {second} share {' and '.join(same)} on {column}",
                f"{one[same[0]].artefact} gives both rows the same {' and '.join(same)}, and different numbers otherwise: "
                "a copied pair, or chance.",
                ("row", *metrics),
                rows,
                tuple(numbers_of[m] for numbers_of in (one, other) for m in same),
            )


def better_under_longer_tail(study: Study, every: Sequence[Number]) -> Iterator[Contradiction]:
    """Rows that are better on every metric at a longer tail of the same dataset, while most rows are worse."""
    runs: defaultdict[tuple[Any, ...], dict[int, dict[str, Number]]] = defaultdict(dict)
    for number in every:
        if number.cell is None or number.seeds > 1 or number.metric not in {"ACC", "CAA", "NMI", "ARI"}:
            continue
        method, settings, dataset, ratio, *rest, metric = number.cell
        runs[number.paper, method, settings, dataset, *rest].setdefault(ratio, {}).setdefault(metric, number)
    for (paper, *_), by_ratio in runs.items():
        for shorter, longer in itertools.combinations(sorted(by_ratio), 2):
            one, other = by_ratio[shorter], by_ratio[longer]
            metrics = [metric for metric in one if metric in other]
            cited = any(
                number.paper != paper and number.cell == one[metrics[0]].cell and number.value == one[metrics[0]].value
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
    return next(number.paper for number in every if number.cell == like.cell)


def namesakes(study: Study, every: Sequence[Number]) -> Iterator[Contradiction]:
    """Methods that bear one name in print and are different trainings, wherever both have numbers."""
    for paper, listed in study.catalog.inconsistencies.items():
        for entry in listed.get("namesakes", ()):
            for name in entry["methods"]:
                if name not in study.catalog.methods:
                    raise unknown(f"method (namesakes of {paper})", name, study.catalog.methods)
            by_place: defaultdict[tuple[str, int], dict[str, dict[str, Number]]] = defaultdict(dict)
            for number in every:
                if number.cell is not None and number.cell[0] in entry["methods"] and number.cell[4] == "train":
                    place = by_place[number.dataset, number.ratio].setdefault(number.cell[0], {})
                    place.setdefault(number.metric, number)
            both = {place: by for place, by in by_place.items() if len(by) > 1}
            involved = [number for by in both.values() for row in by.values() for number in row.values()]
            metrics = [m for m in _metrics(involved) if all(m in row for by in both.values() for row in by.values())]
            rows = [
                (
                    (f"{dataset} at ratio {ratio}",)
                    + (next(iter(by[method].values())).title, next(iter(by[method].values())).row)
                    + tuple(by[method][m].printed for m in metrics)
                )
                for (dataset, ratio), by in both.items()
                for method in entry["methods"]
                if method in by
            ]
            if rows:
                yield Contradiction(
                    "between",
                    f"Two trainings are called {entry['name']}",
                    entry["why"],
                    ("column", "printed in", "row", *metrics),
                    tuple(rows),
                    tuple(involved),
                )


def ratios(paper: str, listed: Mapping[str, Any], own: Sequence[Number]) -> Iterator[Contradiction]:
    """Printed ratios that no unrounded numbers behind the printed ones can have."""
    for entry in listed.get("ratios", ()):
        places = _by_place(own, entry["table"])
        rows, involved = [], []
        for (row, column), by in places.items():
            ratio, part, whole = (_of(by, entry[key], paper, entry["table"]) for key in ("metric", "of", "over"))
            low = (part.value - part.half) / (whole.value + whole.half)
            least = whole.value - whole.half
            high = (part.value + part.half) / least if least > 0 else Decimal("Infinity")
            if ratio.value + ratio.half < low or ratio.value - ratio.half > high:
                between = f"{low:.2f} to {high:.2f}"
                rows.append((row, column, str(part.value), str(whole.value), between, (str(ratio.value), True)))
                involved += [ratio, part, whole]
        if rows:
            yield Contradiction(
                paper,
                f"Ratios of {involved[0].artefact} that their parts do not allow",
                f"{len(rows)} of the {len(places)} printed ratios are none that the numbers beside them could have had "
                f"before they were rounded. {entry.get('remark', '')}".rstrip(),
                ("row", "column", "part", "whole", "possible ratio", "printed ratio"),
                tuple(rows),
                tuple(involved),
            )


def orders(paper: str, listed: Mapping[str, Any], own: Sequence[Number], study: Study) -> Iterator[Contradiction]:
    """Numbers that should rise with the imbalance ratio, and fall."""
    for entry in listed.get("orders", ()):
        series: defaultdict[str, list[Number]] = defaultdict(list)
        for number in own:
            if (number.table, number.metric) == (entry["table"], entry["metric"]):
                series[number.row].append(number)
        if not series:
            raise LongtailError(f"inconsistencies of {paper}: {entry['table']} prints no {entry['metric']}.")
        rows, involved = [], []
        columns: list[str] = []
        for row, members in series.items():
            members.sort(key=lambda number: number.ratio)
            columns = [f"ratio {number.ratio}" for number in members]
            falls = [False] + [later.value < before.value for before, later in itertools.pairwise(members)]
            if any(falls):
                rows.append((row, *((number.printed, fall) for number, fall in zip(members, falls, strict=True))))
                involved += members
        if rows:
            yield Contradiction(
                paper,
                f"{study.catalog.metrics[entry['metric']]['title']} does not rise with the ratio ({entry['where']})",
                f"{entry['says']} It falls where it is emphasised.",
                ("row", *columns),
                tuple(rows),
                tuple(involved),
            )


def claims(paper: str, listed: Mapping[str, Any], own: Sequence[Number], study: Study) -> Iterator[Contradiction]:
    """What the text says of printed numbers, where the numbers say otherwise."""
    for entry in listed.get("claims", ()):
        by_column: defaultdict[tuple[str, str], dict[str, dict[str, Number]]] = defaultdict(dict)
        for number in own:
            if number.table == entry["table"] and number.metric in entry["metrics"]:
                by_column[number.dataset, number.group].setdefault(number.row, {})[number.metric] = number
        wanted = {entry["row"], entry.get("below", entry["row"])}
        for by_row in by_column.values():
            if not wanted <= set(by_row):
                raise unknown(f"row (claims of {paper}, {entry['table']})", (wanted - set(by_row)).pop(), by_row)
            other, wrong = _refuted(entry, by_row, study)
            if not wrong:
                continue
            reading = f" ({entry['reading']})" if "reading" in entry else ""
            compared = tuple(by_row[row][m] for row in (entry["row"], *other) for m in entry["metrics"])
            yield Contradiction(
                paper,
                f"{entry['where']}: {entry['says'].rstrip('.')}",
                f"The numbers of {compared[0].artefact} on {compared[0].column} say otherwise for "
                f"{' and '.join(wrong)}{reading}.",
                ("row", *entry["metrics"]),
                tuple(
                    (row, *((by_row[row][m].printed, m in wrong) for m in entry["metrics"]))
                    for row in (entry["row"], *other)
                ),
                compared,
            )


def _refuted(
    entry: Mapping[str, Any], by_row: Mapping[str, Mapping[str, Number]], study: Study
) -> tuple[list[str], list[str]]:
    """The rows that a claim fails against, and the metrics in which it does."""
    own = by_row[entry["row"]]
    if "below" in entry:
        low, high = (None if bound is None else Decimal(str(bound)) for bound in entry["by"])
        gaps = {m: by_row[entry["below"]][m].value - own[m].value for m in entry["metrics"]}
        wrong = [m for m, gap in gaps.items() if (low is not None and gap < low) or (high is not None and gap > high)]
        return [entry["below"]], wrong
    beaten: dict[str, None] = {}
    wrong = []
    for metric in entry["metrics"]:
        sign = 1 if study.catalog.metrics[metric]["higher_is_better"] else -1
        better = [row for row, printed in by_row.items() if sign * (printed[metric].value - own[metric].value) > 0]
        beaten.update(dict.fromkeys(better))
        wrong += [metric] if better else []
    return list(beaten), wrong


def oddities(paper: str, listed: Mapping[str, Any], own: Sequence[Number]) -> Iterator[Contradiction]:
    """Numbers that look wrong for reasons that the catalogue gives."""
    for entry in listed.get("oddities", ()):
        rows, involved = [], []
        metrics = list(dict.fromkeys(metric for place in entry["places"] for metric in place["metrics"]))
        for place in entry["places"]:
            found = {
                number.metric: number
                for number in own
                if (number.table, number.row) == (entry["table"], place["row"])
                and (number.group, number.dataset, number.ratio)
                == (place.get("group", ""), place["dataset"], place["ratio"])
                and number.metric in place["metrics"]
            }
            if set(found) != set(place["metrics"]):
                raise LongtailError(f"inconsistencies of {paper}: {entry['table']} does not print {dict(place)}.")
            involved += found.values()
            first = next(iter(found.values()))
            rows.append((place["row"], first.column, *(found[m].printed if m in found else "" for m in metrics)))
        names = list(dict.fromkeys(number.row for number in involved))
        yield Contradiction(
            paper,
            f"Odd numbers of {', '.join(names)} in {involved[0].artefact}",
            entry["why"],
            ("row", "column", *metrics),
            tuple(rows),
            tuple(involved),
        )


def _by_place(own: Iterable[Number], table: str) -> dict[tuple[str, str], dict[str, Number]]:
    places: dict[tuple[str, str], dict[str, Number]] = {}
    for number in own:
        if number.table == table:
            places.setdefault((number.row, number.group or number.column), {})[number.metric] = number
    return places


def _of(by: Mapping[str, Number], metric: str, paper: str, table: str) -> Number:
    if metric not in by:
        raise unknown(f"metric (inconsistencies of {paper}, {table})", metric, by)
    return by[metric]


def agreement(study: Study) -> tuple[int, int]:
    """Cells and metrics that more than one single-training table prints: how many agree, and how many there are."""
    values: defaultdict[Any, list[Decimal]] = defaultdict(list)
    for number in numbers(study):
        if number.cell is not None and number.seeds == 1:
            values[number.cell].append(number.value)
    several = [printed for printed in values.values() if len(printed) > 1]
    return sum(len(set(printed)) == 1 for printed in several), len(several)

