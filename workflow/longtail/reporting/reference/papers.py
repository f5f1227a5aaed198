"""The page of all papers with their tables, figures and targets, for readers, out of the catalogue alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from longtail.reporting.markup import escape_markdown, markdown_table
from longtail.study.catalog import Catalog
from longtail.study.cells import asked_cells

HEAD = """# Papers, tables and figures

Every table and figure by its target: `snakemake --cores all <target>` trains what it needs and renders it, the name
of the paper alone all of them. [Tables](tables.md) says how, [`plan`](tables.md#before-and-during-a-run) how long
that takes. A *check* is what a paper states without printing a number for it: both sides are measured, and nothing is
reproduced. Written by `make docs` from the catalogue; a test holds it up to date.
"""
COLUMNS = ("target", "title", "what it shows", "methods", "datasets", "seeds", "printed numbers")


def page(catalog: Catalog) -> str:
    """The page in Markdown: papers with a venue first, then studies of our own, each in the order of their titles."""
    names = sorted(
        catalog.papers, key=lambda name: ("venue" not in catalog.papers[name], catalog.short(name).casefold())
    )
    return "\n".join([HEAD, *("\n".join(_section(catalog, name)) for name in names)])


def _section(catalog: Catalog, paper: str) -> Iterator[str]:
    spec = catalog.papers[paper]
    yield f"## {escape_markdown(catalog.short(paper))}\n"
    title = f"[{escape_markdown(spec['title'])}]({spec['url']})" if "url" in spec else escape_markdown(spec["title"])
    code = (
        f"official code [{spec['repository']}](https://github.com/{spec['repository']})" if "repository" in spec else ""
    )
    yield ", ".join(filter(None, [title, spec.get("venue", ""), code])) + f". All of it: `{paper}`.\n"
    lines = [
        (
            f"`{paper}_{name}`",
            escape_markdown(artefact["title"]),
            escape_markdown(artefact["caption"])
            + (f" *Check of {escape_markdown(artefact['check'])}.*" if "check" in artefact else ""),
            *_asked(paper, kind, name, artefact),
            str(artefact["seeds"]),
            _printed(catalog, paper, artefact),
        )
        for kind in ("tables", "figures")
        for name, artefact in spec.get(kind, {}).items()
    ]
    yield markdown_table(COLUMNS, lines)


def _asked(paper: str, kind: str, name: str, artefact: Mapping[str, Any]) -> tuple[str, str]:
    """How many methods, and which datasets."""
    cells = [*asked_cells({"paper": paper, kind: {name: artefact}})]
    datasets = dict.fromkeys(cell["dataset"] for cell in cells if "dataset" in cell)
    methods = {cell["method"] for cell in cells if "method" in cell}
    return str(len(methods)), ", ".join(f"`{one}`" for one in datasets)


def _printed(catalog: Catalog, paper: str, artefact: Mapping[str, Any]) -> str:
    """How many numbers the paper prints there; nothing for a figure."""
    if "published" not in artefact:
        return ""
    return str(sum(one.value is not None for one in catalog.published(paper, artefact["published"]).values()))
