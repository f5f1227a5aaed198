"""Parquet as it is published: columns of any usual name, bytes or struct, images within or beside, of any size."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longtail.data import columns, parquet, sources
from longtail.data.decode import decode
from longtail.data.parquet import batches
from longtail.data.sources import samples
from longtail.data.store import write_store
from longtail.errors import LongtailError
from longtail.files import read_table

BYTES = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def cells(*images, paths=None):
    return pa.array([{"bytes": data, "path": path} for data, path in zip(images, paths or images, strict=True)], BYTES)


def source(path, **options):
    return {"kind": "parquet", "root": str(path.parent), "files": {"train": path.name}, **options}


def written(path, table):
    pq.write_table(pa.table(table), path)
    return path


@pytest.mark.parametrize("label", columns.LABEL.usual)
@pytest.mark.parametrize("image", columns.IMAGE.usual)
@pytest.mark.parametrize("capitals", [str, str.title])
def test_usual_names_are_recognised_and_said(tmp_path, image_set, encoded, capsys, image, label, capitals):
    column = cells(*(encoded(seed) for seed in range(3)), paths=["a"] * 3)
    table = {capitals(image): column, "filename": ["a"] * 3, capitals(label): [0, 1, 1], "number": [7, 8, 9]}
    spec = image_set(source(written(tmp_path / "x.parquet", table)))
    sources.check(spec, "train")
    assert capsys.readouterr().err == ""
    assert [sample.label for sample in samples(spec, "train")] == [0, 1, 1]
    said = capsys.readouterr().err
    assert f"'{capitals(image)}' for the image and '{capitals(label)}' for the label is taken" in said


@pytest.mark.parametrize(
    ("extra", "role"),
    [
        ({"target": [0, 1, 1]}, "label"),
        ({"fine_label": [0, 1, 1]}, "label"),
        ({"photo": pa.array([b"x", b"y", b"z"])}, "image"),
    ],
)
def test_several_candidates_are_refused_until_one_is_named(tmp_path, image_set, encoded, extra, role):
    table = {"image": cells(encoded(0), encoded(1), encoded(2), paths="abc"), "label": [1, 0, 1], **extra}
    path = written(tmp_path / "x.parquet", table)
    for ask in (sources.check, lambda spec, part: list(samples(spec, part))):
        with pytest.raises(LongtailError, match=rf"several columns that may be the {role} column: .*`{role}: COLUMN`"):
            ask(image_set(source(path)), "train")
    assert [sample.label for sample in samples(image_set(source(path, **{role: role})), "train")] == [1, 0, 1]


def test_a_candidate_that_cannot_be_read_gives_way(tmp_path, image_set, encoded):
    table = {
        "image": cells(encoded(0), encoded(1), encoded(2), paths="abc"),
        "label": [1, 0, 1],
        "class": ["b", "a", "b"],
    }
    assert len(list(samples(image_set(source(written(tmp_path / "x.parquet", table))), "train"))) == 3


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize(("classes", "expected"), [(6, [5, 0, 3]), (3, [2, 0, 1])])
def test_the_number_of_classes_decides_between_fine_and_coarse(
    tmp_path, image_set, encoded, classes, expected, statistics
):
    """The greatest label may lie in another file than the first."""
    images = [encoded(seed) for seed in range(3)]
    for name, rows in (("b-1.parquet", [1, 2]), ("b-0.parquet", [0])):
        fine, coarse = [[labels[row] for row in rows] for labels in ([5, 0, 3], [2, 0, 1])]
        table = {"img": cells(*(images[row] for row in rows), paths=["a"] * len(rows))}
        table |= {"fine_label": fine, "coarse_label": coarse}
        pq.write_table(pa.table(table), tmp_path / name, write_statistics=statistics)
    spec = image_set({**source(tmp_path / "b-*.parquet")}, classes=classes)
    sources.check(spec, "train")
    assert [sample.label for sample in samples(spec, "train")] == expected
    with pytest.raises(LongtailError, match="several columns that may be the label column: coarse_label, fine_label"):
        list(samples(image_set(source(tmp_path / "b-*.parquet"), classes=9), "train"))


@pytest.mark.parametrize(("classes", "column"), [(100, "fine_label"), (20, "coarse_label")])
def test_cifar100_and_cifar20_come_out_of_one_file(shared_data, image_set, capsys, classes, column):
    files = {"train": "cifar100/train.parquet", "test": "cifar100/test.parquet"}
    given = {"kind": "parquet", "root": str(shared_data), "files": files}
    spec = image_set(given, classes=classes, image_size=32, parts={"train": 50000, "test": 10000})
    for part in ("train", "test"):
        sources.check(spec, part)
        first = next(samples(spec, part))
        assert first.label == pq.ParquetFile(shared_data / files[part]).read_row_group(0, [column])[column][0].as_py()
        assert decode(first, spec).shape == (32, 32, 3)
        assert f"'img' for the image and '{column}' for the label" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_images_may_be_plain_bytes(tmp_path, image_set, encoded, kind):
    images = [encoded(seed) for seed in range(3)]
    path = written(tmp_path / "x.parquet", {"image": pa.array(images, kind), "label": [0, 1, 1]})
    assert [sample.content for sample in samples(image_set(source(path)), "train")] == images


def test_images_beside_the_file_are_followed(tmp_path, image_set, encoded):
    (tmp_path / "data" / "img").mkdir(parents=True)
    (tmp_path / "data" / "img" / "1.png").write_bytes(encoded(1))
    (tmp_path / "2.png").write_bytes(encoded(2))
    (tmp_path / "far.png").write_bytes(encoded(3))
    column = cells(encoded(0), None, None, None, paths=["0.png", "img/1.png", "2.png", str(tmp_path / "far.png")])
    path = written(tmp_path / "data" / "x.parquet", {"image": column, "label": [0, 1, 1, 0]})
    spec = image_set({**source(path), "root": str(tmp_path), "files": {"train": "data/x.parquet"}}, parts={"train": 4})
    for seed, sample in enumerate(samples(spec, "train")):
        assert (decode(sample, spec) == decode(sample._replace(content=encoded(seed)), spec)).all()
    sources.check(spec, "train")


@pytest.mark.parametrize("ask", [sources.check, lambda spec, part: list(samples(spec, part))])
def test_images_that_lie_nowhere_are_named(tmp_path, image_set, ask):
    path = written(tmp_path / "x.parquet", {"image": cells(None, None, None, paths="abc"), "label": [0, 1, 1]})
    with pytest.raises(LongtailError, match=r"Row 0 of .*x\.parquet holds no image, only the path 'a' of a file"):
        ask(image_set(source(path)), "train")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 400), min_size=1, max_size=60),
    group=st.integers(1, 60),
    dictionary=st.booleans(),
    budget=st.integers(1, 2000),
    most=st.integers(1, 40),
)
def test_rows_of_any_size_are_read_once_and_in_order(tmp_path, monkeypatch, sizes, group, dictionary, budget, most):
    """A batch that holds more than Arrow can nest is read again in smaller ones; the limit is lowered to see it."""
    values = [bytes([row % 256]) * size for row, size in enumerate(sizes)]
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"v": values}), path, row_group_size=group, use_dictionary=dictionary)

    class Limited(pq.ParquetFile):
        def iter_batches(self, batch_size, **options):
            for batch in super().iter_batches(batch_size, **options):
                if len(batch) > 1 and sum(map(len, batch.column("v").to_pylist())) > 600:
                    raise pa.ArrowNotImplementedError("Nested data conversions")
                yield batch

    with monkeypatch.context() as patch, Limited(path) as file:
        patch.setattr(parquet, "BATCH_BYTES", budget)
        patch.setattr(parquet, "MOST_ROWS", most)
        found = list(batches(file, ["v"]))
    assert [value for batch in found for value in batch.column("v").to_pylist()] == values
    assert max(map(len, found)) <= most


def test_parquet_that_pyarrow_cannot_read_is_not_called_broken(tmp_path, image_set, encoded, monkeypatch):
    def refuse(*arguments, **options):
        raise pa.ArrowNotImplementedError("codec")

    path = written(tmp_path / "x.parquet", {"image": [encoded(0)] * 3, "label": [0, 1, 1]})
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", refuse)
    with pytest.raises(LongtailError, match=r"x\.parquet is Parquet of a kind that pyarrow .* cannot read \(codec\)"):
        list(samples(image_set(source(path)), "train"))


def test_large_images_bound_the_memory_of_the_store(tmp_path, image_set, encoded, monkeypatch):
    """Chunks end at a number of bytes; what is stored does not depend on where."""
    images = [encoded(seed) + b"\0" * 1000 * seed for seed in range(7)]
    path = written(tmp_path / "x.parquet", {"image": images, "label": [0, 1] * 3 + [0]})
    stored = []
    for limit in (1, 2500, 10**9):
        monkeypatch.setattr("longtail.data.store.CHUNK_BYTES", limit)
        write_store(image_set(source(path), parts={"train": 7}), "train", tmp_path / "x.npy", tmp_path / "l.parquet")
        stored.append(np.load(tmp_path / "x.npy"))
        assert read_table(tmp_path / "l.parquet")["label"].to_pylist() == [0, 1] * 3 + [0]
    assert (stored[0] == stored[1]).all()
    assert (stored[1] == stored[2]).all()


@pytest.mark.parametrize(("labels", "message"), [([1, 2, 3], "1..3"), ([-1, 0, 1], "-1..1")])
def test_labels_out_of_range_are_known_before_reading(tmp_path, image_set, encoded, labels, message):
    path = written(tmp_path / "x.parquet", {"image": [encoded(0)] * 3, "label": labels})
    with pytest.raises(LongtailError, match=rf"Column 'label' of .*x\.parquet has label {message}; tiny has 2 classes"):
        sources.check(image_set(source(path)), "train")


def test_a_wrong_number_of_rows_is_known_before_reading(tmp_path, image_set, encoded):
    path = written(tmp_path / "x.parquet", {"image": [encoded(0)] * 3, "label": [0, 1, 1]})
    with pytest.raises(LongtailError, match=r"has only 3 images in part 'train', .* says 4 \(.*x\.parquet\)"):
        sources.check(image_set(source(path), parts={"train": 4}), "train")


# --- Files that do not agree, and rows that lack something ------------------------------------------------------------

ASK = [sources.check, lambda spec, part: list(samples(spec, part))]
FINE = {"fine_label": [0, 1], "coarse_label": [0, 0]}


def noted(names, label=(0, 1)):
    """Two images, whose classes are called as Hugging Face's `datasets` notes it."""
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    table = pa.table({"image": cells(b"x", b"y", paths="ab"), "label": list(label)})
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


