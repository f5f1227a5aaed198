from __future__ import annotations

import errno
import functools
import os
import stat
import sys
import types
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail import __version__
from longtail.errors import LongtailError
from longtail.files import provenance, read_json, read_provenance, read_table, replacing, write_table

TABLE = pa.table({"row": pa.array(range(500), pa.int64()), "label": pa.array([i % 7 for i in range(500)], pa.int64())})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- replacing


def test_replacing_gives_a_new_file_and_its_folders(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "history.csv"
    with replacing(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".csv"
        temporary.write_text("epoch\n")
        assert not target.exists()
    assert target.read_text() == "epoch\n"
    assert names(target.parent) == ["history.csv"]


def test_replacing_follows_the_umask(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    before = os.umask(0o027)
    try:
        with replacing(target) as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@given(
    old=st.none() | st.binary(max_size=50),
    written=st.binary(max_size=50),
    remove=st.booleans(),
    failure=st.sampled_from(
        [
            ValueError("diverged"),
            LongtailError("diverged"),
            KeyboardInterrupt(),
            SystemExit(143),
            OSError(errno.ENOSPC, "No space left on device"),
            MemoryError(),
        ]
    ),
)
def test_whatever_fails_leaves_the_target_and_no_temporary(
    tmp_path_factory: pytest.TempPathFactory, old: bytes | None, written: bytes, remove: bool, failure: BaseException
) -> None:
    folder = tmp_path_factory.mktemp("replacing")
    target = folder / "state.pt"
    if old is not None:
        target.write_bytes(old)
    with pytest.raises(BaseException) as caught, replacing(target) as temporary:  # noqa: PT011, PT012
        temporary.write_bytes(written)
        if remove:
            temporary.unlink()
        raise failure
    assert caught.value is failure or (isinstance(failure, OSError) and isinstance(caught.value, LongtailError))
    assert names(folder) == ([] if old is None else ["state.pt"])
    assert old is None or target.read_bytes() == old


def test_a_signal_on_any_line_leaves_no_temporary(tmp_path: Path) -> None:
    """As the job's own handler, which raises ``SystemExit`` wherever the interpreter happens to be."""
    target = tmp_path / "metrics.parquet"

    def write(until: int | None) -> int:
        reached = 0

        def trace(frame: types.FrameType, event: str, _: object) -> Any:
            nonlocal reached
            if event == "line" and frame.f_code is replacing.__wrapped__.__code__:
                reached += 1
                if reached == until:
                    raise SystemExit(143)
            return trace

        sys.settrace(trace)
        try:
            with replacing(target) as temporary:
                temporary.write_text("new")
        finally:
            sys.settrace(None)
        return reached

    lines = write(None)
    assert lines > 5
    for line in range(1, lines + 1):
        target.unlink(missing_ok=True)
        with pytest.raises(SystemExit):
            write(line)
        assert names(tmp_path) in ([], ["metrics.parquet"])
        assert not target.exists() or target.read_text() == "new"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("function", ["open", "fsync", "replace"])
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int) -> None:
    target = tmp_path / "metrics.parquet"
    target.write_text("old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(LongtailError) as caught, replacing(target) as temporary:
        temporary.write_text("new")
    monkeypatch.undo()
    assert str(target) in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["metrics.parquet"]


def test_a_disk_that_fills_while_the_block_writes_is_named(tmp_path: Path) -> None:
    target = tmp_path / "metrics.parquet"

    def write(path: Path) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(LongtailError, match=r"metrics\.parquet.*No space left"), replacing(target) as temporary:
        write(temporary)
    assert names(tmp_path) == []


def test_a_missing_input_of_the_block_is_not_blamed_on_the_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="embeddings"), replacing(tmp_path / "out.parquet"):
        (tmp_path / "embeddings.parquet").read_bytes()
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    with (
        pytest.raises(LongtailError, match=r"Cannot write .*results/split/train"),
        replacing(tmp_path / "results" / "split" / "train.parquet"),
    ):
        raise AssertionError("the block must not run")


def test_a_target_that_is_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(LongtailError, match=r"Cannot write .*out"), replacing(tmp_path / "out") as temporary:
        temporary.write_text("x")
    assert names(tmp_path) == ["out"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir(mode=0o555)
    with pytest.raises(LongtailError, match="Permission denied"), replacing(folder / "out.txt"):
        raise AssertionError("the block must not run")
    assert names(folder) == []


# --- tables


def test_table_and_provenance_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "metrics.parquet"
    own = TABLE.replace_schema_metadata({"origin": "test"})
    write_table(path, own, phase="conmix-3f2a", seeds=[0, 1], device=None)
    read = read_table(path)
    assert read.equals(TABLE)
    assert read.schema.metadata[b"origin"] == b"test"
    facts = read_provenance(path)
    assert (facts["phase"], facts["seeds"], facts["device"]) == ("conmix-3f2a", [0, 1], None)
    assert facts["longtail"] == __version__
    assert facts["versions"]["pyarrow"] == pa.__version__
    assert set(facts) == set(provenance()) | {"phase", "seeds", "device"}


@given(
    facts=st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=4,
    )
)
def test_facts_come_back_as_they_were_given(tmp_path_factory: pytest.TempPathFactory, facts: dict[str, object]) -> None:
    path = tmp_path_factory.mktemp("facts") / "x.parquet"
    write_table(path, TABLE.slice(0, 1), **facts)
    assert {name: read_provenance(path)[name] for name in facts} == facts


def test_facts_that_cannot_be_stored_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_table(tmp_path / "x.parquet", TABLE, device=object())
    assert names(tmp_path) == []


def test_embeddings_round_trip_as_fixed_size_lists(tmp_path: Path) -> None:
    kind = pa.list_(pa.float32(), 3)
    table = pa.table({"row": [0, 1], "embedding": pa.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], kind), "label": [5, 6]})
    write_table(tmp_path / "x.parquet", table)
    read = read_table(tmp_path / "x.parquet", columns=["label", "embedding"])
    assert sorted(read.column_names) == ["embedding", "label"]
    assert read.schema.field("embedding").type == kind
    assert read["embedding"].equals(table["embedding"])


