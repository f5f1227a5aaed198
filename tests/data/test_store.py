from __future__ import annotations

import json
import os
import signal
import time

import numpy as np
import pyarrow as pa
import pytest

from longtail.__main__ import main, stop
from longtail.data import store
from longtail.data.decode import decode, read
from longtail.data.sources import ImageSet, samples
from longtail.data.store import open_store, write_store
from longtail.errors import LongtailError
from longtail.files import read_provenance, read_table

DIGITS = {
    "images": "digits",
    "source": {"kind": "sklearn", "dataset": "digits", "root": "data"},
    "classes": 10,
    "image_size": 8,
    "channels": 1,
    "parts": {"train": 1797},
}


def command(tmp_path, spec=DIGITS, part="train"):
    outputs = ["--images", str(tmp_path / "images.npy"), "--labels", str(tmp_path / "labels.parquet")]
    return main(["job", "store", "--spec", json.dumps(spec), "--part", part, *outputs])


@pytest.mark.parametrize("threads", [1, 3])
def test_the_store_holds_the_decoded_images_in_order(tmp_path, monkeypatch, threads):
    monkeypatch.setattr(store, "CHUNK", 100)
    image_set = ImageSet(**DIGITS)
    write_store(image_set, "train", tmp_path / "images.npy", tmp_path / "labels.parquet", threads)
    images = open_store(tmp_path / "images.npy")
    assert isinstance(images, np.memmap)
    assert (images.shape, images.dtype) == ((1797, 8, 8, 1), np.uint8)
    expected = list(samples(image_set, "train"))
    assert (images == np.stack([decode(sample, image_set) for sample in expected])).all()
    labels = read_table(tmp_path / "labels.parquet")
    assert labels.schema.field("label").type == pa.int64()
    assert labels.column("label").to_pylist() == [sample.label for sample in expected]


def test_a_signal_leaves_the_rest_of_a_chunk_undecoded(tmp_path, monkeypatch):
    decoded = []

    def slow_read(sample, image_set):
        decoded.append(sample)
        if len(decoded) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        return read(sample, image_set)

    monkeypatch.setattr(store, "read", slow_read)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(SystemExit) as stopped:
            write_store(ImageSet(**DIGITS), "train", tmp_path / "images.npy", tmp_path / "labels.parquet", 2)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert 3 <= len(decoded) < 300
    assert not list(tmp_path.iterdir())


def test_the_command_writes_both_files_with_provenance(tmp_path):
    assert command(tmp_path) == 0
    facts = read_provenance(tmp_path / "labels.parquet")
    assert (facts["images"], facts["part"], facts["source"]["kind"]) == ("digits", "train", "sklearn")
    assert len(open_store(tmp_path / "images.npy")) == 1797


@pytest.mark.parametrize(("rows", "found"), [(1796, "more than 1,796"), (1800, "only 1,797")])
def test_a_wrong_number_of_images_leaves_nothing(tmp_path, capsys, rows, found):
    assert command(tmp_path, {**DIGITS, "parts": {"train": rows}}) == 1
    message = f"digits has {found} images in part 'train', the catalogue says {rows:,}"
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_broken_image_leaves_what_was_there(tmp_path, capsys):
    assert command(tmp_path) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert command(tmp_path, {**DIGITS, "image_size": 16}) == 1
    assert "row 0 is 8x8, but digits has images of 16x16" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_unknown_part_leaves_nothing(tmp_path, capsys):
    assert command(tmp_path, part="test") == 1
    assert "no part of digits 'test'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_error(tmp_path, monkeypatch, capsys):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    assert command(tmp_path) == 1
    assert "images.npy: No space left on device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_progress_is_for_terminals_only(tmp_path, monkeypatch, capsys):
    assert command(tmp_path) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert command(tmp_path) == 0
    assert capsys.readouterr().err.endswith("digits train: 1,797 of 1,797 images decoded\n")


def test_readers_refuse_what_is_no_store(tmp_path):
    path = tmp_path / "images.npy"
    with pytest.raises(LongtailError, match="does not exist"):
        open_store(path)
    np.save(path, np.zeros((5, 4, 4, 3), np.uint8))
    whole = path.read_bytes()
    assert open_store(path).shape == (5, 4, 4, 3)
    for length in (0, 50, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(LongtailError, match=r"images\.npy is not a complete array"):
            open_store(path)
    for array in (np.zeros((5, 4, 4, 3)), np.zeros((5, 16), np.uint8)):
        np.save(path, array)
        with pytest.raises(LongtailError, match="not images"):
            open_store(path)


@pytest.mark.slow
def test_all_of_cifar10_has_the_published_means(tmp_path, shared_data):
    source = {"kind": "parquet", "root": str(shared_data), "files": {"train": "cifar10/train.parquet"}, "image": "img"}
    image_set = ImageSet("cifar10", source, classes=10, image_size=32, channels=3, parts={"train": 50000})
    write_store(image_set, "train", tmp_path / "images.npy", tmp_path / "labels.parquet", threads=2)
    means = open_store(tmp_path / "images.npy").mean((0, 1, 2)) / 255
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)
