from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from longtail.__main__ import main
from longtail.data.longtail import class_sizes, shuffled_rows
from longtail.data.split import SplitSpec, make_split
from longtail.errors import LongtailError
from longtail.files import read_provenance, read_table, write_table

SPEC = {
    "dataset": "toy",
    "ratio": 2,
    "construction": "longtail",
    "pool": ["train", "test"],
    "test": None,
    "head_class_rows": 4,
    "classes": 3,
    "shots": [1, 1, 1],
}


def spec(**changes):
    return SplitSpec.from_json(json.dumps({**SPEC, **changes}))


@given(st.lists(st.integers(0, 2), max_size=20), st.lists(st.integers(0, 2), max_size=20))
def test_a_split_takes_the_first_rows_of_the_pool(train, test):
    train = np.array(train + [0, 1, 2] * 2, np.int64)
    test = np.array([2, 1, 0] * 2 + test, np.int64)
    table = make_split(spec(), "train", {"train": train, "test": test}).to_pylist()
    pool = [("train", row, int(k)) for row, k in enumerate(train)] + [
        ("test", row, int(k)) for row, k in enumerate(test)
    ]
    expected = []
    for k, (size, shot) in enumerate(zip([4, 2, 2], ["many", "medium", "few"], strict=True)):
        for part, source_row, _ in [entry for entry in pool if entry[2] == k][:size]:
            names = ("row", "part", "source_row", "label", "class_size", "shot")
            expected.append(dict(zip(names, (len(expected), part, source_row, k, size, shot), strict=True)))
    assert table == expected


@given(st.integers(2, 12), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_a_split_has_no_row_twice_and_the_sizes_of_the_formula(classes, ratio, seed):
    head = 60
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(classes), head))
    cut = spec(pool=["train"], classes=classes, ratio=ratio, head_class_rows=head, shots=None)
    table = make_split(cut, "train", {"train": labels}).to_pandas()
    assert table["row"].tolist() == list(range(len(table)))
    assert not table["source_row"].duplicated().any()
    assert (labels[table["source_row"]] == table["label"]).all()
    counts = table.groupby("label").size()
    assert counts.tolist() == class_sizes(head, classes, ratio).tolist()
    assert (table["class_size"] == table["label"].map(counts)).all()
    assert table.sort_values(["label", "source_row"])["row"].is_monotonic_increasing


@pytest.mark.parametrize("construction", ["longtail", "shuffled-longtail"])
def test_a_smaller_ratio_only_adds_rows(construction):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 100))
    common = {"construction": construction, "pool": ["train"], "classes": 10, "head_class_rows": 100, "shots": None}
    taken = [
        set(
            make_split(
                spec(ratio=ratio, **common),
                "train",
                {"train": labels},
            )
            .column("source_row")
            .to_pylist()
        )
        for ratio in (100, 10, 2, 1)
    ]
    assert taken[0] < taken[1] < taken[2] < taken[3] == set(range(1000))


def test_a_shuffled_tail_is_in_the_order_of_the_draw():
    labels = {"train": np.tile(np.arange(3), 8)}
    drawn = spec(construction="shuffled-longtail", pool=["train"], head_class_rows=8)
    table = make_split(drawn, "train", labels).to_pydict()
    assert table["source_row"] == shuffled_rows(labels["train"], np.array([8, 5, 4])).tolist()
    assert table["source_row"] != sorted(table["source_row"], key=lambda row: (row % 3, row))
    assert table["label"] == [0] * 8 + [1] * 5 + [2] * 4
    assert table["row"] == list(range(17))
    assert table["class_size"] == [8] * 8 + [5] * 5 + [4] * 4


