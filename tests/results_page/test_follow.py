"""The page is written beside a workflow and once more after it, whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import longtail
from longtail.errors import LongtailError
from longtail.results_page import follow as following
from longtail.results_page.follow import follow

BEGAN = 12.0


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again without a pause, at the priority of the tests."""
    monkeypatch.setattr(following, "EVERY", 0.0)
    monkeypatch.setattr(following, "REST", 0.0)
    monkeypatch.setattr(os, "nice", lambda by: 0)


def looks(*outcomes: Exception | None) -> tuple[list[float | None], Callable[[float | None], bool], int]:
    """What a follower's looks are told, its ``write``, and the end of a pipe that is closed before the last of them."""
    reading, writing = os.pipe()
    told: list[float | None] = []

    def write(since: float | None) -> bool:
        told.append(since)
        if len(told) == len(outcomes) - 1:
            os.close(writing)
        if (outcome := outcomes[len(told) - 1]) is not None:
            raise outcome
        return True

    return told, write, reading


def test_the_last_page_is_of_a_workflow_that_is_over() -> None:
    told, write, reading = looks(None, None, None)
    with os.fdopen(reading) as until:
        assert follow(write, until, lambda: BEGAN) == 0
    assert told == [BEGAN, BEGAN, None]


def test_an_error_is_told_once_and_the_next_look_may_go_well(capsys: pytest.CaptureFixture[str]) -> None:
    full = LongtailError("Cannot write results/index.html: No space left on device.")
    told, write, reading = looks(full, full, KeyError("a slip of ours"), None, None)
    with os.fdopen(reading) as until:
        assert follow(write, until, lambda: BEGAN) == 0
    assert len(told) == 5
    said = capsys.readouterr().err
    assert said.count("No space left") == 1
    assert "Traceback" in said
    assert "a slip of ours" in said


def test_a_last_page_that_cannot_be_written_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    _, write, reading = looks(None, LongtailError("Cannot write it."))
    with os.fdopen(reading) as until:
        assert follow(write, until, lambda: BEGAN) == 1
    assert "Cannot write it." in capsys.readouterr().err


KILLED = """
import os, subprocess, sys
follower = [sys.executable, "-m", "longtail", "page", "--follow", "--config", '{"targets": ["digits_figure1"]}']
process = subprocess.Popen(follower, stdin=subprocess.PIPE, stdout=sys.stdout, start_new_session=True)
os.kill(os.getpid(), 9)
"""


def test_a_workflow_that_is_killed_outright_leaves_a_page_and_no_follower(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(longtail.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, timeout=120, check=False
    )  # it comes back when nobody holds its output any more, so after the follower
    assert done.returncode == -9
    page = tmp_path / "results/index.html"
    assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]
