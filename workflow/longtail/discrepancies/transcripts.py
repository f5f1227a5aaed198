"""What printed tables say against themselves and each other, from their transcripts whole.

Every table of the papers has a transcript, those included whose numbers nothing here computes. The tables of
recognition print an accuracy beside the accuracies of groups of classes, gains beside what they are gains of, and rows
that were taken over from elsewhere: all of that can be checked by arithmetic.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from longtail.discrepancies.numbers import Contradiction, Number, Row
from longtail.errors import LongtailError, unknown

if TYPE_CHECKING:
    from longtail.study.study import Study

GROUPS = ("many", "medium", "few")
Line = dict[str, Number]
"""What one row of a table prints for one column, by metric."""


def derive(study: Study) -> list[Contradiction]:
    """All that the transcripts of the papers show, paper by paper, and last what lies between papers.

    Raises:
        LongtailError: if a transcript cannot be read, or the catalogue points at rows that are not printed.
    """
    found: list[Contradiction] = []
    every: list[Number] = []
    for paper in study.catalog.papers:
        own = list(transcribed(study, paper))
        listed = study.catalog.inconsistencies.get(paper, {})
        found += [*sums_of_groups(study, own), *gains(listed, own), *copied(own), *multiples(study, listed, own)]
        every += own
    return [*found, *cited_otherwise(study, every)]


def transcribed(study: Study, paper: str) -> Iterator[Number]:
    """Every number of a paper's transcripts, table by table."""
    tables = study.catalog.paper(paper).get("tables", {})
    for path in sorted((study.catalog.root / "papers" / paper).glob("table*.csv"), key=_number_of):
        title = tables.get(path.stem, {}).get("title", f"Table {_number_of(path)}")
        for key, one in study.catalog.published(paper, path.name).items():
            row, group, dataset, ratio, metric = key
            if one.value is not None:
                yield Number(
                    paper, path.stem, study.catalog.short(paper), title, row, group, dataset,
                    int(ratio) if ratio.isdigit() else None, metric, Decimal(one.text),
                    None if one.std is None else Decimal(str(one.std)), tables.get(path.stem, {}).get("seeds", 1), None,
                    one.backbone,
                )  # fmt: skip


def _number_of(path: Any) -> int:
    return int(path.stem.removeprefix("table"))


def sums_of_groups(study: Study, own: Sequence[Number]) -> Iterator[Contradiction]:
    """Accuracies that are not the mean of those of their groups, weighted by the classes in each."""
    sizes = study.catalog.shot_groups
    checked = 0
    rows: list[Row] = []
    involved: list[Number] = []
    for line in lines(own).values():
        first = next(iter(line.values()))
        if not {*GROUPS, "accuracy"} <= line.keys() or first.dataset not in sizes:
            continue
        checked += 1
        printed = [line[group].value for group in GROUPS]
        slack = line["accuracy"].half + max(line[group].half for group in GROUPS)
        means = {name: _mean(sizes[first.dataset][name], printed) for name in ("strict", "index")}
        if abs(means["strict"] - line["accuracy"].value) <= slack:
            continue
        swapped = {name: _mean(sizes[first.dataset][name], printed[::-1]) for name in means}
        if abs(means["index"] - line["accuracy"].value) <= slack:
            verdict = "the groups are those by index"
        elif any(abs(mean - line["accuracy"].value) <= slack for mean in swapped.values()):
            verdict = "many and few are interchanged"
        else:
            verdict = f"{line['accuracy'].value - means['strict']:+z.2f}"
        rows.append(
            (
                first.title, first.row, first.column, " / ".join(map(str, printed)),
                (str(line["accuracy"].value), True), f"{means['strict']:z.2f}", f"{means['index']:z.2f}", verdict,
            )
        )  # fmt: skip
        involved += line.values()
    if rows:
        yield Contradiction(
            own[0].paper,
            f"Accuracies of {own[0].source} that are not those of their groups",
            "An accuracy over balanced test images is the mean of many, medium and few, weighted by their numbers of "
            f"classes. Of the {checked} rows that print all four, {checked - len(rows)} are, by the groups of over 100 "
            f"and under 20 training images, as far as rounding tells, and these {len(rows)} are not. Groups by index "
            "are those of other publications, from which such rows were taken over: they do not compare with the rows "
            "beside them.",
            (
                "printed in",
                "row",
                "column",
                "many / medium / few",
                "printed",
                "by strict groups",
                "by index",
                "verdict",
            ),
            tuple(rows),
            tuple(involved),
        )


def _mean(classes: Sequence[int], values: Sequence[Decimal]) -> Decimal:
    return sum((number * value for number, value in zip(classes, values, strict=True)), Decimal(0)) / sum(classes)


def gains(listed: Mapping[str, Any], own: Sequence[Number]) -> Iterator[Contradiction]:
    """Increases in percent that the numbers which they are of do not give."""
    for entry in listed.get("increases", ()):
        by_row = {line[entry["of"]].row: line for line in lines(own).values() if _prints(line, entry)}
        if entry["over"] not in by_row:
            raise unknown(f"row (increases, {entry['table']})", entry["over"], by_row)
        base = by_row[entry["over"]][entry["of"]]
        rows: list[Row] = []
        involved: list[Number] = []
        for row, line in by_row.items():
            if entry["metric"] not in line:
                continue
            increase, value = line[entry["metric"]], line[entry["of"]]
            low = 100 * ((value.value - value.half) / (base.value + base.half) - 1)
            high = 100 * ((value.value + value.half) / (base.value - base.half) - 1)
            if not low - increase.half <= increase.value <= high + increase.half:
                rows.append(
                    (row, str(value.value), str(base.value), f"{low:z.0f} to {high:z.0f}", (f"{increase.value}", True))
                )
                involved += [increase, value, base]
        if rows:
            yield Contradiction(
                base.paper,
                f"Increases of {base.artefact} that its numbers do not give",
                f"In percent over {entry['over']}.",
                ("row", "number", f"that of {entry['over']}", "possible increase", "printed increase"),
                tuple(rows),
                tuple(involved),
            )


