"""``python -m longtail discrepancies``: where papers, official codes and this project part, as one page to read.

The page speaks of the catalogue and of nothing else: what it lists does not depend on what was computed, nor on
budget, protocol or targets. :mod:`longtail.discrepancies.points` and :mod:`longtail.discrepancies.contradictions` find
what stands on it.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longtail import files
from longtail.discrepancies import contradictions, points
from longtail.discrepancies.numbers import Contradiction, agreement
from longtail.discrepancies.points import Place, Point, dataset_label, shown
from longtail.reporting.markup import PALETTE, environment, escape_html, escape_markdown, joined
from longtail.study.catalog import Catalog
from longtail.study.config import parse
from longtail.study.study import Study, load_study

KIND_TITLES = {
    "difference": "Paper and official code differ",
    "unstated": "Stated nowhere, or by the code alone",
    "departure": "Done otherwise here",
    "release": "What the released code lacks",
}
"""Headings of the kinds of points that are told one by one, in their order."""

SECTION_TITLES = {
    "data": "Data and splits",
    "augmentation": "Augmentation",
    "clustering": "Clustering and metrics",
    "figures": "Figures and analyses",
}


@dataclass(frozen=True)
class Touched:
    """The cells of a point, for people to read.

    Attributes:
        count: distinct cells: method, dataset and ratio.
        summary: the tables and figures that show them.
        details: for each of these, its rows and columns.
    """

    count: int
    summary: str
    details: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Item:
    """A point with its anchor and its cells; ``touched`` is None where the section's own say it."""

    anchor: str
    point: Point
    touched: Touched | None


@dataclass(frozen=True)
class Section:
    """What the page says of a family of methods, or of one of the sections of the remarks.

    Attributes:
        anchor, title: of its heading.
        sources: citation and repository of its methods; the repository is empty where none is known.
        touched: the cells that its points touch unless they say otherwise.
        groups: points by kind, in the order of :data:`KIND_TITLES`.
        read: settings that are read off the official code because the paper is silent.
    """

    anchor: str
    title: str
    sources: tuple[tuple[str, str], ...]
    touched: Touched | None
    groups: tuple[tuple[str, str, tuple[Item, ...]], ...]
    read: tuple[Point, ...]

    @property
    def size(self) -> int:
        """How many points are told one by one."""
        return sum(len(items) for _, _, items in self.groups)


@dataclass(frozen=True)
class Chapter:
    """The contradictions of one paper, or between papers: anchor and title, and anchor and contradiction of each."""

    anchor: str
    title: str
    contradictions: tuple[tuple[str, Contradiction], ...]


@dataclass(frozen=True)
class Page:
    """All that both formats show.

    Attributes:
        chapters: on the printed numbers.
        errata: slips of text and formulas: paper, where, what it says, how it is read here.
        methods: a section per family.
        others: data, augmentation, clustering, figures.
        own: chosen values of this project's own studies, by family.
        augmentations: the lists of transforms by name.
        schedules: warm-up and decay of the learning rate by name.
        counts: points by kind, and contradictions.
        papers: short name, title, venue, address and repository of each printed paper.
        agreement: of how many numbers that several tables print, how many agree.
    """

    chapters: tuple[Chapter, ...]
    errata: tuple[tuple[str, str, str, str], ...]
    methods: tuple[Section, ...]
    others: tuple[Section, ...]
    own: tuple[tuple[str, tuple[Point, ...]], ...]
    augmentations: tuple[tuple[str, str], ...]
    schedules: tuple[tuple[str, str], ...]
    counts: Counter[str]
    papers: tuple[tuple[str, str, str, str, str], ...]
    agreement: tuple[int, int]


def slug(*parts: str) -> str:
    """An anchor made of words."""
    return "-".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts)


class Anchors:
    """Anchors that are each given once."""

    def __init__(self) -> None:
        self.given: Counter[str] = Counter()

    def __call__(self, *parts: str) -> str:
        """An anchor for these words, with a number if it was given before."""
        anchor = slug(*parts)
        self.given[anchor] += 1
        return anchor if self.given[anchor] == 1 else f"{anchor}-{self.given[anchor]}"


