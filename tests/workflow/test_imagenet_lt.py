"""ImageNet-LT from a folder of JPEG files and a list to embeddings, with the catalogue's own settings and ResNet-50.

A dozen images of other sizes and colours stand in for 115,846; nothing else but their number, the number of classes
and the length of the training differs from what the tables ask for.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from longtail.__main__ import main
from longtail.data.index import open_index
from longtail.study.study import load_study

CUT = "imagenet_lt-ir256"
ROWS = [0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
TABLES = (("conmix", "table9"), ("miniclustering", "table8"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Images and list as the public ones lie: ``train/<class>/<file>.JPEG label``, classes in no order."""
    draws = np.random.default_rng(0)
    root = tmp_path / "raw" / "imagenet"
    lines = []
    for number, label in enumerate(ROWS):
        name = f"train/n{label:08}/n{label:08}_{number}.JPEG"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shape = (300, 280 + 20 * label) if number == 4 else (260 + 10 * number, 400 - 20 * label, 3)
        Image.fromarray(draws.integers(0, 256, shape, dtype=np.uint8)).save(root / name)
        lines.append(f"{name} {label}")
    order = draws.permutation(len(lines))
    (root / "ImageNet_LT_train.txt").write_text("\n".join(lines[i] for i in order) + "\n")
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield tmp_path
    torch.set_num_threads(before[0])
    torch.use_deterministic_algorithms(before[1])


@pytest.mark.parametrize(("paper", "table"), TABLES)
def test_every_training_of_the_tables_is_of_resnet50_on_the_public_list(paper, table):
    study = load_study({"targets": [f"{paper}_{table}"]})
    wanted = {measurement.path.split("/")[3] for measurement in study.measurements(paper, table)}
    phases = {name: phase for name, phase in study.phases_of(CUT).items() if name in wanted}
    assert len(phases) == len(wanted) >= 2
    for phase in phases.values():
        spec = phase.spec(0)
        assert (spec["backbone"], spec["data"]["image_size"]) == ({"name": "resnet50", "stem": "imagenet"}, 224)
        assert (spec["data"]["construction"], spec["data"]["classes"]) == ("list", 1000)


@pytest.mark.parametrize("storage", ["files", "pixels"])
def test_a_folder_and_a_list_become_embeddings_of_resnet50(folder, storage):
    """Photographs stay files, as the catalogue has it, or are cut to squares that are kept as pixels."""
    source = {"kind": "imagefolder", "name": "a dozen"}
    source |= {"storage": "pixels", "resize": 256, "crop": 256} if storage == "pixels" else {}
    source |= {"lists": {"train": "imagenet/ImageNet_LT_train.txt"}, "parts": {"train": len(ROWS)}}
    study = load_study({"targets": ["conmix_table9"], "data_root": "raw", "data": {"imagenet_lt": source}})
    store = {**study.store_spec("imagenet_lt"), "classes": 3}
    split = {**study.split_spec(CUT), "classes": 3, "ratio": 2, "shots": [1, 1, 1]}
    made = ["--spec", json.dumps(store), "--part", "train", "--labels", "l.parquet"]
    if storage == "pixels":
        images = "images.npy"
        done("store", *made, "--images", images)
        assert np.load(images).shape == (len(ROWS), 256, 256, 3)
    else:
        images = "files.parquet"
        done("index", *made, "--files", images, "--encoded", "encoded.bin")
        assert len(open_index(images)) == len(ROWS)
    listed = ["--split", "train", "--labels", "train=l.parquet", "--out", "rows.parquet"]
    done("split", "--spec", json.dumps(split), *listed)
    rows = pq.read_table("rows.parquet")
    assert rows["label"].to_pylist() == sorted(ROWS)

    phase = next(each for each in study.phases_of(CUT).values() if [s.objective for s in each.lineage] == ["simclr"])
    spec = phase.spec(0)
    (stretch,) = spec["lineage"]
    spec["data"] = {**spec["data"], "classes": 3}
    spec["lineage"] = [{**stretch, "last_epoch": 1, "settings": {**stretch["settings"], "batch_size": 6}}]
    images = ["--split", "rows.parquet", "--images", f"train={images}", "--threads", "1", "--gpus", "0"]
    outputs = ["--state", "state", "--checkpoint", "checkpoint.pt", "--history", "history.parquet"]
    done("train", "--spec", json.dumps(spec), *images, *outputs, "--spec-out", "spec.json")
    features = ["--features", "backbone", "--out", "embeddings.parquet"]
    done("embed", "--spec", "spec.json", "--checkpoint", "checkpoint.pt", *images, *features)
    embedding = np.stack(pq.read_table("embeddings.parquet")["embedding"].to_numpy())
    assert embedding.shape == (len(ROWS), 2048)
    assert (embedding.std(0) > 0).any()


def done(*command):
    assert main(["job", *command]) == 0
