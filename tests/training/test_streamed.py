"""Images that stay files: what is trained on them is what would be trained on their pixels."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from longtail.__main__ import main
from longtail.data import sources
from longtail.data.index import open_index, write_index
from longtail.data.pictures import Pictures
from longtail.data.resident import ResidentSplit
from longtail.data.sources import ImageSet
from longtail.data.store import write_store
from longtail.data.streamed import CHUNK, StreamedSplit, together, workers_that_speak
from longtail.devices.distributed import ALONE
from longtail.errors import LongtailError
from tests.photographs import photographs

ROWS, CLASSES, SIZE = 40, 3, 6
LABELS = np.sort(np.random.default_rng(0).integers(0, CLASSES, ROWS))


def image_set(folder: Path, storage: str, **source) -> ImageSet:
    lists = {"kind": "imagefolder", "root": str(folder), "lists": {"train": "list.txt"}, **source}
    return ImageSet("photographs", lists, CLASSES, SIZE, 1, {"train": ROWS}, storage)


def write_rows(path: Path, order: np.ndarray) -> None:
    columns = {"row": np.arange(ROWS), "part": ["train"] * ROWS, "source_row": order, "label": LABELS}
    pq.write_table(pa.table(columns), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs of differing sizes as JPEG, a list of them in no order, and a split of all."""
    folder = tmp_path_factory.mktemp("photographs")
    order = np.random.default_rng(1).permutation(ROWS)
    lines = [""] * ROWS
    for row, pixels in enumerate(photographs(ROWS, 64)):
        height, width = 20 + row % 7, 40 - row % 5
        Image.fromarray(pixels[:height, :width]).save(folder / f"{row}.jpg", quality=90)
        lines[order[row]] = f"{row}.jpg {LABELS[row]}"
    (folder / "list.txt").write_text("\n".join(lines) + "\n")
    write_rows(folder / "train.parquet", order)
    square = {"resize": 12, "crop": 12}
    write_store(image_set(folder, "pixels", **square), "train", folder / "images.npy", folder / "labels.parquet")
    for name, source in (("squares", square), ("whole", {})):
        out = folder / name
        sets = image_set(folder, "files", **source)
        write_index(sets, "train", out / "files.parquet", out / "encoded.bin", out / "labels.parquet", threads=2)
    return folder


def streamed(folder: Path, name: str, workers: int = 0) -> StreamedSplit:
    return StreamedSplit(folder / "train.parquet", {"train": folder / name / "files.parquet"}, "cpu", workers, ALONE)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_are_those_of_the_resident_split(folder, workers):
    resident = ResidentSplit(folder / "train.parquet", {"train": folder / "images.npy"}, "cpu")
    split = streamed(folder, "squares", workers)
    assert len(split) == ROWS
    assert torch.equal(split.labels, resident.labels)
    plan = [torch.randperm(ROWS)[: 1 + 9 * number] for number in range(4)]
    found = list(split.ahead(enumerate(plan), lambda item: (item[1], item[1].flip(0))))
    assert [number for (number, _), _ in found] == list(range(4))
    for (_, rows), (images, flipped) in found:
        assert torch.equal(images, resident.batch(rows))
        assert images.stride() == resident.batch(rows).stride()
        assert torch.equal(flipped, resident.batch(rows.flip(0)))


def test_whole_images_keep_their_sizes_and_pixels(folder):
    split = streamed(folder, "whole", workers=1)
    rows = torch.tensor([3, 0, 17, 3])
    pictures = split.batch(rows)
    assert isinstance(pictures, Pictures)
    sizes = zip(rows.tolist(), pictures.images, pictures.heights, pictures.widths, strict=True)
    for row, image, height, width in sizes:
        expected = np.asarray(Image.open(folder / f"{row}.jpg").convert("L"))
        assert (int(height), int(width)) == expected.shape
        assert np.array_equal(image[0, :height, :width].numpy(), expected)


def test_images_of_one_size_are_one_tensor():
    images = [torch.full((2, 3, 1), value, dtype=torch.uint8) for value in range(3)]
    assert torch.equal(together(images), torch.stack(images).permute(0, 3, 1, 2))


def test_little_is_read_ahead(folder):
    """However long the plan is, no more of it is asked for than workers have at hand."""
    split, asked = streamed(folder, "squares", workers=1), []

    def plan():
        for number in range(1000):
            asked.append(number)
            yield torch.arange(CHUNK)

    batches = split.ahead(plan(), lambda rows: (rows,))
    next(batches)
    assert len(asked) < 10
    batches.close()


def test_a_worker_that_is_killed_is_told_in_one_sentence(folder):
    split = streamed(folder, "squares", workers=1)
    with pytest.raises(LongtailError, match=r"process that decodes images has ended.* from the last save\.$"):
        use_until_killed(split)


def use_until_killed(split: StreamedSplit) -> None:
    with workers_that_speak():
        for number, _ in enumerate(split.ahead([torch.arange(ROWS)] * 1000, lambda rows: (rows,))):
            if number == 1:
                (worker,) = multiprocessing.active_children()
                worker.kill()


