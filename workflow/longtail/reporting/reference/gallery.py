"""The page of all figures that the repository has: of studies that need nobody's data, and of the records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from longtail.reporting.markup import escape_markdown
from longtail.study.catalog import Catalog

FOLDER = "gallery"
HEAD = """# Gallery

Figures as the workflow draws them, without a touch by hand. They come from the default study, from the theorems on
digits, and from the records in this repository ([`results/records`](../results/records)), all trained on an AMD EPYC
without a GPU. No figure of a paper is among them, as nothing that a paper draws has been trained here in full. Each is
a target, to be drawn anew; [figures](figures.md) says how they go into a paper. Written by `make docs` from the
catalogue; a test holds it up to date.
"""
RECORDED = """## Recorded against printed

![Printed against recorded numbers, by paper](reproduction-scatter.svg)

Every recorded value that a paper prints a number for: on the diagonal it is the printed one. Drawn by
`snakemake --cores 1 recorded`; [the page](reproduction.md) lists each.

![Loss by epoch of every recorded training](reproduction-curves.svg)

Training curves of all records, seeds overlaid. Drawn by the same command.
"""


def page(catalog: Catalog, docs: Path) -> str:
    """The page in Markdown: every figure of the catalogue that ``docs`` has as ``gallery/<paper>-<figure>.svg``."""
    parts = [HEAD]
    for paper, spec in catalog.papers.items():
        figures = [*_figures(paper, spec, docs)]
        if figures:
            parts.append("\n".join([f"## {escape_markdown(spec['title'])}\n", *figures]))
    return "\n".join([*parts, RECORDED])


def _figures(paper: str, spec: Mapping[str, Any], docs: Path) -> Iterator[str]:
    for name, figure in spec.get("figures", {}).items():
        file = f"{FOLDER}/{paper}-{name}.svg"
        if not (docs / file).is_file():
            continue
        caption = escape_markdown(figure["caption"])
        check = f" *Check of {escape_markdown(figure['check'])}.*" if "check" in figure else ""
        yield f"![{escape_markdown(figure['title'])}]({file})\n"
        yield f"**{escape_markdown(figure['title'])}**, `snakemake --cores all {paper}_{name}`. {caption}{check}\n"
