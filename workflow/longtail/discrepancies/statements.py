"""What the text of the papers says of their printed numbers and the numbers do not bear out.

``catalog/papers/<paper>/inconsistencies.yaml`` says what to look at; whether it holds is computed, so that nothing is
listed that the printed numbers do not show.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from longtail.discrepancies.numbers import Contradiction, Number, Row, metrics_of
from longtail.errors import LongtailError, unknown
from longtail.reporting.markup import joined

if TYPE_CHECKING:
    from longtail.study.study import Study


def derive(study: Study, every: Sequence[Number]) -> list[Contradiction]:
    """All that the catalogue points at and the numbers confirm.

    Raises:
        LongtailError: if the catalogue points at numbers that are not printed.
    """
    found = list(namesakes(study, every))
    for paper, listed in study.catalog.inconsistencies.items():
        own = [number for number in every if number.paper == paper]
        found += [*ratios(paper, listed, own), *orders(paper, listed, own, study), *claims(paper, listed, own, study)]
        found += oddities(paper, listed, own)
    return found


def ratios(paper: str, listed: Mapping[str, Any], own: Sequence[Number]) -> Iterator[Contradiction]:
    """Printed ratios that no unrounded numbers behind the printed ones can have."""
    for entry in listed.get("ratios", ()):
        places = _by_place(own, entry["table"])
        rows: list[Row] = []
        involved: list[Number] = []
        for (row, column), by in places.items():
            ratio, part, whole = (_of(by, entry[key], paper, entry["table"]) for key in ("metric", "of", "over"))
            low = (part.value - part.half) / (whole.value + whole.half)
            least = whole.value - whole.half
            high = (part.value + part.half) / least if least > 0 else Decimal("Infinity")
            if ratio.value + ratio.half < low or ratio.value - ratio.half > high:
                between = f"{low:z.2f} to {high:z.2f}"
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
            if (number.table, number.metric) == (entry["table"], entry["metric"]) and number.ratio is not None:
                series[number.row].append(number)
        if not series:
            raise LongtailError(f"inconsistencies of {paper}: {entry['table']} prints no {entry['metric']}.")
        rows: list[Row] = []
        involved: list[Number] = []
        columns: list[str] = []
        for row, members in series.items():
            members.sort(key=lambda number: number.ratio or 0)
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
        by_column: defaultdict[tuple[Any, ...], dict[str, dict[str, Number]]] = defaultdict(dict)
        here = [number for number in own if number.table == entry["table"]]
        here = [number for number in here if number.group == entry.get("group", number.group)]
        at = {number.ratio for number in here if number.row == entry["row"]}  # else rows of other ratios are meant, too
        for number in here:
            if number.metric in entry["metrics"]:
                column = (number.dataset, number.group, number.ratio if len(at) > 1 else None)
                by_column[column].setdefault(number.row, {})[number.metric] = number
        wanted = {entry["row"], entry.get("below", entry["row"])}
        rows: list[Row] = []
        compared: list[Number] = []
        refuted: dict[str, None] = {}
        for by_row in by_column.values():
            if not wanted <= set(by_row):
                raise unknown(f"row (claims of {paper}, {entry['table']})", (wanted - set(by_row)).pop(), by_row)
            other, wrong = _refuted(entry, by_row, study)
            if not wrong:
                continue
            refuted.update(dict.fromkeys(wrong))
            for row in (entry["row"], *other):
                numbers = [by_row[row][metric] for metric in entry["metrics"]]
                rows.append((numbers[0].column, row, *((number.printed, number.metric in wrong) for number in numbers)))
                compared += numbers
        if rows:
            reading = f" ({entry['reading']})" if "reading" in entry else ""
            columns = dict.fromkeys(number.column for number in compared if number.row == entry["row"])
            yield Contradiction(
                paper,
                f"{entry['where']}: {entry['says'].rstrip('.')}",
                f"The numbers of {compared[0].artefact} on {joined(columns)} say otherwise for "
                f"{' and '.join(refuted)}{reading}.",
                ("column", "row", *entry["metrics"]),
                tuple(rows),
                tuple(compared),
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
        rows: list[Row] = []
        involved: list[Number] = []
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


def namesakes(study: Study, every: Sequence[Number]) -> Iterator[Contradiction]:
    """Methods that bear one name in print and are different trainings, wherever both have numbers."""
    for paper, listed in study.catalog.inconsistencies.items():
        for entry in listed.get("namesakes", ()):
            for name in entry["methods"]:
                if name not in study.catalog.methods:
                    raise unknown(f"method (namesakes of {paper})", name, study.catalog.methods)
            by_place: defaultdict[tuple[str, int | None], dict[str, dict[str, Number]]] = defaultdict(dict)
            for number in every:
                cell = number.cell
                if cell is not None and cell.method in entry["methods"] and cell.split == "train":
                    place = by_place[number.dataset, number.ratio].setdefault(cell.method, {})
                    place.setdefault(number.metric, number)
            both = {place: by for place, by in by_place.items() if len(by) > 1}
            involved = [number for by in both.values() for row in by.values() for number in row.values()]
            metrics = [m for m in metrics_of(involved) if all(m in row for by in both.values() for row in by.values())]
            rows: list[Row] = []
            for (dataset, ratio), by in both.items():
                for method in (name for name in entry["methods"] if name in by):
                    first = next(iter(by[method].values()))
                    printed = (by[method][metric].printed for metric in metrics)
                    rows.append((f"{dataset} at ratio {ratio}", first.title, first.row, *printed))
            if rows:
                yield Contradiction(
                    "between",
                    f"Two trainings are called {entry['name']}",
                    entry["why"],
                    ("column", "printed in", "row", *metrics),
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
