"""The two commands, from files to files, on the real catalogue."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from longtail.__main__ import main
from longtail.errors import LongtailError
from longtail.files import read_table, write_table
from longtail.reporting.command import as_merged, read_metrics
from longtail.study.study import load_study

from .makers import METRIC_COLUMNS

CONFIG = {"targets": ["conmix"], "budget": "smoke"}


def merged(paper: str, artefact: str, metrics: tuple[str, ...]) -> pa.Table:
    """One number per cell and metric, as merging leaves them."""
    lines = [
        {"trial": 0, "metric": metric, "class": None, "cluster": None, "parameter": None, "value": 12.34,
         "unit": "percent", **measurement.keys}
        for measurement in load_study(CONFIG).measurements(paper, artefact)
        for metric in metrics
    ]  # fmt: skip
    return pa.Table.from_pandas(pd.DataFrame(lines), preserve_index=False)


def test_table_writes_all_formats(tmp_path: Path) -> None:
    write_table(tmp_path / "metrics.parquet", merged("conmix", "table4", ("ACC", "CAA", "NMI", "ARI")))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    arguments = ["--config", f"@{tmp_path / 'config.json'}", "--metrics", str(tmp_path / "metrics.parquet")]
    assert (
        main(["job", "table", "--paper", "conmix", "--table", "table4", *arguments, "--out-dir", str(tmp_path / "out")])
        == 0
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"table4.{suffix}" for suffix in ("parquet", "csv", "md", "tex", "html")
    }
    frame = read_table(tmp_path / "out" / "table4.parquet").to_pandas()
    assert len(frame) == 28
    done = frame[frame["status"] == "computed"]
    assert set(done["row"]) >= {"SimCLR", "ConMix"}
    assert set(done["computed"]) == {12.34}
    assert all(label.startswith("budget smoke") for label in frame["label"])


def test_figure_writes_all_formats(tmp_path: Path) -> None:
    write_table(tmp_path / "metrics.parquet", merged("conmix", "figure2", ("ACC", "CAA", "NMI", "ARI")))
    arguments = ["--config", json.dumps(CONFIG), "--metrics", str(tmp_path / "metrics.parquet")]
    assert (
        main(["job", "figure", "--paper", "conmix", "--figure", "figure2", *arguments, "--out-dir", str(tmp_path)]) == 0
    )
    drawn = read_table(tmp_path / "figure2.parquet").to_pandas()
    assert sorted(set(drawn["series"])) == ["100", "200", "50", "500"]
    assert len(drawn) == 16
    assert (tmp_path / "figure2.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "figure2.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "figure2.svg").read_bytes().startswith(b"<svg")


@pytest.mark.parametrize(("kind", "artefact"), [("table", "table4"), ("figure", "figure2")])
@pytest.mark.parametrize("metrics", ["full", "none"])
def test_metrics_of_another_budget_do_not_pass_for_the_papers_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, artefact: str, metrics: str
) -> None:
    table = merged("conmix", artefact, ("ACC", "CAA", "NMI", "ARI")) if metrics == "full" else pa.table({})
    plan = getattr(load_study(CONFIG), kind)("conmix", artefact)
    write_table(tmp_path / "metrics.parquet", table, label=plan.label)
    arguments = [
        "job",
        kind,
        "--paper",
        "conmix",
        f"--{kind}",
        artefact,
        "--metrics",
        str(tmp_path / "metrics.parquet"),
    ]
    out = tmp_path / "out"
    as_printed = json.dumps({"targets": ["conmix"]})
    assert main([*arguments, "--config", as_printed, "--out-dir", str(out)]) == 1
    assert f"made with another configuration than the one given: {plan.label}" in capsys.readouterr().err
    assert not out.exists()
    assert main([*arguments, "--config", json.dumps(CONFIG), "--out-dir", str(out)]) == 0


def test_a_merge_of_nothing_is_an_empty_table(tmp_path: Path) -> None:
    write_table(tmp_path / "metrics.parquet", pa.table({}))
    config = json.dumps({**CONFIG, "methods": ["moco"]})
    arguments = ["--config", config, "--metrics", str(tmp_path / "metrics.parquet"), "--out-dir", str(tmp_path)]
    assert main(["job", "table", "--paper", "conmix", "--table", "table3", *arguments]) == 0
    assert set(read_table(tmp_path / "table3.parquet")["status"].to_pylist()) == {"missing"}


def test_unusable_input_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(tmp_path / "metrics.parquet", pa.table({"trial": [0]}))
    with pytest.raises(LongtailError, match=r"metrics\.parquet lacks the column 'metric'"):
        read_metrics(str(tmp_path / "metrics.parquet"), METRIC_COLUMNS)
    arguments = [
        "--config",
        json.dumps(CONFIG),
        "--metrics",
        str(tmp_path / "gone.parquet"),
        "--out-dir",
        str(tmp_path),
    ]
    assert main(["job", "table", "--paper", "conmix", "--table", "table3", *arguments]) == 1
    assert "gone.parquet does not exist" in capsys.readouterr().err
    for config in ("{", "@none.json"):
        assert (
            main(["job", "merge", "--config", config, "--artefact", "conmix", "table3", "--out", "none.parquet"]) == 1
        )
        assert "error: --config" in capsys.readouterr().err
    assert main(["job", "table", "--paper", "conmix", "--table", "table33", *arguments]) == 1
    assert "Did you mean 'table3'?" in capsys.readouterr().err


def test_reporting_never_imports_torch() -> None:
    code = "import sys, longtail.reporting.table, longtail.reporting.figures.figure; sys.exit('torch' in sys.modules)"
    package = Path(__file__).parents[2] / "workflow"
    assert subprocess.run([sys.executable, "-c", code], cwd=package, check=False).returncode == 0


def test_times_of_different_devices_are_not_compared_in_silence(tmp_path: Path) -> None:
    plan = load_study({"targets": ["rescom"]}).table("rescom", "table1")
    each = {"device": "GPU A", "precision": "float32", "networks": 3}
    write_table(tmp_path / "one.parquet", pa.table({}), timed=[each])
    write_table(tmp_path / "two.parquet", pa.table({}), timed=[each, {**each, "device": "a CPU", "networks": 1}])
    assert as_merged(plan, str(tmp_path / "one.parquet")).footnotes[-1] == "Networks timed on GPU A in float32 (3)."
    assert as_merged(plan, str(tmp_path / "two.parquet")).footnotes[-1] == (
        "Networks timed on GPU A in float32 (3), a CPU in float32 (1). "
        "Times on different devices do not compare, nor do increases over them."
    )