@pytest.mark.parametrize("files", [{"train": ["a.parquet", "b.parquet"]}, {"train": "a.parquet", "test": "b.parquet"}])
@pytest.mark.parametrize("ask", ASK)
def test_files_that_number_classes_differently_are_named(tmp_path, image_set, files, ask):
    rows = 4 if len(files) == 1 else 2
    spec = image_set({**source(tmp_path / "a.parquet"), "files": files}, parts=dict.fromkeys(files, rows))
    pq.write_table(noted(["cat", "dog"]), tmp_path / "a.parquet")
    for names in (["cat", "dog"], None, "cat", []):
        pq.write_table(noted(names), tmp_path / "b.parquet")
        ask(spec, "train")
    pq.write_table(noted(["dog", "cat"]), tmp_path / "b.parquet")
    message = r"a\.parquet and .*b\.parquet number classes differently: 0 is 'cat' in the former, and 'dog' in the"
    with pytest.raises(LongtailError, match=message):
        ask(spec, "train")


@pytest.mark.parametrize("ask", ASK)
def test_files_of_another_part_that_cannot_be_read_are_told_when_they_are(tmp_path, image_set, ask):
    files = {"train": "a.parquet", "test": "b.parquet"}
    spec = image_set({**source(tmp_path / "a.parquet"), "files": files}, parts={"train": 2, "test": 2})
    pq.write_table(noted(["cat", "dog"]), tmp_path / "a.parquet")
    ask(spec, "train")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    ask(spec, "train")
    with pytest.raises(LongtailError, match=r"b\.parquet is not a readable Parquet file"):
        ask(spec, "test")


