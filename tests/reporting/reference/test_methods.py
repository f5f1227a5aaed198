"""The page of methods says of each what the catalogue says, and is what stands under docs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from longtail.reporting.reference.methods import formula, page
from longtail.study import catalog as catalogue

ROOT = Path(__file__).parents[3]
CATALOG = catalogue.load()


def lines(text: str) -> dict[str, str]:
    """The line of each method that is implemented, by name."""
    return {name: line for line in text.splitlines() for name in re.findall(r"<br>`([a-z0-9-]+)`", line)}


def test_every_method_has_one_line_with_all_that_is_known_of_it():
    found = lines(page(CATALOG))
    assert set(found) == set(CATALOG.methods)
    for name, method in CATALOG.methods.items():
        if "official" in method.source:
            assert f"(https://github.com/{method.source['official']})" in found[name]
        for step in method.recipe:
            assert formula(CATALOG.objectives[step["objective"]].loss) in found[name]
            module = CATALOG.objectives[step["objective"]].implementation.partition(":")[0]
            assert f"(../workflow/{module.replace('.', '/')}.py)" in found[name]
            assert (ROOT / "workflow" / f"{module.replace('.', '/')}.py").exists()


def test_every_objective_says_what_it_minimises_in_one_line():
    for objective in CATALOG.objectives.values():
        assert objective.loss, f"{objective.name} lacks `loss`"
        assert not re.search(r"[$\n]", objective.loss)


def test_no_bar_ends_a_cell():
    assert formula(r"\mathrm{KL}(p \| q)") == r"$\mathrm{KL}(p \Vert  q)$"
    assert formula(r"\frac{1}{|P|}") == r"$\frac{1}{\|P\|}$"
    for line in lines(page(CATALOG)).values():
        assert len(re.findall(r"(?<!\\)\|", line)) == 7


def test_tables_and_figures_are_listed_by_paper():
    assert "ConMix Table 1, Table 2" in lines(page(CATALOG))["conmix"]
    assert "ICCL Table 1" in lines(page(CATALOG))["ldam-drw"]


def test_what_is_doubtful_or_missing_says_why():
    method = dataclasses.replace(CATALOG.methods["ce"], confidence="low", note="No code.")
    planned = {"methods": {"never": catalogue.Planned("Never", "no code")}, "datasets": {}}
    found = page(dataclasses.replace(CATALOG, methods={**CATALOG.methods, "ce": method}, planned=planned))
    assert "low confidence: No code." in lines(found)["ce"]
    assert "| Never | no code |  |" in found
