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

from longtail.__main__ import main
from longtail.errors import LongtailError
from longtail.preflight import look_ahead
from longtail.study import layout
from longtail.study.catalog import load
from longtail.study.jobs import Jobs, behind
from longtail.study.study import Study, load_study
from longtail.training.build import build
from longtail.training.specification import parse

from ..photographs import shared_data

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/own-images.md").read_text()
BLOCKS = dict(re.findall(r"^```yaml\n# ([^\n]+)\n(.*?)^```", PAGE, re.M | re.S))
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


def written(folder: Path) -> Path:
    """A checkout in which somebody has written what the page says."""
    for name in ("Snakefile", "config.yaml", "envs", "profiles", "slurm", "workflow"):
        (folder / name).symlink_to(ROOT / name)
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(BLOCKS[name])
    (folder / "data").mkdir()
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


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


def study(folder: Path, monkeypatch: pytest.MonkeyPatch, **config: Any) -> Study:
    """What the page's files make of the catalogue."""
    monkeypatch.chdir(folder)
    load.cache_clear()  # which has a folder's files as they were at first
    return load_study({**yaml.safe_load(BLOCKS[FILES[2]]), **config})


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


def described(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str) -> str:
    """What the command prints."""
    monkeypatch.chdir(folder)
    capsys.readouterr()
    assert main(shlex.split(command)) == 0
    return capsys.readouterr().out


