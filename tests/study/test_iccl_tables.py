"""Nothing that ICCL prints lacks a cell or the reason why it has none, and what its tables share is trained once."""

from __future__ import annotations

import functools

import pytest

from longtail.study.artefacts import TableEntry, seeds_of
from longtail.study.jobs import Jobs, behind
from longtail.study.study import Study, load_study

TABLES = [f"table{number}" for number in range(1, 11)]
# Figure 1 is a drawing of the method.
FIGURES = ["figure2", "figure3", "figure4"]
IMAGENET, INAT = "imagenet_lt-ir256", "inaturalist18-ir500"
WITHOUT = {
    ("table2", "OLTR*"): "nothing is released",
}


@functools.cache
def study() -> Study:
    return load_study({"targets": ["iccl"]})


def entries(name: str) -> tuple[TableEntry, ...]:
    return study().table("iccl", name).entries


def runs(name: str, cut: str | None = None) -> set[str]:
    """The trainings of seed 0 that a table or figure reads, on all splits or on one."""
    found = [m.run for m in study().measurements("iccl", name) if m.run.seed == 0]
    return {run.name for run in found if cut in (None, run.cut)}


def trained(name: str, row: str, group: str = "", cut: str = IMAGENET) -> list[str]:
    """The trainings that a place of a table rests on, the first one first."""
    (entry,) = [
        e
        for e in entries(name)
        if (e.row, e.group) == (row, group) and e.metric == "accuracy" and f"{e.cell['dataset']}-ir{e.ratio}" == cut
    ]
    (run,) = {
        m.run
        for m in study().measurements("iccl", name)
        if m.keys["seed"] == 0 and entry.cell.items() <= m.keys.items()
    }
    return [job.phase.name for job in Jobs(study()).lineage(run)]


@pytest.mark.parametrize("name", TABLES)
def test_every_number_has_a_cell_or_the_reason_why_it_has_none(name: str) -> None:
    for entry in entries(name):
        assert (entry.published is None) == (name == "table5"), entry
        assert bool(entry.cell) != bool(entry.missing), entry
        reason = WITHOUT.get((name, entry.row))
        assert bool(entry.missing) == bool(reason), entry
        assert (reason or "") in (entry.missing or "")


@pytest.mark.parametrize("name", [*TABLES, *FIGURES])
def test_all_that_a_table_or_figure_needs_can_be_planned(name: str) -> None:
    measurements = study().measurements("iccl", name)
    assert measurements
    rules = {job.rule for job in behind(list(map(Jobs(study()).cell, measurements)))}
    assert {"split", "train", "embed"} <= rules
    assert f"iccl_{name}" in study().targets()


@pytest.mark.parametrize("name", FIGURES)
def test_every_curve_has_a_cell(name: str) -> None:
    assert [cell.missing for cell in study().figure("iccl", name).cells if cell.missing] == []


def test_three_trainings_on_cifar_and_one_on_the_large_sets() -> None:
    for name in TABLES:
        plan = study().table("iccl", name)
        for entry in plan.entries:
            if entry.cell:
                seeds = (0, 1, 2) if entry.cell["dataset"].startswith("cifar") else (0,)
                assert seeds_of(plan, entry) == seeds, entry


def test_networks_and_groups_of_classes() -> None:
    """A ResNeXt-50 on ImageNet-LT and a ResNet-50 on iNaturalist; groups are by numbers of images."""
    networks = {"imagenet_lt": "resnext50", "inaturalist18": "resnet50"}
    for name in TABLES:
        for entry in entries(name):
            if entry.cell and entry.cell["dataset"] in networks:
                assert entry.cell["backbone"] == networks[entry.cell["dataset"]]
                assert entry.measured == ("accuracy" if entry.metric == "accuracy" else f"{entry.metric} (strict)")


def test_what_is_only_cited_says_so() -> None:
    own = {("table2", row) for row in ("cRT†", "LWS†", "De-confound-TDE†", "ICCL (ours)")}
    own |= {("table3", "ICCL (ours)")}
    for name in ("table2", "table3"):
        rows = study().catalog.paper("iccl")["tables"][name]["rows"]
        assert {(name, row["row"]) for row in rows if "cited" not in row} == {each for each in own if each[0] == name}
    (foot,) = [note for note in study().table("iccl", "table2").footnotes if note.startswith("ResLT: not judged")]
    assert "390, 445 and 165" in foot