def sentence(text: str) -> str:
    """A reason of the catalogue as a sentence: it need not say again that a value was chosen."""
    text = text.removeprefix("chosen: ").rstrip(".")
    text = "Nothing" if text in {"", "chosen"} else text
    return (text if "/" in text.partition(" ")[0] else text[0].upper() + text[1:]) + "."


class Cells:
    """Puts cells into words."""

    def __init__(self, study: Study, every: Iterable[Place]) -> None:
        self.study = study
        self.catalog = study.catalog
        self.whole = Counter((place.paper, place.artefact) for place in every)

    def touched(self, places: Sequence[Place]) -> Touched:
        """The cells of a point."""
        by_artefact: defaultdict[tuple[str, str], list[Place]] = defaultdict(list)
        for place in places:
            by_artefact[place.paper, place.artefact].append(place)
        order = [(paper, name) for paper, spec in self.catalog.papers.items() for name in _artefacts(spec)]
        present = [artefact for artefact in order if artefact in by_artefact]
        details = tuple((self.title(*artefact), self._listed(artefact, by_artefact[artefact])) for artefact in present)
        return Touched(len({place.cell for place in places}), self._summary(present), details)

    def title(self, paper: str, name: str) -> str:
        """E.g. ``ConMix Table 2``."""
        return f"{self.catalog.short(paper)} {_artefacts(self.catalog.papers[paper])[name]['title']}"

    def _summary(self, present: Sequence[tuple[str, str]]) -> str:
        words = []
        for paper in dict.fromkeys(paper for paper, _ in present):
            kinds: defaultdict[str, list[str]] = defaultdict(list)
            for of, name in present:
                if of == paper:
                    kind, _, number = _artefacts(self.catalog.papers[paper])[name]["title"].partition(" ")
                    kinds[kind].append(number)
            parts = [f"{kind}{'s' if len(numbers) > 1 else ''} {joined(numbers)}" for kind, numbers in kinds.items()]
            words.append(f"{self.catalog.short(paper)} {', '.join(parts)}")
        return "; ".join(words)

    def _listed(self, artefact: tuple[str, str], places: Sequence[Place]) -> str:
        if len(places) == self.whole[artefact]:
            return f"all {len(places)} cells" if len(places) > 1 else "its only cell"
        columns: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for place in places:
            row = f"{place.group}: {place.row}" if place.group else place.row
            columns[row][self._column(place)] = None
        rows: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        for row, of in columns.items():
            rows[tuple(of)].append(row)
        return "; ".join(f"{', '.join(names)} on {self._columns(of)}" for of, names in rows.items())

    def _column(self, place: Place) -> str:
        label = dataset_label(self.catalog, place.dataset)
        listed = self.catalog.dataset(place.dataset).construction == "list"
        return label if listed else f"{label} at ratio {place.ratio}"

    @staticmethod
    def _columns(columns: Sequence[str]) -> str:
        by_ratio: defaultdict[str, list[str]] = defaultdict(list)
        for column in columns:
            label, _, ratio = column.partition(" at ratio ")
            by_ratio[ratio].append(label)
        by_labels: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        for ratio, labels in by_ratio.items():
            by_labels[tuple(labels)].append(ratio)
        words = []
        for named_labels, ratios in by_labels.items():
            named = f" at ratio{'s' if len(ratios) > 1 else ''} {joined(ratios)}" if any(ratios) else ""
            words.append(joined(named_labels) + named)
        return ", ".join(words)


def _artefacts(spec: Any) -> dict[str, Any]:
    return {**spec.get("tables", {}), **spec.get("figures", {})}


