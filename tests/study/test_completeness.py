"""Nothing that the two clustering papers print lacks a target, a cell, or the reason why it has none."""

from __future__ import annotations

import functools
import json

import pytest

from longtail.data.longtail import class_sizes
from longtail.errors import LongtailError
from longtail.study import catalog as catalogue
from longtail.study.config import parse
from longtail.study.counting import works
from longtail.study.jobs import Jobs
from longtail.study.study import Study, load_study

TABLES = [
    *(("conmix", f"table{number}") for number in range(1, 11)),
    *(("miniclustering", f"table{number}") for number in range(1, 12)),
]
# Figure 4 of MiniClustering is a drawing of the method.
FIGURES = [
    *(("conmix", f"figure{number}") for number in (1, 2)),
    *(("miniclustering", f"figure{number}") for number in (1, 2, 3, 5, 6)),
]
TEXT = ("miniclustering", "table10")

# Tables whose rows MiniClustering took over, and where from (its CSV files say so line by line).
QUOTED = {
    "table1": "table1",
    "table2": "table2",
    "table6": "table4",
    "table7": "table5",
    "table8": "table9",
    "table11": "table7",
}
# MiniClustering quotes DMICC on Tiny ImageNet otherwise than ConMix prints it.
MISQUOTED = {("table7", "DMICC", "ACC"), ("table7", "DMICC", "NMI")}


@functools.cache
def study() -> Study:
    return load_study({"targets": ["conmix", "miniclustering"]})


def entries(paper: str, name: str):
    return study().table(paper, name).entries


@pytest.mark.parametrize(("paper", "name"), TABLES)
def test_every_number_of_a_table_is_printed_and_has_cells(paper: str, name: str) -> None:
    for entry in entries(paper, name):
        assert entry.published is not None, entry
        assert bool(entry.cell or entry.members) != bool(entry.missing), entry
        if (paper, name) != TEXT:
            assert entry.missing is None, entry


@pytest.mark.parametrize(("paper", "name"), [*TABLES, *FIGURES])
def test_every_artefact_is_a_target_whose_files_are_known(paper: str, name: str) -> None:
    assert f"{paper}_{name}" in study().targets()
    found = study().measurements(paper, name)
    wanted = study().table(paper, name).entries if "table" in name else study().figure(paper, name).cells
    assert found or all(each.missing for each in wanted)
    for measurement in found:
        if measurement.run.kind == "phases":
            assert study().lineage(measurement.run.cut, measurement.run.name)


@pytest.mark.parametrize(("paper", "name"), FIGURES)
def test_every_curve_and_panel_of_a_figure_has_cells(paper: str, name: str) -> None:
    assert [cell.missing for cell in study().figure(paper, name).cells if cell.missing] == []


def test_whatever_is_not_implemented_says_why() -> None:
    planned = study().catalog.planned
    assert all(one.reason for one in planned["methods"].values())
    assert not planned["datasets"]


# --- Quoted rows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUOTED)
def test_quoted_rows_are_the_cells_of_conmix_and_say_so(name: str) -> None:
    spec = study().catalog.paper("miniclustering")["tables"][name]
    assert spec["quoted"]["table"] == f"conmix_{QUOTED[name]}"
    rows = set(spec["quoted"]["rows"])
    there = {json.dumps(e.cell, sort_keys=True): e for e in entries("conmix", QUOTED[name])}
    paths = {m.path for m in study().measurements("conmix", QUOTED[name])}

    for entry in entries("miniclustering", name):
        says = any(word in entry.note for word in ("cited from ConMix", "equal ConMix", "equals ConMix Table 4"))
        assert says == (entry.row in rows and entry.cell is not None), entry
        if says:
            assert json.dumps(entry.cell, sort_keys=True) in there
    quoted = [e.cell for e in entries("miniclustering", name) if e.row in rows and e.cell]
    mine = [m for m in study().measurements("miniclustering", name) if any(c.items() <= m.keys.items() for c in quoted)]
    assert mine
    assert {m.path for m in mine} <= paths

    (note,) = [note for note in study().table("miniclustering", name).footnotes if "quoted from ConMix" in note]
    assert note.startswith(", ".join(spec["quoted"]["rows"]))
    assert "the same cells" in note


@pytest.mark.parametrize("name", QUOTED)
def test_quoted_numbers_are_those_of_conmix(name: str) -> None:
    printed = {(json.dumps(e.cell, sort_keys=True), e.metric): e.published for e in entries("conmix", QUOTED[name])}
    rows = study().catalog.paper("miniclustering")["tables"][name]["quoted"]["rows"]
    differ = {
        (name, e.row, e.metric)
        for e in entries("miniclustering", name)
        if e.row in rows and e.cell and e.published != printed[json.dumps(e.cell, sort_keys=True), e.metric]
    }
    assert differ == {each for each in MISQUOTED if each[0] == name}


def changed(**table) -> Study:
    """The study with something else about Table 11 of MiniClustering."""
    catalog = study().catalog
    paper = catalog.paper("miniclustering")
    tables = {**paper["tables"], "table11": {**paper["tables"]["table11"], **table}}
    papers = {**catalog.papers, "miniclustering": {**paper, "tables": tables}}
    config = parse({"targets": ["conmix"]}, catalog.budgets)
    return Study(config, catalogue.Catalog(**{**catalog.__dict__, "papers": papers}))


