"""Whether raw data are those that were decoded, told from a note beside what was made of them."""

from __future__ import annotations

import os
import shutil

import pytest

from longtail.data.watch import NOTE, Raw, contents, noting, state
from longtail.errors import LongtailError

FILES = {"a/0.png": b"zero", "a/1.png": b"one", "b/0.png": b"two"}


@pytest.fixture
def raw(tmp_path):
    """A folder of raw data, read and noted; what was made of it lies in ``made`` beside it."""
    folder = tmp_path / "raw"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    with noting(tmp_path / "made", lambda: [folder]):
        pass
    return folder


def look(raw):
    return state(raw.with_name("made"), [raw])


def touch(raw):
    os.utime(raw / "a/0.png", (1, 1))


def copy(raw):
    shutil.copytree(raw, raw.with_name("copy"), copy_function=shutil.copyfile)
    shutil.rmtree(raw)
    raw.with_name("copy").rename(raw)


def hide(raw):
    (raw / ".DS_Store").write_bytes(b"x")
    (raw / "a/._0.png").write_bytes(b"x")


@pytest.mark.parametrize("change", [lambda raw: None, touch, copy, hide])
def test_the_same_bytes_are_the_same(raw, change):
    change(raw)
    assert look(raw) is Raw.SAME


def same_size(raw):
    (raw / "a/1.png").write_bytes(b"eno")


def swapped(raw):
    (raw / "a/0.png").rename(raw / "x")
    (raw / "a/1.png").rename(raw / "a/0.png")
    (raw / "x").rename(raw / "a/1.png")


def moved_between_classes(raw):
    (raw / "a/1.png").rename(raw / "b/1.png")


def added(raw):
    (raw / "b/2.png").write_bytes(b"three")


def deleted(raw):
    (raw / "b/0.png").unlink()


@pytest.mark.parametrize("change", [same_size, swapped, moved_between_classes, added, deleted])
def test_other_bytes_names_or_numbers_are_a_change(raw, change):
    change(raw)
    assert look(raw) is Raw.CHANGED
    assert look(raw) is Raw.CHANGED  # as long as they are not read again


def emptied(raw):
    for name in FILES:
        (raw / name).unlink()


@pytest.mark.parametrize("change", [shutil.rmtree, emptied])
def test_what_was_removed_to_save_space_is_gone(raw, change):
    change(raw)
    assert look(raw) is Raw.GONE


def test_one_of_several_files_that_is_missing_is_a_change(tmp_path):
    files = [tmp_path / name for name in ("1.parquet", "2.parquet")]
    for file in files:
        file.write_bytes(file.name.encode())
    with noting(tmp_path / "made", lambda: files):
        pass
    assert state(tmp_path / "made", files) is Raw.SAME
    assert state(tmp_path / "made", files[::-1]) is Raw.CHANGED
    assert state(tmp_path / "made", files[:1]) is Raw.CHANGED
    files[0].unlink()
    assert state(tmp_path / "made", files) is Raw.CHANGED


def test_contents_are_read_once_for_a_look_that_is_new(raw, monkeypatch):
    touch(raw)
    assert look(raw) is Raw.SAME
    monkeypatch.setattr("longtail.data.watch.contents", lambda _: pytest.fail("they were read again"))
    assert look(raw) is Raw.SAME


@pytest.mark.parametrize("text", [None, "", "[]", '{"fingerprint": 1}'])
def test_without_a_note_nothing_is_known(raw, text):
    note = raw.with_name("made") / NOTE
    note.unlink() if text is None else note.write_text(text)
    assert look(raw) is Raw.UNKNOWN


def test_no_note_where_nothing_is_read_from_files(tmp_path):
    with noting(tmp_path, list):
        pass
    assert not (tmp_path / NOTE).exists()


def test_no_note_where_the_reading_failed(raw):
    (raw.with_name("made") / NOTE).unlink()
    with pytest.raises(ValueError, match="broken"), noting(raw.with_name("made"), lambda: [raw]):
        raise ValueError("broken")
    assert look(raw) is Raw.UNKNOWN


def test_raw_data_that_change_while_they_are_read_are_refused(raw):
    with (
        pytest.raises(LongtailError, match=r"raw changed while they were read.*Run it again"),
        noting(raw.with_name("made"), lambda: [raw]),
    ):
        added(raw)


def test_what_is_downloaded_meanwhile_is_noted(tmp_path):
    file = tmp_path / "downloaded"
    with noting(tmp_path / "made", lambda: [file] if file.exists() else []):
        file.write_bytes(b"all of it")
    assert state(tmp_path / "made", [file]) is Raw.SAME


def test_contents_tell_where_a_file_ends(tmp_path):
    def digest(*parts):
        files = [tmp_path / str(number) for number in range(len(parts))]
        for file, part in zip(files, parts, strict=True):
            file.write_bytes(part)
        return contents(files)

    assert digest(b"ab", b"c") != digest(b"a", b"bc")
    assert digest(b"ab", b"c") == digest(b"ab", b"c")
