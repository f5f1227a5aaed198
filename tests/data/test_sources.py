from __future__ import annotations

import io
import json
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torchvision.datasets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from longtail.data.decode import decode
from longtail.data.published import PUBLISHED
from longtail.data.sources import ImageSet, Sample, check, inputs, open_source, samples
from longtail.errors import LongtailError

# --- Parquet ----------------------------------------------------------------------------------------------------------


def write_parquet(path, images, labels, image="image", label="label"):
    cells = [None if data is None else {"bytes": data, "path": f"{row}.png"} for row, data in enumerate(images)]
    column = pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pq.write_table(pa.table({image: column, label: labels}), path, row_group_size=2)


def test_parquet_yields_rows_in_order_over_all_files(tmp_path, image_set, encoded):
    write_parquet(tmp_path / "a.parquet", [encoded(0), encoded(1)], pa.array([1, 0]), "img", "fine")
    write_parquet(tmp_path / "b.parquet", [encoded(2)], pa.array([1], pa.int8()), "img", "fine")
    source = {
        "kind": "parquet",
        "name": "toy",
        "root": str(tmp_path),
        "files": {"train": ["a.parquet", str(tmp_path / "b.parquet")]},
        "image": "img",
        "label": "fine",
    }
    found = list(samples(image_set(source), "train"))
    assert [sample.label for sample in found] == [1, 0, 1]
    assert [sample.content for sample in found] == [encoded(0), encoded(1), encoded(2)]
    assert found[2].name == f"{tmp_path / 'b.parquet'}, row 0"


def parquet(path):
    return {"kind": "parquet", "files": {"train": str(path)}, "obtain": "Ask the library."}


def test_parquet_without_its_columns_is_an_error(tmp_path, image_set, encoded):
    path = tmp_path / "x.parquet"
    write_parquet(path, [encoded()], pa.array([0]), image="scan")
    wanted = r"x\.parquet has no image column of a usual name .*; it has scan, label\. .* `image: COLUMN`"
    with pytest.raises(LongtailError, match=wanted):
        list(samples(image_set(parquet(path)), "train"))
    with pytest.raises(LongtailError, match=r"x\.parquet has no image column 'img'; it has scan, label"):
        list(samples(image_set({**parquet(path), "image": "img"}), "train"))
    write_parquet(path, [encoded()], pa.array([0]), label="species")
    with pytest.raises(LongtailError, match="has no label column of a usual name"):
        list(samples(image_set(parquet(path)), "train"))


@pytest.mark.parametrize("labels", [pa.array([0.0]), pa.array(["cat"])])
def test_parquet_labels_must_be_integers(tmp_path, image_set, encoded, labels):
    path = tmp_path / "x.parquet"
    write_parquet(path, [encoded()], labels)
    with pytest.raises(LongtailError, match="labels must be integers"):
        list(samples(image_set(parquet(path)), "train"))


def test_parquet_images_must_be_encoded(tmp_path, image_set):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": ["a.png"], "label": [0]}), path)
    with pytest.raises(LongtailError, match=r"must be struct<bytes: binary, path: string>"):
        list(samples(image_set(parquet(path)), "train"))


def test_parquet_nulls_name_their_row(tmp_path, image_set, encoded):
    path = tmp_path / "x.parquet"
    write_parquet(path, [encoded(), encoded(), None], pa.array([0, 1, 1]))
    with pytest.raises(LongtailError, match=r"Row 2 of .*x\.parquet has no 'image'"):
        list(samples(image_set(parquet(path)), "train"))
    write_parquet(path, [encoded(), encoded(), encoded()], pa.array([0, None, 1], pa.int64()))
    with pytest.raises(LongtailError, match=r"Row 1 of .*x\.parquet has no 'label'"):
        list(samples(image_set(parquet(path)), "train"))


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_out_of_range_name_their_row(tmp_path, image_set, encoded, label):
    path = tmp_path / "x.parquet"
    write_parquet(path, [encoded(), encoded(), encoded()], pa.array([0, label, 1]))
    with pytest.raises(LongtailError, match=rf"x\.parquet, row 1 has label {label}; tiny has 2 classes, 0\.\.1"):
        list(samples(image_set(parquet(path)), "train"))


