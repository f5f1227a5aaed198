"""The printed numbers are product data: all are there, and each is addressed by exactly one place of a table."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

CATALOG = Path(__file__).parents[2] / "workflow" / "catalog"

PRINTED = {
    "conmix": {1: 120, 2: 120, 3: 28, 4: 28, 5: 28, 6: 24, 7: 84, 8: 48, 9: 28, 10: 56},
    "miniclustering": {1: 144, 2: 144, 3: 32, 4: 48, 5: 32, 6: 44, 7: 44, 8: 32, 9: 32, 10: 32, 11: 60},
    "iccl": {1: 105, 2: 56, 3: 76, 4: 21, 5: 4, 6: 16, 7: 24, 8: 20, 9: 12, 10: 16},
    "rescom": {1: 11, 2: 11, 3: 9, 4: 34, 5: 9, 6: 7, 7: 32, 8: 33, 9: 37, 10: 37, 11: 45, 12: 27},
    "gloco": {1: 48, 2: 24, 3: 73, 4: 26, 5: 9, 6: 6},
}
"""How many numbers each printed table holds, those on the large sets and of gains in brackets included."""

DEVIATIONS = {("miniclustering", 9): 32, ("gloco", 3): 12, ("gloco", 5): 9, ("gloco", 6): 6}
"""How many standard deviations tables print."""

TABLES = [(paper, number) for paper, tables in PRINTED.items() for number in tables]


def printed(paper: str, number: int) -> list[dict[str, str]]:
    with (CATALOG / "papers" / paper / f"table{number}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def spec(paper: str) -> dict[str, Any]:
    return yaml.safe_load((CATALOG / "papers" / f"{paper}.yaml").read_text(encoding="utf-8"))


def titles() -> dict[str, str]:
    found = dict(yaml.safe_load((CATALOG / "planned.yaml").read_text(encoding="utf-8"))["datasets"])
    for path in (CATALOG / "datasets").glob("*.yaml"):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, entry in document["datasets"].items():
            found[name] = entry.get("title", (document.get("images") or document["texts"])["title"])
    return found


SPECIFIED = [
    (paper, name) for paper in PRINTED for name, table in spec(paper)["tables"].items() if "check" not in table
]


@pytest.mark.parametrize(("paper", "number"), TABLES)
def test_a_table_holds_all_its_numbers_once(paper: str, number: int) -> None:
    lines = printed(paper, number)
    assert len(lines) == PRINTED[paper][number]
    keys = Counter(
        (line["row"], line["group"], line["dataset"], line["imbalance_ratio"], line["metric"]) for line in lines
    )
    assert max(keys.values()) == 1
    for line in lines:
        assert (line["paper"], line["table"]) == (paper, str(number))
        assert line["unit"] in {"percent", "ratio", "distance", "s", "ms"}
        if (paper, number) == ("iccl", 5):
            assert "not recoverable" in line["note"]
            assert line["value"] == ""
        else:  # an increase may be more than the whole
            assert 0 <= float(line["value"]) <= (200 if line["metric"].endswith("_increase") else 100)


def test_only_tables_of_several_seeds_print_deviations() -> None:
    deviations = {
        (paper, number): sum(line["std"] != "" for line in printed(paper, number)) for paper, number in TABLES
    }
    assert {key: count for key, count in deviations.items() if count} == DEVIATIONS
    assert all(spec(paper)["tables"][f"table{number}"]["seeds"] > 1 for paper, number in DEVIATIONS)


@pytest.mark.parametrize(
    ("paper", "number", "row", "dataset", "metric", "value"),
    [
        ("conmix", 1, "CC", "CIFAR-20", "ARI", "00.0"),
        ("conmix", 2, "ConMix", "CIFAR-10", "ACC", "53.3"),
        ("conmix", 5, "SDCLR", "Tiny ImageNet", "NMI", "35.2"),
        ("miniclustering", 2, "MiniClustering (Ours)", "STL-10", "CAA", "54.4"),
        ("miniclustering", 6, "BYOL", "CIFAR-10", "ARI", "25.3"),
    ],
)
def test_spot_checks(paper: str, number: int, row: str, dataset: str, metric: str, value: str) -> None:
    (line,) = [
        each
        for each in printed(paper, number)
        if (each["row"], each["dataset"], each["metric"]) == (row, dataset, metric)
    ]
    assert line["value"] == value


@pytest.mark.parametrize(("paper", "name"), SPECIFIED)
def test_a_specification_addresses_every_printed_number_exactly_once(paper: str, name: str) -> None:
    table, names = spec(paper)["tables"][name], titles()
    listed = yaml.safe_load((CATALOG / "metrics.yaml").read_text(encoding="utf-8"))
    asked: Counter[tuple[str, str, str, str, str]] = Counter()
    for row in table["rows"]:
        for column in table["columns"]:
            cell = {**column, **row}
            keys = {"row": row["row"], "group": cell.get("group", ""), "ratio": cell.get("ratio")}
            if "dataset" in cell:
                keys["dataset"] = names[cell["dataset"]]
            keys |= cell.get("published", {})
            if f"{cell.get('dataset')}-ir{keys['ratio']}" in row.get("dashes", ()):
                continue
            for metric in (name for name in cell.get("metrics", table["metrics"]) if name not in row.get("dashes", ())):
                if "derived" in listed[metric] and "over" not in row:
                    continue
                asked[keys["row"], keys["group"], keys["dataset"], str(keys["ratio"]), metric] += 1
    lines = printed(paper, int(name.removeprefix("table")))
    wanted = {(line["row"], line["group"], line["dataset"], line["imbalance_ratio"], line["metric"]) for line in lines}
    assert table["published"] == f"{name}.csv"
    assert set(asked) == wanted
    assert max(asked.values()) == 1


def test_every_printed_table_has_a_specification() -> None:
    assert {(paper, f"table{number}") for paper, number in TABLES} == set(SPECIFIED)


@pytest.mark.parametrize("paper", ["conmix", "miniclustering", "rescom", "digits", "theory"])
def test_every_figure_names_a_kind_that_can_be_drawn(paper: str) -> None:
    from longtail.reporting.figures.draw import KINDS

    kinds = {figure["kind"] for figure in spec(paper)["figures"].values()}
    assert kinds
    assert kinds <= set(KINDS)


@pytest.mark.parametrize("paper", ["conmix", "miniclustering", "theory"])
def test_what_is_checked_is_nowhere_printed(paper: str) -> None:
    checks = [table for table in spec(paper)["tables"].values() if "check" in table]
    assert checks
    assert not any("published" in table for table in checks)


def test_the_default_study_prints_nothing() -> None:
    assert not any("published" in table for table in spec("digits")["tables"].values())
