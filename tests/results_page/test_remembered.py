"""What was made of files is made again when one of them changes, and not before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from longtail.results_page.remembered import Remembered


def test_a_file_is_read_again_when_it_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    remembered = Remembered()

    def read() -> str | None:
        calls.append(1)
        return path.read_text() if path.exists() else None

    def now() -> str | None:
        return remembered.of("name", [str(path)], read)

    calls: list[int] = []
    assert now() is now() is None
    assert len(calls) == 1
    path.write_text("one")
    assert now() == now() == "one"
    assert len(calls) == 2
    path.write_text("other")
    assert now() == "other"
    replaced = tmp_path / "new"
    replaced.write_text("again")
    os.utime(replaced, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    replaced.replace(path)
    assert now() == "again"
    path.unlink()
    assert now() is None
    assert len(calls) == 5


def test_what_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    remembered, path = Remembered(), str(tmp_path / "file")

    def fail() -> str:
        raise ValueError("once more")

    for _ in range(2):
        with pytest.raises(ValueError, match="once more"):
            remembered.of("name", [path], fail)
    assert remembered.of("name", [path], lambda: "well") == "well"
    assert remembered.of("other", [path], lambda: "apart") == "apart"
