"""Chosen rows of a split through a network, augmented as a step has them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from longtail.data.resident import ResidentSplit
from longtail.training.encode import SplitImages
from longtail.training.specification import Data

COUNT = 7


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Noise in two classes, seen in two views: shifted and mirrored, or as it is."""
    folder = tmp_path_factory.mktemp("noise")
    np.save(folder / "images.npy", np.random.default_rng(0).integers(256, size=(COUNT, 8, 8, 3), dtype=np.uint8))
    rows = {"part": ["train"] * COUNT, "source_row": np.arange(COUNT), "label": np.arange(COUNT) * 2 // COUNT}
    pq.write_table(pa.table({"row": np.arange(COUNT), **rows}), folder / "train.parquet")
    split = ResidentSplit(folder / "train.parquet", {"train": folder / "images.npy"}, torch.device("cpu"))
    data = Data("noise", 2, "images", image_size=8, test_transform={"resize": None, "crop": None})
    found = SplitImages(split, data, {"mean": [0.5] * 3, "std": [0.25] * 3}, torch.float32)
    found.augmentations = [found.augmentation({"pad": 2, "flip": 0.5}), found.augmentation({})]
    return found


def test_views_of_rows_are_augmented_each_by_its_list_and_encoded_in_eval_mode(images, monkeypatch):
    monkeypatch.setattr(ResidentSplit, "at_once", 2)
    encoder = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192)).train()
    rows = torch.tensor([5, 0, 3])
    torch.manual_seed(4)
    first, second = images.encode_views(encoder, rows, 2)
    assert encoder.training
    assert not encoder[1].running_mean.any()
    torch.testing.assert_close(second, images.encode(encoder)[rows])
    assert not torch.equal(first, second)

    torch.manual_seed(4)
    draws = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
    augmented = [images.augmentations[0](images.split.batch(part), draws) for part in rows.split(2)]
    expected = encoder.eval()(images.normalize(torch.cat(augmented)))
    torch.testing.assert_close(first, expected)


def test_other_epochs_draw_otherwise(images):
    encoder, rows = nn.Flatten(), torch.arange(COUNT)
    found = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        found.append(images.encode_views(encoder, rows, 1)[0])
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])
