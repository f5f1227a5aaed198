"""One cell of each large set, from small folders of the published layout to metrics, on the real workflow.

Three classes stand in for thousands and a tiny budget for the papers'; all else is what the catalogue says: where
images and lists lie, that they stay files, networks and what they start from, settings, splits and readouts.
"""

from __future__ import annotations

import hashlib
import json

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image
from torchvision.models import resnet152

from tests.photographs import photographs

TRAINING, HELD_OUT, RATIO = [0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2], [0, 1, 2], 3
LISTS = {
    "imagenet_lt": {part: f"imagenet/ImageNet_LT_{part}.txt" for part in ("train", "val", "test")},
    "places_lt": {part: f"places/Places_LT_{part}.txt" for part in ("train", "val", "test")},
    "inaturalist18": {"train": "inaturalist18/train2018.json", "test": "inaturalist18/val2018.json"},
}
METHODS = {"imagenet_lt": "tau-norm", "places_lt": "mislas", "inaturalist18": "iccl"}
BUDGET = {"epochs": 0.01, "batch_size": 5}


def laid_out(root, name) -> None:
    """Photographs of many sizes, and the list or annotations of each part."""
    pictures = photographs(len(TRAINING), 64)
    for part, place in LISTS[name].items():
        labels = TRAINING if part == "train" else HELD_OUT
        files = [f"{part}/class{label}/{row}.jpg" for row, label in enumerate(labels)]
        for row, file in enumerate(files):
            path = (root / place).parent / file
            path.parent.mkdir(parents=True, exist_ok=True)
            size = (240 + 10 * row, 330 - 15 * row)
            Image.fromarray(pictures[(row + len(part)) % len(pictures)]).resize(size).save(path)
        rows = list(zip(files, labels, strict=True))
        if place.endswith(".txt"):
            text = "".join(f"{file} {label}\n" for file, label in reversed(rows))
        else:
            images = [{"id": row, "file_name": file} for row, (file, _) in enumerate(rows)]
            annotations = [{"id": row, "image_id": row, "category_id": label} for row, (_, label) in enumerate(rows)]
            categories = [{"id": label, "name": str(label)} for label in range(3)]
            text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
        (root / place).write_text(text)


def fewer_classes(catalog, name) -> None:
    """Let the catalogue's set have three classes."""
    path = catalog / "datasets" / f"{name}.yaml"
    entry = yaml.safe_load(path.read_text())
    parts = {part: len(TRAINING) if part == "train" else len(HELD_OUT) for part in LISTS[name]}
    entry["images"] |= {"classes": 3, "parts": parts}
    entry["datasets"][name]["shots"] = [1, 1, 1]
    path.write_text(yaml.safe_dump(entry))


def publish_weights(folder, catalog) -> str:
    """Have a file of random weights be what the catalogue says is published."""
    torch.manual_seed(0)
    made = folder / "made.pth"
    torch.save(resnet152(zero_init_residual=True).state_dict(), made)  # in eval mode others blow up
    digest = hashlib.sha256(made.read_bytes()).hexdigest()[:8]
    file = made.rename(folder / f"resnet152-{digest}.pth")
    backbones = catalog / "backbones.yaml"
    backbones.write_text(backbones.read_text().replace("resnet152-394f9c45.pth", file.name))
    return str(file)


@pytest.mark.parametrize("name", METHODS)
def test_small_folders_become_metrics(checkout, name):
    catalog, root = checkout.folder / "workflow/catalog", checkout.folder / "raw"
    laid_out(root, name)
    fewer_classes(catalog, name)
    config = {"targets": ["digits"], "budget": BUDGET, "data_root": "raw", "precision": "float32"}
    if name == "places_lt":
        config["image_weights"] = {"resnet152": publish_weights(checkout.folder, catalog)}
    (checkout.folder / "config.yaml").write_text(yaml.safe_dump(config))
    target = f"results/custom/cells/{METHODS[name]}/{name}-ir{RATIO}/seed0.parquet"
    checkout.succeed(target)
    found = pq.read_table(checkout.folder / target).to_pandas()
    accuracy = found[(found["metric"] == "accuracy") & found["class"].isna()]["value"]
    assert len(accuracy) == 1
    assert 0 <= accuracy.item() <= 100
    assert len(found[found["metric"] == "recall"]) == len(HELD_OUT)
    (checkpoint, *_) = sorted(checkout.files("phases/*/*/*/spec.json"))
    assert json.loads(checkpoint.read_text())["data"]["images"] == name
    assert not checkout.files("datasets/*/*/images.npy")  # no image was stored as pixels
    assert len(checkout.files(f"datasets/{name}/*/files.parquet")) >= 2
    assert "Nothing to be done" in checkout.succeed(target)
