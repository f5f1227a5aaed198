"""Contradictions among printed numbers are computed from them; what the catalogue points out is there to be found."""

from __future__ import annotations

import csv
import dataclasses
import functools
import re
import shutil
from decimal import Decimal

import pytest

from longtail.discrepancies import contradictions, numbers, transcripts
from longtail.errors import LongtailError
from longtail.study import catalog as catalogue
from longtail.study.study import load_study


@functools.cache
def study():
    return load_study({"targets": ["digits"]})


@functools.cache
def found():
    return contradictions.derive(study())


def about(pattern):
    """The one contradiction whose title matches, as text."""
    (one,) = [each for each in found() if re.search(pattern, each.title)]
    return one


def emphasised(one):
    return [cell[0] for row in one.rows for cell in row if isinstance(cell, tuple) and cell[1]]


@pytest.fixture
def changed(tmp_path):
    """A catalogue with another printed number: (paper, table, row, dataset, metric), or group in place of dataset."""

    def change(paper, table, row, place, metric, value):
        root = tmp_path / "catalog"
        if not root.exists():
            shutil.copytree(catalogue.CATALOG, root)
        path = root / "papers" / paper / f"{table}.csv"
        with path.open(newline="") as lines:
            records = list(csv.DictReader(lines))
        hits = [r for r in records if r["row"] == row and place in (r["dataset"], r["group"]) and r["metric"] == metric]
        assert len(hits) == 1
        hits[0]["value"] = value
        with path.open("w", newline="") as lines:
            writer = csv.DictWriter(lines, records[0])
            writer.writeheader()
            writer.writerows(records)
        catalogue._published.cache_clear()
        return contradictions.derive(load_study({"targets": ["digits"]}, root))

    yield change
    catalogue._published.cache_clear()


def test_a_cell_printed_with_two_values_is_found():
    one = about("ConMix on STL-10 at ratio 10 is not the same")
    assert one.paper == "conmix"
    assert set(emphasised(one)) == {"48.7", "48.4"}
    assert {n.metric for n in one.numbers} == {"CAA"}
    other = about("MiniClustering on STL-10 at ratio 10 is not the same")
    assert other.paper == "miniclustering"
    assert {"52.0", "47.7", "39.1", "32.5"} <= set(emphasised(other))
    quoted = about("DMICC on Tiny ImageNet")
    assert quoted.paper == "between"
    assert set(emphasised(quoted)) == {"9.2", "9.27", "28.7", "28.0"}


def test_a_cell_that_is_made_to_agree_is_not(changed):
    assert not [
        c for c in changed("conmix", "table8", "K-means", "STL-10", "CAA", "48.7") if "ConMix on STL" in c.title
    ]


def test_another_misprint_would_be_found(changed):
    (one,) = [
        c for c in changed("conmix", "table3", "SimCLR", "CIFAR-10", "ACC", "39.5") if "SimCLR on CIFAR-10" in c.title
    ]
    assert set(emphasised(one)) == {"39.4", "39.5"}


def test_single_trainings_are_held_against_the_spread_of_five():
    one = about("Single trainings that Table 9 rules out")
    assert {n.row for n in one.numbers} == {"SeCu"}
    assert {"-7.0", "-7.6", "-7.4"} <= set(emphasised(one))
    assert {n.metric for n in one.numbers if n.dataset == "CIFAR-20"} == {"ACC", "CAA", "NMI", "ARI"}


def test_averages_are_recomputed():
    one = about("Averages of Table 11")
    assert [(row[0], row[1], row[3], row[4][0]) for row in one.rows] == [
        ("IDFD", "ARI", "35.225", "35.3"),
        ("ConMix", "ACC", "55.475", "55.4"),
    ]
    assert "before rounding could" in one.text


def test_an_average_that_is_right_is_not_listed(changed):
    (one,) = [
        c for c in changed("miniclustering", "table11", "IDFD", "Average", "ARI", "35.2") if "Averages" in c.title
    ]
    assert [row[0] for row in one.rows] == ["ConMix"]


