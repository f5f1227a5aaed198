"""A laid-out table as Markdown, LaTeX and HTML. All three show the label of the run above the numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from longtail.reporting.grid import DASH, Grid, GridCell
from longtail.reporting.markup import PALETTE, escape_html, escape_markdown

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


def _spans(texts: list[tuple[str, ...]]) -> Iterator[tuple[str, int]]:
    """Neighbours with the same headings down to the last one share a heading: (text, columns)."""
    for key, run in itertools.groupby(texts):
        yield key[-1], len(list(run))


def _levels(grid: Grid) -> list[list[tuple[str, int]]]:
    depth = len(grid.header[0]) if grid.header else 0
    upper = [list(_spans([column[: level + 1] for column in grid.header])) for level in range(depth - 1)]
    return [*upper, [(column[-1], 1) for column in grid.header]]


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
    levels = _levels(grid)
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


_STYLE = """
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; margin: 2rem auto; padding: 0 1.5rem;
       max-width: 110rem; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.35rem; margin: 0 0 .25rem; }
p { max-width: 60rem; margin: .25rem 0 1rem; }
p.paper { color: var(--muted); margin-top: 0; }
.label { border-left: 4px solid var(--warn-line); background: var(--warn); color: var(--warn-ink); padding: .6rem 1rem;
         margin: .75rem 0 1rem; max-width: 58rem; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; border-top: 2px solid var(--ink);
        border-bottom: 2px solid var(--ink); }
th, td { padding: .3rem .7rem; white-space: nowrap; }
thead th { font-weight: 600; text-align: center; border-bottom: 1px solid var(--line); }
thead tr:last-child th { text-align: right; border-bottom: 1px solid var(--ink); }
th.stub, thead tr:last-child th.stub { text-align: left; font-weight: 500; }
tbody tr:nth-child(even) { background: var(--band); }
tbody tr.first { border-top: 1px solid var(--line); }
th.group { vertical-align: top; background: var(--paper); }
td { text-align: right; }
.edge { border-left: 1px solid var(--line); }
.published, .spread { color: var(--muted); }
.bar { color: var(--line); padding: 0 .15em; }
.missing { color: var(--muted); }
.notes { color: var(--muted); font-size: .88rem; max-width: 60rem; padding-left: 1.2rem; }
"""


def html(document: Document) -> str:
    """One stand-alone page: no script, no font, no picture from elsewhere."""
    grid = document.grid
    edges = [index == 0 or column[:-1] != grid.header[index - 1][:-1] for index, column in enumerate(grid.header)]

    def show(cell: GridCell | None, edge: bool) -> str:
        style = ' class="edge"' if edge else ""
        if cell is None:
            return f"<td{style}></td>"
        if cell.computed:
            value = f"<b>{cell.computed}</b>" if cell.best else cell.computed
            star = "<sup>*</sup>" if cell.significant else ""
            spread = f' <span class="spread">{escape_html(cell.spread)}</span>' if cell.spread else ""
            computed = f'<span class="{cell.status}" title="{cell.status}">{value}{star}</span>{spread}'
        else:
            computed = f'<span class="missing" title="not computed">{DASH}</span>'
        recorded = "; ".join(
            f'<span class="recorded {one.status}" title="recorded: {one.status}">{one.shown[0]}</span>'
            f'<span class="spread"> {escape_html(" ".join(one.shown[1:]))}</span>'
            + (f"<sup>{one.letter}</sup>" if one.letter else "")
            for one in cell.recorded
        )
        shown = {
            "published": f'<span class="published" title="published">{escape_html(cell.published)}</span>',
            "recorded": recorded or f'<span class="missing" title="not recorded">{DASH}</span>',
            "computed": computed,
        }
        text = '<span class="bar">|</span>'.join(shown[part] for part in grid.parts)
        text += f"<sup>{cell.mark}</sup>" if cell.mark else ""
        return f"<td{style}>{text}</td>"

    stub = 2 if grid.groups else 1
    head = []
    levels = _levels(grid)
    for level in levels[:-1]:
        spans = "".join(
            f'<th class="edge" scope="colgroup" colspan="{span}">{escape_html(text)}</th>' for text, span in level
        )
        head.append(f'<tr><th class="stub" colspan="{stub}"></th>{spans}</tr>')
    names = "".join(f'<th class="stub" scope="col">{name}</th>' for name in ["Group", "Method"][-stub:])
    last = "".join(
        f'<th class="{"edge" if edge else "inner"}" scope="col">{escape_html(column[-1])}</th>'
        for column, edge in zip(grid.header, edges, strict=True)
    )
    head.append(f"<tr>{names}{last}</tr>")
    body = []
    for group, run in itertools.groupby(grid.rows, key=lambda row: row[0]):
        members = list(run)
        for index, (_, row, cells) in enumerate(members):
            lead = ""
            if grid.groups and index == 0:
                lead = f'<th class="stub group" scope="rowgroup" rowspan="{len(members)}">{escape_html(group)}</th>'
            first = ' class="first"' if index == 0 else ""
            shown = "".join(show(cell, edge) for cell, edge in zip(cells, edges, strict=True))
            body.append(f'<tr{first}>{lead}<th class="stub" scope="row">{escape_html(row)}</th>{shown}</tr>')
    notes = [f"<li>{escape_html(note)}</li>" for note in grid.notes]
    notes += [f"<li><sup>{number}</sup> {escape_html(text)}</li>" for number, text in enumerate(grid.marks, 1)]
    label = f'<div class="label" role="note">{escape_html(document.label)}</div>\n' if document.label else ""
    title, paper = escape_html(document.title), escape_html(document.paper)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}: {paper}</title>\n'
        f"<style>{PALETTE}{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f'<p class="paper">{paper}</p>\n{label}<p>{_heading(document, escape_html)}</p>\n'
        '<div class="scroll"><table>\n<thead>\n'
        + "\n".join(head)
        + "\n</thead>\n<tbody>\n"
        + "\n".join(body)
        + '\n</tbody>\n</table></div>\n<ul class="notes">\n'
        + "\n".join(notes)
        + "\n</ul>\n</body>\n</html>\n"
    )
