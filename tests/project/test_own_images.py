"""What docs/own-images.md tells people to write works as it is written: its files and commands, on real photographs."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_sample_images

from longtail.study import layout
from longtail.study.study import load_study

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/own-images.md").read_text()
BLOCKS = {name: text for name, text in re.findall(r"^```yaml\n# ([^\n]+)\n(.*?)^```", PAGE, re.M | re.S)}
FILES = ("mine/datasets/flowers.yaml", "mine/papers/flowers.yaml", "mine/config.yaml")
COMMANDS = re.findall(r"^snakemake (.+)$", PAGE, re.M)
SIZES = {"daisy": 60, "iris": 100, "poppy": 25, "rose": 40, "tulip": 15}
"""The photographs that the page speaks of."""


def photographs() -> Iterator[tuple[str, Image.Image]]:
    """Pieces of the two photographs that ship with scikit-learn, no two of one size, and their classes."""
    draws, scenes = np.random.default_rng(0), load_sample_images().images
    for name, count in SIZES.items():
        for number in range(count):
            scene = scenes[number % len(scenes)]
            height, width = (int(side) for side in draws.integers(70, 160, 2))
            top, left = (int(draws.integers(free)) for free in (scene.shape[0] - height, scene.shape[1] - width))
            yield name, Image.fromarray(scene[top : top + height, left : left + width])


def in_folders(root: Path) -> None:
    """A folder of JPEG and PNG files for each class."""
    for number, (name, photograph) in enumerate(photographs()):
        (root / name).mkdir(parents=True, exist_ok=True)
        photograph.save(root / name / f"{number:04}.{'png' if number % 4 == 0 else 'jpg'}")


def in_parquet(path: Path) -> None:
    """The same as encoded bytes, and whole numbers for the classes."""
    rows = []
    for name, photograph in photographs():
        content = io.BytesIO()
        photograph.save(content, "JPEG")
        rows.append({"image": {"bytes": content.getvalue(), "path": None}, "label": list(SIZES).index(name)})
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout in which somebody has written what the page says."""
    for name in ("Snakefile", "config.yaml", "envs", "profiles", "slurm", "workflow"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(BLOCKS[name])
    (tmp_path / "data").mkdir()
    return tmp_path


def snakemake(folder: Path, command: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *shlex.split(command), *more],
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


def succeed(folder: Path, command: str, *more: str) -> str:
    ended = snakemake(folder, command, *more)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
    return ended.stdout + ended.stderr


def changed(folder: Path, **images: Any) -> None:
    """Change what the page says of the images."""
    document = yaml.safe_load(BLOCKS[FILES[0]])
    document["images"] |= images
    (folder / FILES[0]).write_text(yaml.safe_dump(document))


def require_table(folder: Path, rows: list[str]) -> None:
    """The table has a value of each metric for each method on the images as they are, and names what it rests on."""
    frame = pd.read_parquet(folder / "results/smoke/tables/flowers/table1.parquet")
    frame = frame[frame["dataset"] == "Flowers"].set_index(["row", "metric"])
    assert set(frame.index) == {(row, metric) for row in rows for metric in ("accuracy", "many", "medium", "few")}
    assert set(frame["status"]) == {"computed"}
    assert frame["computed"].between(0, 100).all()
    groups = frame["computed"].unstack()
    np.testing.assert_allclose(
        groups["accuracy"], (2 * groups["many"] + groups["medium"] + 2 * groups["few"]) / 5, rtol=1e-9
    )


def test_the_walk_ends_in_a_table_a_figure_and_a_report(folder: Path) -> None:
    in_folders(folder / "data/flowers")
    dry, look, earnest, report = COMMANDS
    assert "error" not in succeed(folder, dry)
    succeed(folder, look)
    require_table(folder, ["CE", "Balanced Softmax", "LDAM-DRW", "cRT"])
    page = (folder / "results/smoke/tables/flowers/table1.md").read_text()
    assert "Flowers images: imagefolder." in page
    assert "Flowers: batch_size = 32, in place of the methods' own." in page.replace("\\_", "_")
    drawn = pd.read_parquet(folder / "results/smoke/figures/flowers/figure1.parquet")
    assert set(drawn["series"]) == {"CE", "LDAM-DRW"}
    assert (folder / "results/smoke/figures/flowers/figure1.png").stat().st_size > 1000
    split = pd.read_parquet(folder / layout.split("flowers-ir18", "test"))
    assert split["label"].value_counts().tolist() == [10] * 5
    trained = pd.read_parquet(folder / layout.split("flowers-ir18", "train"))
    assert trained["label"].value_counts().sort_index().tolist() == [size - 10 for size in SIZES.values()]
    assert not set(split["source_row"]) & set(trained["source_row"])

    assert f"train {'':1}" in succeed(folder, earnest, "--dry-run")
    succeed(folder, report, "--config", *shlex.split(look.split("--config ")[1]))
    assert "figure1.png" in (folder / "flowers.html").read_text()


def test_parquet_files_are_read_as_well(folder: Path) -> None:
    in_parquet(folder / "data/flowers.parquet")
    changed(folder, **yaml.safe_load(BLOCKS["in place of the source above"]))
    cell = "results/smoke/cells/crt/flowers-lt-ir6/seed0.parquet"
    succeed(folder, f"{cell} --cores 2 --configfile mine/config.yaml --config budget=smoke")
    metrics = pd.read_parquet(folder / cell)
    assert metrics[metrics["metric"] == "training_size"]["value"].tolist() == [30, 19, 12, 7, 5]