def test_missing_and_broken_parquet_files_say_how_to_get_them(tmp_path, image_set, encoded):
    path = tmp_path / "x.parquet"
    with pytest.raises(LongtailError, match=r"x\.parquet does not exist\. Ask the library\."):
        list(samples(image_set(parquet(path)), "train"))
    write_parquet(path, [encoded()], pa.array([0]))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(LongtailError, match=r"x\.parquet is not a readable Parquet file"):
        list(samples(image_set(parquet(path)), "train"))


def test_cifar10_reads_in_its_original_order(shared_data):
    image_set = ImageSet(
        "cifar10",
        {"kind": "parquet", "root": str(shared_data), "files": {"train": "cifar10/train.parquet"}, "image": "img"},
        classes=10,
        image_size=32,
        channels=3,
        parts={"train": 50000},
    )
    first = [sample for sample, _ in zip(samples(image_set, "train"), range(10), strict=False)]
    assert [sample.label for sample in first] == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]  # the published first batch
    frog = decode(first[0], image_set)
    assert frog.shape == (32, 32, 3)
    assert frog[0, 0].tolist() == [59, 62, 63]  # its first pixel in data_batch_1


# --- Folders and lists ------------------------------------------------------------------------------------------------


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.mark.parametrize("below", ["", "images/"])
def test_folders_are_read_in_lexicographic_order(tmp_path, image_set, encoded, below):
    for seed, name in enumerate(["n02/{}n02_0.JPEG", "n01/{}n01_10.JPEG", "n01/{}n01_2.JPEG", "n01/{}n01_1.JPEG"]):
        put(tmp_path / "train" / name.format(below), encoded(seed))
    put(tmp_path / "train" / "n01" / "n01_boxes.txt", b"no image")
    source = {"kind": "imagefolder", "root": str(tmp_path), "folders": {"train": "train"}}
    found = list(samples(image_set(source, parts={"train": 4}), "train"))
    assert [Path(sample.name).name for sample in found] == ["n01_1.JPEG", "n01_10.JPEG", "n01_2.JPEG", "n02_0.JPEG"]
    assert [sample.label for sample in found] == [0, 0, 0, 1]
    assert (decode(found[1], image_set(source)) == np.asarray(Image.open(io.BytesIO(encoded(1))))).all()


def test_folders_that_are_missing_or_empty_say_so(tmp_path, image_set, encoded):
    source = {"kind": "imagefolder", "root": str(tmp_path), "folders": {"train": "train"}, "obtain": "Download it."}
    with pytest.raises(LongtailError, match=r"Cannot list the images of .*train.*Download it\."):
        list(samples(image_set(source), "train"))
    (tmp_path / "train").mkdir()
    with pytest.raises(LongtailError, match=r"train has no class folders; tiny has 2 classes\. Download it\."):
        list(samples(image_set(source), "train"))
    put(tmp_path / "train" / "a" / "1.png", encoded())
    (tmp_path / "train" / "b").mkdir()
    with pytest.raises(LongtailError, match=r"no image in the class folders b of .*train\. Download it\."):
        list(samples(image_set(source), "train"))


def test_more_class_folders_than_classes_are_an_error(tmp_path, image_set, encoded):
    for name in "abc":
        put(tmp_path / "train" / name / "1.png", encoded())
    source = {"kind": "imagefolder", "root": str(tmp_path), "folders": {"train": "train"}}
    with pytest.raises(LongtailError, match=r"train has 3 class folders \(a, b, c\); tiny has 2 classes"):
        list(samples(image_set(source), "train"))


def test_lists_are_read_in_their_order(tmp_path, image_set, encoded):
    put(tmp_path / "imagenet" / "train" / "b c.png", encoded(0))
    put(tmp_path / "imagenet" / "a.png", encoded(1))
    (tmp_path / "imagenet" / "list.txt").write_text("train/b c.png 1\n\na.png 0\n")
    source = {"kind": "imagefolder", "root": str(tmp_path), "lists": {"train": "imagenet/list.txt"}}
    found = list(samples(image_set(source, parts={"train": 2}), "train"))
    assert [sample.label for sample in found] == [1, 0]
    assert decode(found[0], image_set(source)).shape == (4, 4, 3)