def test_the_test_split_is_all_of_the_test_parts_with_training_sizes():
    test = np.array([2, 0, 1, 0, 2], np.int64)
    table = make_split(spec(pool=["train"], test=["test"]), "test", {"test": test}).to_pydict()
    assert table["source_row"] == [1, 3, 2, 0, 4]
    assert table["label"] == [0, 0, 1, 2, 2]
    assert table["class_size"] == [4, 4, 2, 2, 2]
    assert table["shot"] == ["many", "many", "medium", "few", "few"]
    assert set(table["part"]) == {"test"}


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 2), max_size=30),
    st.integers(1, 4),
    st.sampled_from(["longtail", "shuffled-longtail", "list"]),
)
def test_held_out_rows_are_balanced_and_never_trained_on(extra, held_out, construction):
    labels = {"train": np.array(extra + [0, 1, 2] * (held_out + 4), np.int64)}
    counts = np.bincount(labels["train"]) - held_out
    changes = {"construction": construction, "pool": ["train"], "held_out": held_out}
    head = None if construction == "list" else 4
    cuts = [spec(**changes, head_class_rows=head, ratio=None if head is None else ratio) for ratio in (1, 2, 4)]
    tests = [make_split(cut, "test", labels).to_pandas() for cut in cuts]
    for cut, test in zip(cuts, tests, strict=True):
        train = make_split(cut, "train", labels).to_pandas()
        assert not set(train["source_row"]) & set(test["source_row"])
        assert test["label"].value_counts().to_dict() == dict.fromkeys(range(3), held_out)
        assert test["source_row"].tolist() == tests[0]["source_row"].tolist()
        assert (labels["train"][test["source_row"]] == test["label"]).all()
        sizes = train["label"].value_counts()
        assert (test["class_size"] == test["label"].map(sizes)).all()
        for k in range(3):
            of_class = np.flatnonzero(labels["train"] == k)
            assert test.loc[test["label"] == k, "source_row"].tolist() == of_class[-held_out:].tolist()
        if head is None:
            assert sizes.sort_index().tolist() == counts.tolist()


def test_a_held_out_split_leaves_the_head_what_is_left():
    labels = {"train": np.array([0] * 5 + [1] * 4 + [2] * 3, np.int64)}
    with pytest.raises(LongtailError, match=r"class 0 has 3 of 4, .* Lower head_class_rows to 3, .* or lower held_out"):
        make_split(spec(pool=["train"], held_out=2), "train", labels)


def test_digits_are_tested_on_images_that_no_tail_has():
    labels = {"train": load_digits().target.astype(np.int64)}
    cuts = {"dataset": "digits-lt", "construction": "shuffled-longtail", "pool": ["train"], "held_out": 50}
    tested = set()
    for ratio, rows in ((1, 1240), (10, 503), (20, 417)):
        cut = spec(**cuts, ratio=ratio, classes=10, head_class_rows=124, shots=[3, 4, 3])
        train, test = (make_split(cut, split, labels) for split in ("train", "test"))
        assert (len(train), len(test)) == (rows, 500)
        tested.add(tuple(test.column("source_row").to_pylist()))
        assert not set(train.column("source_row").to_pylist()) & set(test.column("source_row").to_pylist())
    assert len(tested) == 1


def test_a_list_has_a_validation_split():
    listed = spec(construction="list", pool=["train"], val=["val"], test=["test"], head_class_rows=None, ratio=3)
    labels = {"train": [1, 0, 2, 0, 0, 1], "val": [2, 0, 1, 0], "test": [2, 1, 0]}
    table = make_split(listed, "val", {part: np.array(of, np.int64) for part, of in labels.items()}).to_pydict()
    assert table["source_row"] == [1, 3, 2, 0]
    assert set(table["part"]) == {"val"}
    assert table["class_size"] == [3, 3, 2, 1]
    with pytest.raises(LongtailError, match="'toy' has no val split"):
        make_split(spec(), "val", {})


