"""The deep-clustering baselines from images to metrics, at toy length."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

METHODS = ["cc", "idfd", "dmicc", "scan"]


@pytest.mark.parametrize("protocol", ["official", "paper"])
def test_every_baseline_runs_through_to_metrics(workflow, protocol):
    view = "smoke" if protocol == "official" else "smoke-paper-protocol"
    targets = [f"results/{view}/cells/{method}/digits-h100-ir10/seed0.parquet" for method in METHODS]
    workflow.succeed(*targets, "--config", f"protocol={protocol}")
    for target in targets:
        metrics = pq.read_table(workflow.folder / target).to_pandas()
        overall = metrics[metrics["class"].isna() & metrics["cluster"].isna()].groupby("metric")["value"].mean()
        assert {"ACC", "CAA", "NMI", "ARI"} <= set(overall.index), target
        assert np.isfinite(overall).all(), target
        assert 100 / 10 - 1e-9 <= overall["ACC"] <= 100, target
