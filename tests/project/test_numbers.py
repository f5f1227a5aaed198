"""No number is printed as ``-0.0``: every format that rounds says so by PEP 682's ``z``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNSEEN = ("evaluation", "records")
"""Rooms in which numbers are written into files, as they are, and none is printed."""
SOURCES = [path for path in sorted(ROOT.glob("workflow/**/*.py")) if path.parent.name not in UNSEEN]
OTHERS = sorted([ROOT / "Snakefile", *ROOT.glob("workflow/**/*.smk"), *ROOT.glob("workflow/**/*.jinja")])

SPECIFICATION = r"[^{}:]*\.(?:\d+|\{[^{}]*\})[eEfFgG%]"
"""The format specification of a number that is rounded, which may take the number of decimals from elsewhere."""

OLD = re.compile(r"%[-+ #0]*\d*\.(?:\d+|\*)[eEfFgG]")
"""printf's, which has no such flag."""

NEW = re.compile(rf"\{{[^{{}}:]*:({SPECIFICATION})\}}")


def rounding(text: str) -> Iterator[str]:
    """The formats in a text that would print a negative zero."""
    yield from OLD.findall(text)
    yield from (found for found in NEW.findall(text) if "z" not in found)


def in_python(code: str) -> Iterator[str]:
    """The same of a program."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FormattedValue) and isinstance(node.format_spec, ast.JoinedStr):
            parts = node.format_spec.values
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
            if re.fullmatch(SPECIFICATION, text) and "z" not in text:
                yield text
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from rounding(node.value)


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("f'{x:.1f}'", 1), ("f'{x:+.{n}f} {y:,.0f}'", 2), ("'%.2f' % x", 1), ("'%.*f' % (n, x)", 1),
        ("'{:.3g}'.format(x)", 1), ("f'{x:z.1f} {x:+z.{n}f} {x:z,.0f}'", 0), ("f'{x:g} {x:>8} {x:.8}'", 0),
        ("'{:z.3g}'.format(x)", 0), ("'100 %.'", 0),
    ],
)  # fmt: skip
def test_the_search_finds_what_rounds(code: str, count: int) -> None:
    assert len(list(in_python(code))) == count


def test_no_format_prints_a_negative_zero() -> None:
    """Snakemake's rules and the templates are no Python: there any text counts."""
    found = {path: [*in_python(path.read_text())] for path in SOURCES}
    found |= {path: [*rounding(path.read_text())] for path in OTHERS}
    assert len(found) > 100
    assert {str(path.relative_to(ROOT)): formats for path, formats in found.items() if formats} == {}
