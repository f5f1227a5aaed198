"""A laid-out table as Markdown, LaTeX and HTML. All three show the label of the run above the numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jinja2

from longtail.reporting.grid import DASH, Grid, GridCell
from longtail.reporting.markup import PALETTE, environment, escape_markdown

_FOLDER = Path(__file__).parent

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after a row's end these three would be read as its options
    "]": "{]}",
    "*": "{*}",
    "—": "---",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "×": r"$\times$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "δ": r"$\delta$",
    "ε": r"$\varepsilon$",
    "ρ": r"$\rho$",
    "τ": r"$\tau$",
}


@dataclass(frozen=True)
class Document:
    """What all formats write: the grid with its headings.

    Attributes:
        title: e.g. ``Table 2``.
        paper: title of the paper or study.
        caption: what the table shows.
        label: what keeps it from being a reproduction (budget, data), empty if nothing does.
        name: identifier for cross-references.
        grid: the laid-out table.
    """

    title: str
    paper: str
    caption: str
    label: str
    name: str
    grid: Grid


def escape_latex(text: str) -> str:
    """``text`` with LaTeX's own characters made to mean themselves; white space becomes one blank."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def _heading(document: Document, escape: Callable[[str], str]) -> str:
    sentence = document.caption.rstrip()
    return escape(sentence + (f" {document.grid.subtitle}." if document.grid.subtitle else ""))


def markdown(document: Document) -> str:
    """GitHub-flavoured Markdown; a numbered footnote is a superscript number and a list below."""
    grid = document.grid

    def show(cell: GridCell | None) -> str:
        if cell is None:
            return ""
        mark = f"<sup>{cell.mark}</sup>" if cell.mark else ""
        value = DASH
        if cell.computed:
            value = f"**{cell.computed}**" if cell.best else cell.computed
            value += r"\*" if cell.significant else ""
            value += f" {cell.spread}" if cell.spread else ""
        recorded = [" ".join(one.shown) + (f"<sup>{one.letter}</sup>" if one.letter else "") for one in cell.recorded]
        shown = {
            "published": escape_markdown(cell.published),
            "recorded": "; ".join(recorded) or DASH,
            "computed": value,
        }
        return " \\| ".join(shown[part] for part in grid.parts) + mark

    stub = ["Group", "Method"] if grid.groups else ["Method"]
    header = [*stub, *(" ".join(filter(None, column)) for column in grid.header)]
    lines = [f"# {escape_markdown(document.title)}: {escape_markdown(document.paper)}", ""]
    if document.label:
        lines += [f"> **{escape_markdown(document.label)}**", ""]
    lines += [_heading(document, escape_markdown), ""]
    lines.append("| " + " | ".join(escape_markdown(text) for text in header) + " |")
    lines.append("|" + " :-- |" * len(stub) + " --: |" * len(grid.header))
    above = None
    for group, row, cells in grid.rows:
        names = [group if group != above else "", row] if grid.groups else [row]
        above = group
        lines.append("| " + " | ".join([*map(escape_markdown, names), *map(show, cells)]) + " |")
    lines += ["", *(f"- {escape_markdown(note)}" for note in grid.notes)]
    lines += [f"- <sup>{number}</sup> {escape_markdown(text)}" for number, text in enumerate(grid.marks, 1)]
    return "\n".join(lines) + "\n"


def latex(document: Document) -> str:
    r"""A ``table`` float for ``\input``; needs the packages booktabs and graphicx."""
    grid = document.grid

    def show(cell: GridCell | None) -> str:
        if cell is None:
            return ""
        mark = rf"\textsuperscript{{{cell.mark}}}" if cell.mark else ""
        value = escape_latex(DASH)
        if cell.computed:
            value = rf"\textbf{{{cell.computed}}}" if cell.best else cell.computed
            value += r"\textsuperscript{*}" if cell.significant else ""
            value += rf"\,{escape_latex(cell.spread)}" if cell.spread else ""
        recorded = [
            r"\,".join(map(escape_latex, one.shown)) + (rf"\textsuperscript{{{one.letter}}}" if one.letter else "")
            for one in cell.recorded
        ]
        shown = {
            "published": escape_latex(cell.published),
            "recorded": "; ".join(recorded) or escape_latex(DASH),
            "computed": value,
        }
        return r" $\mid$ ".join(shown[part] for part in grid.parts) + mark

    stub = 2 if grid.groups else 1
    wide = len(grid.header) > 4
    lines = [r"% needs \usepackage{booktabs,graphicx}", r"\begin{table}", r"  \centering"]
    lead = f"{escape_latex(document.title)} ({escape_latex(document.paper)})."
    lines.append(rf"  \caption{{{lead} {_heading(document, escape_latex)}}}")
    lines.append(rf"  \label{{tab:{document.name}}}")
    if document.label:
        lines.append(rf"  \fbox{{\parbox{{0.95\linewidth}}{{\textbf{{{escape_latex(document.label)}}}}}}}\par\medskip")
    if wide:
        lines.append(r"  \resizebox{\linewidth}{!}{%")
    lines += [rf"  \begin{{tabular}}{{{'l' * stub}{'r' * len(grid.header)}}}", r"    \toprule"]
    levels = grid.levels
    for level in levels[:-1]:
        position, texts, rules = stub + 1, [""] * stub, []
        for text, span in level:
            texts.append(rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(text)}}}")
            rules.append(rf"\cmidrule(lr){{{position}-{position + span - 1}}}")
            position += span
        lines += [f"    {' & '.join(texts)} \\\\", f"    {' '.join(rules)}"]
    names = ["Group", "Method"][-stub:]
    last = [text for text, _ in levels[-1]] if levels else []
    lines += [f"    {' & '.join([*names, *map(escape_latex, last)])} \\\\", r"    \midrule"]
    above: str | None = None
    for group, row, cells in grid.rows:
        if grid.groups and above is not None and group != above:
            lines.append(r"    \midrule")
        stubs = (
            [escape_latex(group if group != above else ""), escape_latex(row)] if grid.groups else [escape_latex(row)]
        )
        above = group
        lines.append(f"    {' & '.join([*stubs, *map(show, cells)])} \\\\")
    lines += [r"    \bottomrule", r"  \end{tabular}" + ("}" if wide else "")]
    notes = [escape_latex(note) for note in grid.notes]
    notes += [rf"\textsuperscript{{{number}}}~{escape_latex(text)}." for number, text in enumerate(grid.marks, 1)]
    lines.append(r"  \par\medskip\begin{minipage}{\linewidth}\footnotesize")
    lines += [f"    {note}\\par" for note in notes]
    lines += [r"  \end{minipage}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def html(document: Document) -> str:
    """One stand-alone page: no script, no font, no picture from elsewhere."""
    return templates().get_template("table_page.html.jinja").render(document=document, style=table_style())


def table_style() -> str:
    """The style of tables in HTML, with the colours of every page."""
    return PALETTE + (_FOLDER / "table.css").read_text(encoding="utf-8")


@functools.cache
def templates(*folders: Path) -> jinja2.Environment:
    """What renders the table of a document in HTML (``table.html.jinja``), and the templates of ``folders``."""
    made = environment(*folders, _FOLDER)
    made.globals["dash"] = DASH
    return made