@pytest.mark.parametrize(("line", "message"), [("a.png", "Line 1"), ("a.png cat", "Line 1"), ("a.png 7", "label 7")])
def test_bad_lines_of_a_list_are_named(tmp_path, image_set, line, message):
    (tmp_path / "list.txt").write_text(line)
    source = {"kind": "imagefolder", "root": str(tmp_path), "lists": {"train": "list.txt"}}
    with pytest.raises(LongtailError, match=message):
        list(samples(image_set(source, parts={"train": 1}), "train"))


def test_listed_files_that_are_missing_are_named(tmp_path, image_set):
    source = {"kind": "imagefolder", "root": str(tmp_path), "lists": {"train": "list.txt"}, "obtain": "Ask."}
    with pytest.raises(LongtailError, match=r"list\.txt does not exist\. Ask\."):
        list(samples(image_set(source), "train"))
    (tmp_path / "list.txt").write_text("a.png 0")
    (sample,) = samples(image_set(source, parts={"train": 1}), "train")
    with pytest.raises(LongtailError, match=r"line 1 \(a\.png\) does not exist"):
        decode(sample, image_set(source))


# --- torchvision ------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_checksums(monkeypatch):
    """Fabricated files are as good as the published ones."""
    for module in ("cifar", "stl10"):
        monkeypatch.setattr(
            f"torchvision.datasets.{module}.check_integrity", lambda path, md5=None: Path(path).is_file()
        )


def cifar_batches(root: Path, kind: type, entries: dict[str, dict]) -> None:
    folder = root / kind.base_folder
    folder.mkdir(parents=True)
    for name, entry in entries.items():
        (folder / name).write_bytes(pickle.dumps(entry))
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps({kind.meta["key"]: ["a", "b"]}))


def test_cifar10_is_read_in_the_order_of_its_batches(tmp_path, image_set, no_checksums):
    rng = np.random.default_rng(0)
    rows = {name: rng.integers(0, 256, (2, 3072), dtype=np.uint8) for name in ["test_batch"]}
    rows |= {f"data_batch_{i}": rng.integers(0, 256, (2, 3072), dtype=np.uint8) for i in range(1, 6)}
    entries = {name: {"data": data, "labels": [i % 2, 1]} for i, (name, data) in enumerate(rows.items())}
    cifar_batches(tmp_path, torchvision.datasets.CIFAR10, entries)
    cifar = image_set({"kind": "torchvision", "dataset": "CIFAR10", "root": str(tmp_path)}, image_size=32)
    found = list(samples(cifar, "train"))
    assert [sample.label for sample in found] == [1, 1, 0, 1, 1, 1, 0, 1, 1, 1]
    planes = rows["data_batch_2"][1].reshape(3, 32, 32)  # a row is the red plane, the green, the blue
    assert (decode(found[3], cifar) == planes.transpose(1, 2, 0)).all()
    assert [sample.label for sample in samples(ImageSet(**{**vars(cifar), "parts": {"test": 2}}), "test")] == [0, 1]


def test_cifar20_takes_the_superclasses_of_the_cifar100_files(tmp_path, image_set, no_checksums):
    data = np.zeros((3, 3072), np.uint8)
    train = {"data": data, "fine_labels": [19, 29, 0], "coarse_labels": [11, 15, 4]}  # cattle, dinosaur, apple
    test = {"data": data[:2], "fine_labels": [49, 33], "coarse_labels": [10, 10]}  # mountain, forest
    cifar_batches(tmp_path, torchvision.datasets.CIFAR100, {"train": train, "test": test})
    labels = {}
    for choice in ("fine", "coarse"):
        source = {"kind": "torchvision", "dataset": "CIFAR100", "labels": choice, "root": str(tmp_path)}
        cifar = image_set(source, image_size=32, classes=100, parts={"train": 3, "test": 2})
        labels[choice] = [[sample.label for sample in samples(cifar, part)] for part in ("train", "test")]
    assert labels == {"fine": [[19, 29, 0], [49, 33]], "coarse": [[11, 15, 4], [10, 10]]}


