"""What pages in Markdown and HTML have in common: how text is made to mean itself, and the colours."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import jinja2

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|])")

PALETTE = """
:root { color-scheme: light dark; --ink: #1b1f24; --muted: #656d76; --line: #d0d7de; --paper: #ffffff; --band: #f6f8fa;
        --warn-ink: #7a4a00; --warn: #fff3d6; --warn-line: #e3a008;
        --link: #0b5cad; --better: 0 114 178; --worse: 213 94 0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --muted: #9aa4af; --line: #3a424c; --paper: #0f1318; --band: #181e25;
          --warn-ink: #ffd98a; --warn: #3a2c0a; --warn-line: #a87408;
          --link: #7cb7ff; --better: 86 180 233; --worse: 240 130 50; } }
"""
"""The colours of every page, by daylight and in the dark. ``better`` and ``worse`` than printed are told apart by
colour-blind readers, and are laid under text in part only."""

SERIES = ("#4477aa", "#ddaa33", "#882255", "#ee6677", "#332288", "#bd1f01", "#000000")
"""For the few series of a plot, most of them Paul Tol's. Any two are apart for the colour-blind, and in grey."""


def environment(*folders: Path, autoescape: bool = True) -> jinja2.Environment:
    """What renders the templates of these folders: a variable that is not given is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )


def escape_markdown(text: str) -> str:
    """``text`` with Markdown's own characters made to mean themselves; white space becomes one blank."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def escape_html(text: str) -> str:
    """``text`` safe in HTML text and attributes."""
    return html.escape(text, quote=True)


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown of cells that are Markdown, with a line break at its end."""
    rows = [header, ("---",) * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def joined(words: Iterable[str], by: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *before, last = [*words] or [""]
    return f"{', '.join(before)} {by} {last}" if before else last
