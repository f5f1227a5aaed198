"""``longtail page``: all results of a view as one page, written again whenever something that it shows has changed."""

from __future__ import annotations

import argparse

from longtail import files
from longtail.results_page.block import block
from longtail.results_page.content import Collector
from longtail.results_page.render import render
from longtail.study import layout
from longtail.study.study import load_study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("targets", nargs="*", help="tables, figures or papers to show first; else the configuration's")
    parser.add_argument("--config", default="{}", help="the run's configuration as JSON, or @FILE with that JSON")
    parser.add_argument("--results", default="results", metavar="FOLDER", help="where all results lie")
    parser.add_argument("--out", metavar="FILE", help="where to write it, in place of index.html among the results")


def run(arguments: argparse.Namespace) -> None:
    """Write the page, and say where it is."""
    layout.move(arguments.results)
    config = {"targets": ["digits"], **files.read_json(arguments.config, "--config"), "partial": False}
    if arguments.targets:
        config["targets"] = arguments.targets
    study = load_study(config)
    content = Collector(study).collect(None)
    path = arguments.out or layout.page(study.config.view)
    with files.replacing(path) as temporary:
        temporary.write_text(render(content, block(content)), encoding="utf-8")
    print(path)