def test_a_quotation_of_other_cells_is_refused() -> None:
    with pytest.raises(LongtailError, match=r"'MiniClustering' is quoted from conmix_table7, which has no cell"):
        changed(quoted={"table": "conmix_table7", "rows": ["MiniClustering"]}).table("miniclustering", "table11")
    with pytest.raises(LongtailError, match=r"row \(miniclustering table11, quoted\)"):
        changed(quoted={"table": "conmix_table7", "rows": ["Mini"]}).table("miniclustering", "table11")


# --- Averages ---------------------------------------------------------------------------------------------------------


def test_an_average_is_over_the_four_settings_of_its_row() -> None:
    averages = [entry for entry in entries("miniclustering", "table11") if entry.group == "Average"]
    assert len(averages) == 4 * 3
    for average in averages:
        others = [
            e
            for e in entries("miniclustering", "table11")
            if (e.row, e.metric) == (average.row, average.metric) and e.group != "Average"
        ]
        assert list(average.members) == [e.cell for e in others]
        assert len(average.members) == 4
        assert average.ratio is None
        assert average.published == pytest.approx(sum(e.published for e in others) / 4, abs=0.08)


def test_an_average_over_what_does_not_exist_is_refused() -> None:
    columns = [{"group": "Average", "average_of": ["Balanced", "Skewed"]}]
    spec = study().catalog.paper("miniclustering")["tables"]["table11"]
    with pytest.raises(LongtailError, match="'Skewed'"):
        changed(columns=[*spec["columns"][:4], *columns]).table("miniclustering", "table11")


def test_an_average_is_whole_when_all_its_cells_are() -> None:
    jobs = Jobs(load_study({"targets": ["miniclustering_table11"]}))
    (table, _) = works(jobs, exists=lambda path: False)
    assert len(table.values) == 60
    assert [len(cells) for cells in table.values].count(4) == 12
    half = {path for cells in table.values if len(cells) == 4 for cell in cells[:2] for path in cell.outputs}
    (table, _) = works(jobs, exists=half.__contains__)
    assert table.coverage == {"whole": 24, "some": 12, "missing": 24}


def test_an_average_over_cells_that_are_not_selected_says_so() -> None:
    of = load_study({"targets": ["conmix"], "datasets": ["cifar10", "cifar10-full"]})
    averages = [entry for entry in of.table("miniclustering", "table11").entries if entry.group == "Average"]
    assert {entry.missing for entry in averages} == {"dataset not selected (config: datasets)"}
    assert not any(entry.members for entry in averages)


# --- What the papers say of single tables -----------------------------------------------------------------------------


def rows_of(dataset: str, ratio: int) -> int:
    cut = study().catalog.dataset(dataset)
    return int(class_sizes(cut.head_class_rows, cut.images["classes"], ratio).sum())


@pytest.mark.parametrize(("paper", "name"), [("conmix", "table7"), ("miniclustering", "table11")])
def test_balanced_training_sees_all_sixty_thousand_images(paper: str, name: str) -> None:
    balanced = {e.cell["dataset"] for e in entries(paper, name) if e.group == "Balanced"}
    assert balanced == {"cifar10-full", "cifar20-full"}
    for dataset in balanced:
        assert study().parts(f"{dataset}-ir1", "train") == ("train", "test")
        assert rows_of(dataset, 1) == 60_000


def test_unseen_images_are_clustered_by_the_networks_of_table2() -> None:
    trained = {m.run for m in study().measurements("conmix", "table2")}
    found = {m.keys["method"]: m for m in study().measurements("conmix", "table6") if m.keys["dataset"] == "cifar10"}
    assert set(found) == {"simclr", "sdclr", "byol", "conr", "propos", "dmicc", "conmix"}
    for measurement in found.values():
        assert measurement.run in trained
        assert measurement.keys["split"] == "test"
        assert "/test/metrics/" in measurement.path
    assert study().parts("cifar10-ir10", "test") == ("test",)
    assert abs(rows_of("cifar10-b", 1) - rows_of("cifar10", 10)) < 10  # ConMix-B


def test_compactness_is_measured_over_seven_ratios() -> None:
    ratios = {e.cell["ratio"] for e in entries("conmix", "table10")}
    assert ratios == {1, 2, 5, 10, 20, 50, 100}
    assert [rows_of("cifar10", ratio) for ratio in sorted(ratios)] == [50000, 36223, 25423, 20431, 17023, 13996, 12406]
    assert study().catalog.dataset("cifar10").shots == (3, 4, 3)
    assert {e.cell["scorer"] for e in entries("conmix", "table10")} == {"geometry"}


def test_the_hyperparameter_study_shares_one_encoder_for_each_dataset() -> None:
    lineages = [study().lineage(m.run.cut, m.run.name) for m in study().measurements("miniclustering", "figure5")]
    assert len(lineages) == 2 * (6 + 5 + 5 + 5 - 3)  # the defaults are one cell for all four
    assert len({lineage[-1].identity for lineage in lineages}) == 2
    main = {m.run.name for m in study().measurements("miniclustering", "table2")}
    assert sum(lineage[0].name in main for lineage in lineages) == 2


def test_the_significance_table_pretrains_for_every_seed() -> None:
    plan = study().table("miniclustering", "table9")
    assert plan.seeds == (0, 1, 2, 3, 4)
    assert plan.significance == {"against": "miniclustering", "level": 0.95}
    runs = {(m.run.cut, m.run.name) for m in study().measurements("miniclustering", "table9")}
    assert len(study().measurements("miniclustering", "table9")) == 5 * len(runs) == 5 * 8
