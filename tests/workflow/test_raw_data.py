"""Raw data that are exchanged, removed or merely touched after they were decoded, on the real workflow."""

from __future__ import annotations

import os
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from .field import SIZES, add_field, picture
from .said import would_run

CELL = "results/smoke/cells/pixels/field-ir4/seed0.parquet"
TRAINED = "results/smoke/cells/simclr/field-ir4/seed0.parquet"


@pytest.fixture
def field(checkout):
    """A checkout with eighteen images of a dataset that is the user's own."""
    (checkout.folder / "config.yaml").write_text("targets: [digits]\nbudget: smoke\n")
    dataset = {"pool": ["train"], "test": None, "head_class_rows": 8}
    add_field(checkout.folder, checkout.folder / "data", {"train": "field"}, {"train": SIZES}, field=dataset)
    return checkout


def stored(workflow):
    return np.load(workflow.folder / "results/datasets/field/train/images.npy")


def test_images_that_are_exchanged_are_decoded_again_and_all_is_redone(field):
    field.succeed(TRAINED, CELL)
    before = stored(field)
    assert "Nothing to be done" in field.succeed(TRAINED, CELL)
    raw = field.folder / "data/field"

    # Of what was merely touched, or moved there again, nothing is redone, and the look of it is noted.
    os.utime(raw / "class0/0.png")
    shutil.copytree(raw, raw.with_name("copied"))
    shutil.rmtree(raw)
    raw.with_name("copied").rename(raw)
    assert "Nothing to be done" in field.succeed(TRAINED, CELL)

    # As many images as before, of the same names.
    picture(999).save(raw / "class1/0.png")
    jobs = would_run(field.succeed(TRAINED, CELL, "--dry-run"))
    assert {"store", "split", "train", "embed", "embed_control", "cluster", "score", "cell"} <= set(jobs)
    output = field.succeed(TRAINED, CELL)
    assert "The raw data of field (train) are not those that were read" in output
    after = stored(field)
    assert (before != after).any(axis=(1, 2, 3)).sum() == 1
    assert "Nothing to be done" in field.succeed(TRAINED, CELL)

    # A set that is stored does without its raw data, and says so.
    raw.rename(field.folder / "data/elsewhere")
    output = field.succeed(TRAINED, CELL)
    assert "Nothing to be done" in output
    assert output.count("Raw data of field (train) are no longer there") == 1
    assert (stored(field) == after).all()


def test_a_set_that_was_deleted_is_no_longer_watched_which_is_said_with_the_way_out(field):
    assert "raw.json" not in field.succeed(CELL)
    shutil.rmtree(field.folder / "results/datasets/field")
    output = field.succeed(CELL)
    assert "Nothing to be done" in output
    (way_out,) = re.findall(r"--forcerun (\S+)", output)
    jobs = would_run(field.succeed(CELL, "--dry-run", "--forcerun", way_out))
    assert {"store", "split", "embed_control", "cluster", "score", "cell"} <= set(jobs)
    field.succeed(CELL, "--forcerun", way_out)
    assert "raw.json" not in field.succeed(CELL)


def rename(raw):
    (raw / "class0/0.png").rename(raw / "class0/zzz.png")


def exchange(raw):
    before = (raw / "class3/1.png").stat()
    content = bytearray((raw / "class3/1.png").read_bytes())
    content[-20] ^= 1
    (raw / "class3/1.png").write_bytes(content)
    os.utime(raw / "class3/1.png", ns=(before.st_atime_ns, before.st_mtime_ns))


def add(raw):
    picture(5).save(raw / "class0/new.png")


@pytest.mark.parametrize("change", [rename, exchange, add])
def test_files_that_are_renamed_exchanged_or_added(field, change):
    labels = "results/datasets/field/train/labels.parquet"
    field.succeed(labels)
    change(field.folder / "data/field")
    assert would_run(field.succeed(labels, "--dry-run"))["store"] == 1


def test_files_that_are_passed_over_or_deleted_make_nothing_to_be_redone(field):
    labels = "results/datasets/field/train/labels.parquet"
    raw = field.folder / "data/field"
    (raw / "README").symlink_to("nowhere")
    os.mkfifo(raw / "class0/pipe")
    field.succeed(labels)
    (raw / "class0/Thumbs.db").write_bytes(b"x")
    output = field.succeed(labels)
    assert "Nothing to be done" in output
    assert "raw data" not in output.lower()
    (raw / "class3/1.png").unlink()
    output = field.succeed(labels)
    assert "Nothing to be done" in output
    assert output.count("Raw data of field (train) are no longer there") == 1


def test_a_parquet_file_that_is_replaced_and_one_that_another_configuration_names(workflow):
    labels = "results/datasets/digits/train/labels.parquet"

    def write(name, seed):
        random = np.random.default_rng(seed)
        images = []
        for _ in range(1797):
            images.append({"bytes": encoded(random.integers(0, 256, (8, 8), dtype=np.uint8)), "path": None})
        pq.write_table(pa.table({"image": images, "label": np.arange(1797) % 10}), workflow.folder / name)

    def encoded(pixels):
        path = workflow.folder / "one.png"
        Image.fromarray(pixels).save(path)
        return path.read_bytes()

    def configure(name):
        data = {"digits": {"kind": "parquet", "name": "mine", "root": ".", "files": {"train": name}}}
        config = {"targets": ["digits"], "budget": "smoke", "data": data}
        (workflow.folder / "config.yaml").write_text(yaml.safe_dump(config))

    write("a.parquet", 0)
    shutil.copy(workflow.folder / "a.parquet", workflow.folder / "b.parquet")
    configure("a.parquet")
    workflow.succeed(labels)
    assert "Nothing to be done" in workflow.succeed(labels, "--dry-run")
    write("a.parquet", 1)
    assert would_run(workflow.succeed(labels, "--dry-run"))["store"] == 1
    configure("b.parquet")
    assert would_run(workflow.succeed(labels, "--dry-run"))["store"] == 1
