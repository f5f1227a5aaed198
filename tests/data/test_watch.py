"""Whether raw data are those that were decoded, told from a note beside what was made of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket

import pytest

from longtail.data.folders import ClassFolders
from longtail.data.watch import NOTE, Raw, digests, noting, state
from longtail.errors import LongtailError

FILES = {"a/0.png": b"zero", "a/1.png": b"one", "b/0.png": b"two"}


@pytest.fixture
def raw(tmp_path):
    """A folder of raw data, read and noted; what was made of it lies in ``made`` beside it."""
    folder = tmp_path / "raw"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    with noting(tmp_path / "made", lambda: [ClassFolders(folder)]):
        pass
    return folder


def look(raw):
    return state(raw.with_name("made"), [ClassFolders(raw)])


def touch(raw):
    os.utime(raw / "a/0.png", (1, 1))


def copy(raw):
    shutil.copytree(raw, raw.with_name("copy"), copy_function=shutil.copyfile)
    shutil.rmtree(raw)
    raw.with_name("copy").rename(raw)


def hide(raw):
    (raw / ".DS_Store").write_bytes(b"x")
    (raw / "a/._0.png").write_bytes(b"x")


def add_what_is_passed_over(raw):
    (raw / "a/Thumbs.db").write_bytes(b"x")
    (raw / "a/boxes").mkdir()
    (raw / "a/boxes/README").write_bytes(b"x")
    (raw / "outside.png").write_bytes(b"in no class folder")


def add_what_is_no_file(raw):
    (raw / "README").symlink_to("nowhere")
    (raw / "a/circle").symlink_to("circle")
    os.mkfifo(raw / "a/pipe")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(os.path.relpath(raw / "b/socket"))


BESIDE = [hide, add_what_is_passed_over, add_what_is_no_file]


@pytest.mark.parametrize("change", [lambda raw: None, touch, copy, *BESIDE])
def test_the_same_bytes_are_the_same(raw, change):
    change(raw)
    assert look(raw) is Raw.SAME


@pytest.mark.parametrize("beside", BESIDE)
def test_what_is_not_read_needs_neither_be_opened_nor_stay(raw, beside):
    beside(raw)
    with noting(raw.with_name("made"), lambda: [ClassFolders(raw)]):
        pass
    for path in raw.rglob("*"):
        if not path.is_dir() and str(path.relative_to(raw)) not in FILES:
            path.unlink()
    assert look(raw) is Raw.SAME


def test_of_folders_of_no_images_all_files_count(raw):
    made = raw.with_name("encoder")
    with noting(made, lambda: [raw]):
        pass
    assert state(made, [raw]) is Raw.SAME
    (raw / "config.json").write_bytes(b"{}")
    assert state(made, [raw]) is Raw.CHANGED


def same_size(raw):
    (raw / "a/1.png").write_bytes(b"eno")


def swapped(raw):
    (raw / "a/0.png").rename(raw / "x")
    (raw / "a/1.png").rename(raw / "a/0.png")
    (raw / "x").rename(raw / "a/1.png")


def moved_between_classes(raw):
    (raw / "a/1.png").rename(raw / "b/1.png")


def same_from_outside(raw):
    before = (raw / "a/1.png").stat()
    (raw / "a/1.png").write_bytes(b"eno")
    os.utime(raw / "a/1.png", ns=(before.st_atime_ns, before.st_mtime_ns))


def added(raw):
    (raw / "b/2.png").write_bytes(b"three")


def exchanged_and_deleted(raw):
    (raw / "b/0.png").unlink()
    (raw / "a/1.png").write_bytes(b"eno")


def renamed(raw):
    (raw / "b/0.png").rename(raw / "b/1.png")


@pytest.mark.parametrize(
    "change",
    [same_size, same_from_outside, swapped, moved_between_classes, added, exchanged_and_deleted, renamed],
)
def test_other_bytes_names_or_numbers_are_a_change(raw, change):
    change(raw)
    assert look(raw) is Raw.CHANGED
    assert look(raw) is Raw.CHANGED  # as long as they are not read again


def emptied(raw):
    for name in FILES:
        (raw / name).unlink()


def emptied_but_for_a_license(raw):
    emptied(raw)
    (raw / "LICENSE").write_bytes(b"x")


def deleted(raw):
    (raw / "b/0.png").unlink()


@pytest.mark.parametrize("change", [shutil.rmtree, emptied, emptied_but_for_a_license, deleted])
def test_what_was_removed_to_save_space_is_gone(raw, change):
    shutil.copytree(raw, raw.with_name("copy"))
    change(raw)
    for _ in range(2):
        assert look(raw) is Raw.GONE
    shutil.copytree(raw.with_name("copy"), raw, dirs_exist_ok=True)  # there again
    assert look(raw) is Raw.SAME
    (raw / "b/0.png").write_bytes(b"other")
    assert look(raw) is Raw.CHANGED


def test_what_is_left_is_compared(tmp_path):
    files = [tmp_path / name for name in ("1.parquet", "2.parquet")]
    for file in files:
        file.write_bytes(file.name.encode())
    with noting(tmp_path / "made", lambda: files):
        pass
    assert state(tmp_path / "made", files) is Raw.SAME
    assert state(tmp_path / "made", files[::-1]) is Raw.CHANGED
    assert state(tmp_path / "made", files[:1]) is Raw.GONE  # as where a pattern no longer finds the other
    files[0].unlink()
    assert state(tmp_path / "made", files) is Raw.GONE
    files[1].write_bytes(b"other")
    assert state(tmp_path / "made", files) is Raw.CHANGED


def test_contents_are_read_once_for_a_look_that_is_new(raw, monkeypatch):
    touch(raw)
    assert look(raw) is Raw.SAME
    monkeypatch.setattr("longtail.data.watch.digests", lambda _: pytest.fail("they were read again"))
    assert look(raw) is Raw.SAME


def noted_before(raw):
    """The note of earlier versions: a digest of all that was not hidden, read or not."""
    (raw / "a/Thumbs.db").write_bytes(b"x")
    digest = hashlib.blake2b(digest_size=16)
    for name in ("a/0.png", "a/1.png", "a/Thumbs.db", "b/0.png"):
        content = (raw / name).read_bytes()
        digest.update(f"{name!r} {len(content)}\n".encode() + content)
    note = {"fingerprint": "0" * 32, "contents": digest.hexdigest()}
    (raw.with_name("made") / NOTE).write_text(json.dumps(note))


def test_a_note_of_an_earlier_version_is_compared_once(raw, monkeypatch):
    noted_before(raw)
    assert look(raw) is Raw.SAME
    (raw / "a/Thumbs.db").unlink()
    monkeypatch.setattr("longtail.data.watch.digests", lambda _: pytest.fail("they were read again"))
    assert look(raw) is Raw.SAME


@pytest.mark.parametrize("change", [same_size, added, deleted])
def test_a_note_of_an_earlier_version_tells_changes(raw, change):
    noted_before(raw)
    change(raw)
    assert look(raw) is Raw.CHANGED


@pytest.mark.parametrize("text", [None, "", "[]", '{"fingerprint": 1}', '{"fingerprint": "", "files": 1}'])
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


def test_digests_tell_where_a_file_ends(tmp_path):
    def digest(*parts):
        files = [tmp_path / str(number) for number in range(len(parts))]
        for file, part in zip(files, parts, strict=True):
            file.write_bytes(part)
        return digests(files)

    assert digest(b"ab", b"c") != digest(b"a", b"bc")
    assert digest(b"ab", b"c") == digest(b"ab", b"c")
