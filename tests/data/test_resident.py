from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from longtail.data import resident
from longtail.data.resident import ResidentSplit, derived_seed, epoch_order, generator
from longtail.errors import LongtailError
from longtail.files import write_table


@pytest.fixture
def stores(tmp_path):
    """Two parts of 4x5 images whose pixels all differ."""
    paths, first = {}, 0
    for part, rows in (("train", 3), ("test", 2)):
        paths[part] = tmp_path / f"{part}.npy"
        np.save(paths[part], np.arange(first, first + rows * 40, dtype=np.uint8).reshape(rows, 4, 5, 2))
        first += rows * 40
    return paths


def write_split(path, rows):
    parts, source_rows, labels = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {"part": pa.array(parts, pa.string()), "source_row": pa.array(source_rows, pa.int64())}
    write_table(path, pa.table({**columns, "label": pa.array(labels, pa.int64())}))
    return path


@pytest.mark.parametrize("chunk", [1, 2, 4096])
def test_images_come_in_the_order_of_the_split(tmp_path, stores, monkeypatch, chunk):
    monkeypatch.setattr(resident, "CHUNK", chunk)
    rows = [("train", 2, 0), ("test", 1, 0), ("train", 0, 1), ("train", 1, 4)]
    split = ResidentSplit(write_split(tmp_path / "split.parquet", rows), stores, "cpu")
    assert len(split) == 4
    assert split.labels.tolist() == [0, 0, 1, 4]
    assert split.images.shape == (4, 2, 4, 5)
    assert split.images.is_contiguous(memory_format=torch.channels_last)
    for image, (part, row, _) in zip(split.images, rows, strict=True):
        assert (image.permute(1, 2, 0).numpy() == np.load(stores[part])[row]).all()
    batch = split.batch(torch.tensor([3, 0, 0]))
    assert torch.equal(batch, split.images[[3, 0, 0]])
    assert batch.dtype == torch.uint8
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_what_does_not_fit_together_is_an_error(tmp_path, stores):
    path = tmp_path / "split.parquet"
    with pytest.raises(LongtailError, match=r"wants row 3 of part 'train', but .* has 3 images"):
        ResidentSplit(write_split(path, [("train", 3, 0)]), stores, "cpu")
    with pytest.raises(LongtailError, match="no store was given"):
        ResidentSplit(write_split(path, [("train", 0, 0)]), {"test": stores["test"]}, "cpu")
    with pytest.raises(LongtailError, match="has no rows"):
        ResidentSplit(write_split(path, []), stores, "cpu")
    np.save(stores["test"], np.zeros((2, 4, 4, 2), np.uint8))
    with pytest.raises(LongtailError, match="different shapes"):
        ResidentSplit(write_split(path, [("train", 0, 0), ("test", 0, 0)]), stores, "cpu")


def test_too_little_memory_is_an_error(tmp_path, stores, monkeypatch):
    def full(*arguments, **options):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(LongtailError, match=r"needs 0\.0 GB on cpu: no room"):
        ResidentSplit(write_split(tmp_path / "split.parquet", [("train", 0, 0)]), stores, "cpu")


def test_an_epoch_visits_every_row_in_an_order_of_its_own():
    order = epoch_order(seed=1, epoch=3, rows=1000)
    assert sorted(order.tolist()) == list(range(1000))
    assert torch.equal(order, epoch_order(1, 3, 1000))
    assert not torch.equal(order, epoch_order(1, 4, 1000))
    assert not torch.equal(order, epoch_order(2, 3, 1000))


def test_weighted_rows_are_drawn_in_proportion():
    weights = torch.tensor([1.0, 0.0, 3.0] * 1000)
    order = epoch_order(0, 0, 3000, weights)
    counts = torch.bincount(order % 3, minlength=3)
    assert counts[1] == 0
    assert 2.6 < counts[2] / counts[0] < 3.4
    assert torch.equal(order, epoch_order(0, 0, 3000, weights))
    assert not torch.equal(order, epoch_order(0, 1, 3000, weights))


def test_seeds_are_fixed_and_depend_on_every_part():
    assert derived_seed(0, "order", 0) == 1014162656242027106  # printf '[0, "order", 0]' | sha256sum
    parts = [(0, "order", 0), (1, "order", 0), (0, "order", 1), (0, "augment", 0), (0, "order"), (0, "order", "0")]
    assert len({derived_seed(*some) for some in parts}) == len(parts)
    assert all(0 <= derived_seed(seed, "x") < 2**63 for seed in range(100))
    assert torch.equal(
        torch.rand(3, generator=generator("cpu", 1, "a")), torch.rand(3, generator=generator("cpu", 1, "a"))
    )


def test_the_digest_tells_pixels_rows_and_nothing_else(tmp_path):
    def digest(name, change=lambda images, rows: None):
        images, rows = np.arange(10 * 4, dtype=np.uint8).reshape(10, 2, 2, 1), np.arange(2, 8)
        change(images, rows)
        np.save(tmp_path / f"{name}.npy", images)
        table = {"part": ["train"] * len(rows), "source_row": rows, "label": np.zeros(len(rows), dtype=np.int64)}
        write_table(tmp_path / f"{name}.parquet", pa.table({"row": np.arange(len(rows)), **table}))
        return ResidentSplit(tmp_path / f"{name}.parquet", {"train": tmp_path / f"{name}.npy"}, "cpu").digest

    def other_pixel(images, rows):
        images[3, 0, 0, 0] += 1

    def pixel_of_no_row(images, rows):
        images[9] += 1

    def other_order(images, rows):
        rows[:2] = rows[1::-1]

    assert digest("a") == digest("b") == digest("c", pixel_of_no_row)
    assert len({digest("a"), digest("d", other_pixel), digest("e", other_order)}) == 3
