"""Contradictions among printed numbers are computed from them; what the catalogue points out is there to be found."""

from __future__ import annotations

import csv
import functools
import re
import shutil
from decimal import Decimal

import pytest

from longtail.discrepancies import contradictions, numbers
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


def test_half_a_unit_of_the_last_digit():
    assert numbers.half_unit(Decimal("48.7")) == Decimal("0.05")
    assert numbers.half_unit(Decimal("4.85")) == Decimal("0.005")


def test_most_repeated_numbers_agree():
    agree, several = numbers.agreement(study())
    assert 0 < several - agree < 10
    assert several > 250
