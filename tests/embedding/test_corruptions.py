"""Corrupted test images through a trained classifier, against a loop over the files."""

from __future__ import annotations

import json
import signal
import threading
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import center_crop

from longtail.__main__ import main
from longtail.data.rows import Sample
from longtail.data.sources import ImageSet
from longtail.embedding import corruptions
from longtail.embedding.trained import trained_objective
from longtail.errors import LongtailError
from longtail.files import read_provenance
from longtail.training.build import build
from longtail.training.specification import parse
from tests.corrupted import NUMBERS, corrupted_spec, save, write_corrupted, write_training_list
from tests.training.conftest import make_spec, stretch

SIZES, PER_CLASS, SIDE = (6, 4, 3), 5, 8


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A folder with a list, a classifier trained on it, and corrupted images, some larger than the network sees."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    write_training_list(tmp_path, SIZES, SIDE)
    write_corrupted(tmp_path / "c", ["fog", "snow"], 2, PER_CLASS, SIDE)
    for row, file in enumerate(sorted((tmp_path / "c/fog/2/n15075141").iterdir())):
        save(file, row, (SIDE + row, SIDE + 2 * row))  # cut to the centre, and not resized
    Image.open(file).convert("L").save(file)
    spec = corrupted_spec(tmp_path, PER_CLASS, sum(SIZES))
    done(
        "store", "--spec", json.dumps(spec["trained"]), "--part", "train", "--images", "i.npy", "--labels", "l.parquet"
    )
    cut = {"dataset": "tiny", "ratio": 2, "construction": "list", "pool": ["train"], "classes": 3}
    listed = ["--split", "train", "--labels", "train=l.parquet", "--out", "rows.parquet"]
    done("split", "--spec", json.dumps(cut), *listed)
    yield tmp_path
    torch.set_num_threads(before[0])
    torch.use_deterministic_algorithms(before[1])


def done(*command):
    assert main(["job", *command]) == 0


def train(objective="ce", implementation="longtail.methods.recognition.reweighting:CrossEntropy", **settings):
    """Train, and leave ``spec.json`` and ``checkpoint.pt``."""
    given = {"views": 1, "noise": None, "classifier_init": "default", **settings}
    one = stretch(objective, last=3, clock=3, normalization={"mean": [0.4] * 3, "std": [0.3] * 3}, **given)
    spec = make_spec({**one, "implementation": implementation})
    spec["data"] = {**spec["data"], "image_size": SIDE, "channels": 3}
    outputs = ["--state", "state", "--checkpoint", "checkpoint.pt", "--history", "history.parquet"]
    images = ["--split", "rows.parquet", "--images", "train=i.npy", "--threads", "1", "--gpus", "0"]
    done("train", "--spec", json.dumps(spec), *images, *outputs, "--spec-out", "spec.json")


def count_on(lab, features="backbone", threads=2, **changes):
    spec = corrupted_spec(lab, PER_CLASS, sum(SIZES), **changes)
    options = ["--set", json.dumps(spec), "--out", "counts.parquet", "--threads", str(threads), "--gpus", "0"]
    return main(
        ["job", "corruptions", "--spec", "spec.json", "--checkpoint", "checkpoint.pt", "--features", features, *options]
    )


def by_hand(lab):
    """(corruption, severity, class) to (images, right ones), file after file."""
    found = torch.load("checkpoint.pt", weights_only=True)
    objective = build(parse(found["spec"]))
    objective.load_state_dict(found["objective"])
    network = objective.encoder("backbone").eval()
    counts = {}
    for corruption in ("fog", "snow"):
        for severity in (1, 2):
            for name, number in NUMBERS.items():
                images = right = 0
                for file in (lab / "c" / corruption / str(severity) / name).glob("ILSVRC2012_val_*.JPEG"):
                    image = center_crop(Image.open(file).convert("RGB"), [SIDE, SIDE])
                    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
                    with torch.no_grad():
                        _, logits = network((pixels - 0.4) / 0.3)
                    images, right = images + 1, right + int(logits[0].argmax() == number)
                counts[corruption, severity, number] = images, right
    return counts


@pytest.mark.parametrize("batch", [1, 4, 256])
def test_the_counts_are_those_of_a_loop_over_the_files(lab, monkeypatch, batch):
    monkeypatch.setattr(corruptions, "BATCH", batch)
    train()
    assert count_on(lab) == 0
    table = pq.read_table("counts.parquet")
    assert table.schema.names == ["corruption", "severity", "class", "images", "right"]
    found = {(r["corruption"], r["severity"], r["class"]): (r["images"], r["right"]) for r in table.to_pylist()}
    expected = by_hand(lab)
    assert found == expected
    assert 0 < sum(right for _, right in expected.values()) < len(expected) * PER_CLASS
    facts = read_provenance("counts.parquet")
    assert (facts["identity"], facts["seed"], facts["features"]) == ("ce3", 0, "backbone")
    assert facts["corrupted"] == {"name": "tiny_c", "source": "corruptions"}


