"""The workflow as a module of another one, which may call its rules otherwise and put its results elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = "targets: [digits]\nbudget: smoke\nseeds: [0]\nmethods: [pixels]\n"
CELL = "results/smoke/cells/pixels/digits-h100-ir10/seed0.parquet"
TABLE = "results/smoke/tables/digits/table1.md"
WAYS = {
    "": ("", ""),
    'prefix: "lt"': ("lt/", ""),
    'prefix: "a/b/"': ("a/b/", " as lt_*"),
    'replace_prefix: {"results/": "lt/results/"}': ("lt/", " as lt_*"),
}
"""What a parent says of the module; where the results come to lie, and how the rules are used."""


class Parent:
    """A workflow that has nothing but ours as a module."""

    def __init__(self, folder: Path, way: str, use: str, config: str = "config") -> None:
        self.folder = folder
        lines = [
            'configfile: "my.yaml"',
            "module longtail:",
            f'    snakefile: "{ROOT}/Snakefile"',
            f"    config: {config}",
        ]
        (folder / "Snakefile").write_text("\n".join([*lines, f"    {way}", f"use rule * from longtail{use}", ""]))
        nested = config != "config"
        (folder / "my.yaml").write_text("mine:\n" + re.sub("(?m)^", "  ", CONFIG) if nested else CONFIG)

    def run(self, *arguments: str) -> tuple[int, str]:
        """Status and output of a run."""
        ended = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
            cwd=self.folder,
            env={**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache"), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr

    def succeed(self, *arguments: str) -> str:
        status, output = self.run(*arguments)
        assert status == 0, output[-4000:]
        return output

    def folders(self) -> set[str]:
        """Where there are results."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("results") if path.is_dir()}


@pytest.mark.parametrize(("way", "place"), [("", ""), ('prefix: "lt"', "lt/")], ids=["no prefix", "prefix"])
def test_all_lies_below_the_prefix_and_is_found_there(tmp_path, way, place):
    """Merging used to look for all that was computed in a folder without the prefix."""
    parent = Parent(tmp_path, way, " as lt_*")
    parent.succeed(f"{place}{TABLE}")
    assert "| Pixels" in (tmp_path / place / TABLE).read_text()
    assert "Nothing to be done" in parent.succeed(f"{place}{TABLE}", "--dry-run")
    assert parent.folders() == {f"{place}results"}

    output = parent.succeed("lt_plan", "lt_status", "lt_digits_table1")
    assert "# Plan: digits_table1" in output
    assert "of which 1 are there and 0 are missing" in output
    assert (tmp_path / place / "results/smoke/status.md").exists()

    parent.succeed(f"{place}{TABLE.replace('smoke', 'smoke-partial')}", "--config", "partial=true")
    assert "| Pixels" in (tmp_path / place / TABLE.replace("smoke", "smoke-partial")).read_text()
    assert parent.folders() == {f"{place}results"}


@pytest.mark.parametrize("way", WAYS)
def test_every_path_that_a_job_is_told_follows_the_prefix(tmp_path, way):
    place, use = WAYS[way]
    parent = Parent(tmp_path, way, use)
    targets = [f"{place}{TABLE}", f"{place}{CELL}", f"{place}results/encoders/{ENCODER}/config.json"]
    training = f"{place}results/smoke/cells/simclr/digits-h100-ir10/seed0.parquet"
    output = parent.succeed(*targets, training, "--dry-run", "--printshellcmds", "--config", "methods=[pixels,simclr]")
    paths = re.findall(r"[^\s='\"]*results/[^\s'\"]*", "\n".join(re.findall(r"python -m longtail .*", output)))
    assert len(paths) > 20
    assert {path.partition("results/")[0] for path in paths} == {place}
    assert set(re.findall(r"--results (\S+)", output)) == {f"{place}results"}


ENCODER = "sentence-transformers-distilbert-base-nli-stsb-mean-tokens"


def test_a_part_of_the_configuration_and_a_name_of_a_rule(tmp_path):
    parent = Parent(tmp_path, "", " as lt_*", config='config["mine"]')
    assert "lt_digits_table1" in parent.succeed("lt_digits_table1", "--dry-run")
    parent = Parent(tmp_path, 'prefix: "lt"', "", config='config["mine"]')
    assert "digits_table1" in parent.succeed("digits_table1", "--dry-run")


def test_results_that_would_be_torn_apart_are_refused_before_any_job(tmp_path):
    parent = Parent(tmp_path, 'replace_prefix: {"results/smoke/": "elsewhere/"}', "")
    status, output = parent.run(TABLE)
    assert status != 0
    assert re.search(r"^error: .*replace_prefix moves only part of results/", output, re.M)
    assert not parent.folders()


def test_a_snakefile_and_a_working_directory_elsewhere(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/config.yaml").write_text(CONFIG)
    parent = Parent(tmp_path, "", "")
    output = parent.succeed("--snakefile", f"{ROOT}/Snakefile", "--directory", "work", "--", CELL)
    assert " jobs done in " in output
    assert parent.folders() == {"work/results"}
    status, output = parent.run("--snakefile", f"{ROOT}/Snakefile", "--directory", "work", "-n", CELL.replace("x", "y"))
    assert status != 0
    assert f"Did you mean {CELL!r}?" in output
