"""``python -m longtail reference``: the pages of methods, datasets, papers and keys, which stand under ``docs``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from longtail.files import replacing
from longtail.reporting.reference import datasets, files, gallery, methods, papers
from longtail.study.catalog import Catalog, load

PAGES: Mapping[str, Callable[[Catalog, Path], str]] = {
    "methods.md": lambda catalog, _: methods.page(catalog),
    "datasets.md": lambda catalog, _: datasets.page(catalog),
    "papers.md": lambda catalog, _: papers.page(catalog),
    "gallery.md": gallery.page,
    "configuration.md": lambda *_: files.configuration(),
    "catalogue-files.md": lambda *_: files.catalogue(),
}
"""What writes each page, given the catalogue and the folder that the page comes into."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FOLDER", help="where the pages are written, in Markdown"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the pages."""
    catalog = load()
    for name, page in PAGES.items():
        with replacing(arguments.out / name) as draft:
            draft.write_text(page(catalog, arguments.out), encoding="utf-8")