@pytest.mark.parametrize(
    ("second", "classes", "message"),
    [
        (
            {"img": 0, "coarse_label": [0, 0]},
            2,
            r"b\.parquet has no label column 'fine_label'.*a\.parquet has it, and the",
        ),
        ({"img": 0, "coarse_label": [0, 0]}, 1, None),
        ({"img": 0, **FINE, "fine_label": ["a", "b"]}, 2, r"'fine_label' of .*b\.parquet is string; labels must be"),
        ({"img": 0, **FINE, "fine_label": ["a", "b"]}, 1, None),
        ({"image": 0, **FINE}, 1, r"b\.parquet has no image column 'img'.*a\.parquet has it, and the files of a part"),
    ],
)
@pytest.mark.parametrize("ask", ASK)
def test_files_of_other_columns_are_read_or_named(tmp_path, image_set, second, classes, message, ask):
    images = cells(b"x", b"y", paths="ab")
    written(tmp_path / "a.parquet", {"img": images, **FINE})
    written(tmp_path / "b.parquet", {name: images if values == 0 else values for name, values in second.items()})
    one = image_set({**source(tmp_path / "*.parquet")}, classes=classes, parts={"train": 4})
    if message is None:
        ask(one, "train")
        return
    with pytest.raises(LongtailError, match=message) as caught:
        ask(one, "train")
    assert "COLUMN" not in str(caught.value)


