"""``longtail list``: what methods, datasets, targets and tables there are, of which paper, and what they cost.

Nothing is computed for it but what the catalogue and finished trainings say.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from tabulate import tabulate

from longtail.errors import LongtailError
from longtail.reporting import finished
from longtail.reporting.estimate import Estimate
from longtail.reporting.forecast import Hours, hours_of
from longtail.study.jobs import Job, Jobs
from longtail.study.study import Study, load_study

Item = Mapping[str, str | int | float | None]
"""A line: values by column. Hours are None where the pace of a training is not known."""

NARROWEST = 24
"""Columns of a terminal below which no text is cut."""


@dataclass
class Asked:
    """Who asks for which trainings.

    Attributes:
        of_artefact: those behind a table or figure, by its target.
        of_method: those that lead to a method's cells, whatever asks for them.
        of_dataset: likewise of a dataset.
        papers_of_method, papers_of_dataset: short names of the papers whose tables and figures show them, in order.
    """

    of_artefact: dict[str, dict[Job, None]] = field(default_factory=dict)
    of_method: dict[str, dict[Job, None]] = field(default_factory=dict)
    of_dataset: dict[str, dict[Job, None]] = field(default_factory=dict)
    papers_of_method: dict[str, dict[str, None]] = field(default_factory=dict)
    papers_of_dataset: dict[str, dict[str, None]] = field(default_factory=dict)


def asked(study: Study) -> Asked:
    """The trainings behind all tables and figures of a catalogue."""
    jobs, found = Jobs(study), Asked()
    for target, (paper, _, name) in study.catalog.artefacts.items():
        short = study.catalog.short(paper)
        behind = found.of_artefact.setdefault(target, {})
        for measurement in study.measurements(paper, name):
            method, dataset = measurement.keys["method"], measurement.keys["dataset"]
            lineage = dict.fromkeys(jobs.lineage(measurement.run))
            behind.update(lineage)
            found.of_method.setdefault(method, {}).update(lineage)
            found.of_dataset.setdefault(dataset, {}).update(lineage)
            found.papers_of_method.setdefault(method, {})[short] = None
            found.papers_of_dataset.setdefault(dataset, {})[short] = None
    return found


class Inventory:
    """The lines of each list, for one study and what is known about the pace of trainings."""

    def __init__(self, study: Study, estimate: Estimate) -> None:
        self.catalog = study.catalog
        self.study = study
        self.estimate = estimate
        self.asked = asked(study)

    def methods(self) -> list[Item]:
        """Every method: name, title, publication, recipe and what all of its cells cost together."""
        return [
            {
                "method": method.name,
                "title": method.title,
                "from": method.source.get("paper", ""),
                "shown in": ", ".join(self.asked.papers_of_method.get(method.name, ())),
                **self._cost(self.asked.of_method.get(method.name, ())),
            }
            for method in self.catalog.methods.values()
        ]

    def datasets(self) -> list[Item]:
        """Every dataset: name, title, what it holds, classes and what all cells on it cost together."""
        return [
            {
                "dataset": dataset.name,
                "title": dataset.title,
                "holds": dataset.holds,
                "classes": dataset.images["classes"],
                "pool": sum(dataset.images["parts"].get(part, 0) for part in dataset.pool) or None,
                "shown in": ", ".join(self.asked.papers_of_dataset.get(dataset.name, ())),
                **self._cost(self.asked.of_dataset.get(dataset.name, ())),
            }
            for dataset in self.catalog.datasets.values()
        ]

    def targets(self) -> list[Item]:
        """Every paper, table and figure that `snakemake` can be asked for by name."""
        lines: list[Item] = []
        for paper, spec in self.catalog.papers.items():
            own = {
                target: spec[kind][name] for target, (of, kind, name) in self.catalog.artefacts.items() if of == paper
            }
            together: dict[Job, None] = {}
            for target in own:
                together.update(self.asked.of_artefact[target])
            lines.append({"target": paper, "title": spec["title"], **self._cost(together)})
            lines += [
                {
                    "target": target,
                    "title": f"{artefact['title']}: {artefact['caption']}",
                    **self._cost(self.asked.of_artefact[target]),
                }
                for target, artefact in own.items()
            ]
        return lines

    def tables(self) -> list[Item]:
        """Every table: its target, paper, title, how many numbers it prints and what it costs."""
        return [
            {
                "target": f"{paper}_{name}",
                "paper": self.catalog.short(paper),
                "title": f"{spec['tables'][name]['title']}: {spec['tables'][name]['caption']}",
                "printed": sum(entry.published is not None for entry in self.study.table(paper, name).entries),
                **self._cost(self.asked.of_artefact[f"{paper}_{name}"]),
            }
            for paper, spec in self.catalog.papers.items()
            for name in spec.get("tables", {})
        ]

    def _cost(self, trainings: Iterable[Job]) -> dict[str, str | int | float | None]:
        each = [job for job in trainings if job.phase is not None]
        found = hours_of([(job.phase, job.phase.epochs) for job in each if job.phase], self.estimate)
        return {"trainings": len(each)} | {f"{device}-hours": _known(amount) for device, amount in found.items()}


def _known(amount: Hours) -> float | None:
    return None if amount.unknown else round(amount.known, 2)


KINDS: dict[str, Callable[[Inventory], list[Item]]] = {
    "methods": Inventory.methods,
    "datasets": Inventory.datasets,
    "targets": Inventory.targets,
    "tables": Inventory.tables,
}


def matching(items: Sequence[Item], words: Sequence[str]) -> list[Item]:
    """The items in whose texts all words occur, in whatever case."""
    texts = [" ".join(value for value in item.values() if isinstance(value, str)).casefold() for item in items]
    return [item for item, text in zip(items, texts, strict=True) if all(word.casefold() in text for word in words)]


def as_text(items: Sequence[Item], width: int | None) -> str:
    """A table for people, whose longest texts are cut where the lines would be wider than ``width`` characters."""
    header = list(items[0])
    rows = [[_shown(item[column]) for column in header] for item in items]
    widths = [max(len(column), *(len(row[place]) for row in rows)) for place, column in enumerate(header)]
    while width is not None and sum(widths) + 2 * len(widths) > width and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    cut = [[_cut(text, most) for text, most in zip(row, widths, strict=True)] for row in rows]
    numbers = [all(not isinstance(item[column], str) for item in items) for column in header]
    alignment = ["right" if number else "left" for number in numbers]
    return tabulate(cut, header, tablefmt="simple", colalign=alignment, disable_numparse=True)


def _shown(value: Any) -> str:
    if value is None:
        return "?"
    return (
        f"{value:z,.1f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else " ".join(value.split())
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def write(items: Sequence[Item], form: str, out: IO[str]) -> None:
    """The items as ``text``, ``csv`` or ``json``; on a terminal text is as wide as that."""
    if form == "json":
        json.dump(items, out, ensure_ascii=False, indent=1)
        out.write("\n")
    elif form == "csv":
        lines = csv.DictWriter(out, list(items[0]), lineterminator="\n")
        lines.writeheader()
        lines.writerows(items)
    else:
        out.write(as_text(items, shutil.get_terminal_size().columns if out.isatty() else None) + "\n")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("kind", choices=KINDS, help="what to list")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only what all these words occur in")
    parser.add_argument("--catalog", nargs="+", default=[], metavar="FOLDER", help="folders with entries of your own")
    parser.add_argument("--format", choices=("text", "csv", "json"), default="text")
    parser.epilog = (
        "Costs are those of everything that the papers' tables and figures show, each training once, with their own "
        "budget and all their seeds; `?` where the pace of a training is not known. Hours are estimates: "
        "`snakemake plan` says what they rest on."
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the list.

    Raises:
        LongtailError: if nothing fits the words.
    """
    study = load_study({"targets": ["digits"], "catalog": arguments.catalog})
    items = KINDS[arguments.kind](Inventory(study, Estimate(study, finished.read())))
    found = matching(items, arguments.words)
    if not found:
        raise LongtailError(
            f"None of the {len(items)} {arguments.kind} has {' and '.join(map(repr, arguments.words))} in its name, "
            f"title or papers. `longtail list {arguments.kind}` lists all."
        )
    write(found, arguments.format, sys.stdout)
