"""What a table says of its rows: whose numbers they are, what differs between them, and what is no comparison."""

from __future__ import annotations

import dataclasses
import functools
import json

import pytest

from longtail.errors import LongtailError
from longtail.study import catalog as catalogue
from longtail.study.artefacts import TablePlan, printed_seeds_of, seeds_of
from longtail.study.config import parse
from longtail.study.study import Study

CATALOG = catalogue.load()
COLUMNS = [{"dataset": "cifar10-lt", "ratio": 100}, {"dataset": "cifar10-lt", "ratio": 50}]
ROW = {"row": "CE", "method": "ce"}


@functools.cache
def study_with(text: str) -> Study:
    """The catalogue with the table ``own table1``."""
    entries = json.loads(text)
    table = {"title": "Table 1", "caption": "A table.", "seeds": 2, "layout": {"columns": ["dataset", "ratio"]}}
    table |= {"metrics": entries["metrics"], "rows": entries["rows"], "columns": entries.get("columns", COLUMNS)}
    papers = {**CATALOG.papers, "own": {"paper": "own", "title": "Own", "tables": {"table1": table}}}
    methods = dict(CATALOG.methods)
    if entries["unsure"]:
        methods["ce"] = dataclasses.replace(methods["ce"], confidence="low", note="No code.")
    catalog = dataclasses.replace(CATALOG, papers=papers, methods=methods)
    return Study(parse({"targets": ["digits"], **entries.get("config", {})}, CATALOG.budgets), catalog)


def made(text: str) -> TablePlan:
    return study_with(text).table("own", "table1")


def table(*rows, metrics=("accuracy",), unsure=False) -> TablePlan:
    return made(json.dumps({"rows": rows, "metrics": metrics, "unsure": unsure}))


def said(plan: TablePlan, word: str) -> list[str]:
    return [note for note in plan.footnotes if word in note]


def test_a_dash_is_no_cell():
    entries = table({**ROW, "dashes": ["cifar10-lt-ir50"]}, {"row": "LDAM", "method": "ldam"}).entries
    assert [(entry.row, entry.ratio) for entry in entries] == [("CE", 100), ("LDAM", 100), ("LDAM", 50)]


def test_a_dash_in_place_of_a_metric_is_no_cell():
    rows = ({**ROW, "dashes": ["few", "cifar10-lt-ir50"]}, {"row": "LDAM", "method": "ldam"})
    entries = table(*rows, metrics=("accuracy", "few")).entries
    assert [(entry.row, entry.ratio, entry.metric) for entry in entries] == [
        ("CE", 100, "accuracy"),
        *(("LDAM", ratio, metric) for ratio in (100, 50) for metric in ("accuracy", "few")),
    ]


@pytest.mark.parametrize("given", [None, [3, 4, 5]])
def test_a_column_may_average_over_fewer_trainings_than_the_table(given):
    """Those that a configuration asks for go before both."""
    columns = [COLUMNS[0], {**COLUMNS[1], "seeds": 1}]
    text = {"rows": [ROW], "metrics": ["accuracy"], "unsure": False, "columns": columns}
    study = study_with(json.dumps({**text, "config": {"seeds": given} if given else {}}))
    plan = study.table("own", "table1")
    wanted = {100: tuple(given or (0, 1)), 50: tuple(given or (0,))}
    assert {entry.ratio: seeds_of(plan, entry) for entry in plan.entries} == wanted
    assert {entry.ratio: printed_seeds_of(plan, entry) for entry in plan.entries} == {100: 2, 50: 1}
    asked = [(m.keys["ratio"], m.keys["seed"]) for m in study.measurements("own", "table1")]
    assert asked == [(ratio, seed) for ratio, seeds in wanted.items() for seed in seeds]


def test_a_dash_beside_every_column_is_refused():
    with pytest.raises(LongtailError, match=r"row 'CE', dashes\).*cifar10-lt-ir5"):
        table({**ROW, "dashes": ["cifar10-lt-ir5"]})


def test_rows_of_other_publications_are_named_by_source():
    plan = table(
        {**ROW, "cited": "BBN"}, {"row": "LDAM", "method": "ldam", "cited": "BBN"}, {"row": "b", "method": "ce"}
    )
    assert said(plan, "not run") == ["CE, LDAM: not run by the paper, which takes the numbers over from BBN."]


def test_a_row_that_stands_in_two_groups_is_named_once():
    rows = [{**ROW, "group": group, "cited": "BBN", "departs": "Another."} for group in ("90 epochs", "200 epochs")]
    plan = table(*rows)
    assert said(plan, "not run") == ["CE: not run by the paper, which takes the numbers over from BBN."]
    assert said(plan, "Another") == ["CE: not judged against the printed numbers. Another."]


def test_what_departs_from_its_publication_is_not_judged():
    plan = table({**ROW, "departs": "Another network."}, {"row": "LDAM", "method": "ldam"})
    assert {entry.row: entry.as_printed for entry in plan.entries} == {"CE": False, "LDAM": True}
    assert said(plan, "Another") == ["CE: not judged against the printed numbers. Another network."]


