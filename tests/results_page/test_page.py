"""The command that writes the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from longtail.__main__ import main
from longtail.discrepancies import points
from longtail.results_page.page import Page
from longtail.study.study import load_study


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(points, "derive", lambda of: [])
    return tmp_path


def block(path: Path) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"), re.S)
    assert found
    return json.loads(found[1])


def test_it_shows_what_the_configuration_of_the_folder_asks_for(folder, capsys):
    (folder / "config.yaml").write_text("targets: [digits_table2]\nbudget: smoke\n")
    assert main(["page"]) == 0
    assert capsys.readouterr().out == "results/smoke/index.html\n"
    data = block(folder / "results/smoke/index.html")
    assert [table["id"] for table in data["tables"]] == ["digits-table2"]
    assert "budget smoke" in data["study"]["label"]


def test_targets_and_another_place_are_taken_from_the_command_line(folder):
    config = json.dumps({"targets": ["digits"], "partial": True})
    assert main(["page", "rescom_table7", "--config", config, "--out", "elsewhere/page.html"]) == 0
    assert [table["id"] for table in block(folder / "elsewhere/page.html")["tables"]] == ["rescom-table7"]
    assert not (folder / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no config.yaml in this folder"),
        (["nonsense", "--config", '{"targets": ["digits"]}'], "nonsense"),
    ],
)
def test_what_cannot_be_shown_is_said(arguments, said, capsys):
    assert main(["page", *arguments]) == 1
    assert said in capsys.readouterr().err


def test_a_file_that_holds_no_configuration_is_told_of(folder, capsys):
    (folder / "config.yaml").write_text("- digits\n")
    assert main(["page"]) == 1
    assert "config.yaml holds no configuration" in capsys.readouterr().err


def test_a_page_is_written_again_only_if_it_shows_anything_else(folder):
    page = Page(load_study({"targets": ["digits_figure1"]}), Path("results/index.html"))
    assert page.write(None)
    first = page.path.read_text("utf-8")
    assert not page.write(None)
    drawn = folder / "results/figures/digits/figure1.svg"
    drawn.parent.mkdir(parents=True)
    drawn.write_text("<svg></svg>")
    assert page.write(None)
    assert page.path.read_text("utf-8") != first
    page.path.unlink()
    assert page.write(None)


def test_a_folder_that_cannot_be_written_is_told_of(folder, capsys):
    (folder / "results").write_text("a file")
    assert main(["page", "--config", '{"targets": ["digits_figure1"]}']) == 1
    assert "Cannot write results/index.html" in capsys.readouterr().err
