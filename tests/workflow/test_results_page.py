"""The page of all results after real runs: what it says is what the files say, however the run has ended."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

import pandas as pd
import pytest

from longtail.files import read_provenance, read_table
from longtail.reporting import formats
from longtail.results_page.collect import Collector
from longtail.study.study import load_study

from .test_interruption import end_of, start_and_wait_for

SMOKE = {"targets": ["digits"], "budget": "smoke", "seeds": [0, 1]}


def block(page: Path):
    """The data of a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.S)
    return json.loads(found[1])


@pytest.fixture(scope="module")
def data(finished):
    """That of the page of the default study, which the run has written."""
    return block(finished.folder / "results/smoke/index.html")


def test_the_page_of_a_finished_study_is_complete(finished, data):
    assert [table["id"] for table in data["tables"]] == ["digits-table1", "digits-table2"]
    assert {cell["state"] for cell in data["cells"]} == {"done"}
    for counted in ("cells", "trainings"):
        assert data["study"][counted]["there"] == data["study"][counted]["wanted"] > 0
    assert data["study"]["running"] == 0
    for name, of in (("table1", 0), ("table2", 1)):
        rows = pd.read_parquet(finished.folder / f"results/smoke/tables/digits/{name}.parquet")
        shown = [at for at, table in enumerate(data["places"]["table"]) if table == of]
        for key in ("computed", "computed_std"):
            found = [data["places"][key][at] for at in shown]
            assert [value is None for value in found] == rows[key].isna().tolist()
            assert found == pytest.approx(rows[key].where(rows[key].notna(), None).tolist(), rel=1e-5)
    assert (finished.folder / "results/smoke/logs/page.log").read_text() == ""


def test_a_table_made_of_its_cells_is_the_one_that_was_merged(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    content = Collector(load_study(SMOKE), Path("results/smoke")).collect(None)
    for table in content.tables:
        stem = finished.folder / f"results/smoke/tables/digits/{table.plan.name}"
        pd.testing.assert_frame_equal(table.frame, pd.read_parquet(f"{stem}.parquet"))
        assert formats.markdown(table.document) == Path(f"{stem}.md").read_text("utf-8")
        assert [form for form, _ in table.downloads] == ["parquet", "csv", "md", "tex", "html"]
        for _, address in table.downloads:
            assert (finished.folder / "results/smoke" / address).exists()
    assert all(figure.svg or figure.png for figure in content.figures)


def test_every_training_has_its_curve_and_its_log(finished, data):
    trained = [cell for cell in data["cells"] if cell["settings"] is not None]
    assert trained
    for cell in trained:
        folder = finished.folder / cell["provenance"]["folder"]
        (curve,) = (data["curves"][number] for number in cell["curves"])
        history = read_table(folder / "history.parquet")
        assert curve["state"] == "done"
        assert curve["of"] == curve["epochs"][-1] >= history["epoch"][-1].as_py()
        assert curve["loss"][-1] == pytest.approx(history["loss"][-1].as_py(), rel=1e-3)
        assert cell["provenance"]["trained on"] == read_provenance(folder / "history.parquet")["device"]
        said = data["logs"][cell["log"]]
        assert (finished.folder / said["path"]).read_text().endswith(f"{said['tail']}\n")


def test_the_page_can_be_asked_for_and_is_the_same(finished, data, tmp_path):
    workflow = finished.copy(tmp_path)
    page = workflow.folder / "results/smoke/index.html"
    page.unlink()
    done = workflow.run("page")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("results/smoke/index.html")
    again = block(page)
    assert {**again, "study": {**again["study"], "written": data["study"]["written"]}} == data


def test_a_study_that_runs_and_one_that_was_stopped_have_a_page(longer):
    """While SDCLR trains, and after Ctrl-C: how far it is, and that it goes on."""
    longer.settings["LONGTAIL_PAGE"] = "on"
    page = longer.folder / "results/custom/index.html"
    process = start_and_wait_for(longer, "sdclr")
    done = longer.by_hand([sys.executable, "-m", "longtail", "page"])
    assert done.returncode == 0, done.stderr
    running = block(page)
    assert running["study"]["running"] == 1
    assert {cell["state"] for cell in running["cells"]} == {"running", "missing"}
    assert {running["strings"][cell["method"]] for cell in running["cells"] if cell["curves"]} == {"sdclr", "conmix"}
    for curve in running["curves"]:
        assert curve["state"] == "running"
        assert 1 <= curve["epochs"][-1] < curve["of"]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert "All results: results/custom/index.html" in end_of(process)
    stopped = block(page)
    assert stopped["study"]["running"] == 0
    assert {curve["state"] for curve in stopped["curves"]} == {"stopped"}
    (why,) = {cell["why"] for cell in stopped["cells"] if cell["curves"]}
    assert re.search(r"^train .*sdclr.* was interrupted; epoch \d+ is saved", why)
    assert not longer.leftovers()