def spec_of(tools):
    augmentation = {"crop_scale": [0.3, 1.0], "flip": 0.5, "solarize": 0.2}
    spec = tools.spec(tools.stretch(augmentation=augmentation))
    spec["data"] |= {"test_transform": {"resize": 8, "crop": SIZE, "interpolation": "bilinear"}}
    return spec


def arguments(folder: Path, out: Path, spec, images: Path, threads: int = 1) -> list[str]:
    parts = ["job", "train", "--spec", json.dumps(spec)]
    parts += ["--split", folder / "train.parquet", "--images", f"train={images}"]
    parts += ["--state", out / "state", "--checkpoint", out / "checkpoint.pt", "--threads", threads, "--gpus", 0]
    parts += ["--history", out / "history.parquet", "--spec-out", out / "spec.json"]
    return [str(part) for part in parts]


@pytest.mark.usefixtures("desk")
def test_a_training_on_files_ends_in_the_weights_of_one_on_pixels(folder, tmp_path, tools):
    spec, trained = spec_of(tools), []
    for name, images in (("pixels", "images.npy"), ("files", "squares/files.parquet")):
        assert main(arguments(folder, tmp_path / name, spec, folder / images)) == 0
        trained.append(torch.load(tmp_path / name / "checkpoint.pt", weights_only=True))
    tools.assert_same_training(*trained)


@pytest.mark.usefixtures("desk")
def test_an_interrupted_training_on_files_goes_on_as_if_it_had_not_been(folder, tmp_path, tools, monkeypatch):
    spec, images = spec_of(tools), folder / "squares" / "files.parquet"
    assert main(arguments(folder, tmp_path / "whole", spec, images)) == 0
    from longtail.training import train

    class Signals:
        received = signal.SIGTERM

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    with monkeypatch.context() as patched:
        patched.setattr(train, "StopSignals", Signals)
        with pytest.raises(SystemExit) as stop:
            main(arguments(folder, tmp_path / "cut", spec, images))
    assert stop.value.code == 75
    assert main(arguments(folder, tmp_path / "cut", spec, images)) == 0
    found = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "cut")]
    tools.assert_same_training(*found)


@pytest.mark.usefixtures("desk")
def test_two_processes_share_the_decoding_and_train_what_one_does(folder, tmp_path, tools):
    spec, images = spec_of(tools), folder / "squares" / "files.parquet"
    assert main(arguments(folder, tmp_path / "one", spec, images)) == 0
    script = (
        "import sys; from longtail.devices import distributed; from pathlib import Path;"
        "distributed.launch(sys.argv[2:], 2, Path(sys.argv[1]), 75)"
    )
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2] / "workflow")])
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            str(tmp_path / "two" / "checkpoint.pt"),
            *arguments(folder, tmp_path / "two", spec, images),
        ],
        env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("one", "two"))
    for name, weights in one["objective"].items():
        torch.testing.assert_close(two["objective"][name], weights, rtol=1e-4, atol=1e-5)


