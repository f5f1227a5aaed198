"""Tables and figures of what is computed so far: from some of a study's metric files to a page that says so."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from longtail.__main__ import main
from longtail.files import read_provenance, read_table, write_table
from longtail.study.study import Study, load_study

CONFIG = {"targets": ["conmix"], "budget": "smoke", "partial": True}


def study() -> Study:
    return load_study(CONFIG)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_metrics(artefact: str, number: int) -> None:
    """The metric files of the first cells of an artefact."""
    for measurement in study().measurements("conmix", artefact)[:number]:
        lines = {"trial": [0], "metric": ["ACC"], "value": [12.34], "unit": ["percent"]}
        nothing = {
            name: pa.nulls(1, pa.int64() if name != "parameter" else pa.string())
            for name in ("class", "cluster", "parameter")
        }
        write_table(measurement.path, pa.table({**lines, **nothing}))


def rendered(tmp_path: Path, number: int) -> tuple[str, pa.Table]:
    """Table 4 of ConMix in Markdown and Parquet, when so many of its five cells are computed."""
    out, config = tmp_path / "out", ["--config", json.dumps(CONFIG)]
    write_metrics("table4", number)
    merged = str(tmp_path / "merged.parquet")
    assert main(["job", "merge", *config, "--artefact", "conmix", "table4", "--out", merged]) == 0
    table = [
        "job",
        "table",
        "--paper",
        "conmix",
        "--table",
        "table4",
        *config,
        "--metrics",
        merged,
        "--out-dir",
        str(out),
    ]
    assert main(table) == 0
    return (out / "table4.md").read_text(encoding="utf-8"), read_table(out / "table4.parquet")


def test_a_partial_table_tells_what_is_not_computed_from_what_is_not_implemented(tmp_path: Path) -> None:
    wanted = len(study().measurements("conmix", "table4"))
    text, table = rendered(tmp_path, 2)
    assert f"partial: 2 of {wanted} cells" in text
    assert "12.3" in text
    assert set(table["label"].to_pylist()) == {
        f"{study().table('conmix', 'table4').label}; partial: 2 of {wanted} cells"
    }
    reasons = {line["row"]: line["reason"] for line in table.to_pylist() if line["metric"] == "ACC"}
    assert list(reasons.values()).count("") == 2
    assert list(reasons.values()).count("not computed yet") == wanted - 2
    assert {reason for reason in reasons.values() if reason} - {"not computed yet"} <= {
        f"{planned.title} is not implemented yet" for planned in study().catalog.planned["methods"].values()
    }


def test_without_any_cell_the_table_holds_the_printed_numbers_only(tmp_path: Path) -> None:
    text, table = rendered(tmp_path, 0)
    assert "partial: 0 of" in text
    assert set(table["status"].to_pylist()) == {"missing"}


def test_a_table_with_all_its_cells_is_not_partial(tmp_path: Path) -> None:
    text, _ = rendered(tmp_path, len(study().measurements("conmix", "table4")))
    assert "partial" not in text
    assert read_provenance(tmp_path / "merged.parquet")["cells"]["merged"] > 2


def test_a_whole_table_does_not_put_up_with_a_missing_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_metrics("table4", 2)
    config = ["--config", json.dumps({**CONFIG, "partial": False})]
    out = tmp_path / "merged.parquet"
    assert main(["job", "merge", *config, "--artefact", "conmix", "table4", "--out", str(out)]) == 1
    assert study().measurements("conmix", "table4")[2].path in capsys.readouterr().err
    assert not out.exists()