def test_a_list_keeps_every_row():
    listed = spec(construction="list", pool=["train"], test=["test"], head_class_rows=None, ratio=3)
    labels = {"train": np.array([1, 0, 2, 0, 0, 1], np.int64), "test": np.array([2, 1, 0], np.int64)}
    train = make_split(listed, "train", labels).to_pydict()
    assert train["source_row"] == [1, 3, 4, 0, 5, 2]
    assert train["class_size"] == [3, 3, 3, 2, 2, 1]
    assert make_split(listed, "test", labels).to_pydict()["class_size"] == [3, 2, 1]
    with pytest.raises(LongtailError, match=r"add --labels train=PATH"):
        make_split(listed, "test", {"test": labels["test"]})


def test_a_list_has_the_ratio_it_has():
    labels = {"train": np.array([0, 0, 0, 1, 2], np.int64)}
    with pytest.raises(LongtailError, match=r"ratio is 3 .* Ask for ratio 3"):
        make_split(spec(construction="list", pool=["train"], ratio=10), "train", labels)
    assert len(make_split(spec(construction="list", pool=["train"], ratio=None), "train", labels)) == 5
    with pytest.raises(LongtailError, match="toy has no image of class 1 in the pool"):
        make_split(spec(construction="list", pool=["train"]), "train", {"train": np.array([0, 2], np.int64)})


def test_too_few_rows_are_an_error_not_a_shorter_split():
    with pytest.raises(LongtailError, match=r"1 of 3 classes .*: class 2 has 1 of 2. Lower head_class_rows to 3"):
        make_split(spec(pool=["train"]), "train", {"train": np.array([0, 0, 0, 0, 1, 1, 2], np.int64)})


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range_are_an_error(label):
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2, label], np.int64)
    with pytest.raises(LongtailError, match=rf"Row 8 of part 'train' of toy has label {label}"):
        make_split(spec(pool=["train"]), "train", {"train": labels})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"construction": "longtial"}, "Did you mean 'longtail'"),
        ({"construction": "shuffled-longtail", "head_class_rows": None}, "head_class_rows of toy is None"),
        ({"head_class_rows": None}, "head_class_rows of toy is None"),
        ({"head_class_rows": 0}, "positive integer"),
        ({"ratio": None}, "ratio of toy is None"),
        ({"ratio": "10"}, "must be a number"),
        ({"pool": []}, "at least one part"),
        ({"pool": "train"}, "at least one part"),
        ({"test": []}, "null or list"),
        ({"val": "val"}, "null or list"),
        ({"held_out": 0}, "held_out of toy is 0"),
        ({"pool": ["train"], "test": ["test"], "held_out": 2}, "leave one out"),
        ({"pool": ["train"], "test": ["train"]}, "part 'train' for two splits"),
        ({"pool": ["train"], "val": ["test"], "test": ["test"]}, "part 'test' for two splits"),
        ({"classes": "3"}, "positive integer"),
        ({"head": 3}, "no key in the specification of a split 'head'"),
    ],
)
def test_a_wrong_specification_is_an_error(changes, message):
    with pytest.raises(LongtailError, match=message):
        spec(**changes)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_specification_is_a_complete_json_object(text):
    with pytest.raises(LongtailError):
        SplitSpec.from_json(text)


def test_the_ratio_is_checked_when_the_split_is_cut():
    with pytest.raises(LongtailError, match="at least 1"):
        make_split(spec(ratio=0.5, pool=["train"]), "train", {"train": np.zeros(9, np.int64)})


def test_there_is_no_test_split_where_all_images_are_in_the_pool():
    with pytest.raises(LongtailError, match="has no test split"):
        make_split(spec(), "test", {})