def test_what_is_damaged_is_told_before_anything_is_trained(folder, tmp_path):
    (tmp_path / "list.txt").write_text("".join(f"{row}.jpg {label}\n" for row, label in enumerate(LABELS)))
    for row in range(ROWS):
        (tmp_path / f"{row}.jpg").write_bytes((folder / f"{row}.jpg").read_bytes())
    content = (tmp_path / "5.jpg").read_bytes()
    (tmp_path / "5.jpg").write_bytes(content[: len(content) // 2])
    outputs = [tmp_path / name for name in ("files.parquet", "encoded.bin", "labels.parquet")]
    with pytest.raises(LongtailError, match=r"line 6 \(5\.jpg\) cannot be decoded.*Truncated"):
        write_index(image_set(tmp_path, "files"), "train", *outputs)
    assert not any(path.exists() for path in outputs)


@pytest.mark.parametrize(("expected", "said"), [(ROWS + 1, "only 40 images"), (ROWS - 1, "has 40 images")])
def test_another_number_of_images_leaves_nothing_behind(folder, tmp_path, expected, said):
    contents = [(folder / f"{row}.jpg").read_bytes() for row in range(ROWS)]
    images = pa.array([{"bytes": content, "path": ""} for content in contents])
    pq.write_table(pa.table({"image": images, "label": LABELS}), tmp_path / "train.parquet")
    source = {"kind": "parquet", "root": str(tmp_path), "files": {"train": "train.parquet"}}
    sets = ImageSet("photographs", source, CLASSES, SIZE, 1, {"train": expected}, "files")
    outputs = [tmp_path / "out" / name for name in ("files.parquet", "encoded.bin", "labels.parquet")]
    with pytest.raises(LongtailError, match=said):
        write_index(sets, "train", *outputs)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("change", ["gone", "shorter", "longer", "not even half of it"])
def test_a_file_that_has_changed_since_is_named(folder, tmp_path, workers, change):
    for row in range(ROWS):
        (tmp_path / f"{row}.jpg").write_bytes((folder / f"{row}.jpg").read_bytes())
    (tmp_path / "list.txt").write_bytes((folder / "list.txt").read_bytes())
    (tmp_path / "train.parquet").write_bytes((folder / "train.parquet").read_bytes())
    out = tmp_path / "whole"
    write_index(image_set(tmp_path, "files"), "train", out / "files.parquet", out / "encoded.bin", out / "l.parquet")
    path, content = tmp_path / "7.jpg", (tmp_path / "7.jpg").read_bytes()
    if change == "gone":
        path.unlink()
    else:
        cuts = {"shorter": content[:-1], "longer": content + b"x", "not even half of it": content[: len(content) // 3]}
        path.write_bytes(cuts[change])
    with pytest.raises(LongtailError, match=r"7\.jpg.*(any more|another than it was)"):
        streamed(tmp_path, "whole", workers).batch(torch.arange(ROWS))


def test_what_tells_images_apart_is_their_bytes_in_their_order(folder, tmp_path):
    first = streamed(folder, "whole").digest
    assert streamed(folder, "whole").digest == first
    write_rows(tmp_path / "train.parquet", np.arange(ROWS))
    other = StreamedSplit(tmp_path / "train.parquet", {"train": folder / "whole" / "files.parquet"}, "cpu", 0, ALONE)
    assert other.digest != first


def test_images_within_a_parquet_file_are_copied_beside_the_index(folder, tmp_path):
    contents = [(folder / f"{row}.jpg").read_bytes() for row in range(ROWS)]
    images = pa.array([{"bytes": content, "path": f"{row}.jpg"} for row, content in enumerate(contents)])
    pq.write_table(pa.table({"image": images, "label": LABELS}), tmp_path / "train.parquet")
    source = {"kind": "parquet", "root": str(tmp_path), "files": {"train": "train.parquet"}}
    sets = ImageSet("photographs", source, CLASSES, SIZE, 1, {"train": ROWS}, "files")
    write_index(sets, "train", tmp_path / "files.parquet", tmp_path / "encoded.bin", tmp_path / "labels.parquet")
    assert (tmp_path / "encoded.bin").read_bytes() == b"".join(contents)
    assert len(open_index(tmp_path / "files.parquet")) == ROWS
    write_rows(tmp_path / "rows.parquet", np.arange(ROWS))
    split = StreamedSplit(tmp_path / "rows.parquet", {"train": tmp_path / "files.parquet"}, "cpu", 1, ALONE)
    pictures = split.batch(torch.arange(ROWS))
    expected = streamed(folder, "whole").batch(torch.arange(ROWS))
    assert torch.equal(pictures.images, expected.images)


def test_a_source_of_pixels_cannot_stay_files(tmp_path):
    digits = ImageSet("digits", {"kind": "sklearn"}, 10, 8, 1, {"train": 1797}, "files")
    with pytest.raises(LongtailError, match="holds pixels"):
        sources.check(digits, "train")
    with pytest.raises(LongtailError, match="holds pixels"):
        write_index(digits, "train", tmp_path / "f.parquet", tmp_path / "e.bin", tmp_path / "l.parquet")


PEAKS = """
import resource, sys
from longtail.__main__ import main
status = main(sys.argv[1:])
print(*(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
sys.exit(status)
"""


def peaks_of_training(out: Path, tools, copies: int) -> list[float]:
    """Most megabytes that a training on ``copies`` of forty photographs takes, and its largest worker."""
    out.mkdir()
    pixels = photographs(ROWS, 64)
    lines = []
    for number in range(ROWS * copies):
        row = number % ROWS
        if number < ROWS:
            Image.fromarray(pixels[row]).resize((300, 225 - row)).save(out / f"{number}.jpg", quality=90)
        else:
            (out / f"{number}.jpg").hardlink_to(out / f"{row}.jpg")
        lines.append(f"{number}.jpg {LABELS[row]}")
    (out / "list.txt").write_text("\n".join(lines) + "\n")
    rows = np.arange(len(lines))
    columns = {"row": rows, "part": ["train"] * len(rows), "source_row": rows}
    pq.write_table(pa.table({**columns, "label": np.sort(np.tile(LABELS, copies))}), out / "train.parquet")
    sets = dataclasses.replace(image_set(out, "files"), parts={"train": len(rows)})
    write_index(sets, "train", out / "files.parquet", out / "encoded.bin", out / "labels.parquet")
    spec = spec_of(tools)
    spec["lineage"][0] |= {"last_epoch": 1, "clock": 1}
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2] / "workflow")])
    done = subprocess.run(
        [sys.executable, "-c", PEAKS, *arguments(out, out, spec, out / "files.parquet")],
        env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [int(kilobytes) / 1024 for kilobytes in done.stdout.split()]


def test_a_set_ten_times_larger_takes_no_more_memory(tmp_path, tools):
    """Its pixels are 240 megabytes more, all of which pass through; allocators keep some tens of them."""
    small, large = (peaks_of_training(tmp_path / str(copies), tools, copies) for copies in (10, 100))
    more = [after - before for before, after in zip(small, large, strict=True)]
    print(f"main process and worker: {small} MB, and {more} MB more for ten times the images")
    assert max(more) < 100
