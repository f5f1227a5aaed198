"""``python -m longtail recorded``: every table as records have it, and the page that holds them against print.

Nothing is trained or measured for it: all that is read is the catalogue and the folder of records.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from longtail import files
from longtail.records.ledger import Ledger, Match
from longtail.records.record import Record, read_all
from longtail.reporting.aggregate import COMPUTED, DIFFERS, REPRODUCED
from longtail.reporting.from_records import RecordedPlace, recorded_places
from longtail.reporting.markup import PALETTE, escape_html, escape_markdown
from longtail.reporting.table import render_table
from longtail.reproduction import drawings
from longtail.reproduction.compared import LARGE, Compared, Explanations, compared
from longtail.study import layout
from longtail.study.artefacts import TablePlan
from longtail.study.study import Study, load_study

FORMS = ("md", "html")
DRAWINGS = ("scatter", "curves")


@dataclass(frozen=True)
class Coverage:
    """How much of a table is recorded: its title, its printed numbers, how many values are, how many are outdated."""

    title: str
    printed: int
    recorded: int
    outdated: int


@dataclass(frozen=True)
class Listed:
    """A record as the page lists it.

    Attributes:
        record: it.
        title: methods and split, for people.
        state: ``current``, ``outdated`` or ``asked for by no table``.
    """

    record: Record
    title: str
    state: str


@dataclass(frozen=True)
class Page:
    """All that both formats show.

    Attributes:
        compared: recorded values beside printed ones, the largest difference first.
        coverage: of every table.
        listed: all records.
        scatter, curves: drawings, empty without anything to draw.
    """

    compared: tuple[Compared, ...]
    coverage: tuple[Coverage, ...]
    listed: tuple[Listed, ...]
    scatter: str
    curves: str

    @property
    def statuses(self) -> Counter[str]:
        """How many of the compared values are reproduced, differ, or are not judged."""
        return Counter(one.value.status for one in self.compared)

    @property
    def machines(self) -> Counter[str]:
        """How many records each kind of machine has made."""
        return Counter(f"{one.record.device} in {one.record.precision}" for one in self.listed)

    @property
    def open(self) -> tuple[Compared, ...]:
        """Large differences that nobody has explained."""
        return tuple(one for one in self.compared if one.large and not one.explained)

    @property
    def explained(self) -> tuple[Compared, ...]:
        """Large differences that are explained."""
        return tuple(one for one in self.compared if one.large and one.explained)


@dataclass(frozen=True)
class Recorded:
    """A table, the records of its measurements, and what they say of each of its places."""

    plan: TablePlan
    matches: Sequence[Match]
    places: Sequence[RecordedPlace]


def recorded_tables(ledger: Ledger) -> list[Recorded]:
    """Every table of the catalogue."""
    found = []
    for paper, spec in ledger.study.catalog.papers.items():
        for name in spec.get("tables", {}):
            plan, matches = ledger.study.table(paper, name), ledger.of(paper, name)
            found.append(Recorded(plan, matches, recorded_places(plan, matches)))
    return found


def page_of(ledger: Ledger, tables: Sequence[Recorded]) -> Page:
    """The page of all papers of a catalogue.

    Args:
        ledger: all records, and a study that leaves nothing out.
        tables: its :func:`recorded_tables`.
    """
    study = ledger.study
    found = compared([(table.plan, table.places) for table in tables], Explanations(study))
    ordered = sorted(found, key=lambda one: (one.unit != "percent", -abs(one.difference), one.title, one.row))
    figures = [(paper, name) for paper, spec in study.catalog.papers.items() for name in spec.get("figures", {})]
    matches = [match for table in tables for match in table.matches]
    matches += [match for paper, name in figures for match in ledger.of(paper, name)]
    listed = _listed(ledger, matches)
    papers = {paper: study.catalog.short(paper) for paper in study.catalog.papers}
    titles = {f"{one.record.cut}/{one.record.kin}": one.title.partition(",")[0] for one in listed}
    return Page(
        compared=tuple(ordered),
        coverage=tuple(
            Coverage(
                f"{papers[table.plan.paper]} {table.plan.title.partition(':')[0]}",
                sum(entry.published is not None for entry in table.plan.entries),
                sum(bool(place.values) for place in table.places),
                sum(bool(place.outdated) for place in table.places),
            )
            for table in tables
        ),
        listed=tuple(listed),
        scatter=drawings.scatter(ordered, papers),
        curves=drawings.curves([one.record for one in listed if one.state != "outdated"], titles),
    )


def _listed(ledger: Ledger, matches: Sequence[Match]) -> list[Listed]:
    catalog = ledger.study.catalog
    current = {match.record.path for match in matches if match.current}
    outdated = {match.record.path for match in matches if not match.current} - current
    found = []
    for record in ledger.records:
        names = dict.fromkeys(
            catalog.methods[each["method"]].title if each["method"] in catalog.methods else each["method"]
            for each in record.methods
        )
        title = " / ".join(names) or record.objective
        changed = " ".join(dict.fromkeys(each["settings"] for each in record.methods if each["settings"] != "{}"))
        state = "current" if record.path in current else "outdated" if record.path in outdated else "in no table"
        found.append(Listed(record, f"{title}{f' {changed}' if changed else ''}, {record.cut}", state))
    return found


def write(page: Page, stem: Path, forms: Sequence[str] = FORMS) -> None:
    """Write ``<stem>.md``, ``<stem>.html`` and the drawings of the former, ``<stem>-scatter.svg`` and the like.

    Args:
        page: what they show.
        stem: where, without a suffix.
        forms: which of :data:`FORMS`; the drawings in any case.

    Raises:
        LongtailError: when the folder cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"md": escape_markdown, "text": escape_html, "hours": hours, "plural": plural}
    given: Mapping[str, Any] = {
        "page": page,
        "palette": PALETTE,
        "large": LARGE,
        "stem": stem.name,
        "words": {REPRODUCED: "reproduced", DIFFERS: "differs", COMPUTED: "not judged"},
        "relative": lambda path: Path(os.path.relpath(path, stem.parent)).as_posix(),
    }
    with ExitStack() as stack:
        for form in forms:
            text = environment.get_template(f"page.{form}.jinja").render(given)
            stack.enter_context(files.replacing(Path(f"{stem}.{form}"))).write_text(text, encoding="utf-8")
        for name in DRAWINGS:
            path = stack.enter_context(files.replacing(Path(f"{stem}-{name}.svg")))
            path.write_text(getattr(page, name) or _EMPTY, encoding="utf-8")


_EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>\n'


def hours(seconds: float) -> str:
    """A duration for people."""
    if seconds < 90:
        return f"{seconds:z.0f} s"
    return f"{seconds / 60:z.0f} min" if seconds < 5400 else f"{seconds / 3600:z.1f} h"


def plural(number: int, word: str) -> str:
    """A number with its noun."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--config", default="{}", help="the run's configuration as JSON, or @FILE with that JSON")
    parser.add_argument("--results", default="results", metavar="FOLDER", help="where all results lie")
    parser.add_argument("--page", type=Path, metavar="STEM", help="write the page alone, as .md")


def run(arguments: argparse.Namespace) -> None:
    """Write the tables of records, and the page."""
    layout.move(arguments.results)
    ledger = Ledger(read_all(layout.records_folder()), everything(files.read_json(arguments.config, "--config")))
    tables = recorded_tables(ledger)
    page = page_of(ledger, tables)
    if arguments.page is not None:
        write(page, arguments.page, ["md"])
        return
    view = layout.recorded_view(ledger.study.config.view)
    for table in tables:
        folder = Path(layout.table(view, table.plan.paper, table.plan.name)[0]).parent
        render_table(table.plan, None, table.places).write(folder, table.plan.name)
    write(page, Path(layout.reproduction(view)))
    print(summary(page))


def everything(config: Mapping[str, Any]) -> Study:
    """The study of a configuration without what it leaves out: methods, datasets, cells that are not there."""
    kept = {key: value for key, value in config.items() if key not in ("methods", "datasets", "partial")}
    return load_study({"targets": ["digits"], **kept})


def summary(page: Page) -> str:
    """What the page says, in a line."""
    counts = page.statuses
    return (
        f"{plural(len(page.listed), 'record')}; beside print stand {plural(len(page.compared), 'recorded value')}: "
        f"{counts[REPRODUCED]} reproduced, {counts[DIFFERS]} differ, {counts[COMPUTED]} not judged; "
        f"{plural(len(page.open), 'difference')} of more than {LARGE:g} points "
        f"{'is' if len(page.open) == 1 else 'are'} open."
    )
