"""One module knows where files lie below the folder of results: the rules ask it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
PACKAGE = sorted((ROOT / "workflow" / "longtail").rglob("*.py"))
BELOW = re.compile(r"""["'](?:results/|\{(?:VIEW|RESULTS|layout\.RESULTS)\}/\w)""")


@pytest.mark.parametrize("path", [ROOT / "Snakefile", *RULES], ids=lambda path: path.name)
def test_no_rule_spells_a_path_below_results(path: Path) -> None:
    assert BELOW.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_module_but_the_layout_does(path: Path) -> None:
    assert path.name == "layout.py" or BELOW.findall(path.read_text(encoding="utf-8")) == []
