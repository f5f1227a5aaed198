"""The methods that cluster while they train, from images to metrics at toy length."""

from __future__ import annotations

import math

import pyarrow.parquet as pq

METHODS = ["propos", "conr", "conmix-propos", "secu", "lfss"]


def test_every_method_ends_in_metrics(workflow):
    cells = [f"results/smoke/cells/{method}/digits-h100-ir10/seed0.parquet" for method in METHODS]
    workflow.succeed(*cells)
    for method, cell in zip(METHODS, cells, strict=True):
        rows = pq.read_table(workflow.folder / cell).to_pylist()
        values = {row["metric"]: row["value"] for row in rows if row["class"] is None}
        assert {"ACC", "CAA", "NMI", "ARI"} <= set(values), method
        assert all(math.isfinite(value) and value <= 100 for value in values.values()), method
        assert values["ACC"] >= 10, method
