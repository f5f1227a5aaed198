"""In which tables and figures something of the catalogue is shown."""

from __future__ import annotations

from longtail.reporting.markup import escape_markdown
from longtail.study.catalog import Catalog
from longtail.study.cells import asked_cells

Places = dict[str, dict[str, None]]
"""Titles of tables and figures, in order, by the short name of the paper."""


def appearances(catalog: Catalog, what: str) -> dict[str, Places]:
    """The tables and figures that show each method, or each dataset.

    Args:
        catalog: what there is.
        what: ``method`` or ``dataset``.
    """
    found: dict[str, Places] = {}
    for paper, kind, name in catalog.artefacts.values():
        artefact = catalog.papers[paper][kind][name]
        for asked in asked_cells({"paper": paper, kind: {name: artefact}}):
            if what in asked:  # a mean over columns has no dataset
                papers = found.setdefault(asked[what], {})
                papers.setdefault(catalog.short(paper), {})[artefact["title"]] = None
    return found


def listed(places: Places) -> str:
    """``ICCL Table 1, Table 5; ResCom Table 8``."""
    return "; ".join(escape_markdown(f"{paper} {', '.join(titles)}") for paper, titles in places.items())
