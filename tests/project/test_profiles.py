"""The two profiles, through Snakemake itself, on a workflow of two rules."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROFILES = {name: ROOT / name / "profile.yaml" for name in ("profiles/default", "slurm")}

SNAKEFILE = """
resource_scopes:
    gpu="local",

rule all:
    input: expand("out/{seed}", seed=range(3))

rule train:
    output: "out/{seed}"
    threads: 2
    resources: gpu=1, cpus_per_task=2, mem_mb=100, runtime=1
    shell: "mkdir busy && sleep 0.2 && rmdir busy && touch {output}"
"""


def profile(name: str) -> dict[str, Any]:
    return yaml.safe_load(PROFILES[name].read_text())


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    """A folder with a toy workflow and our profiles."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    for name, path in PROFILES.items():
        (tmp_path / name).mkdir(parents=True)
        shutil.copy(path, tmp_path / name)
    return tmp_path


def snakemake(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_the_profiles_share_no_key() -> None:
    assert set(profile("profiles/default")) & set(profile("slurm")) == set()


def test_the_default_profile_is_for_one_workstation() -> None:
    settings = {key: value for key, value in profile("profiles/default").items() if not key.startswith("__")}
    assert settings == {
        "scheduler": "greedy",
        "rerun-triggers": ["mtime", "params", "input", "software-env"],
        "rerun-incomplete": True,
        "keep-going": True,
        "show-failed-logs": True,
        "?if quiet_terminal": {"logger": "longtail"},
    }


def test_the_slurm_profile_leaves_site_matters_to_the_site() -> None:
    settings = profile("slurm")
    assert settings["executor"] == "slurm"
    assert settings["slurm-logdir"].startswith("results/logs/")
    assert not {"default-resources", "set-resources", "slurm-array-jobs", "slurm-partition-config"} & set(settings)


SUBMITTED = {
    name: text
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))
    for name, text in re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(), re.M | re.S)
    if "localrule: True" not in text
}


@pytest.mark.parametrize("name", SUBMITTED)
def test_a_rule_asks_for_what_a_cluster_needs_to_know(name: str) -> None:
    text = SUBMITTED[name]
    assert "mem_mb=" in text
    assert "runtime=" in text
    assert "retries:" not in text  # would count again within each job of a cluster
    threads = re.search(r"^    threads: (\w+)$", text, re.M)
    if threads is not None:
        assert f"cpus_per_task={threads[1]}," in text  # threads are capped at the cores of the login node


def test_every_setting_says_why() -> None:
    for path in PROFILES.values():
        text = re.sub(r"(?m)^__definitions__:\n(  .*\n|\n)*", "", path.read_text())  # code, which has its own comment
        for line in text.splitlines():
            if line and not line.startswith("#") and not line.endswith(":"):
                assert "  # " in line, f"{path}: {line}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--config a=1 all", "--config has taken the target 'all', .* snakemake all --config"),
        ("-n -C ab=1 out/0 out/1 -n", "-C has taken the target 'out/0', .* snakemake out/0 out/1 -C"),
        ("--configfile my.yaml all --config ab=1", "--configfile has taken the target 'all'"),
        ("--configfile my.yaml out/table.md", "--configfile has taken the target 'out/table.md'"),
    ],
)
def test_an_option_before_a_target_says_what_it_took(workflow: Path, words: str, message: str) -> None:
    """Snakemake would end in a traceback."""
    (workflow / "my.yaml").write_text("ab: 1\n")
    ended = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", *words.split()],
        cwd=workflow,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert re.search(rf"^error: {message}", ended.stderr, re.M), ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "words",
    ["all --config ab=1", "--config ab=1 -n all", "--configfile my.yaml plain -- all", "--config ab=1 -- out/0"],
)
def test_an_option_that_took_no_target_is_let_through(workflow: Path, words: str) -> None:
    for name in ("my.yaml", "plain"):
        (workflow / name).write_text("ab: 1\n")
    assert "train" in snakemake(workflow, "--dry-run", *words.split())


def test_the_options_written_as_comments_exist(workflow: Path) -> None:
    """What a site is told to uncomment is accepted once it is uncommented."""
    path = workflow / "slurm" / "profile.yaml"
    settings, advice = path.read_text().split("# Sites differ.", 1)
    uncommented = "".join(line.removeprefix("# ") for line in advice.split("#\n", 1)[1].splitlines(keepends=True))
    assert set(yaml.safe_load(uncommented)) == {"default-resources", "set-resources"}
    path.write_text(settings + uncommented)
    if shutil.which("which") is None:
        pytest.skip("the Slurm plugin needs the program `which`")
    assert "train" in snakemake(workflow, "-n", "--cores", "all", "--profile", "slurm")


def test_a_dry_run_for_the_cluster_needs_no_cluster(workflow: Path) -> None:
    if shutil.which("which") is None:
        pytest.skip("the Slurm plugin needs the program `which`")
    said = snakemake(workflow, "-n", "--cores", "all", "--profile", "slurm")
    assert "It would run 4 jobs: 3 train, 1 all" in said
    assert "gpu=1" in snakemake(workflow, "-n", "-p", "--cores", "all", "--profile", "slurm")


def test_the_default_profile_is_found(workflow: Path) -> None:
    assert "profiles/default" in snakemake(workflow, "--cores", "1")
    assert len(list((workflow / "out").iterdir())) == 3
