"""Plan and status asked for on the command line, without the workflow."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from longtail.__main__ import main


@pytest.mark.parametrize("command", ["plan", "status"])
def test_they_speak_of_the_targets_or_of_the_folders_configuration(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("targets: [digits_table1]\nbudget: smoke\n")
    assert main([command, "digits_figure2", "digits_figure3"]) == 0
    assert ": digits_figure2, digits_figure3" in capsys.readouterr().out.splitlines()[0]
    assert main([command]) == 0
    assert ": digits_table1" in capsys.readouterr().out.splitlines()[0]
    assert pq.read_table(tmp_path / f"results/smoke/{command}.parquet").num_rows > 0


@pytest.mark.parametrize("command", ["plan", "status"])
def test_without_a_configuration_they_say_what_is_missing(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([command]) == 1
    assert "There is no config.yaml in this folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_target_is_answered_with_the_closest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("targets: [digits]\n")
    assert main(["plan", "digits_tabel1"]) == 1
    assert "Did you mean 'digits_table1'" in capsys.readouterr().err
