from __future__ import annotations

import dataclasses
import functools
import math
import re
import shutil
import statistics
from collections import defaultdict

import pytest

from longtail.errors import LongtailError
from longtail.study import catalog as catalogue
from longtail.study.study import Study, load_study

FUTURE = catalogue.Planned("Future mix", "")


@functools.cache
def study():
    return load_study({"targets": ["digits"]})


def test_every_table_and_figure_of_every_paper_resolves():
    of = study()
    for paper, spec in of.catalog.papers.items():
        for name in spec.get("tables", {}):
            plan = of.table(paper, name)
            assert plan.entries
            assert all(bool(entry.cell or entry.members) != bool(entry.missing) for entry in plan.entries)
        for name in spec.get("figures", {}):
            assert of.figure(paper, name).cells
        for _, _, name in of.artefacts(paper):
            paths = [m.path for m in of.measurements(paper, name)]
            assert len(paths) == len(set(paths)) or paper == "digits"


def test_a_row_without_a_method_keeps_its_published_number():
    catalog = study().catalog
    left = {name: method for name, method in catalog.methods.items() if name != "text-conmix"}
    planned = {"methods": {"text-conmix": catalogue.Planned("ConMix on a sentence encoder", "")}, "datasets": {}}
    (entry,) = [
        e
        for e in Study(study().config, dataclasses.replace(catalog, methods=left, planned=planned))
        .table("miniclustering", "table10")
        .entries
        if (e.row, e.dataset, e.metric) == ("ConMix", "StackOverflow", "ACC")
    ]
    assert entry.cell is None
    assert "not implemented" in entry.missing
    assert entry.published is not None


def test_published_numbers_arrive_as_printed():
    entries = {(e.row, e.dataset, e.metric): e for e in study().table("conmix", "table2").entries}
    assert entries["ConMix", "CIFAR-10", "ACC"].published_text == "53.3"
    assert entries["SimCLR", "CIFAR-10", "ACC"].published == 39.4


def test_selections_leave_reasons():
    of = load_study({"targets": ["conmix_table2"], "methods": ["simclr"], "datasets": ["cifar10"]})
    plan = of.table("conmix", "table2")
    selected = {(e.row, e.dataset) for e in plan.entries if e.cell}
    assert selected == {("SimCLR", "CIFAR-10")}
    assert {e.missing for e in plan.entries if e.row == "ConMix" and e.dataset == "CIFAR-10"} == {
        "method not selected (config: methods)"
    }
    assert len(of.measurements("conmix", "table2")) == 1


def test_seeds_of_the_configuration_replace_the_tables():
    of = load_study({"targets": ["digits"], "seeds": [3, 4]})
    assert {m.keys["seed"] for m in of.measurements("conmix", "table2")} == {3, 4}
    assert {m.keys["seed"] for m in study().measurements("miniclustering", "table9")} == {0, 1, 2, 3, 4}


def test_labels_and_footnotes_say_how_it_was_made():
    of = load_study(
        {
            "targets": ["conmix"],
            "budget": "smoke",
            "protocol": "paper",
            "data": {"cifar10": {"kind": "parquet", "name": "pixels from Parquet"}},
        }
    )
    plan = of.table("conmix", "table2")
    assert "budget smoke" in plan.label
    assert "protocol" in plan.label
    assert "CIFAR-10 images: pixels from Parquet" in plan.label
    assert any("pixels from Parquet" in note for note in plan.footnotes)
    assert study().table("conmix", "table2").label == ""


@pytest.mark.parametrize(
    "departure",
    [
        {"budget": "smoke"},
        {"budget": "tenth"},
        {"budget": {"epochs": 1.0}},
        {"protocol": "paper"},
        {"precision": "float32"},
        {"pretraining_seed": 0},
        {"data": {"cifar10": {"kind": "parquet", "name": "pixels from Parquet"}}},
    ],
    ids=lambda departure: "-".join(map(str, departure.values()))[:20],
)
def test_what_is_labelled_is_not_trained_as_printed(departure):
    entries = load_study({"targets": ["conmix"], **departure}).table("conmix", "table2").entries
    cifar10 = [entry.as_printed for entry in entries if entry.dataset == "CIFAR-10"]
    others = [entry.as_printed for entry in entries if entry.dataset != "CIFAR-10"]
    assert not any(cifar10)
    assert set(others) == {"data" in departure}  # another source of CIFAR-10 is no matter of the other data
    assert all(entry.as_printed for entry in study().table("conmix", "table2").entries)


def test_a_selection_or_other_seeds_do_not_change_how_the_rest_is_trained():
    of = load_study({"targets": ["conmix"], "methods": ["simclr"], "seeds": [3, 4, 5]})
    table = of.table("conmix", "table2")
    assert {entry.as_printed for entry in table.entries if entry.row == "SimCLR"} == {True}
    assert {entry.as_printed for entry in table.entries if entry.row != "SimCLR"} == {False}
    assert (table.printed_seeds, of.table("miniclustering", "table9").printed_seeds) == (1, 5)