def test_what_depends_on_the_machine_is_not_judged():
    plan = table(ROW, metrics=("accuracy", "seconds_per_epoch"))
    assert {entry.metric: entry.as_printed for entry in plan.entries} == {"accuracy": True, "seconds_per_epoch": False}
    assert {entry.cell["readout"] for entry in plan.entries} == {"classifier", "history"}


def test_a_row_that_may_be_another_method_says_so():
    assert said(table(ROW, unsure=True), "low") == [
        "CE: low confidence that it is what its authors ran. No code."
    ]  # fmt: skip
    assert not said(table(ROW), "low")


def test_rows_of_different_recipes_are_told_apart():
    plan = table(ROW, {"row": "BalSfx", "method": "balanced-softmax"}, {"row": "cRT", "method": "crt"})
    assert said(plan, "recipes") == [
        "Rows of different recipes do not rank methods. 200 epochs (base, batches of 128): CE; "
        "400 epochs (strong, batches of 128): BalSfx; "
        "200 epochs (base, batches of 128), then 10 epochs (base, batches of 128): cRT."
    ]
    assert not said(table(ROW, {"row": "LDAM", "method": "ldam-drw"}), "recipes")


def test_a_reason_stands_in_place_of_what_cannot_be_built():
    assert catalogue.load().planned["methods"].keys().isdisjoint(CATALOG.methods)
    planned = {"methods": {"never": catalogue.Planned("Never", "no code")}, "datasets": {}}
    study = Study(parse({"targets": ["digits"]}, CATALOG.budgets), dataclasses.replace(CATALOG, planned=planned))
    assert study.missing("never", "cifar10-lt") == "Never is not implemented: no code"


# --- Derived metrics --------------------------------------------------------------------------------------------------

OTHERS = ({"row": "LDAM", "method": "ldam", "cited": "BBN"}, {"row": "cRT", "method": "crt"})


def gains(over, *more, metrics=("accuracy", "top1_gain")):
    plan = table({**ROW, "over": over}, *OTHERS, *more, metrics=metrics)
    return plan, [entry for entry in plan.entries if entry.metric == "top1_gain"]


def test_a_gain_is_of_a_row_and_those_that_it_is_over_in_each_column():
    plan, entries = gains(["LDAM", "cRT"])
    assert [(entry.row, entry.ratio, entry.combined, entry.measured) for entry in entries] == [
        ("CE", 100, "difference", "accuracy"),
        ("CE", 50, "difference", "accuracy"),
    ]
    for entry in entries:
        assert entry.cell is None
        assert [cell["method"] for cell in entry.members] == ["ce", "ldam", "crt"]
        assert {cell["ratio"] for cell in entry.members} == {entry.ratio}
    assert len(plan.entries) == 2 * 3 + 2
    assert said(plan, "Gain of CE") == [
        "Gain of CE: over the best of LDAM and cRT, as computed here; rows without a value here do not count."
    ]


def test_a_gain_over_numbers_that_others_printed_is_not_judged():
    assert [entry.as_printed for entry in gains(["cRT"])[1]] == [True, True]
    assert [entry.as_printed for entry in gains(["LDAM"])[1]] == [False, False]
    assert [entry.as_printed for entry in gains("cited")[1]] == [False, False]


def test_what_is_not_there_is_no_rival_and_a_gain_over_nothing_has_a_reason():
    planned = {"row": "ELF", "method": "elf-ldam", "cited": "BBN"}
    assert [cell["method"] for cell in gains("cited", planned)[1][0].members] == ["ce", "ldam"]
    (first, _) = gains(["ELF"], planned)[1]
    assert (first.members, first.missing) == ((), "none of the rows that it is over can be computed")


def test_a_gain_over_a_row_that_there_is_not_is_refused():
    with pytest.raises(LongtailError, match=r"row \(own table1, row 'CE', over\).*'LDAN'.*Did you mean 'LDAM'"):
        gains(["LDAN"])


def test_an_increase_is_over_the_fastest():
    plan = table({**ROW, "over": ["LDAM"]}, *OTHERS, metrics=("infer_ms", "infer_ms_increase"))
    entries = [entry for entry in plan.entries if entry.metric == "infer_ms_increase"]
    assert {(entry.combined, entry.lowest_is_best) for entry in entries} == {("increase", True)}
    assert not any(entry.as_printed for entry in plan.entries)
    assert {cell["readout"] for entry in plan.entries for cell in entry.members or [entry.cell]} == {"network"}


def test_a_dash_may_be_in_place_of_a_metric():
    plan = table({**ROW, "dashes": ["few"]}, OTHERS[1], metrics=("accuracy", "few"))
    assert [(entry.row, entry.metric) for entry in plan.entries[:2]] == [("CE", "accuracy"), ("CE", "accuracy")]
    assert {entry.metric for entry in plan.entries if entry.row == "cRT"} == {"accuracy", "few"}