def page_of(study: Study) -> Page:
    """Everything that stands on the page.

    Args:
        study: of any configuration; what one leaves out, or has trained by another network, stands here as ever.
    """
    catalog = study.catalog
    study = Study(parse({"targets": list(study.config.targets)}, catalog.budgets), catalog)
    found = points.derive(study)
    every = [place for place in points.places(study) if not place.own]
    cells, anchors = Cells(study, every), Anchors()
    by_home: defaultdict[str, list[Point]] = defaultdict(list)
    for point in found:
        by_home[point.home].append(point)
    families = list(dict.fromkeys(method.family for method in catalog.methods.values()))
    families.sort(key=lambda family: _family_title(catalog, family).lower())
    disagreements = contradictions.derive(study)
    counts = Counter(point.kind for point in found if not point.own)
    counts["contradiction"] = len(disagreements)
    return Page(
        chapters=tuple(_chapters(study, disagreements, anchors)),
        errata=tuple(
            (study.catalog.short(paper), entry["where"], entry["says"], entry["read"])
            for paper, listed in catalog.inconsistencies.items()
            for entry in listed.get("errata", ())
        ),
        methods=tuple(
            _section(family, _family_title(catalog, family), by_home[family], catalog, cells, anchors)
            for family in families
            if any(not point.own for point in by_home[family])
        ),
        others=tuple(
            _section(home, title, by_home[home], catalog, cells, anchors)
            for home, title in SECTION_TITLES.items()
            if any(not point.own for point in by_home[home])
        ),
        own=tuple(
            (_family_title(catalog, home) if home in families else SECTION_TITLES[home], own)
            for home in [*families, *SECTION_TITLES]
            if (own := tuple(point for point in by_home[home] if point.own))
        ),
        augmentations=tuple(
            (name, shown(entry) or "the image as it is") for name, entry in catalog.augmentations.items()
        ),
        schedules=tuple((name, shown(entry)) for name, entry in catalog.schedules.items()),
        counts=counts,
        papers=tuple(
            (
                study.catalog.short(paper),
                spec["title"],
                spec.get("venue", ""),
                spec.get("url", ""),
                spec.get("repository", ""),
            )
            for paper, spec in catalog.papers.items()
            if paper not in points.own_papers(catalog)
        ),
        agreement=agreement(study),
    )


def _family_title(catalog: Catalog, family: str) -> str:
    """A family of methods is called by its first method."""
    return next(method.title for method in catalog.methods.values() if method.family == family)


def _chapters(study: Study, found: Iterable[Contradiction], anchors: Anchors) -> Iterator[Chapter]:
    by_paper: defaultdict[str, list[Contradiction]] = defaultdict(list)
    for one in found:
        by_paper[one.paper].append(one)
    for paper, listed in by_paper.items():
        title = "Between the papers" if paper == "between" else f"Within {study.catalog.short(paper)}"
        anchor = anchors("numbers", paper)
        yield Chapter(anchor, title, tuple((anchors(anchor, one.title), one) for one in listed))


def _section(
    home: str, title: str, found: Sequence[Point], catalog: Catalog, cells: Cells, anchors: Anchors
) -> Section:
    told = [point for point in found if point.kind in KIND_TITLES and not point.own]
    shared = _most_saving(Counter(point.places for point in told))
    anchor = anchors(home)
    groups = []
    for kind, heading in KIND_TITLES.items():
        items = tuple(
            Item(
                anchors(anchor, point.heading),
                point,
                None if shared and point.places == shared else cells.touched(point.places),
            )
            for point in told
            if point.kind == kind
        )
        if items:
            groups.append((kind, heading, items))
    cited = [method.source for method in catalog.methods.values() if method.family == home and method.source]
    by_repository: dict[str, str] = {}
    for source in cited:
        by_repository.setdefault(source.get("official", ""), source.get("paper", ""))
    if len(by_repository) > 1:
        by_repository.pop("", None)  # variants of a method whose code is named
    sources = tuple((paper, repository) for repository, paper in by_repository.items())
    read = tuple(point for point in found if point.kind == "read")
    return Section(anchor, title, sources, cells.touched(shared) if shared else None, tuple(groups), read)


def _most_saving(times: Counter[tuple[Place, ...]]) -> tuple[Place, ...]:
    """The cells that are worth being named once for all: the longest list that most points would repeat."""
    saved = {places: (count - 1) * len(places) for places, count in times.items()}
    best = max(saved, key=lambda places: saved[places], default=())
    return best if saved.get(best) else ()