def test_ratios_are_held_against_all_that_rounding_allows():
    one = about("Ratios of Table 10")
    assert {row[1] for row in one.rows} == {"IR=10", "IR=50"}
    assert {row[0] for row in one.rows} == {"ConMix"}
    assert emphasised(one) == ["4.85", "5.08"]


def test_falls_are_found():
    assert emphasised(about("F/My does not rise")) == ["12.55", "5.08", "4.22"]


def test_claims_are_held_against_the_numbers(changed):
    assert emphasised(about("still performs better"))[:2] == ["34.9", "8.3"]
    assert emphasised(about("Input-level mixup slightly")) == ["28.3", "38.4"]
    assert emphasised(about("approximately 5")) == ["59.5", "62.3"]
    assert emphasised(about("Without L_m")) == ["64.5", "64.6"]
    better = changed("conmix", "table3", "Input-level mixup", "CIFAR-10", "NMI", "36.0")
    assert not [one for one in better if "slightly" in one.title]


def test_a_claim_may_be_about_one_group_of_rows():
    """Table 8 of ICCL has rows of the same names for cRT, of which its caption does not speak."""
    one = about("ICCL benefits from a reverse sampler")
    assert {number.group for number in one.numbers} == {"ICCL"}
    assert emphasised(one) == ["46.6", "47.1", "82.1", "82.3"]
    assert emphasised(about("best overall accuracy on iNaturalist")) == ["72.5", "73.0"]


def test_shared_pairs_and_odd_orders_are_found():
    one = about("BYOL and ProPos share NMI and ARI on CIFAR-10 at ratio 5")
    assert emphasised(one) == ["52.2", "34.1", "52.2", "34.1"]
    assert about("CC is better under the longer tail of CIFAR-10").paper == "conmix"


def test_namesakes_stand_beside_each_other():
    one = about("called BYOL")
    (row,) = [row for row in one.rows if row[0] == "CIFAR-10 at ratio 10" and "Baseline" in row[2]]
    assert row[3:] == ("51.9", "55.2", "56.3", "41.7")
    assert {n.cell.method for n in about("called SimCLR").numbers} == {"simclr", "simclr-800"}


def test_everything_involved_is_printed():
    known = {(n.paper, n.table, n.row, n.metric, n.value) for n in numbers.numbers(study())}
    for paper in study().catalog.papers:
        known |= {(n.paper, n.table, n.row, n.metric, n.value) for n in transcripts.transcribed(study(), paper)}
    assert len(found()) > 15
    for one in found():
        assert one.numbers
        assert {(n.paper, n.table, n.row, n.metric, n.value) for n in one.numbers} <= known
        assert all(len(row) == len(one.header) for row in one.rows)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("row: Input-level mixup", "row: Output-level mixup", "There is no row"),
        ("of: compactness_few", "of: compactness_fewer", "There is no metric"),
        ("{row: SDCLR, dataset: CIFAR-10, ratio: 5,", "{row: SDCLR, dataset: CIFAR-10, ratio: 7,", "does not print"),
    ],
)
def test_what_the_catalogue_points_out_must_be_printed(tmp_path, old, new, message):
    root = tmp_path / "catalog"
    shutil.copytree(catalogue.CATALOG, root)
    path = root / "papers" / "conmix" / "inconsistencies.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(LongtailError, match=message):
        contradictions.derive(load_study({"targets": ["digits"]}, root))


# --- What the tables of recognition say against themselves -----------------------------------------------------------


def groups_of(every):
    """The rows whose accuracy is not that of their groups, with the verdict, by paper."""
    return {one.paper: {(row[0], row[1]): row for row in one.rows} for one in every if "of their groups" in one.title}