def test_folders_of_the_archives_and_threads_change_nothing(lab):
    train()
    assert count_on(lab, threads=1) == 0
    before = pq.read_table("counts.parquet")
    (lab / "c/weather").mkdir()
    for name in ("fog", "snow"):
        (lab / "c" / name).rename(lab / "c/weather" / name)
    assert count_on(lab, threads=3) == 0
    assert pq.read_table("counts.parquet").equals(before)


@pytest.mark.parametrize(
    ("share", "message"), [(0.6, "snow/2/n02105855/.* cannot be decoded"), (0, "snow/2/n02105855/.* cannot be decoded")]
)
def test_a_file_that_is_cut_off_is_named_and_nothing_is_written(lab, capsys, share, message):
    train()
    file = max((lab / "c/snow/2/n02105855").iterdir())
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert count_on(lab) == 1
    error = capsys.readouterr().err
    assert file.name in error
    assert "cannot be decoded" in error
    assert not (lab / "counts.parquet").exists()


def test_an_image_smaller_than_the_network_sees_is_named(lab, capsys):
    train()
    save(lab / "c/fog/1/n02105855/ILSVRC2012_val_00000001.JPEG", 0, (7, 9))
    assert count_on(lab) == 1
    assert "7x9 is smaller than the crop of 8" in capsys.readouterr().err


def test_what_is_missing_is_named_before_a_network_is_built(lab, capsys):
    train()
    (lab / "c/snow").rename(lab / "c/hail")
    assert count_on(lab) == 1
    assert "tiny_c lacks the corruption snow" in capsys.readouterr().err


def test_features_without_a_classifier_are_refused(desk, tools):
    assert desk.train(tools.spec()) == 0
    run = desk.folder / "run"
    spec, objective, _ = trained_objective(run / "spec.json", run / "checkpoint.pt", "embedding")
    predict = corruptions.predictor(spec, objective, "embedding", torch.device("cpu"))
    with pytest.raises(LongtailError, match="Behind 'embedding' of 'toy' there is no classifier"):
        predict(desk.images[:3])


def test_a_classifier_of_other_classes_is_refused(desk, tools):
    assert desk.train(tools.spec()) == 0
    run = desk.folder / "run"
    spec, objective, _ = trained_objective(run / "spec.json", run / "checkpoint.pt", "head")
    assert corruptions.predictor(spec, objective, "head", torch.device("cpu"))(desk.images[:3]).shape == (3,)
    other = replace(spec, data=replace(spec.data, classes=4))
    with pytest.raises(LongtailError, match="classifier behind 'head' knows 3 classes, and there are 4"):
        corruptions.predictor(other, objective, "head", torch.device("cpu"))(desk.images[:3])


# --- decoding ahead ---------------------------------------------------------------------------------------------------


def decoded_set():
    return ImageSet("tiny_c", {"crop": SIDE}, 3, SIDE, 3, {"test": 1})


def rows(number, seen=None):
    for row in range(number):
        if seen is not None:
            seen.append(row)
        yield row % 7, Sample(f"row {row}", np.full((SIDE, SIDE, 3), row % 251, np.uint8), row % 3)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("number", [0, 1, 16, 45])
def test_images_come_in_order_with_their_classes(monkeypatch, threads, number):
    monkeypatch.setattr(corruptions, "BATCH", 8)
    found = list(corruptions.batches(rows(number), decoded_set(), threads))
    assert [len(batch.labels) for batch in found] == [8] * (number // 8) + [number % 8] * (number % 8 > 0)
    flat = [(int(i[0, 0, 0]), int(y), int(c)) for batch in found for i, y, c in zip(*batch, strict=True)]
    assert flat == [(row % 251, row % 3, row % 7) for row in range(number)]


def test_no_more_is_in_memory_than_a_few_batches(monkeypatch):
    monkeypatch.setattr(corruptions, "BATCH", 8)
    seen = []
    for taken, _ in enumerate(corruptions.batches(rows(400, seen), decoded_set(), 2), start=1):
        assert len(seen) <= 8 * (taken + corruptions.AHEAD)
    assert len(seen) == 400


def test_threads_end_with_whoever_takes_the_images(monkeypatch):
    monkeypatch.setattr(corruptions, "BATCH", 8)
    before = threading.active_count()
    taken = corruptions.batches(rows(400), decoded_set(), 3)
    next(taken)
    taken.close()
    assert threading.active_count() == before
    broken = [*rows(20), (0, Sample("row 20", b"no image", 0)), *rows(200)]
    with pytest.raises(LongtailError, match="The image row 20 cannot be decoded"):
        list(corruptions.batches(broken, decoded_set(), 3))
    assert threading.active_count() == before


def test_an_interruption_is_obeyed_between_batches(monkeypatch):
    """Not while threads decode, which a handler that raises would leave waiting for each other."""
    monkeypatch.setattr(corruptions, "BATCH", 8)
    before = threading.active_count()
    taken = corruptions.batches(rows(400), decoded_set(), 3)
    next(taken)
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        next(taken)
    assert threading.active_count() == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