def test_stl10_reads_its_binary_files(tmp_path, image_set, no_checksums):
    folder = tmp_path / torchvision.datasets.STL10.base_folder
    folder.mkdir()
    rng = np.random.default_rng(0)
    images = {
        part: rng.integers(0, 256, (rows, 3, 96, 96), dtype=np.uint8) for part, rows in (("train", 3), ("test", 2))
    }
    for part, labels in {"train": [1, 2, 2], "test": [2, 1]}.items():
        images[part].tofile(folder / f"{part}_X.bin")
        np.array(labels, np.uint8).tofile(folder / f"{part}_y.bin")  # published labels count from 1
    np.zeros(0, np.uint8).tofile(folder / "unlabeled_X.bin")
    source = {"kind": "torchvision", "dataset": "STL10", "root": str(tmp_path)}
    stl = image_set(source, image_size=96, parts={"train": 3, "test": 2})
    found = list(samples(stl, "train"))
    assert [sample.label for sample in found] == [0, 1, 1]
    assert [sample.label for sample in samples(stl, "test")] == [1, 0]
    assert (decode(found[2], stl) == images["train"][2].transpose(2, 1, 0)).all()  # stored column by column


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("dataset", PUBLISHED)
def test_the_published_files_are_those_of_torchvision(dataset, part):
    folder, files = PUBLISHED[dataset]
    kind = getattr(torchvision.datasets, dataset)
    assert folder == kind.base_folder
    listed = [name for name, _ in (kind.train_list if part == "train" else kind.test_list)]
    assert [*files[part]] == [name for name in listed if name != "unlabeled_X.bin"]


def test_what_is_there_is_read_without_writing(tmp_path, image_set, no_checksums, monkeypatch):
    """A folder of raw data may be read-only, and may hold the lock of somebody else."""
    entry = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]}
    names = ["test_batch", *(f"data_batch_{batch}" for batch in range(1, 6))]
    cifar_batches(tmp_path / "raw", torchvision.datasets.CIFAR10, dict.fromkeys(names, entry))
    source = {"kind": "torchvision", "dataset": "CIFAR10", "root": str(tmp_path / "raw")}
    cifar = image_set(source, image_size=32, parts={"train": 10, "test": 2})

    def refuse(*arguments, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for part, rows in (("train", 10), ("test", 2)):
        check(cifar, part)
        assert len(list(samples(cifar, part))) == rows
        assert len(inputs(cifar, part)) == (5 if part == "train" else 1)
        assert not open_source(cifar).downloads(part)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda self: False)
    with pytest.raises(LongtailError, match=r"Cannot obtain CIFAR10 in .*raw: .*Read-only file system.*name another"):
        list(samples(cifar, "train"))


def test_a_folder_for_a_download_is_needed_before_it(tmp_path, image_set):
    (tmp_path / "raw").write_text("a file")
    cifar = image_set({"kind": "torchvision", "dataset": "CIFAR10", "root": str(tmp_path / "raw")}, image_size=32)
    assert inputs(cifar, "train") == []
    assert open_source(cifar).downloads("train")
    for ask in (check, lambda spec, part: list(samples(spec, part))):
        with pytest.raises(LongtailError, match=r"Cannot obtain CIFAR10 in .*raw: .*File exists"):
            ask(cifar, "train")


def test_a_failed_download_says_what_to_do(tmp_path, image_set, monkeypatch):
    def offline(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    cifar = image_set({"kind": "torchvision", "dataset": "CIFAR10", "root": str(tmp_path / "raw")}, image_size=32)
    with pytest.raises(
        LongtailError, match=r"Cannot obtain CIFAR10 in .*raw: no route to host.*put the published archive"
    ):
        list(samples(cifar, "train"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "CIFAR20"}, "Did you mean 'CIFAR10'|no torchvision image set 'CIFAR20'"),
        ({"dataset": "CIFAR100", "labels": "corase"}, "Did you mean 'coarse'"),
        ({"dataset": "CIFAR10", "labels": "coarse"}, "no labels of CIFAR10 'coarse'"),
    ],
)
def test_torchvision_names_are_checked(image_set, options, message):
    with pytest.raises(LongtailError, match=message):
        list(samples(image_set({"kind": "torchvision", **options}), "train"))