def test_tolerances_are_what_the_printed_spreads_say():
    spreads = defaultdict(list)
    for entry in study().table("miniclustering", "table9").entries:
        spreads[entry.metric].append(entry.published_std)
    assert set(spreads) == {"ACC", "CAA", "NMI", "ARI"}
    for metric, stds in spreads.items():
        of_a_pair = math.sqrt(2 * statistics.fmean(std**2 for std in stds))
        tolerances = {e.tolerance for e in study().table("conmix", "table2").entries if e.metric == metric}
        assert tolerances == {round(1.96 * of_a_pair, 1)}


def test_a_printed_metric_without_tolerance_is_named(tmp_path):
    root = tmp_path / "catalog"
    shutil.copytree(catalogue.CATALOG, root)
    path = root / "metrics.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("  tolerance: 1.1\n", ""), encoding="utf-8")
    of = load_study({"targets": ["digits"]}, root)
    assert of.table("digits", "table1")
    with pytest.raises(LongtailError, match=r"conmix table2 prints NMI, of which catalog/metrics.yaml .* tolerance"):
        of.table("conmix", "table2")


BUDGETED = re.compile(
    r"\b(epochs?|seeds?|batch(es)? of|ResNet\S*|images per class|[Ff]ive (thousand|trainings)|minutes|as many images)\b"
)


def test_no_caption_says_what_a_budget_changes():
    """Captions stand over tables of every budget: what was trained for how long says the label, how often the foot."""
    for paper, spec in study().catalog.papers.items():
        for kind in ("tables", "figures"):
            for name, artefact in spec.get(kind, {}).items():
                allowed = {("conmix", "table7"): ["epochs"]}.get((paper, name), [])  # a half is one under any budget
                assert [m[0] for m in BUDGETED.finditer(artefact["caption"])] == allowed, (paper, name)


def test_a_check_says_that_it_reproduces_nothing_and_what_it_checks():
    for plan in (study().table("conmix", "theorem1"), study().figure("miniclustering", "theorem1figure")):
        assert plan.label.startswith("check of a theorem, not a reproduction")
        assert plan.footnotes[0].startswith("Checked: Theorem 1")
    entries = study().table("conmix", "theorem1").entries
    assert {entry.published for entry in entries} == {None}
    assert {entry.ratio for entry in entries} == {1, 2, 5, 10, 20, 50, 100}


def test_checks_train_nothing_that_other_tables_do_not():
    def runs(*artefacts):
        return {m.run for paper, name in artefacts for m in study().measurements(paper, name) if m.run.kind == "phases"}

    assert runs(("conmix", "theorem1"), ("conmix", "theorem1figure")) == runs(("conmix", "table10"))
    checked = runs(("miniclustering", "theorem1"), ("miniclustering", "theorem1figure"))
    assert checked == runs(("miniclustering", "figure3"))
    notes = study().table("miniclustering", "table2").footnotes
    assert any(
        note.startswith("miniclustering: confidence_view = 2 (official; the other choice is 1)") for note in notes
    )


def test_a_cell_asked_for_directly():
    (measurement,) = study().cell_measurements("conmix", "cifar10-ir10", 0)
    assert measurement.path.endswith("projection/train/metrics/kmeans/clustering.parquet")
    planned = dataclasses.replace(study().catalog, planned={"methods": {"futuremix": FUTURE}, "datasets": {}})
    with pytest.raises(LongtailError, match=r"'futuremix'.*not implemented yet\. Implemented:.*conmix"):
        Study(study().config, planned).cell_measurements("futuremix", "cifar10-ir10", 0)
    with pytest.raises(LongtailError, match="Did you mean 'conmix'"):
        study().cell_measurements("conmx", "cifar10-ir10", 0)


def test_controls_need_no_phase():
    paths = [m.path for m in study().measurements("digits", "table1")]
    assert "results/controls/digits-ir10/pixels/seed0/pixels/train/metrics/kmeans/clustering.parquet" in paths
    assert "results/controls/digits-ir10/labels/seed0/labels/train/metrics/argmax/clustering.parquet" in paths


def test_unknown_artefacts_say_what_exists():
    with pytest.raises(LongtailError, match="table of conmix"):
        study().table("conmix", "table99")
    with pytest.raises(LongtailError, match="paper"):
        study().table("conmx", "table1")


def test_digits_splits_and_stores_are_described():
    of = study()
    assert of.split_spec("digits-ir10")["head_class_rows"] == 174
    assert of.store_spec("digits")["source"]["kind"] == "sklearn"
    with pytest.raises(LongtailError, match="no test split"):
        of.parts("digits-ir10", "test")
