"""``longtail page``: all results of a view as one page to open in a browser."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from longtail import files
from longtail.processes import at_work_since
from longtail.reporting import overview
from longtail.results_page.block import block
from longtail.results_page.collect import Collector
from longtail.results_page.content import Content
from longtail.results_page.follow import follow
from longtail.results_page.render import render
from longtail.study import layout
from longtail.study.study import Study


class Page:
    """The page of one study in a file, written as often as it is asked for, if it shows anything new."""

    def __init__(self, study: Study, path: Path) -> None:
        """Nothing is written yet."""
        self.collector, self.path = Collector(study, path.parent), path
        self._shown: Any = None

    def write(self, since: float | None) -> bool:
        """Write what there is now.

        Args:
            since: when the workflow began that is at work on the results, None if none is.

        Returns:
            Whether the page had to be written.

        Raises:
            LongtailError: when the folder cannot be written.
        """
        content = self.collector.collect(since)
        data = block(content)
        shown = _undated(content, data)
        if shown == self._shown and self.path.exists():
            return False
        with files.replacing(self.path) as temporary:
            temporary.write_text(render(content, data), encoding="utf-8")
        self._shown = shown
        return True


def _undated(content: Content, data: dict[str, Any]) -> tuple[Any, ...]:
    """All that a page shows, but when it was written."""
    return (
        {**data, "study": {**data["study"], "written": ""}},
        [(table.document, table.downloads) for table in content.tables],
        content.figures,
        (content.discrepancies, content.others, content.notices),
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    overview.add_study_arguments(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="what to write, in place of index.html among the results"
    )
    parser.add_argument(
        "--follow",
        action="store_true",
        help="write it again when something has changed, until standard input ends (as the workflow does by itself)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the page, and say where it is."""
    study = overview.study_of(arguments)
    page = Page(study, arguments.out or Path(layout.page(study.config.view)))
    if arguments.follow:
        return follow(page.write, sys.stdin, lambda: at_work_since(arguments.results))
    page.write(at_work_since(arguments.results))
    print(page.path)
    return 0