# --- scikit-learn -----------------------------------------------------------------------------------------------------


def test_digits_come_with_scikit_learn(image_set):
    source = {"kind": "sklearn", "dataset": "digits", "root": "anywhere"}
    digits = image_set(source, images="digits", classes=10, image_size=8, channels=1, parts={"train": 1797})
    found = list(samples(digits, "train"))
    assert len(found) == 1797
    assert [sample.label for sample in found[:12]] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    pixels = decode(found[0], digits)
    assert pixels.shape == (8, 8, 1)
    assert pixels[0, :, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # 0 0 5 13 9 1 0 0 of 16


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"kind": "parqet"}, "Did you mean 'parquet'"),
        ({}, "no kind of source"),
        ({"kind": "parquet"}, r"\(of the kind 'parquet'\) lacks files"),
        ({"kind": "sklearn", "datset": "digits"}, "Did you mean 'dataset'"),
        ({"kind": "sklearn", "dataset": "iris"}, "Known: digits"),
        ({"kind": "imagefolder"}, "Known: none"),
        ({"kind": "parquet", "files": {"test": "x"}}, "no part in the files of this source 'train'"),
    ],
)
def test_options_of_a_source_are_checked(image_set, source, message):
    with pytest.raises(LongtailError, match=message):
        list(samples(image_set(source), "train"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            {"kind": "imagefolder", "folder": {"train": "x"}},
            "no key in the source of tiny 'folder'. Did you mean 'folders'",
        ),
        ({"kind": "imagefolder", "classes": 4}, "no key in the source of tiny 'classes'"),
        ({"kind": "imagefolder", "folders": "x"}, "'folders' in the source of tiny is 'x'; files, folders, lists give"),
        ({"kind": "imagefolder", "resize": "x"}, "'resize' in the source of tiny is 'x'"),
        ({"kind": "parqet", "files": 3}, "Did you mean 'parquet'"),
        ({"kind": 3, "folder": 3}, "'kind' in the source of tiny is 3"),
    ],
)
def test_a_mistyped_option_is_told_before_the_type_of_its_value(source, message):
    spec = {"images": "tiny", "source": source, "classes": 2, "image_size": 4, "channels": 3, "parts": {"train": 3}}
    with pytest.raises(LongtailError, match=message):
        ImageSet.from_json(json.dumps(spec))


@pytest.mark.parametrize("files", [{}, {"files": None}])
def test_a_missing_option_is_named(image_set, files):
    with pytest.raises(LongtailError, match=r"source of tiny \(of the kind 'parquet'\) lacks files: "):
        open_source(image_set({"kind": "parquet", "name": "m", **files}))


def test_a_source_may_be_a_class_in_a_file_of_its_own(tmp_path, image_set, encoded):
    write_parquet(tmp_path / "a.parquet", [encoded(0)] * 3, pa.array([1, 0, 1]))
    source = {"kind": "longtail.data.sources:ParquetSource", "root": str(tmp_path), "files": {"train": "a.parquet"}}
    assert [sample.label for sample in samples(image_set(source), "train")] == [1, 0, 1]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("longtail.data.sources:Parquet", "has no attribute 'Parquet'"),
        ("longtail.data.nowhere:Source", "No module named"),
        ("longtail.data.sources:", "cannot be found"),
        ("longtail..data:Source", "cannot be found"),
        ("os:system", "modules of longtail"),
        ("longtail.data.sources:samples", "is no source"),
        ("longtail.data.sources:ImageSet", "is no source"),
    ],
)
def test_a_class_that_is_no_source_is_refused(image_set, kind, message):
    with pytest.raises(LongtailError, match=message):
        list(samples(image_set({"kind": kind}), "train"))