def test_the_walk_ends_in_a_table_a_figure_and_a_report(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_folders(folder / "data/flowers")
    (describe,) = re.findall(r"^python -m longtail (describe .+) > (.+)$", PAGE, re.M)
    (folder / describe[1]).unlink()
    (folder / describe[1]).write_text(described(folder, monkeypatch, capsys, describe[0]))
    assert (folder / describe[1]).read_text() == BLOCKS[FILES[0]]
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

    assert "36 train" in succeed(folder, earnest, "--dry-run")
    succeed(folder, report, "--config", *shlex.split(look.split("--config ")[1]))
    assert "figure1.png" in (folder / "flowers.html").read_text()


def test_other_methods_train_on_parquet_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_parquet(folder / "data/flowers.parquet")
    changed(folder, **yaml.safe_load(BLOCKS["in place of the source above"]))
    described_so = described(folder, monkeypatch, capsys, "describe data/flowers.parquet --held-out 10 --ratio 6")
    assert yaml.safe_load(described_so) == yaml.safe_load((folder / FILES[0]).read_text())
    cells = [f"results/smoke/cells/{method}/flowers-lt-ir6/seed0.parquet" for method in ("rescom", "ride")]
    succeed(folder, f"{' '.join(cells)} --cores 2 --configfile mine/config.yaml --config budget=smoke")
    for cell in cells:
        metrics = pd.read_parquet(folder / cell)
        assert metrics[metrics["metric"] == "training_size"]["value"].tolist() == [35, 22, 14, 9, 5]
        assert metrics[metrics["metric"] == "accuracy"]["value"].between(0, 100).all()


def test_published_images_are_somebodys_own_as_well(folder: Path) -> None:
    published = shared_data() / "tiny_imagenet/train_lt10.parquet"
    if not published.is_file():
        pytest.skip("no real data: set LONGTAIL_SHARED_DATA to a folder with tiny_imagenet/train_lt10.parquet")
    chosen = [0, 50, 100, 150, 199]
    images = pq.read_table(published, columns=["image", "label"], filters=[("label", "in", chosen)])
    labels = np.searchsorted(chosen, images["label"].to_numpy())
    sizes = np.bincount(labels)
    table = pa.table({"image": images["image"], "label": labels})
    pq.write_table(table, folder / "data/mine.parquet")
    source = {"kind": "parquet", "files": {"train": "mine.parquet"}}
    changed(folder, source=source, parts={"train": len(labels)})
    ratio = round((sizes.max() - 10) / (sizes.min() - 10))
    cell = f"results/custom/cells/balanced-softmax/flowers-ir{ratio}/seed0.parquet"
    budget = "'budget={epochs: 0.001, backbone: resnet_small}'"
    succeed(folder, f"{cell} --cores 2 --configfile mine/config.yaml --config {budget}")
    metrics = pd.read_parquet(folder / cell)
    assert metrics[metrics["metric"] == "training_size"]["value"].tolist() == (sizes - 10).tolist()


# --- What is wrong is told before the first job, all of it ------------------------------------------------------------


def findings(study: Study, *, free: int = 10**15) -> Any:
    """What is known of all jobs of the study before the first of them runs."""
    jobs = behind(Jobs(study).artefact(*artefact) for artefact in study.artefacts("flowers"))
    return look_ahead(study, jobs, "results", free)


def test_nothing_is_wrong_with_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_folders(folder / "data/flowers")
    found = findings(study(folder, monkeypatch))
    assert found.errors == []


def test_a_row_takes_the_settings_that_the_page_gives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"`(settings: \{ce: .+)`, another", PAGE)
    before = {measurement.path for measurement in study(folder, monkeypatch).measurements("flowers", "table1")}
    paper = yaml.safe_load(BLOCKS[FILES[1]])
    paper["tables"]["table1"]["rows"][0] |= yaml.safe_load(example)
    (folder / FILES[1]).write_text(yaml.safe_dump(paper))
    known = study(folder, monkeypatch)
    paths = {measurement.path for measurement in known.measurements("flowers", "table1")}
    assert len(paths - before) == len(before - paths) == 2 * 3  # CE on two datasets, three seeds each


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("parts: {train: 240}", "parts: {train: 251}", "only 240 images in part 'train', the catalogue says 251"),
        (
            "classes: 5",
            "classes: 6",
            r"has 5 class folders \(daisy, iris, .*\); flowers has 6 classes",
        ),
        (
            "held_out: 10 ",
            "held_out: 30 ",
            "2 of 5 classes have fewer images than the 30 that are held out of each class: class 2 \\(poppy\\) has 25, "
            "class 4 \\(tulip\\) has 15. Lower held_out, or leave these classes out.",
        ),
        ("held_out: 10 ", "held_out: 15 ", "no image of class 4 \\(tulip\\) in .* besides the 15 that are held out"),
        ("held_out: 10 ", "held_out: 5 ", "imbalance ratio is 9.5 \\(95 to 10 images\\).* Ask for ratio 10."),
        (
            "head_class_rows: 35",
            "head_class_rows: 60",
            r"3 of 5 classes .*: class 0 \(daisy\) has 50 of 60, class 2 \(poppy\) has 15 of 24, "
            r"class 4 \(tulip\) has 5 of 10. Lower head_class_rows to 35, the most .* at ratio 6, or lower held_out.",
        ),
        ("{batch_size: 32}\n", "{}\n", "classifier-retraining drops incomplete batches.* fill one of 128"),
        ("{batch_size: 32}      #", "{bach_size: 32}      #", "'bach_size'.*Did you mean 'batch_size'"),
    ],
)
def test_what_is_wrong_with_the_images_is_one_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, message: str
) -> None:
    in_folders(folder / "data/flowers")
    text = BLOCKS[FILES[0]]
    assert before in text
    (folder / FILES[0]).write_text(text.replace(before, after, 1))
    try:
        (error,) = findings(study(folder, monkeypatch)).errors
    except LongtailError as wrong:
        error = str(wrong)
    assert re.search(message, error), error


def test_crops_for_small_images_are_told_of_large_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_folders(folder / "data/flowers")
    resized = {"kind": "imagefolder", "folders": {"train": "flowers"}, "resize": 224}
    changed(folder, image_size=224, source=resized)
    words = [word for word in findings(study(folder, monkeypatch)).words if "as if they were small" in word]
    assert len(words) == 2  # of the images as they are, and as they are cut
    assert words[0].startswith("Images of 224 pixels are moved by 4 at most while networks train")
    assert re.search(r"balanced-softmax, ce, .*ldam.* on flowers. Add `trained_as: imagenet_lt` to flowers,", words[0])

    changed(folder, image_size=224, storage="files", test_transform={"resize": 256, "crop": 224},
            source={"kind": "imagefolder", "folders": {"train": "flowers"}})  # fmt: skip
    errors = findings(study(folder, monkeypatch)).errors
    assert len(errors) == 2
    assert "Images of flowers stay files of any size" in errors[0]
    assert "or give the source `resize` and `crop`" in errors[0]


