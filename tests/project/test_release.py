"""What belongs to a release agrees: version, changelog, citation, recipe of the container, hooks, templates."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version

import longtail
from longtail.study.catalog import load

ROOT = Path(__file__).parents[2]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
RELEASES = re.findall(r"(?m)^## \[(\d\S*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
KINDS = {"article", "conference-paper", "unpublished"}


def test_version_changelog_and_citation_agree() -> None:
    version, date = RELEASES[0]
    assert version == longtail.__version__ == CITATION["version"]
    assert date == CITATION["date-released"]


def test_the_changelog_is_in_order() -> None:
    versions = [Version(version) for version, _ in RELEASES]
    assert versions == sorted(set(versions), reverse=True)
    dates = [date for _, date in RELEASES]
    assert dates == sorted(dates, reverse=True)
    headings = re.findall(r"(?m)^### (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_citation_has_what_the_format_asks_for() -> None:
    """Required keys of the Citation File Format 1.2.0, and the form of names and dates."""
    assert CITATION["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= CITATION.keys()
    assert CITATION["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", CITATION["date-released"])
    for work in [CITATION, *CITATION["references"]]:
        assert work["authors"], work["title"]
        for author in work["authors"]:
            assert author.keys() in ({"given-names", "family-names"}, {"name"}), author
    for reference in CITATION["references"]:
        assert reference["type"] in KINDS
        assert {"type", "title", "authors"} <= reference.keys()


def test_every_paper_of_the_catalogue_is_cited_with_its_address() -> None:
    papers: dict[str, Any] = {name: spec for name, spec in load().papers.items() if spec.get("venue")}
    for spec in papers.values():
        (found,) = [one for one in CITATION["references"] if spec["title"].endswith(one["title"])]
        assert found.get("url") == spec.get("url")
        assert found.get("repository-code", "").removeprefix("https://github.com/") == spec.get("repository", "")
        printed = re.search(r"\d{4}", spec["venue"])
        assert found.get("year") == (int(printed[0]) if printed else None)
    assert len(papers) == len(CITATION["references"])


def engine() -> str | None:
    """A container engine that answers."""
    for name in ("podman", "docker", "buildah"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return name
    return None


def test_the_container_can_be_built_and_runs() -> None:
    name = engine()
    if name is None:
        pytest.skip("no container engine answers (podman, docker or buildah)")
    build = [name, "build", "--tag", "longtail-test", "--file", "Containerfile", "."]
    subprocess.run(build, cwd=ROOT, check=True, timeout=1500)
    if name != "buildah":
        dry = [name, "run", "--rm", "longtail-test", "-n"]
        said = subprocess.run(dry, capture_output=True, text=True, check=True, timeout=300)
        assert "train" in said.stdout + said.stderr


def test_a_linter_has_nothing_to_say_of_the_recipe() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    said = subprocess.run([linter, "Containerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, ""), said.stdout


def test_what_the_container_copies_is_there_and_what_the_workflow_reads_is_copied() -> None:
    kept = [line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / path).exists() for path in kept)
    assert {"workflow", "profiles", "slurm", "envs", "Snakefile", "config.yaml", "pyproject.toml"} <= set(kept)
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()


def test_the_hooks_are_valid_and_are_the_checks_of_make() -> None:
    file = ROOT / ".pre-commit-config.yaml"
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-config", str(file)], check=True)
    hooks = [hook for repository in yaml.safe_load(file.read_text())["repos"] for hook in repository["hooks"]]
    makefile = (ROOT / "Makefile").read_text()
    for hook in hooks:
        tool = hook["entry"].removeprefix("python -m ").split()[0]
        assert f"$(run) {tool}" in makefile, hook["id"]
    assert all(hook["language"] == "system" for hook in hooks)


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[0-9]*.yml")), ids=lambda path: path.stem
)
def test_templates_of_issues_are_forms(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= form.keys()
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in asked} <= {"input", "textarea", "dropdown", "checkboxes"}
    identities = [field["id"] for field in asked]
    assert len(identities) == len(set(identities))
    assert all(field["attributes"]["label"] for field in asked)
    assert any(field.get("validations", {}).get("required") for field in asked)