def test_accuracies_are_held_against_those_of_their_groups():
    by_paper = groups_of(found())
    assert {paper: len(rows) for paper, rows in by_paper.items()} == {"iccl": 4, "rescom": 17, "gloco": 3}
    counts = [re.search(r"Of the (\d+) rows", one.text)[1] for one in found() if "of their groups" in one.title]
    assert sorted(map(int, counts)) == [6, 41, 42]
    assert by_paper["gloco"]["GloCo + ProCo Table 4", "Ours"][4:] == (("49.8", True), "51.99", "51.79", "-2.19")
    index = {row for (_, row), line in by_paper["rescom"].items() if "by index" in line[-1]}
    assert {"cRT", "LWS", "MiSLAS"} <= index
    assert by_paper["rescom"]["ResCom Table 12", "MiSLAS"][-1] == "many and few are interchanged"


def test_an_accuracy_that_is_that_of_its_groups_is_not_listed(changed):
    printed = changed("gloco", "table4", "Ours", "ImageNet-LT", "accuracy", "52.0")
    assert ("GloCo + ProCo Table 4", "Ours") not in groups_of(printed)["gloco"]


def test_increases_are_computed_again(changed):
    one = about("Increases of Table 1")
    assert [(row[0], row[-1][0]) for row in one.rows] == [("RIDE(3 experts)", "64")]
    right = changed("rescom", "table1", "RIDE(3 experts)", "ImageNet-LT", "infer_ms_increase", "84")
    assert not [one for one in right if "Increases" in one.title]


def test_rows_that_were_copied_are_found():
    pairs = {one.title for one in found() if re.search(r"Table 6 is .* of Table 5", one.title)}
    assert pairs == {"Adaptive of Table 6 is Supervised of Table 5", "Proco of Table 6 is K-positive (KCL) of Table 5"}
    own = list(transcripts.transcribed(study(), "gloco"))
    one = next(n for n in own if (n.table, n.row, n.ratio) == ("table6", "Adaptive", 50))
    others = [dataclasses.replace(n, std=Decimal("0.3")) if n is one else n for n in own]
    assert [c.title for c in transcripts.copied(others)] == ["Proco of Table 6 is K-positive (KCL) of Table 5"]


def test_a_metric_that_is_twice_another_is_held_to_it():
    one = about("Intra of Table 1")
    assert len(one.rows) == 12
    assert all(Decimal(row[-1][0]) < Decimal(row[2]) for row in one.rows)


def test_quotations_of_one_method_are_compared():
    one = about("quoted with different numbers")
    assert ("PaCo", "iNaturalist 2018 at ratio 500", "ICCL Table 3: 73.0; ResCom Table 12: 73.2") in one.rows
    assert sum(row[0] == "CE-DRW" for row in one.rows) == 6
    assert "LDAM" not in {row[0] for row in one.rows}  # which is LDAM-DRW in ResCom, and not in GloCo


def test_a_claim_is_held_against_every_column():
    one = about("GloCo . ProCo has the best accuracy")
    assert sum(row[1] == "GloCo+ProCo" for row in one.rows) == 6
    assert {row[0] for row in about("GloCo with k positives").rows} == {"CIFAR-100-LT at ratio 50"}


def test_literal_weights_of_rescom_are_held_against_those_of_its_code():
    one = about("Eq. 2 makes the loss many times smaller")
    factors = dict(zip((row[0] for row in one.rows), emphasised(one), strict=True))
    for ratio, factor in ((100, "85.9"), (50, "93.0"), (10, "99.9")):
        assert factors[f"CIFAR-10-LT at ratio {ratio}"] == factor
    for ratio, factor in ((100, "46.3"), (50, "53.3"), (10, "75.7")):
        assert factors[f"CIFAR-100-LT at ratio {ratio}"] == factor
    (line,) = [row for row in one.rows if row[0] == "CIFAR-100-LT at ratio 100"]
    assert line[3] == "0.47 to 9.45"


def test_half_a_unit_of_the_last_digit():
    assert numbers.half_unit(Decimal("48.7")) == Decimal("0.05")
    assert numbers.half_unit(Decimal("4.85")) == Decimal("0.005")


def test_most_repeated_numbers_agree():
    """Those that do not are mostly of rows that papers of recognition took over from different publications."""
    agree, several = numbers.agreement(study())
    assert 0 < several - agree < 30
    assert several > 250