class Links:
    """Finds repositories and sections of papers in a text."""

    def __init__(self, catalog: Catalog, papers: Iterable[tuple[str, str, str, str, str]]) -> None:
        repositories = {method.source["official"] for method in catalog.methods.values() if "official" in method.source}
        repositories |= {spec["repository"] for spec in catalog.papers.values() if "repository" in spec}
        self.addresses = {name: f"https://github.com/{name}" for name in repositories}
        readable = {name: url for name, _, _, url, _ in papers if url}
        repository = "|".join(map(re.escape, sorted(repositories, key=len, reverse=True)))
        paper = "|".join(map(re.escape, readable))
        self.pattern = re.compile(
            rf"`(?P<code>[^`]+)`|(?P<repository>{repository or '(?!)'})|"
            rf"(?P<paper>{paper or '(?!)'}) (?:Secs?\.|App\.|Eqs?\.|Table|Figure|Fig\.) [0-9A-Z][0-9.]*(?<!\.)"
        )
        self.readable = readable

    def parts(self, text: str) -> Iterator[tuple[str, str, str]]:
        """(``text``, ``code`` or ``link``; what to show; the address of a link), in order."""
        end = 0
        for match in self.pattern.finditer(text):
            yield "text", text[end : match.start()], ""
            if match["code"]:
                yield "code", match["code"], ""
            elif match["repository"]:
                yield "link", match[0], self.addresses[match["repository"]]
            else:
                yield "link", match[0], self.readable[match["paper"]]
            end = match.end()
        yield "text", text[end:], ""

    def html(self, text: str) -> str:
        """The text as HTML."""
        shapes: dict[str, Callable[[str, str], str]] = {
            "text": lambda shown_text, _: escape_html(shown_text),
            "code": lambda shown_text, _: f"<code>{escape_html(shown_text)}</code>",
            "link": lambda shown_text, url: f'<a href="{escape_html(url)}">{escape_html(shown_text)}</a>',
        }
        return "".join(shapes[kind](shown_text, url) for kind, shown_text, url in self.parts(text))

    def markdown(self, text: str) -> str:
        """The text as Markdown."""
        shapes: dict[str, Callable[[str, str], str]] = {
            "text": lambda shown_text, _: _padded(shown_text),
            "code": lambda shown_text, _: f"`{shown_text}`",
            "link": lambda shown_text, url: f"[{escape_markdown(shown_text)}]({url})",
        }
        return "".join(shapes[kind](shown_text, url) for kind, shown_text, url in self.parts(text))


def _padded(text: str) -> str:
    """Escaped for Markdown, with the blanks around it, which separate it from what is linked."""
    inner = escape_markdown(text)
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and inner else ""
    return f"{before}{inner}{after}"


def values(point: Point) -> str:
    """The values of a setting that was chosen or read off: its own, then those of single datasets."""
    return "; ".join(f"{key}: {value}" if key else value for key, value in point.here.items())


def render(study: Study) -> dict[str, str]:
    """The page in both formats, by suffix."""
    page = page_of(study)
    links = Links(study.catalog, page.papers)
    texts = {}
    for suffix, rich in (("md", links.markdown), ("html", links.html)):
        templates = environment(Path(__file__).parent, autoescape=suffix == "html")
        templates.filters |= {
            "rich": rich,
            "values": values,
            "sentence": sentence,
            "joined": joined,
            "plain": escape_markdown,
        }
        template = templates.get_template(f"page.{suffix}.jinja")
        text = template.render(page=page, palette=PALETTE)
        texts[suffix] = re.sub(r"\n{3,}", "\n\n", text)
    return texts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's option."""
    parser.add_argument("--out", required=True, metavar="STEM", help="the files to write, without .md and .html")


def run(arguments: argparse.Namespace) -> None:
    """Write the page: if one format cannot be written, the other is not replaced either.

    Raises:
        LongtailError: if the catalogue is wrong, or the folder cannot be written.
    """
    texts = render(load_study({"targets": ["digits"]}))
    with ExitStack() as stack:
        for suffix, text in texts.items():
            path = stack.enter_context(files.replacing(Path(f"{arguments.out}.{suffix}")))
            path.write_text(text, encoding="utf-8")
