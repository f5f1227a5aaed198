"""``python -m longtail methods``: the page of all methods, for readers, out of the catalogue alone."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from longtail import files
from longtail.reporting.markup import escape_markdown
from longtail.study.catalog import Catalog, Method, load
from longtail.study.cells import asked_cells

HEAD = """# Methods

What each method is, where it comes from, what it minimises, where it stands here, and which tables and figures show it.
Steps of a recipe are joined by →; settings, with their origins, stand in the file of the family under
[`workflow/catalog/methods`](../workflow/catalog/methods), readouts in
[`readouts.yaml`](../workflow/catalog/readouts.yaml). Written by `make docs` from the catalogue; a test holds it up to
date.

In the formulas s are logits, y is the true class, n_k the number of training images of class k and π_k its share, z an
embedding of length one, τ a temperature, p a softmax, w weights of classes, CE_w the weighted mean of cross-entropies,
KL the Kullback-Leibler divergence, ℓ_NT the NT-Xent loss of SimCLR, and Q a queue of keys.
"""
COLUMNS = ("method", "publication", "minimised", "code here", "official code", "shown in")


def page(catalog: Catalog) -> str:
    """The page in Markdown, families in the order of their titles.

    Args:
        catalog: what there is. Methods that tables name and nobody can build stand at the end, with the reason.
    """
    shown = appearances(catalog)
    families: dict[str, list[Method]] = {}
    for method in catalog.methods.values():
        families.setdefault(method.family, []).append(method)
    parts = [HEAD]
    for family in sorted(families, key=lambda name: catalog.families[name].casefold()):
        file = f"[`{family}.yaml`](../workflow/catalog/methods/{family}.yaml)"
        table = _table(_lines(catalog, families[family], shown))
        parts.append(f"## {catalog.families[family]}\n\nSettings: {file}.\n\n{table}")
    unavailable = _unavailable(catalog)
    if unavailable:
        parts.append("## Not available everywhere\n\n" + _table(unavailable, ("method", "not on", "why")))
    planned = [
        (one.title, one.reason, _listed(shown.get(name, {}))) for name, one in catalog.planned["methods"].items()
    ]
    if planned:
        parts.append("## Not implemented\n\n" + _table(planned, ("method", "why", "named in")))
    return "\n".join(parts)


Places = dict[str, dict[str, None]]
"""Titles of tables and figures, in order, by the short name of the paper."""


def appearances(catalog: Catalog) -> dict[str, Places]:
    """The tables and figures that show each method."""
    found: dict[str, Places] = {}
    for paper, spec in catalog.papers.items():
        for kind in ("tables", "figures"):
            for name, artefact in spec.get(kind, {}).items():
                for asked in asked_cells({"paper": paper, kind: {name: artefact}}):
                    papers = found.setdefault(asked["method"], {})
                    papers.setdefault(catalog.short(paper), {})[artefact["title"]] = None
    return found


def _lines(catalog: Catalog, methods: list[Method], shown: dict[str, Places]) -> Iterator[tuple[str, ...]]:
    for method in methods:
        objectives = [catalog.objectives[step["objective"]] for step in method.recipe]
        losses = [formula(one.loss) if one.loss else one.title for one in objectives]
        everywhere = [catalog.objectives[step["objective"]] for step in method.steps]
        places = dict.fromkeys(one.implementation.partition(":")[0] for one in everywhere)
        official = method.source.get("official", "")
        title = f"{escape_markdown(method.title)}<br>`{method.name}`"
        if method.confidence == "low":
            title += f"<br>low confidence: {escape_markdown(method.note)}"
        yield (
            title,
            escape_markdown(method.source.get("paper", "")),
            " → ".join(dict.fromkeys(losses)) or "nothing",
            "<br>".join(_file(place) for place in places),
            f"[{official}](https://github.com/{official})" if official else "",
            _listed(shown.get(method.name, {})),
        )


def _unavailable(catalog: Catalog) -> list[tuple[str, ...]]:
    """Methods of which nobody says how to train them on some datasets: titles, datasets and the reason they share."""
    titles = {name: dataset.title for dataset in catalog.datasets.values() for name in reversed(dataset.names)}
    found: dict[tuple[str, str], list[str]] = {}
    for method in catalog.methods.values():
        for dataset, reason in method.unavailable.items():
            found.setdefault((reason, method.title), []).append(titles[dataset])
    return [(escape_markdown(title), ", ".join(on), escape_markdown(why)) for (why, title), on in found.items()]


def formula(loss: str) -> str:
    """Mathematics in a cell of a table, where a bar would end the cell, be it part of a double one."""
    text = loss.replace(r"\|", r"\Vert ").replace("|", r"\|")
    return f"${text}$"


def _file(module: str) -> str:
    path = f"workflow/{module.replace('.', '/')}.py"
    return f"[`{'/'.join(module.split('.')[-2:])}.py`](../{path})"


def _listed(places: Places) -> str:
    """``ICCL Table 1, Table 5; ResCom Table 8``."""
    return "; ".join(escape_markdown(f"{paper} {', '.join(titles)}") for paper, titles in places.items())


def _table(lines: Iterable[tuple[str, ...]], header: tuple[str, ...] = COLUMNS) -> str:
    rows = [header, ("---",) * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--out", required=True, type=Path, metavar="PATH", help="the page to write, in Markdown")


def run(arguments: argparse.Namespace) -> None:
    """Write the page."""
    with files.replacing(arguments.out) as draft:
        draft.write_text(page(load()), encoding="utf-8")