# --- What is trained once ---------------------------------------------------------------------------------------------


def test_one_cross_entropy_is_behind_all_that_compares_with_it() -> None:
    ce, rebalanced = trained("table7", "CE", "without rebalancing"), trained("table4", "L_ce")
    assert rebalanced[:-1] == ce
    for name, row, group in (
        ("table2", "cRT†", ""),
        ("table2", "LWS†", ""),
        ("table7", "CE", "with rebalancing"),
        *(("table8", f"γ' = {power}, ω_d = {weight}", "cRT") for power in (0, 1) for weight in (0, 0.5)),
    ):
        assert trained(name, row, group)[:-1] == ce
    assert trained("table8", "γ' = 1, ω_d = 0.5", "cRT") == rebalanced
    assert trained("table8", "γ' = 0, ω_d = 0", "cRT") == trained("table2", "cRT†")
    # and its first forty epochs behind the rows whose warm-up has no contrast
    warm = ce[0]
    assert len(ce) == 2
    assert trained("table4", "L_ce^it + warm-up")[0] == trained("table4", "L_ce + L_ce^it + warm-up")[0] == warm


def test_one_first_stage_of_iccl_is_rebalanced_in_all_ways() -> None:
    whole = trained("table2", "ICCL (ours)")
    assert trained("table7", "ICCL (ours)", "without rebalancing") == whole[:-1]
    for name, rows, group in (
        ("table8", [f"γ' = {power}, ω_d = {weight}" for power in (0, 1) for weight in (0, 0.5)], "ICCL"),
        ("table9", ["Balanced sampling"], ""),
        ("table10", ["without distillation loss"], ""),
    ):
        assert {tuple(trained(name, row, group)[:-1]) for row in rows} == {tuple(whole[:-1])}
    assert trained("table9", "Logit adjustment") == whole[:-1]
    assert runs("table10", IMAGENET) < runs("table8", IMAGENET)
    assert runs("table10", INAT) < runs("table8", INAT)
    assert runs("figure4") & runs("table2") == {whole[-1]}
    assert len(runs("figure4")) == 5
    assert trained("table4", "L_ce + L_ce^it + L_cc^it + warm-up") == whole


def test_mixup_is_one_training_in_two_tables() -> None:
    assert trained("table4", "L_ce^it") == trained("table7", "Mixup", "with rebalancing")
    assert trained("table7", "Mixup", "without rebalancing") == trained("table4", "L_ce^it")[:-1]


def test_the_figure_of_norms_trains_nothing_of_its_own() -> None:
    assert runs("figure2") < runs("table7")
    cells = [cell.cell for cell in study().figure("iccl", "figure2").cells]
    assert [cell["features"] for cell in cells] == ["backbone", "backbone", "projection", "backbone", "backbone"]
    assert {(cell["readout"], cell["scorer"]) for cell in cells} == {("weights", "weight_norms")}


@pytest.mark.parametrize("row", ["NCM", "τ-norm", "cRT", "LWS"])
def test_readouts_and_second_stages_of_decoupling_share_cross_entropy(row: str) -> None:
    stages = 2 if row in ("cRT", "LWS") else 1
    for group, name, cut in (("", "table2", IMAGENET), ("90 epochs", "table3", INAT), ("200 epochs", "table3", INAT)):
        found, other = trained(name, row, group, cut), trained(name, "NCM", group, cut)
        assert found[: len(other)] == other
        assert len(found) == len(other) + stages - 1


def test_tau_is_chosen_on_the_list_of_imagenet_lt_and_nowhere_on_inaturalist() -> None:
    """Its validation list is the one that is tested on."""
    embedded = {}
    for name, cut in (("table2", IMAGENET), ("table3", INAT)):
        cells = [m for m in study().measurements("iccl", name) if m.keys["readout"] == "tau-norm"]
        jobs = behind([Jobs(study()).cell(each) for each in cells])
        embedded[cut] = {job.embedded[1] for job in jobs if job.rule == "embed"}
    assert embedded == {IMAGENET: {"test", "val"}, INAT: {"test"}}
