"""The theorems' checks from splits to tables and figures, on the embeddings that need no training."""

from __future__ import annotations

import pandas as pd
import pytest

CONTROLS = "methods=[equal-similarities,random-labels]"


@pytest.fixture
def checked(workflow):
    workflow.succeed("theory", "--config", CONTROLS, "seeds=[0]")
    return workflow


def values(workflow, table: str) -> pd.DataFrame:
    frame = pd.read_parquet(workflow.folder / f"results/smoke/tables/theory/{table}.parquet")
    untrained = frame["row"].isin(["Equal similarities", "Random vectors"])
    assert set(frame[untrained]["status"]) == {"computed"}
    assert set(frame[~untrained]["reason"]) == {"method not selected (config: methods)"}
    return frame[untrained].pivot_table(index=["row", "group"], columns="metric", values="computed")


def test_the_theorems_hold_under_their_assumptions_and_are_called_checks(checked):
    gaps = values(checked, "conmix")
    assumed = gaps.loc["Equal similarities"]
    assert (assumed["h_gap_holds"] == 100).all()
    assert (assumed["h_cl_gap"] > 0.9 * assumed["h_cl_gap_stated"]).all()
    assert (assumed["h_cl_gap"] > assumed["h_cm_gap"]).all()
    assert (gaps.loc["Random vectors"]["h_gap_pairs"] < 90).all()

    bound = values(checked, "miniclustering")
    assert (bound["bound_violations"] == 0).all()
    assert (bound["pairs_covered"] <= bound["pairs_ordered"]).all()
    assert bound.loc[("Equal similarities", "IR=50"), "pairs_covered"] > 0

    folder = checked.folder / "results/smoke"
    pairs = pd.read_parquet(folder / "tables/theory/rescom.parquet").pivot(
        index="group", columns="metric", values="computed"
    )
    assert len(pairs) == 4
    assert (pairs["pair_imbalance"] / pairs["pair_imbalance_stated"]).between(0.9, 1.15).all()

    stated = {"conmix": "Theorem 1", "miniclustering": "Theorem 1", "rescom": "Proposition (Sec. 3.1)"}
    for name, place in stated.items():
        for form in ("md", "tex", "html"):
            text = " ".join((folder / f"tables/theory/{name}.{form}").read_text().split())
            assert "check of a theorem, not a reproduction" in text
            assert place in text
            assert "computed" in text
        for form in ("pdf", "png"):
            assert (folder / f"figures/theory/{name}figure.{form}").stat().st_size > 0
        drawn = pd.read_parquet(folder / f"figures/theory/{name}figure.parquet")
        assert set(drawn["label_of_run"].str.startswith("check of a theorem")) == {True}
