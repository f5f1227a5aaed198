"""What is collected for the page, cell by cell: from records that the checkout carries, and from files made by hand."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from longtail.discrepancies import points
from longtail.discrepancies.points import Point
from longtail.files import write_table
from longtail.records.record import read_all
from longtail.reporting import formats
from longtail.reporting.curves import of_record
from longtail.results_page.cells import ShownCell
from longtail.results_page.collect import Collector
from longtail.results_page.content import Content, ShownTable
from longtail.study import layout
from longtail.study.cells import Measurement
from longtail.study.jobs import Job, Jobs
from longtail.study.study import Study, load_study
from longtail.training.so_far import HistorySoFar
from tests.records.makers import SHIPPED

SEEDS = (0, 1)
METRICS = {"ACC": 61.0, "CAA": 52.0, "NMI": 43.0, "ARI": 34.0}


@pytest.fixture(scope="module")
def derived() -> list[Point]:
    """The points of the catalogue, which are the same for all tests."""
    return points.derive(study())


@pytest.fixture(autouse=True)
def once(derived: list[Point], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "derive", lambda of: derived)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def study(**config: Any) -> Study:
    return loaded(json.dumps({"targets": ["digits_table1"], "seeds": list(SEEDS), **config}))


@functools.cache
def loaded(config: str) -> Study:
    return load_study(json.loads(config))


def collector(**config: Any) -> Collector:
    of = study(**config)
    return Collector(of, Path(layout.page(of.config.view)).parent)


def collect(since: float | None = None, **config: Any) -> Content:
    return collector(**config).collect(since)


def measured(of: Study, method: str, seed: int) -> Measurement:
    (found,) = [
        each
        for each in of.measurements("digits", "table1")
        if (each.keys["method"], each.keys["seed"]) == (method, seed)
    ]
    return found


def metrics(measurement: Measurement, values: Mapping[str, float] = METRICS) -> None:
    """Let a cell be measured."""
    lines = [
        {"trial": trial, "metric": name, "value": value + trial, "unit": "percent"}
        for name, value in values.items()
        for trial in (0, 1)
    ]  # fmt: skip
    types = {"trial": pa.int64(), "metric": pa.string(), "class": pa.int64(), "cluster": pa.int64()}
    types |= {"parameter": pa.string(), "value": pa.float64(), "unit": pa.string()}
    write_table(measurement.path, pa.Table.from_pylist(lines, schema=pa.schema(list(types.items()))))


def history(path: str, epochs: range, **facts: Any) -> None:
    losses = [1 / epoch for epoch in epochs]
    write_table(path, pa.table({"epoch": list(epochs), "loss": losses}), **facts)


def lineage(of: Study, measurement: Measurement) -> list[Job]:
    return list(Jobs(of).lineage(measurement.run))


def log(job: Job, text: str) -> None:
    Path(job.log).parent.mkdir(parents=True, exist_ok=True)
    Path(job.log).write_text(text, encoding="utf-8")


def cell(content: Content, method: str, seed: int) -> ShownCell:
    (found,) = [each for each in content.cells if each.method == method and each.seed == seed]
    return found


def table(content: Content, name: str = "digits-table1") -> ShownTable:
    (found,) = [each for each in content.tables if each.id == name]
    return found


def test_nothing_there_is_a_page_of_what_was_asked_for() -> None:
    content = collect()
    assert [each.id for each in content.tables] == ["digits-table1"]
    assert {each.state for each in content.cells} == {"missing"}
    assert (content.summary.cells.there, content.summary.cells.wanted) == (0, len(content.cells))
    assert content.summary.trainings.there == 0
    assert content.curves == content.logs == content.notices == ()
    assert "partial: 0 of 18 cells" in table(content).document.label


def test_a_finished_cell_shows_in_its_table_with_all_that_is_known_of_it() -> None:
    of = study()
    simclr = measured(of, "simclr", 0)
    (first, last) = lineage(of, simclr)
    metrics(simclr)
    history(first.run.history, range(1, 11), device="some CPU", precision="float32")
    history(last.run.history, range(11, 51), device="some CPU", precision="float32", seconds=12.5)
    log(last, "Training simclr up to epoch 50 on some CPU.\n" + "".join(f"line {n}\n" for n in range(100)))
    content = collect()
    found = cell(content, "simclr", 0)
    assert (found.state, found.why, found.title, found.dataset, found.ratio) == ("done", "", "SimCLR", "digits", 10)
    assert found.provenance["trained on"] == "some CPU"
    assert found.provenance["training took, s"] == 12.5
    assert found.provenance["metrics"] == simclr.path
    assert "pyarrow" in str(found.provenance["measured with"])
    assert content.logs[found.log].path == last.log
    assert content.logs[found.log].tail.splitlines() == [f"line {n}" for n in range(60, 100)]
    (curve,) = (content.curves[number] for number in found.curves)
    np.testing.assert_array_equal(curve.epochs, np.arange(1, 51))
    assert (curve.state, curve.of, curve.seed, curve.borders) == ("done", 50, 0, ())
    frame = table(content).frame
    row = frame[(frame["row"] == "SimCLR") & (frame["metric"] == "ACC")].iloc[0]
    assert (row["computed"], row["seeds"], row["reason"]) == (61.5, 1, "1 of 2 training seeds")
    assert "partial: 1 of 18 cells" in table(content).document.label
    assert "Trained on some CPU in float32 (1)." in " ".join(table(content).document.grid.notes)
    assert content.summary.cells.there == 1
    assert content.summary.trainings.there == 2
    other = cell(content, "simclr", 1)
    assert (other.state, other.settings) == ("missing", found.settings)
    assert len({each.settings for each in content.cells if each.settings is not None}) == 6


def test_the_places_of_a_table_know_their_cells_seed_by_seed() -> None:
    content = collect()
    shown = table(content)
    for entry, cells in zip(shown.plan.entries, shown.cells, strict=True):
        found = [content.cells[number] for number in cells]
        assert [each.seed for each in found] == list(SEEDS)
        assert {each.method for each in found} == {entry.cell["method"]}


def test_a_training_that_runs_shows_how_far_it_is() -> None:
    of = study()
    simclr = measured(of, "simclr", 0)
    first, last = lineage(of, simclr)
    for path in first.outputs:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    history(first.run.history, range(1, 11))
    log(last, "Training simclr up to epoch 50 on some CPU.\n")
    HistorySoFar(Path(last.run.state)).tell([{"epoch": epoch, "loss": 0.5} for epoch in range(11, 31)])
    assert Path(last.run.history_so_far).exists()
    begun = Path(last.log).stat().st_mtime
    content = collect(since=begun)
    found = cell(content, "simclr", 0)
    assert (found.state, content.logs[found.log].path) == ("running", last.log)
    assert content.summary.running == 1
    (curve,) = (content.curves[number] for number in found.curves)
    np.testing.assert_array_equal(curve.epochs, np.arange(1, 31))
    assert (curve.state, curve.of) == ("running", 50)
    # With no workflow at work, or one that began later, it is one that was killed.
    for since in (None, begun + 1):
        content = collect(since)
        found = cell(content, "simclr", 0)
        assert found.state == "missing"
        assert found.why.startswith(f"{last.name} was interrupted")
        assert content.curves[found.curves[0]].state == "stopped"
        assert content.summary.running == 0


def test_a_training_that_failed_says_what_it_said() -> None:
    of = study()
    first, _ = lineage(of, measured(of, "simclr", 0))
    log(first, "Training simclr up to epoch 10 on some CPU.\nerror: no room\n")
    found = cell(content := collect(), "simclr", 0)
    assert (found.state, found.why) == ("failed", "error: no room")
    assert content.logs[found.log].tail.endswith("error: no room")


def test_a_damaged_file_takes_nothing_else_down() -> None:
    of = study()
    for method in ("simclr", "moco"):
        for seed in SEEDS:
            metrics(measured(of, method, seed))
    damaged = measured(of, "simclr", 1).path
    whole = Path(damaged).read_bytes()
    Path(damaged).write_bytes(whole[: len(whole) // 2])
    (*_, last) = lineage(of, measured(of, "moco", 0))
    Path(last.run.history).parent.mkdir(parents=True, exist_ok=True)
    Path(last.run.history).write_bytes(b"no Parquet")
    ours = collector()
    content = ours.collect(None)
    found = cell(content, "simclr", 1)
    assert found.state == "damaged"
    assert damaged in found.why
    assert "run the workflow again" in found.why
    seeds = table(content).frame.groupby("row")["seeds"].max()
    assert (seeds["SimCLR"], seeds["MoCo"]) == (1, 2)
    assert cell(content, "moco", 0).state == "done"
    assert last.run.history in cell(content, "moco", 0).why
    Path(damaged).write_bytes(whole)
    again = ours.collect(None)  # by one who remembers what the others held
    assert cell(again, "simclr", 1).state == "done"
    assert table(again).frame["seeds"].max() == 2


def test_metrics_of_another_shape_leave_the_table_to_the_records() -> None:
    of = study()
    metrics(measured(of, "simclr", 0))
    write_table(measured(of, "moco", 0).path, pa.table({"value": [1.0]}))
    content = collect()
    assert (table(content).frame["status"] == "missing").all()
    (notice,) = content.notices
    assert "digits table1" in notice
    assert measured(of, "moco", 0).path in notice


def test_what_changes_is_read_again_and_nothing_else() -> None:
    of = study()
    ours = collector()
    for seed in SEEDS:
        metrics(measured(of, "simclr", seed))
    first = ours.collect(None)
    assert table(ours.collect(None)).frame is table(first).frame
    metrics(measured(of, "moco", 0))
    second = ours.collect(None)
    assert table(second).frame is not table(first).frame
    assert cell(second, "moco", 0).state == "done"


def test_records_stand_beside_print_and_have_curves() -> None:
    shutil.copytree(SHIPPED / "cells", "results/records/cells")
    content = collect()
    papers = [each.paper for each in content.tables]
    assert papers[0] == "digits"
    assert {"iccl", "gloco", "rescom"} <= set(papers)
    for shown in content.tables[1:]:
        assert shown.frame["recorded"].notna().any(), shown.id
    recorded = [each for each in content.cells if each.state == "recorded"]
    assert {each.method for each in recorded} >= {"simclr", "ce"}
    for each in recorded:
        assert each.curves
        assert each.provenance["source of the data"]
        assert each.provenance["trained on"]
        assert each.points or each.dataset.startswith("digits")
    records = {(one.cut, one.kin, one.seed): one for one in read_all("results/records")}
    curve = next(each for each in content.curves if each.state == "recorded")
    whole = of_record(records[(*curve.key.split("/"), curve.seed)])
    assert set(zip(curve.epochs, curve.losses, strict=True)) <= set(zip(whole.epochs, whole.losses, strict=True))


def test_a_damaged_record_is_named_and_left_out() -> None:
    shutil.copytree(SHIPPED / "cells", "results/records/cells")
    whole = collect()
    (path, *_) = sorted(Path("results/records/cells").glob("digits-ir10/*.parquet"))
    path.write_bytes(path.read_bytes()[:100])
    content = collect()
    (notice,) = content.notices
    assert str(path) in notice
    states = [sum(each.state == "recorded" for each in of.cells) for of in (content, whole)]
    assert 0 < states[0] < states[1]


def test_figures_are_shown_as_they_were_drawn_last() -> None:
    targets = ["digits_figure1", "digits_figure2"]
    content = collect(targets=targets)
    for each in content.figures:
        assert each.missing.startswith("Not drawn yet: 0 of ")
    svg = Path(layout.figure("", "digits", "figure1")[0]).with_suffix(".svg")
    svg.parent.mkdir(parents=True)
    svg.write_text("<svg></svg>")
    svg.with_name("figure2.png").write_bytes(b"pixels")
    first, second = collect(targets=targets).figures
    assert (first.svg, first.png, first.missing) == ("<svg></svg>", None, "")
    assert (second.svg, second.png, second.missing) == (None, b"pixels", "")


def test_what_nobody_asked_for_is_shown_where_something_of_it_is_there() -> None:
    other = layout.table("", "conmix", "table2")[2]
    Path(other).parent.mkdir(parents=True)
    Path(other).touch()
    content = collect()
    assert [each.id for each in content.tables] == ["digits-table1", "conmix-table2"]
    assert table(content, "conmix-table2").downloads == (("md", "tables/conmix/table2.md"),)


def test_views_have_pages_of_their_own_that_know_each_other() -> None:
    assert (content := collect()).others == {}
    assert content.title == "Results"
    for view in ("", "smoke"):
        Path(layout.page(view)).parent.mkdir(parents=True, exist_ok=True)
        Path(layout.page(view)).touch()
    assert collect().others == {"smoke": "smoke/index.html"}
    smoke = collect(budget="smoke")
    assert smoke.others == {"": "../index.html"}
    assert smoke.title == "Results: smoke"
    assert "budget smoke" in smoke.summary.label
    assert pd.isna(table(smoke).frame["computed"]).all()
    assert formats.markdown(table(smoke).document)