@pytest.mark.parametrize("ask", ASK)
def test_of_columns_of_one_name_none_is_to_be_named(tmp_path, image_set, ask):
    columns = [cells(b"x", b"y", paths="ab"), pa.array([0, 1]), pa.array([0, 1])]
    pq.write_table(pa.Table.from_arrays(columns, names=["image", "label", "label"]), tmp_path / "x.parquet")
    with pytest.raises(LongtailError, match=r"has 2 columns 'label', .* Write it with one of them\.$"):
        ask(image_set(source(tmp_path / "x.parquet"), parts={"train": 2}), "train")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=st.lists(st.none() | st.integers(-1, 3), min_size=1, max_size=8), group=st.integers(1, 8))
def test_nulls_and_labels_out_of_range_are_known_before_reading(tmp_path, image_set, labels, group):
    table = pa.table({"image": pa.array([b"x"] * len(labels)), "label": pa.array(labels, pa.int64())})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=group)
    spec = image_set(source(tmp_path / "x.parquet"), parts={"train": len(labels)})
    missing = labels.count(None)
    try:
        sources.check(spec, "train")
        said = ""
    except LongtailError as error:
        said = str(error)
    assert bool(said) == (missing > 0 or not {*labels} <= {0, 1})
    if missing and {*labels} <= {0, 1, None}:
        assert f"{missing} of {len(labels)} rows of {tmp_path / 'x.parquet'} lack 'label' (null)" in said


def test_null_images_are_known_before_reading(tmp_path, image_set):
    path = written(tmp_path / "x.parquet", {"image": pa.array([b"x", None]), "label": [0, 1]})
    with pytest.raises(
        LongtailError, match=r"1 of 2 rows of .* lack 'image' \(null\)\. Every row needs image and label"
    ):
        sources.check(image_set(source(path), parts={"train": 2}), "train")


@pytest.mark.parametrize("why", ["empty", "null"])
def test_an_empty_image_is_not_called_null(tmp_path, image_set, why):
    path = written(tmp_path / "x.parquet", {"image": cells(b"x", b"" if why == "empty" else None, paths=["a", None])})
    pq.write_table(pq.read_table(path).append_column("label", pa.array([0, 1])), path)
    with pytest.raises(LongtailError, match=rf"Row 1 of .*x\.parquet has no 'image' \({why}\)"):
        list(samples(image_set(source(path), parts={"train": 2}), "train"))


def not_utf8(count):
    """Text that is none: ``a\\xe9`` in every row."""
    offsets = np.arange(count + 1, dtype=np.int32) * 2
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(b"a\xe9" * count)])


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
def test_paths_may_be_any_bytes(tmp_path, image_set, encoded, kind):
    """As bytes that are there suffice, and file systems know no encoding."""
    paths = not_utf8(2).cast(pa.binary()) if kind == pa.binary() else not_utf8(2)
    images = pa.StructArray.from_arrays([pa.array([encoded(0), None], pa.binary()), paths], ["bytes", "path"])
    path = written(tmp_path / "x.parquet", {"image": images, "label": [0, 1]})
    one = image_set(source(path), parts={"train": 2})
    with pytest.raises(LongtailError, match=r"Row 1 of .* holds no image, only the path"):
        list(samples(one, "train"))
    with open(bytes(tmp_path) + b"/a\xe9", "wb") as file:  # noqa: PTH123
        file.write(encoded(1))
    assert [decode(sample, one).shape for sample in samples(one, "train")] == [(4, 4, 3)] * 2


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
@pytest.mark.parametrize("ask", ASK)
def test_a_path_that_no_file_can_have_does_not_make_the_table_unreadable(tmp_path, image_set, name, ask):
    path = written(tmp_path / "x.parquet", {"image": cells(None, paths=[name]), "label": [0]})
    with pytest.raises(LongtailError, match=r"Row 0 of .*x\.parquet holds no image, only the path"):
        ask(image_set(source(path), parts={"train": 1}), "train")
