"""A record comes back as it was written, and what was changed or cut short is none."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import LongtailError
from longtail.files import PROVENANCE_KEY, write_described, write_table
from longtail.records.record import SCHEMA, Record, read, read_all

from .makers import record, study


@pytest.fixture(scope="module")
def made() -> Record:
    return record(study(), "ce", "digits-lt-ir10", values={"accuracy": [90.5], "recall": [80.25]})


def rewritten(path: Path, change) -> None:
    """The file with its table and facts changed, and all else as the library writes it."""
    table = pq.read_table(path)
    facts = json.loads(pq.read_metadata(path).metadata[PROVENANCE_KEY])
    table, facts = change(table.replace_schema_metadata(None), facts)
    write_described(path, table, facts)


def test_a_record_comes_back_as_it_was_written(made, tmp_path):
    path = made.write(str(tmp_path))
    assert Path(path) == tmp_path / "cells" / "digits-lt-ir10" / made.name
    found = read(path)
    assert found == dataclasses.replace(made, path=path, lines=found.lines)
    assert found.lines.equals(made.lines)
    assert [one.path for one in read_all(str(tmp_path))] == [path]
    assert read_all(str(tmp_path), ["digits-ir10"]) == ()


def test_the_same_record_is_the_same_file(made, tmp_path):
    first, second = (Path(made.write(str(tmp_path / name))) for name in "ab")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_another_training_of_a_cell_is_another_file(made):
    other = record(study(), "ce", "digits-lt-ir10", device="another CPU")
    assert other.kin == made.kin
    assert other.name != made.name
    assert other.name.rpartition("-")[0] == made.name.rpartition("-")[0]


def test_a_record_that_is_measured_further_takes_its_own_place(made, tmp_path):
    path = made.write(str(tmp_path))
    more = dataclasses.replace(made, lines=pa.concat_tables([made.lines, made.lines.slice(4)]))
    assert more.write(str(tmp_path)) == path
    assert len(read(path).lines) == len(made.lines) + 2


def test_curves_and_values_are_told_apart(made):
    ((training, name, epochs, values),) = made.curves()
    assert (training, name) == (made.trainings[0], "loss")
    np.testing.assert_array_equal(epochs, [1, 2, 3, 4])
    np.testing.assert_allclose(values, [1, 1 / 2, 1 / 3, 1 / 4])
    measured = made.values()
    assert measured.column_names == SCHEMA.names[2:]
    assert dict(zip(measured["metric"].to_pylist(), measured["value"].to_pylist(), strict=True)) == {
        "accuracy": 90.5,
        "recall": 80.25,
    }


CHANGES = {
    "a value": lambda table, facts: (
        table.set_column(11, "value", pa.array([*table["value"].to_pylist()[:-1], 99.0])),
        facts,
    ),
    "a lost line": lambda table, facts: (table.slice(1), facts),
    "the device": lambda table, facts: (table, {**facts, "trainings": [{**facts["trainings"][0], "device": "H200"}]}),
    "what was overlooked": lambda table, facts: (table, {**facts, "overlooked": ["dirty"]}),
    "a setting": lambda table, facts: (table, {**facts, "spec": {**facts["spec"], "precision": "mixed"}}),
    "the digest": lambda table, facts: (table, {**facts, "digest": "0" * 64}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_tampered_record_is_refused_by_name(made, tmp_path, change):
    path = made.write(str(tmp_path))
    rewritten(Path(path), change)
    with pytest.raises(LongtailError, match="not as it was written") as caught:
        read(path)
    assert path in str(caught.value)
    assert "git checkout" in str(caught.value)


def test_a_record_under_another_name_is_refused(made, tmp_path):
    path = Path(made.write(str(tmp_path)))
    other = path.with_name(path.name.replace("seed0", "seed1"))
    path.rename(other)
    with pytest.raises(LongtailError, match="does not hold what its name says"):
        read(str(other))


def test_a_forged_identity_is_refused(made, tmp_path):
    """Even with a digest that fits: the identity is that of another training."""
    forged = dataclasses.replace(made, spec={**made.spec, "identity": "0123456789"})
    path = forged.write(str(tmp_path))
    with pytest.raises(LongtailError, match="does not hold what its name says"):
        read(path)


def test_a_record_of_a_later_format_says_to_update(made, tmp_path):
    path = made.write(str(tmp_path))
    rewritten(Path(path), lambda table, facts: (table, {**facts, "format": 2}))
    with pytest.raises(LongtailError, match=r"format 2, and this version reads format 1\. Update the checkout"):
        read(path)


def test_another_parquet_file_is_no_record(tmp_path):
    path = tmp_path / "cells" / "digits-ir10" / "other.parquet"
    write_table(path, pa.table({"value": [1.0]}))
    with pytest.raises(LongtailError, match="is no record"):
        read(str(path))


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_record_is_refused_by_name(made, tmp_path_factory, share):
    folder = tmp_path_factory.mktemp("records")
    path = Path(made.write(str(folder)))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(LongtailError) as caught:
        read(str(path))
    assert str(path) in str(caught.value)
    shutil.rmtree(folder)


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_changes_nothing_that_is_read(made, tmp_path_factory, place, bit):
    """It is found, or it lies where nothing is read from."""
    folder = tmp_path_factory.mktemp("records")
    path = Path(made.write(str(folder)))
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = read(str(path))
    except LongtailError as error:
        assert str(path) in str(error)  # noqa: PT017 - either is right
    else:
        assert found.lines.equals(made.lines)
        assert found.facts() == made.facts()
    shutil.rmtree(folder)


def test_every_record_that_is_none_is_named(made, tmp_path):
    other = record(study(), "ce", "digits-lt-ir10", seed=1)
    paths = [Path(one.write(str(tmp_path))) for one in (made, other)]
    for path in paths:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(LongtailError) as caught:
        read_all(str(tmp_path))
    assert all(str(path) in str(caught.value) for path in paths)


def test_what_other_programs_leave_beside_records_is_none(made, tmp_path):
    """A copy that was cut off, macOS's companion of a file on a foreign disk, a listing of a folder."""
    path = Path(made.write(str(tmp_path)))
    for name in (f".{path.stem}-0123abcd.tmp.parquet", f"._{path.name}", ".DS_Store", "README.md"):
        (path.parent / name).write_bytes(b"\0")
    assert [one.path for one in read_all(str(tmp_path))] == [str(path)]


def test_no_folder_holds_no_records(tmp_path):
    assert read_all(str(tmp_path / "nowhere")) == ()
