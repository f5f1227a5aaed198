"""The settings of every cell that a table asks for, with their origins."""

from __future__ import annotations

import json

import pytest

from longtail.results_page.origins import Setting, settings_of
from longtail.study.cells import Cell
from longtail.study.study import Study, load_study


def study(**config: object) -> Study:
    return load_study({"targets": ["digits"], **config})


def cell(method: str, dataset: str = "digits", ratio: int = 10, settings: str = "{}") -> Cell:
    return Cell(method, settings, "resnet18", dataset, ratio, "train", "projection", "kmeans", "clustering")


def of(study: Study, cell: Cell) -> list[Setting]:
    return list(settings_of(study, cell, study.trained(cell, 0)))


def one(found: list[Setting], name: str, training: str = "") -> Setting:
    (setting,) = [each for each in found if each.name == name and each.training.startswith(training)]
    return setting


def test_every_cell_of_every_table_says_where_its_settings_come_from() -> None:
    whole = study()
    cells = {
        Cell(**entry.cell)
        for paper, spec in whole.catalog.papers.items()
        for name in spec.get("tables", {})
        for entry in whole.table(paper, name).entries
        if entry.cell and whole.catalog.method(entry.cell["method"]).control is None
    }
    trained = {(each.method, each.settings, each.backbone, each.dataset, each.ratio): each for each in cells}
    assert len(trained) > 300
    for each in trained.values():
        phase = whole.trained(each, 0)
        found = list(settings_of(whole, each, phase))
        assert len({setting.training for setting in found}) == len(phase.lineage)
        for setting in found:
            assert setting.origin in {"paper", "official", "chosen", "table", "dataset"}, setting
            assert setting.where, setting
            assert setting.value, setting
        for stretch in phase.lineage:
            acting = {setting.name for setting in found if setting.training.startswith(f"{stretch.objective} ")}
            assert {"epochs", "batch_size"} <= acting <= {"epochs", *json.loads(stretch.settings)}


def test_origins_are_those_of_the_catalogue() -> None:
    found = of(study(), cell("sdclr"))
    assert one(found, "temperature") == Setting("sdclr 0-50", "temperature", "0.2", "paper", "ConMix App. A")
    assert one(found, "prune_ratio").origin == "official"
    assert one(found, "learning_rate").origin == "chosen"
    assert one(found, "learning_rate").where == "chosen: scaled with the batch"
    assert one(found, "augmentation").value == "digits"


@pytest.mark.parametrize(("protocol", "batch"), [("official", "256"), ("paper", "512")])
def test_where_paper_and_code_differ_the_protocol_is_the_origin(protocol: str, batch: str) -> None:
    found = of(study(protocol=protocol), cell("sdclr", "imagenet_lt", 256))
    setting = one(found, "batch_size")
    assert (setting.value, setting.origin) == (batch, protocol)


def test_what_a_table_sets_is_the_tables() -> None:
    found = of(study(), cell("conmix", settings='{"conmix":{"tags":7}}'))
    setting = one(found, "tags")
    assert (setting.value, setting.origin) == ("7", "table")
    assert one(found, "epochs", "sdclr").value == "10 of a clock of 50"


def test_a_budget_shows_in_the_values() -> None:
    assert one(of(study(budget={"epochs": 0.1}), cell("simclr")), "epochs").value == "5"
