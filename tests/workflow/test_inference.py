"""Times of networks, which need neither images nor a training, from the command line to a table."""

from __future__ import annotations

import pandas as pd
import pytest

from longtail.files import read_provenance

CONFIG = ("--config", "budget=smoke", "seeds=[0]", "methods=[rescom,ride-2]")


def test_a_table_has_its_times_before_anything_is_trained_and_says_where_they_were_taken(workflow):
    workflow.succeed("rescom_table1", "--until", "infer_time", *CONFIG)
    assert not list(workflow.folder.glob("results/phases/*/*/seed0/checkpoint.pt"))
    assert not list(workflow.folder.glob("results/datasets/*"))
    files = list(workflow.folder.glob("results/phases/imagenet_lt-ir256/*/seed0/*/*/metrics/network/inference.parquet"))
    (device,) = {read_provenance(file)["device"] for file in files}
    workflow.succeed("rescom_table1", *CONFIG, "partial=true")
    folder = workflow.folder / "results/smoke-partial/tables/rescom"
    assert f"Networks timed on {device} in float32 (2)." in (folder / "table1.md").read_text(encoding="utf-8")
    frame = pd.read_parquet(folder / "table1.parquet").set_index(["row", "metric"])
    ours, ride = (frame.loc[row, "infer_ms"]["computed"] for row in ("ResCom", "RIDE(2 experts)"))
    assert min(ours, ride) > 0
    increase = frame.loc["RIDE(2 experts)", "infer_ms_increase"]
    assert increase["computed"] == pytest.approx(100 * (ride / ours - 1))
    assert (increase["status"], increase["published"]) == ("computed", 44)
    assert pd.isna(increase["tolerance"])
    assert set(frame.xs("accuracy", level="metric")["status"]) == {"missing"}

    pd.read_parquet(files[0]).to_parquet(files[0])  # which keeps no provenance
    output = workflow.fail("rescom_table1", *CONFIG, "partial=true")
    log = workflow.folder / "results/smoke-partial/logs/merge/rescom-table1.log"
    assert "does not say on what it was timed" in output + (log.read_text(encoding="utf-8") if log.exists() else "")
