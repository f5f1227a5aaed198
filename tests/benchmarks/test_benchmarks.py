"""Every benchmark runs through at a tiny size and fills its tables; how long anything takes is not asserted."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from longtail.files import read_provenance

ROOT = Path(__file__).parents[2]
MACHINE = {"cpu", "cores", "usable_cores", "threads", "memory_gb", "gpu", "python", "torch", "revision"}
DIFFERENCES = {"waiting_ms", "added_mb", "build_seconds", "build_cpu_seconds", "build_ms_per_cell", "kb_per_cell"}
OF_TWO_RUNS = {"seconds", "cpu_seconds", "ms_per_job", "cpu_ms_per_job"}  # what a whole run takes beyond a dry one
ABSENT = {"growth", "build_growth", "augmentation_ms"}  # before a first size there is none to have grown from


def run(name: str, out: Path, *arguments: str) -> dict[str, list[dict]]:
    """The tables of a benchmark, after looking at what is the same for all."""
    ended = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--repeats", "1", "--out", str(out), *arguments],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    found = json.loads((out / f"{name}.json").read_text())
    assert set(found["machine"]) >= MACHINE
    assert found["settings"]["repeats"] == 1
    for title, rows in found["tables"].items():
        assert f"## {title}\n" in ended.stdout
        path = out / f"{name}-{title}.parquet"
        assert pq.read_table(path).to_pylist() == rows
        assert read_provenance(path)["machine"] == found["machine"]
        for row in rows:
            assert list(row) == list(rows[0])
            apart = OF_TWO_RUNS if title == "run" else set()  # on a busy machine any difference may be negative
            assert [key for key, value in row.items() if not plausible(key, value, apart)] == []
            assert all(key in ended.stdout for key in row)
    return found["tables"]


def plausible(column: str, value: object, differences: set[str]) -> bool:
    if isinstance(value, str) or value is None:
        return value != "" and (value is not None or column in ABSENT)
    return math.isfinite(value) and (value > 0 or column in DIFFERENCES | ABSENT | differences)


def test_train(tmp_path: Path) -> None:
    sizes = ["--backbone", "resnet_small", "--image-size", "8", "--batch", "8", "--workers", "1", "--threads", "1"]
    tables = run("train", tmp_path, *sizes, "--methods", "conmix", "--vendor-tflops", "1")
    stacks = {row["stack"]: row for row in tables["stacks"]}
    assert list(stacks) == ["ours", "ceiling", "usual", "tensors"]
    assert {row["objective"] for row in stacks.values()} == {"conmix"}
    assert stacks["ceiling"]["of_ceiling"] == 1
    # At least one 3x3 convolution of 64 channels at one pixel, for 8 images in 2 views, forward and twice backward.
    assert 8 * 2 * 3 * 2 * 9 * 64 * 64 < stacks["ours"]["update_tflop"] * 1e12 < 1e12


def test_decode(tmp_path: Path) -> None:
    rows = run("decode", tmp_path, "--images", "48", "--batch", "16", "--width", "60", "--height", "40")["decoding"]
    assert len(rows) == 3
    assert rows[0]["worker_time_to_ours"] == 1


def test_share(tmp_path: Path) -> None:
    sizes = ["--backbone", "resnet_small", "--image-size", "8", "--batch", "8", "--steps", "2", "--seconds", "0.5"]
    rows = run("share", tmp_path, *sizes, "--trainings", "2")["sharing"]
    assert [row["trainings"] for row in rows] == [1, 2]
    assert rows[0]["of_one_alone"] == 1


def test_cluster(tmp_path: Path) -> None:
    sizes = ["--rows", "120", "--dimensions", "4", "--clusters", "3", "--trials", "2", "--inits", "2", "--threads", "1"]
    rows = run("cluster", tmp_path, *sizes, "--embeddings", "tight", "--growth", "--repeats", "1")["clusterers"]
    cases = [(row["clusterer"], row["implementation"]) for row in rows]
    assert cases == [(name, who) for name in ("kmeans", "gmm-k", "agglomerative") for who in ("ours", "scikit-learn")]
    assert len({round(row["cosine_inertia"], 3) for row in rows}) == 1, "all find three tight classes"


def test_dag(tmp_path: Path) -> None:
    tables = run("dag", tmp_path, "--target", "digits_figure2", "--cells", "3", "6", "--run-cells", "3")
    assert [(row["cells"], row["seeds"]) for row in tables["plan"]] == [(3, 1), (6, 2)]
    assert tables["plan"][0]["jobs"] == tables["run"][0]["jobs"] < tables["run"][0]["files"]


def test_merge(tmp_path: Path) -> None:
    rows = run("merge", tmp_path, "--cells", "18", "36", "--repeats", "1")["merge"]
    assert [(row["cells"], row["files"]) for row in rows] == [(18, 18), (36, 36)]
    assert rows[0]["merged_mb"] < rows[1]["merged_mb"]