def test_parts_that_the_catalogue_does_not_know_are_refused(image_set):
    with pytest.raises(LongtailError, match="no part of tiny 'test'"):
        list(samples(image_set({"kind": "sklearn"}), "test"))


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": 0},
        {"channels": 4},
        {"parts": {}},
        {"parts": {"train": "3"}},
        {"source": "digits"},
        {"image_size": 2.5},
    ],
)
def test_a_wrong_specification_is_an_error(changes):
    spec = {"images": "tiny", "source": {}, "classes": 2, "image_size": 4, "channels": 3, "parts": {"train": 3}}
    assert ImageSet.from_json(json.dumps(spec)).stored_size == 4
    with pytest.raises(LongtailError, match=next(iter(changes))):
        ImageSet.from_json(json.dumps({**spec, **changes}))


# --- decoding ---------------------------------------------------------------------------------------------------------


def decoded(data, image_set, **changes):
    return decode(Sample("image 7", data, 0), image_set(changes.pop("source", {}), **changes))


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGB", "PNG"), ("L", "PNG"), ("RGBA", "PNG"), ("LA", "PNG"), ("CMYK", "TIFF"), ("RGB", "WEBP")]
)
def test_all_modes_become_rgb_or_grey(image_set, encoded, mode, kind):
    data = encoded(3, mode, kind=kind)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == mode
        assert (decoded(data, image_set) == np.asarray(image.convert("RGB"))).all()
        assert (decoded(data, image_set, channels=1)[..., 0] == np.asarray(image.convert("L"))).all()


def test_palettes_become_rgb(image_set, encoded):
    file = io.BytesIO()
    with Image.open(io.BytesIO(encoded(5))) as image:
        image.quantize(256).save(file, "PNG")
        assert (decoded(file.getvalue(), image_set) == np.asarray(image)).all()


def test_sixteen_bits_are_scaled_not_clipped(image_set):
    values = np.array([[0, 256, 257, 65535], [128, 129, 32768, 514]] * 2, np.uint16)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    pixels = decoded(file.getvalue(), image_set)
    assert pixels[:2, :, 0].tolist() == [[0, 1, 1, 255], [0, 1, 128, 2]]
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_truncated_images_are_named(image_set, encoded, kind):
    data = encoded(1, size=(64, 64), kind=kind)
    assert decoded(data, image_set, image_size=64).shape == (64, 64, 3)
    with pytest.raises(LongtailError, match="image 7 cannot be decoded"):
        decoded(data[: len(data) // 2], image_set, image_size=64)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of some damage that it can live with
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_damaged_images_decode_or_are_named(data, image_set, encoded):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"]))
    broken = bytearray(encoded(1, size=(16, 16), kind=kind))
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    outcome = "image 7"
    try:
        assert decoded(bytes(broken), image_set, image_size=16).shape == (16, 16, 3)
    except LongtailError as error:
        outcome = str(error)
    assert "image 7" in outcome


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [12_000, 60_000])
def test_decompression_bombs_are_not_decoded(image_set, side):
    """Pillow alone only warns of the smaller size."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(LongtailError, match="image 7 claims to be huge"):
        decoded(data, image_set)


def test_a_wrong_size_is_an_error_unless_the_source_says_how_to_resize(image_set, encoded):
    data = encoded(2, size=(10, 6))
    with pytest.raises(LongtailError, match=r"image 7 is 10x6, but tiny has images of 4x4"):
        decoded(data, image_set)
    pixels = decoded(data, image_set, source={"resize": 4, "crop": 4})
    with Image.open(io.BytesIO(data)) as image:
        small = np.asarray(image.resize((6, 4), Image.Resampling.BILINEAR))
    assert (pixels == small[:, 1:5]).all()
    assert decoded(data, image_set, source={"resize": 5, "crop": 5}).shape == (5, 5, 3)  # stored larger than image_size
    with pytest.raises(LongtailError, match="10x6 is smaller than the crop of 8; give the source `resize: 8`"):
        decoded(data, image_set, source={"crop": 8})
