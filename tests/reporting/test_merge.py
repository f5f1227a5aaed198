"""Merging, from the files where the study puts them to one."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longtail.__main__ import main
from longtail.files import PROVENANCE_KEY, read_provenance, read_table, write_table
from longtail.reporting import merge
from longtail.study.study import load_study

CONFIG = {"targets": ["digits_table1"], "seeds": [0, 1]}
METRICS = pa.table(
    {
        "trial": pa.array([0, 0, 1], pa.int64()),
        "metric": ["ACC", "recall", "ACC"],
        "class": pa.array([None, 3, None], pa.int64()),
        "cluster": pa.array([None] * 3, pa.int64()),
        "parameter": pa.array([None] * 3, pa.string()),
        "value": [1.5, 2.5, 3.5],
        "unit": ["percent"] * 3,
    }
)


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A metrics file for every cell of the study, in the working directory."""
    monkeypatch.chdir(tmp_path)
    paths = [Path(measurement.path) for measurement in load_study(CONFIG).measurements("digits", "table1")]
    for number, path in enumerate(paths):
        values = pa.array([number + value for value in (0.0, 0.25, 0.5)])
        write_table(path, METRICS.set_column(5, "value", values))
    return paths


def merged() -> int:
    return main(
        ["job", "merge", "--config", json.dumps(CONFIG), "--artefact", "digits", "table1", "--out", "out.parquet"]
    )


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_every_line_gets_the_keys_of_its_cell(metrics: list[Path], monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(merge, "CHUNK", chunk)
    assert merged() == 0
    found = read_table("out.parquet").to_pylist()
    expected = [
        {**line, **measurement.keys, "value": number + offset}
        for number, measurement in enumerate(load_study(CONFIG).measurements("digits", "table1"))
        for line, offset in zip(METRICS.to_pylist(), (0.0, 0.25, 0.5), strict=True)
    ]
    assert found == expected
    assert read_provenance("out.parquet")["revisions"] == [read_provenance(metrics[0])["revision"]]


def test_a_table_reads_the_lines_of_whole_cells_only(metrics: list[Path]) -> None:
    assert merged() == 0
    whole = read_table("out.parquet", null=["class", "cluster", "parameter", "not there"])
    assert set(whole["metric"].to_pylist()) == {"ACC"}
    assert len(whole) == 2 * len(metrics)
    assert read_table("out.parquet", null=["not there"]).equals(read_table("out.parquet"))
    write_table("empty.parquet", whole.slice(0, 0))
    assert read_table("empty.parquet", null=["class"]).equals(whole.slice(0, 0))


def test_a_missing_file_is_named_and_leaves_nothing(metrics: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    metrics[7].unlink()
    assert merged() == 1
    assert f"{metrics[7]} does not exist" in capsys.readouterr().err
    assert not list(Path().glob("*out*"))


@pytest.mark.parametrize(
    "foreign",
    [
        METRICS.drop_columns(["value"]),
        METRICS.append_column("more", METRICS["value"]),
        METRICS.set_column(5, "value", pa.array(["1", "2", "3"])),
        METRICS.rename_columns(["trial", "metric", "class", "cluster", "parameter", "value", "value"]),
        pa.table({}),
    ],
)
def test_other_columns_are_named(metrics: list[Path], capsys: pytest.CaptureFixture[str], foreign: pa.Table) -> None:
    pq.write_table(foreign, metrics[7])
    assert merged() == 1
    assert f"{metrics[7]} has other columns" in capsys.readouterr().err


@pytest.mark.parametrize("stored", [b"{", b"[1]", b"\xff", b'"x"', b"null"])
def test_the_metadata_of_another_program_is_no_provenance(metrics: list[Path], stored: bytes) -> None:
    pq.write_table(METRICS.replace_schema_metadata({PROVENANCE_KEY: stored}), metrics[7])
    status = merged()
    assert (status == 0) == (stored in (b"[1]", b'"x"', b"null"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_merged_or_named(
    metrics: list[Path], capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    whole = metrics[7].read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    metrics[7].write_bytes(damaged)
    try:
        assert merged() == 0 or str(metrics[7]) in capsys.readouterr().err
    finally:
        metrics[7].write_bytes(whole)
        capsys.readouterr()


@pytest.mark.parametrize("seed", ["x", "-1", "1.0", "", "../1"])
def test_a_seed_that_is_none_is_named(capsys: pytest.CaptureFixture[str], seed: str) -> None:
    arguments = ["--config", json.dumps(CONFIG), f"--out={seed}.parquet", "--cell", "conmix", "digits-ir10"]
    assert main(["job", "merge", *arguments, seed]) == 1
    assert "A training seed is" in capsys.readouterr().err


def test_the_merged_file_says_how_its_cells_were_made(metrics: list[Path], tmp_path: Path) -> None:
    measurements = load_study(CONFIG).measurements("digits", "table1")
    runs = list(dict.fromkeys(one.run for one in measurements if one.run.kind == "phases"))
    for number, run in enumerate(runs[1:]):  # the first has no record, the last a damaged one
        device, precision = ("a CPU (AVX2)", "float32") if number else ("GPU", "bfloat16")
        write_table(run.history, pa.table({"epoch": [1]}), device=device, precision=precision)
    Path(runs[-1].history).write_bytes(b"PAR1")
    assert merged() == 0
    facts = read_provenance("out.parquet")
    assert facts["trained"] == [
        {"device": "a CPU (AVX2)", "precision": "float32", "trainings": len(runs) - 3},
        {"device": "GPU", "precision": "bfloat16", "trainings": 1},
    ]
    assert facts["label"] == ""
    table = ["job", "table", "--paper", "digits", "--table", "table1", "--config", json.dumps(CONFIG)]
    assert main([*table, "--metrics", "out.parquet", "--out-dir", str(tmp_path / "out")]) == 0
    note = f"Trained on a CPU (AVX2) in float32 ({len(runs) - 3}), GPU in bfloat16 (1)."
    assert note in (tmp_path / "out" / "table1.md").read_text(encoding="utf-8")
    assert note in read_provenance(tmp_path / "out" / "table1.parquet")["notes"]