def _prints(line: Line, entry: Mapping[str, Any]) -> bool:
    return entry["of"] in line and line[entry["of"]].table == entry["table"]


def multiples(study: Study, listed: Mapping[str, Any], own: Sequence[Number]) -> Iterator[Contradiction]:
    """Numbers that their own formulas put at a fixed multiple of others beside them."""
    for entry in listed.get("multiples", ()):
        both = [line for line in lines(own).values() if {entry["of"], entry["is"]} <= line.keys()]
        both = [line for line in both if line[entry["of"]].table == entry["table"]]
        if not both:
            raise LongtailError(f"inconsistencies: {entry['table']} prints no {entry['is']} beside {entry['of']}.")
        rows: list[Row] = []
        involved: list[Number] = []
        for line in both:
            one, other = line[entry["is"]], line[entry["of"]]
            wanted = entry["times"] * other.value
            if abs(one.value - wanted) > one.half + entry["times"] * other.half:
                rows.append((one.row, one.column, str(other.value), f"{wanted}", (str(one.value), True)))
                involved += [one, other]
        if rows:
            one_title, other_title = (study.catalog.metrics[entry[name]]["title"] for name in ("is", "of"))
            yield Contradiction(
                both[0][entry["is"]].paper,
                f"{one_title} of {involved[0].artefact} is not what its formula gives",
                f"{entry['says']} {len(rows)} of the {len(both)} printed pairs are not.",
                ("row", "column", other_title, f"{entry['times']} times that", f"printed {one_title}"),
                tuple(rows),
                tuple(involved),
            )


def copied(own: Sequence[Number]) -> Iterator[Contradiction]:
    """Two rows of different tables that share all of their numbers, at least three with deviations."""
    series: defaultdict[tuple[str, str, str], dict[tuple[str, int | None, str], Number]] = defaultdict(dict)
    for number in own:
        if number.std is not None:
            series[number.table, number.row, number.group][number.dataset, number.ratio, number.metric] = number
    for (one, first), (other, second) in itertools.combinations(series.items(), 2):
        same = first.keys() == second.keys() and len(first) > 2
        if one[0] == other[0] or one[1] == other[1] or not same:
            continue
        if all((first[key].value, first[key].std) == (second[key].value, second[key].std) for key in first):
            a, b = (next(iter(numbers.values())) for numbers in (first, second))
            yield Contradiction(
                a.paper,
                f"{b.row} of {b.artefact} is {a.row} of {a.artefact}",
                f"Two different methods, with the same {len(first)} means and deviations: one of the rows is a copy.",
                ("printed in", "row", *(number.column for number in first.values())),
                tuple(
                    (numbers[0].title, numbers[0].row, *((number.printed, True) for number in numbers))
                    for numbers in (list(first.values()), list(second.values()))
                ),
                (*first.values(), *second.values()),
            )


def cited_otherwise(study: Study, every: Sequence[Number]) -> Iterator[Contradiction]:
    """Accuracies of one method, dataset, ratio and network that papers of recognition quote differently."""
    papers = {paper: one["aliases"] for paper, one in study.catalog.inconsistencies.items() if "aliases" in one}
    quoted: defaultdict[tuple[Any, ...], dict[str, list[Number]]] = defaultdict(dict)
    for number in every:
        if number.paper in papers and number.metric == "accuracy":
            row = re.sub(r"[*†‡]+$", "", number.row)
            name = papers[number.paper].get(row, row)
            by_paper = quoted[name, number.dataset, number.ratio, number.backbone]
            by_paper.setdefault(number.paper, []).append(number)
    rows: list[Row] = []
    involved: list[Number] = []
    for (name, *_), by_paper in quoted.items():
        values = {paper: {number.value for number in numbers} for paper, numbers in by_paper.items()}
        if any(one.isdisjoint(other) for one, other in itertools.combinations(values.values(), 2)):
            numbers = [number for some in by_paper.values() for number in some]
            where = "; ".join(dict.fromkeys(f"{number.title}: {number.value}" for number in numbers))
            rows.append((name, replace(numbers[0], group="").column, where))
            involved += numbers
    if rows:
        yield Contradiction(
            "between",
            "One method, quoted with different numbers",
            f"{len(rows)} accuracies of one method on one dataset and network differ between the papers of "
            "recognition. Most were taken over from different publications, which trained by different recipes.",
            ("method", "column", "printed"),
            tuple(rows),
            tuple(involved),
        )


def lines(own: Sequence[Number]) -> dict[tuple[Any, ...], Line]:
    """The numbers of each row and column, by metric."""
    found: dict[tuple[Any, ...], Line] = {}
    for number in own:
        place = (number.table, number.row, number.group, number.dataset, number.ratio)
        found.setdefault(place, {})[number.metric] = number
    return found
