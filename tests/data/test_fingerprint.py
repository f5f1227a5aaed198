"""Raw data that are exchanged are noticed from outside, and nothing else is taken for a change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longtail.data.fingerprint import fingerprint

FILES = ["train/a/1.png", "train/a/2.png", "train/b/1.png", "train/b/deep/er/1.png", "a.parquet"]


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
        os.utime(folder / name, ns=(10**18, 10**18))
    return folder


def of(folder):
    return fingerprint([folder / "train", folder / "a.parquet"])


def longer(path):
    path.write_bytes(path.read_bytes() + b"1")
    os.utime(path, ns=(10**18, 10**18))


CHANGES = {
    "rewritten": lambda path: os.utime(path, ns=(10**18 + 1, 10**18 + 1)),
    "longer": longer,
    "removed": lambda path: path.unlink(),
    "renamed": lambda path: path.rename(path.with_name("z" + path.name)),
    "linked to nothing": lambda path: (path.unlink(), path.symlink_to("nowhere")),
    "another beside it": lambda path: (path.parent.joinpath("new.png").touch(), path.unlink()),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_is_noticed(raw, change, name):
    before = of(raw)
    CHANGES[change](raw / name)
    assert of(raw) != before


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.sampled_from(FILES[:4]), min_size=2, max_size=2, unique=True))
def test_files_that_change_places_are_noticed(raw, names):
    """Two images of one size are swapped: the names stay, the times go with the content."""
    first, second = (raw / name for name in names)
    os.utime(first, ns=(10**18 + 5, 10**18 + 5))
    before = of(raw)
    for source, target in ((first, raw / "x"), (second, first), (raw / "x", second)):
        source.rename(target)
    assert of(raw) != before
    os.utime(first, ns=(10**18, 10**18))
    os.utime(second, ns=(10**18, 10**18))


def test_moving_linking_and_hidden_names_change_nothing(raw, tmp_path):
    before = of(raw)
    assert before == of(raw)
    for name in (".DS_Store", "train/.ipynb_checkpoints/1.png", "train/a/._1.png", "train/__MACOSX/a/1.png"):
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(b"")
    assert of(raw) == before
    (tmp_path / "link").symlink_to(raw)
    assert of(tmp_path / "link") == before
    shutil.move(raw, tmp_path / "elsewhere")
    assert of(tmp_path / "elsewhere") == before


def test_links_in_a_circle_and_what_is_not_there_end(raw):
    (raw / "train" / "a" / "again").symlink_to(raw / "train")
    assert len(of(raw)) == 32
    assert fingerprint([raw / "none"]) != fingerprint([raw / "gone"]) != fingerprint([])
    assert fingerprint([raw / "a\0b"])


def test_the_order_of_files_counts(raw):
    paths = [raw / name for name in FILES]
    assert fingerprint(paths) != fingerprint(paths[::-1])


def test_a_fingerprint_needs_neither_torch_nor_pandas():
    code = "import sys, longtail.data.fingerprint; print({'torch', 'pandas', 'numpy'} & set(sys.modules))"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "workflow")}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert ended.stdout == "set()\n"