# --- Every method runs on a set of one's own --------------------------------------------------------------------------

RECOGNITION = sorted(
    name for name, method in load().methods.items() if method.recipe and method.readout in load().classifiers
)


def large(folder: Path) -> None:
    """Change the files to what the page says of large photographs."""
    document, more = (yaml.safe_load(BLOCKS[name]) for name in (FILES[0], "of large photographs"))
    document["images"] |= more["images"]
    document["datasets"]["flowers"] = more["datasets"]["flowers"]
    (folder / FILES[0]).write_text(yaml.safe_dump(document))


def refusal(known: Study, method: str, cut: str) -> str:
    """Why a method cannot be had on a split; empty if it can."""
    try:
        known.cell_measurements(method, cut, 0)
    except LongtailError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("protocol", ["official", "paper"])
def test_every_method_of_recognition_has_settings_for_own_images(
    folder: Path, monkeypatch: pytest.MonkeyPatch, size: str, protocol: str
) -> None:
    if size == "large":
        large(folder)
    known = study(folder, monkeypatch, protocol=protocol)
    assert {"ce", "balanced-softmax", "ldam-drw", "crt", "rescom", "ride", "supcon"} <= set(RECOGNITION)
    refused = []
    for name in RECOGNITION:
        for cut in ("flowers-ir18", "flowers-lt-ir6"):
            if reason := refusal(known, name, cut):  # nobody says how it is trained on ImageNet-LT
                assert f"{name!r} is not available on 'flowers'" in reason
                refused.append(name)
                continue
            (measurement,) = known.cell_measurements(name, cut, 0)
            spec = parse(known.phase(cut, measurement.run.name).spec(0))
            assert spec.last.settings.batch_size == 32
            assert spec.data.image_size == {"small": 64, "large": 224}[size]
    assert size == "large" or not refused
    assert not {"ce", "balanced-softmax", "ldam-drw", "crt", "rescom", "ride"} & {*refused}


def test_large_photographs_are_trained_as_imagenet_lt_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_folders(folder / "data/flowers")
    large(folder)
    found = findings(study(folder, monkeypatch, datasets=["flowers"]))
    assert not found.errors
    assert not any("as if they were small" in word for word in found.words)
    cell = "results/custom/cells/ce/flowers-ir18/seed0.parquet"
    budget = "'budget={epochs: 0.001, backbone: resnet_small}'"
    succeed(folder, f"{cell} --cores 2 --configfile mine/config.yaml --config {budget}")
    metrics = pd.read_parquet(folder / cell)
    assert metrics[metrics["metric"] == "training_size"]["value"].tolist() == [size - 10 for size in SIZES.values()]


@pytest.fixture(scope="module")
def small_networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """The study with a network that is quick to build."""
    with pytest.MonkeyPatch.context() as patch:
        yield study(written(tmp_path_factory.mktemp("own")), patch, budget={"backbone": "resnet_small"})


@pytest.mark.parametrize("method", RECOGNITION)
def test_every_method_of_recognition_is_built_for_own_images(small_networks: Study, method: str) -> None:
    known = small_networks
    (measurement,) = known.cell_measurements(method, "flowers-ir18", 0)
    sizes = [size - 10 for size in SIZES.values()]
    spec = parse(known.phase("flowers-ir18", measurement.run.name).spec(0)).with_rows(sum(sizes), sizes)
    objective = build(spec, build(spec.before(-1))) if spec.last.start == "transfer" else build(spec)
    assert sum(weights.numel() for weights in objective.parameters()) > 0