def test_the_same_table_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = provenance()
    monkeypatch.setattr("longtail.files.provenance", lambda **more: {**facts, **more})
    for name in ("a", "b"):
        write_table(tmp_path / name, TABLE, seed=0)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_of_another_writer_is_read_and_has_no_provenance(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "x.parquet")
    assert read_table(tmp_path / "x.parquet").equals(TABLE)
    assert read_provenance(tmp_path / "x.parquet") == {}


@pytest.mark.parametrize("read", [read_table, read_provenance])
def test_a_missing_file_is_named(tmp_path: Path, read: object) -> None:
    with pytest.raises(LongtailError, match=r"gone\.parquet does not exist"):
        read(tmp_path / "gone.parquet")  # type: ignore[operator]


@pytest.mark.parametrize("read", [read_table, read_provenance])
@pytest.mark.parametrize("content", [b"", b"P", b"row,label\n1,2\n", b"PAR1", b"PAR1" * 3, b"\x00" * 100])
def test_a_foreign_file_is_named(tmp_path: Path, read: object, content: bytes) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(LongtailError, match=r"x\.parquet is not a readable Parquet file"):
        read(path)  # type: ignore[operator]


@pytest.mark.parametrize("read", [read_table, read_provenance])
def test_a_folder_is_no_table(tmp_path: Path, read: object) -> None:
    with pytest.raises(LongtailError, match=str(tmp_path)):
        read(tmp_path)  # type: ignore[operator]


@functools.cache
def stored(folder: Path) -> bytes:
    write_table(folder / "whole.parquet", TABLE.slice(0, 60))
    return (folder / "whole.parquet").read_bytes()


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_named(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = stored(folder)
    path = folder / "truncated.parquet"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LongtailError, match=r"truncated\.parquet is not a readable Parquet file.*run the workflow"):
        read_table(path)


def test_a_flipped_bit_is_never_read_as_data(tmp_path: Path) -> None:
    table = TABLE.slice(0, 60).append_column("shot", pa.array(["many", "medium", "few"] * 20))
    write_table(tmp_path / "whole.parquet", table)
    whole = (tmp_path / "whole.parquet").read_bytes()
    pages = pq.ParquetFile(tmp_path / "whole.parquet").metadata.row_group(0)
    end = 4 + sum(pages.column(i).total_compressed_size for i in range(pages.num_columns))
    noticed = 0
    for position in range(4, end):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        (tmp_path / "damaged.parquet").write_bytes(damaged)
        try:
            assert read_table(tmp_path / "damaged.parquet").equals(table), position  # a statistic or a default was hit
        except LongtailError:
            noticed += 1
    assert noticed > (end - 4) / 2


def test_missing_columns_are_named_with_those_that_exist(tmp_path: Path) -> None:
    write_table(tmp_path / "x.parquet", TABLE)
    with pytest.raises(LongtailError, match=r"no column 'cluster', 'trial'; it has 'row', 'label'"):
        read_table(tmp_path / "x.parquet", columns=["row", "cluster", "trial"])
    assert read_table(tmp_path / "x.parquet", columns=["label"]).column_names == ["label"]
    assert read_table(tmp_path / "x.parquet", columns=[]).column_names == []


def test_a_file_that_may_not_be_read_is_not_to_be_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path / "x.parquet", TABLE)

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("longtail.files.pq.ParquetFile", deny)
    with pytest.raises(LongtailError, match="Permission denied") as caught:
        read_table(tmp_path / "x.parquet")
    assert "Delete" not in str(caught.value)


def test_outside_a_checkout_the_revision_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    from longtail import files

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(files.subprocess, "run", missing)
    files._revision.cache_clear()
    assert provenance()["revision"] == "unknown"
    monkeypatch.undo()
    files._revision.cache_clear()
    assert provenance()["revision"]


# --- read_json


def test_an_object_is_read_from_the_option_or_from_the_file_it_names(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"name": "Zürich"}', encoding="utf-8")
    assert read_json('{"name": "Zürich"}', "--spec") == {"name": "Zürich"}
    assert read_json(f"@{tmp_path / 'spec.json'}", "--spec") == {"name": "Zürich"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"--spec is not valid JSON \(.*\): \{"),
        ("[1]", r"--spec must be a JSON object, not \[1\]"),
        ("@{folder}/none.json", r"--spec in .*none\.json cannot be read: No such file"),
        ("@{folder}", "--spec in .* cannot be read: Is a directory"),
        ("@{folder}/bytes.json", r"--spec in .*bytes\.json is not valid JSON"),
    ],
)
def test_what_is_no_object_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LongtailError, match=message):
        read_json(text.replace("{folder}", str(tmp_path)), "--spec")
