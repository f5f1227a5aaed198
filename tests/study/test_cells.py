"""A cell of a table is what its row and its column say together."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from longtail.errors import LongtailError
from longtail.study import catalog as catalogue
from longtail.study import documents
from longtail.study.cells import asked_cell, asked_cells, members_of
from longtail.study.phases import final_phase
from longtail.study.study import load_study

ROW = {"row": "50 tags", "method": "conmix", "settings": {"conmix": {"tags": 50}}}
COLUMN = {"dataset": "digits", "ratio": 10, "settings": {"conmix": {"temperature": 0.5}, "sdclr": {"prune_ratio": 0.5}}}
BOTH = {"conmix": {"tags": 50, "temperature": 0.5}, "sdclr": {"prune_ratio": 0.5}}


def test_settings_of_a_row_and_a_column_are_both_kept():
    cell = asked_cell(ROW, COLUMN, "mine")
    assert cell == {"row": "50 tags", "method": "conmix", "dataset": "digits", "ratio": 10, "settings": BOTH}
    assert members_of({"columns": [COLUMN]}, ROW, COLUMN, "mine") == (cell,)
    assert list(asked_cells({"tables": {"mine": {"rows": [ROW], "columns": [COLUMN]}}})) == [cell]
    average = {"group": "mean", "average_of": ["all"]}
    columns = [{**COLUMN, "group": "all"}, average]
    assert [one["settings"] for one in members_of({"columns": columns}, ROW, average, "mine")] == [BOTH]


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ({"dataset": "digits"}, {"dataset": "cifar10"}, ["dataset", "'digits'", "'cifar10'"]),
        ({"group": "a"}, {"group": "b"}, ["group"]),
        (
            {"settings": {"conmix": {"tags": 50}}},
            {"settings": {"conmix": {"tags": 100}}},
            ["settings.conmix.tags", "50", "100"],
        ),
        ({"published": {"row": "a"}}, {"published": {"row": "b"}}, ["published.row"]),
    ],
)
def test_what_a_row_and_a_column_say_differently_is_refused(row, column, words):
    with pytest.raises(LongtailError) as error:
        list(asked_cells({"paper": "mine", "tables": {"t1": {"rows": [{"row": "R", **row}], "columns": [column]}}}))
    for word in ["mine t1", "'R'", *words]:
        assert word in str(error.value)


settings = st.dictionaries(
    st.sampled_from(["conmix", "sdclr"]), st.dictionaries(st.sampled_from("abc"), st.integers(0, 1))
)


@given(row=settings, column=settings)
def test_a_cell_has_every_setting_of_either_or_there_is_none(row, column):
    flat = [{(name, key): value for name, own in one.items() for key, value in own.items()} for one in (row, column)]
    contradict = any(flat[0][key] != flat[1][key] for key in flat[0].keys() & flat[1].keys())
    if contradict:
        with pytest.raises(LongtailError, match="settings"):
            asked_cell({"settings": row}, {"settings": column}, "mine")
        return
    cell = asked_cell({"settings": row}, {"settings": column}, "mine")["settings"]
    assert {(name, key): value for name, own in cell.items() for key, value in own.items()} == {**flat[0], **flat[1]}


def test_both_settings_reach_the_training(tmp_path):
    root = tmp_path / "catalog"
    shutil.copytree(catalogue.CATALOG, root)
    path = root / "papers" / "digits.yaml"
    paper = documents.read_yaml(path)
    paper["tables"]["table1"] |= {"rows": [ROW], "columns": [COLUMN]}
    path.write_text(yaml.safe_dump(paper))
    of = load_study({"targets": ["digits_table1"]}, root)
    (entry, *_) = of.table("digits", "table1").entries
    assert json.loads(entry.cell["settings"]) == BOTH
    overrides, dataset = json.loads(entry.cell["settings"]), of.catalog.dataset("digits")
    final = final_phase(of.catalog.method("conmix"), overrides, "resnet_small", dataset, 10, of.config, of.catalog)
    warmup, conmix = (json.loads(one.settings) for one in final.lineage)
    assert warmup["prune_ratio"] == 0.5
    assert (conmix["tags"], conmix["temperature"]) == (50, 0.5)
