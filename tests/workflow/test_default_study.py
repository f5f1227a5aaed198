"""The default study from end to end, at toy length."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from longtail.files import read_provenance
from longtail.study.counting import works
from longtail.study.jobs import Jobs
from longtail.study.study import load_study


def table(workflow, name: str = "table1") -> pd.DataFrame:
    return pd.read_parquet(workflow.folder / f"results/smoke/tables/digits/{name}.parquet")


def test_every_format_of_every_artefact_is_there(finished):
    folder = finished.folder / "results/smoke"
    assert {path.name for path in (folder / "tables/digits").iterdir()} == {
        f"table{n}.{form}" for n in (1, 2) for form in ("parquet", "csv", "md", "tex", "html")
    }
    figures = {path.name for path in (folder / "figures/digits").iterdir()}
    assert figures == {f"figure{n}.{form}" for n in (1, 2, 3, 4) for form in ("parquet", "pdf", "svg", "png")}


def test_the_table_is_complete_and_says_that_it_is_toy_length(finished):
    rows = table(finished)
    assert set(rows["status"]) == {"computed"}
    assert rows["published"].isna().all()
    assert set(rows["seeds"]) == {2}
    for form in ("csv", "md", "tex", "html"):
        text = (finished.folder / f"results/smoke/tables/digits/table1.{form}").read_text()
        assert "budget smoke" in text, form


def test_the_table_of_recognition_is_complete_and_shows_shot_groups(finished):
    rows = table(finished, "table2")
    assert set(rows["status"]) == {"computed"}
    assert set(rows["seeds"]) == {2}
    assert rows["computed"].between(0, 100).all()
    wide = rows.pivot(index=["row", "ratio"], columns="metric", values="computed")
    groups = (3 * wide["many"] + 4 * wide["medium"] + 3 * wide["few"]) / 10  # fifty test images of each class
    assert (wide["accuracy"] - groups).abs().max() < 1e-9


def test_controls_hit_their_bounds(finished):
    rows = table(finished).set_index(["row", "metric"])["computed"]
    for metric in ("ACC", "CAA", "NMI", "ARI"):
        assert (rows["True labels", metric] == 100).all()
    assert (rows["Random labels", "NMI"] < 15).all()
    assert (rows["Random labels", "ACC"] < 40).all()


def test_provenance_reaches_the_table(finished):
    facts = read_provenance(finished.folder / "results/smoke/tables/digits/table1.parquet")
    assert {"revision", "versions", "created"} <= set(facts)
    (history,) = finished.files("phases/digits-h100-ir10/simclr-1-*/seed0/history.parquet") or finished.files(
        "phases/digits-h100-ir10/simclr-2-*/seed0/history.parquet"
    )
    assert {"identity", "device"} <= set(read_provenance(history))


def test_nothing_half_written_remains(finished):
    assert not [path for path in finished.files() if ".tmp" in path.name]
    assert not finished.files("state/**/*")


def test_shared_phases_were_trained_once(finished):
    phases = {path.parts[-3:-1] for path in finished.files("phases/digits-h100-ir10/*/seed*/checkpoint.pt")}
    objectives = sorted(name.rsplit("-", 2)[0] for name, seed in phases if seed == "seed0")
    # SimCLR and SDCLR are cut where another recipe leaves them; BYOL serves its own row and MiniClustering
    assert objectives.count("byol") == 1
    assert objectives.count("miniclustering") == 1
    assert objectives.count("conmix") == 1


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.succeed("--dry-run")


def test_how_figures_are_drawn_redoes_nothing_but_figures(finished):
    said = finished.succeed("--summary", "--config", "figures={titles: false}")
    pending = re.findall(r"^(\S+)\t.*\tupdate pending$", said, re.MULTILINE)
    assert {Path(path).stem for path in pending} == {f"figure{n}" for n in (1, 2, 3, 4)}
    assert {Path(path).parent.as_posix() for path in pending} == {"results/smoke/figures/digits"}


def test_nothing_is_left_to_plan(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    total = works(Jobs(load_study({"targets": ["digits"], "budget": "smoke", "seeds": [0, 1]})))[-1]
    assert total.left == ()
    assert set(total.coverage) == {"whole"}


def test_the_report_holds_tables_and_figures(finished):
    finished.succeed("--report", "report.html")
    report = (finished.folder / "report.html").read_text()
    assert "table1.html" in report
    assert "figure1.png" in report


def test_the_same_seed_gives_the_same_metrics(finished, workflow):
    target = "results/smoke/cells/conmix/digits-h100-ir10/seed0.parquet"
    workflow.succeed(target, "--notemp")
    metrics = sorted((workflow.folder / "results/phases").glob("*/*/seed0/projection/train/metrics/*/*.parquet"))
    assert metrics
    for path in metrics:
        again = pq.read_table(path)
        first = pq.read_table(finished.folder / path.relative_to(workflow.folder))
        assert again.equals(first)