def test_the_command_writes_the_table_with_its_provenance(tmp_path, capsys):
    paths = {}
    for part, labels in {"train": [0, 0, 0, 0, 1, 2], "test": [2, 1]}.items():
        paths[part] = tmp_path / f"{part}.parquet"
        write_table(paths[part], pa.table({"label": pa.array(labels, pa.int64())}))
    out = tmp_path / "toy-ir2" / "train.parquet"
    options = [f"--labels={part}={path}" for part, path in paths.items()]
    command = ["job", "split", "--spec", json.dumps(SPEC), "--split", "train", "--out", str(out)]
    assert main([*command, *options]) == 0
    table = read_table(out)
    types = {field.name: str(field.type) for field in table.schema}
    whole = "int64"
    assert types == {
        "row": whole,
        "part": "string",
        "source_row": whole,
        "label": whole,
        "class_size": whole,
        "shot": "string",
    }
    assert table.column("label").to_pylist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert read_provenance(out)["ratio"] == 2
    assert main([*command, f"--labels={paths['train']}"]) == 1
    assert "PART=PATH" in capsys.readouterr().err
    assert main([*command, options[0]]) == 1
    assert "needs the labels of part 'test'" in capsys.readouterr().err


@pytest.mark.parametrize("labels", [pa.array([0.0, 1.0]), pa.array([0, None], pa.int64())])
def test_labels_must_be_whole_numbers(tmp_path, capsys, labels):
    path = tmp_path / "labels.parquet"
    write_table(path, pa.table({"label": labels}))
    command = ["job", "split", "--spec", json.dumps(SPEC), "--split", "train", "--out", str(tmp_path / "out.parquet")]
    assert main([*command, f"--labels=train={path}"]) == 1
    assert "not whole integers" in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()


def test_cifar10_at_ratio_ten_has_the_published_rows(shared_data):
    labels = pq.read_table(shared_data / "cifar10" / "train.parquet", columns=["label"]).column("label").to_numpy()
    cut = spec(dataset="cifar10", ratio=10, pool=["train"], classes=10, head_class_rows=5000, shots=[3, 4, 3])
    table = make_split(cut, "train", {"train": labels})
    assert len(table) == 20431
    airplanes = [row for row, label in enumerate(labels.tolist()) if label == 0]
    trucks = [row for row, label in enumerate(labels.tolist()) if label == 9]
    assert table.column("source_row").to_pylist()[:5000] == airplanes
    assert table.column("source_row").to_pylist()[-500:] == trucks[:500]


@pytest.mark.parametrize(
    ("name", "column", "classes", "ends"),
    [
        ("cifar10", "label", 10, [4030, 38518, 48266, 45556, 6312, 22925, 613, 16267, 4256, 11918]),
        ("cifar100", "fine_label", 100, [9470, 27272, 30172, 43691, 45171, 34578, 14396, 35560, 35541, 30065]),
    ],
)
def test_cifar_lt_has_the_rows_of_the_recognition_papers(shared_data, name, column, classes, ends):
    """First and last five rows at ratio 100, as NumPy's global generator draws them from the labels of the files."""
    labels = pq.read_table(shared_data / name / "train.parquet", columns=[column]).column(column).to_numpy()
    changes = {"pool": ["train"], "classes": classes, "head_class_rows": 50_000 // classes, "shots": None}
    cut = spec(dataset=f"{name}-lt", construction="shuffled-longtail", ratio=100, **changes)
    rows = make_split(cut, "train", {"train": labels}).column("source_row").to_pylist()
    assert rows[:5] + rows[-5:] == ends


@pytest.mark.parametrize(("ratio", "rows"), [(5, 25114), (10, 19954)])
def test_cifar20_has_the_published_rows(shared_data, ratio, rows):
    table = pq.read_table(shared_data / "cifar100" / "train.parquet", columns=["coarse_label"])
    labels = table.column("coarse_label").to_numpy()
    cut = spec(dataset="cifar20", ratio=ratio, pool=["train"], classes=20, head_class_rows=2500, shots=[6, 8, 6])
    assert len(make_split(cut, "train", {"train": labels})) == rows
    with pytest.raises(LongtailError, match=r"19 of 20 classes .*: class 0 has 2,500 of 5,000.* and 14 more"):
        make_split(spec(pool=["train"], classes=20, head_class_rows=5000, shots=None), "train", {"train": labels})
