"""The pinned versions, the conda environments and the list of what is used directly agree."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from longtail.__main__ import COMMANDS, JOBS

ROOT = Path(__file__).parents[2]
LISTS = sorted((ROOT / "requirements").iterdir())
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
ON_CONDA_FORGE = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


def requirements(name: str) -> list[Requirement]:
    """The requirements of one file, without comments and references to other files."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements" / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def pins(name: str) -> dict[str, Version]:
    """Version by canonical name."""
    found = {}
    for requirement in requirements(name):
        (pin,) = requirement.specifier
        assert pin.operator == "==", requirement
        assert "*" not in pin.version, requirement
        assert canonicalize_name(requirement.name) not in found, requirement
        found[canonicalize_name(requirement.name)] = Version(pin.version)
    return found


def test_the_files_are_those_that_are_checked_here() -> None:
    assert [path.name for path in LISTS] == ["dev.in", "dev.txt", "lock.txt", "run.in", "run.txt"]
    assert [path.name for path in ENVIRONMENTS] == ["tables.yaml", "torch.yaml"]


@pytest.mark.parametrize("name", ["run", "dev"])
def test_everything_asked_for_is_pinned(name: str) -> None:
    asked = {canonicalize_name(requirement.name) for requirement in requirements(f"{name}.in")}
    assert asked
    assert asked <= set(pins(f"{name}.txt"))


def test_versions_stand_only_in_the_locks() -> None:
    assert [str(one) for name in ("run.in", "dev.in") for one in requirements(name) if one.specifier] == []


def test_the_development_environment_contains_the_other() -> None:
    run, dev = pins("run.txt"), pins("dev.txt")
    assert {name: dev.get(name) for name in run} == run


@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_the_pins_are_closed(name: str) -> None:
    """Whatever an installed package requires here is pinned too, at a version that satisfies it."""
    pinned = pins(name)
    for package in pinned:
        try:
            needs = metadata.requires(package) or []
        except metadata.PackageNotFoundError:
            continue  # its marker rules this system out, or only the other file's packages are installed
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                version = pinned.get(canonicalize_name(need.name))
                assert version is not None, f"{package} needs {need}"
                assert need.specifier.contains(version, prereleases=True), (
                    f"{package} needs {need}, pinned is {version}"
                )


def test_the_environment_in_use_is_the_pinned_one() -> None:
    pinned = pins("dev.txt")
    installed = {name: metadata.version(name) for name in ("numpy", "torch", "scikit-learn", "snakemake", "pytest")}
    different = {
        name: f"{version} instead of {pinned[name]}"
        for name, version in installed.items()
        if Version(version).public != pinned[name].public
    }
    assert different == {}, "run `make environment`"


@pytest.mark.parametrize("path", [*LISTS, *ENVIRONMENTS], ids=lambda path: path.name)
def test_no_address_of_an_index(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"\w+://\S*", text) == []
    assert re.findall(r"(?m)^\s*(?:-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b.*", text) == []
    assert re.findall(r"(?m)^[^#\n]*\s@\s.*", text) == []


def dependencies(path: Path) -> dict[str, str]:
    """Version by conda name, for entries ``name =1.2``."""
    found = {}
    for entry in yaml.safe_load(path.read_text())["dependencies"]:
        match = re.fullmatch(r"([a-z0-9-]+) =(\d+(?:\.\d+)+)", entry)
        assert match, f"{path.name}: {entry!r} is not of the form 'name =1.2'"
        found[match[1]] = match[2]
    return found


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.name)
def test_conda_environments_follow_the_pins(path: Path) -> None:
    pinned = pins("run.txt")
    for name, version in dependencies(path).items():
        if name == "python":
            continue
        pin = pinned[canonicalize_name(ON_CONDA_FORGE.get(name, name))]
        parts = version.split(".")
        assert ".".join(map(str, pin.release[: len(parts)])) == version, f"{name} {version}, pinned is {pin}"
        assert len(parts) >= 2


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.name)
def test_conda_environments_have_the_python_of_the_project(path: Path) -> None:
    oldest = re.search(r'requires-python = ">=(\S+)"', (ROOT / "pyproject.toml").read_text())
    assert oldest
    assert Version(dependencies(path)["python"]) >= Version(oldest[1])


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.name)
def test_conda_environments_use_the_community_channel_alone(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["channels"] == ["conda-forge", "nodefaults"]


def test_only_the_environment_that_is_called_so_has_torch() -> None:
    assert [path.stem for path in ENVIRONMENTS if "pytorch" in dependencies(path)] == ["torch"]


# --- what the code imports


@functools.cache
def distributions() -> dict[str, set[str]]:
    """Canonical names of the distributions that bring each top-level module."""
    found = metadata.packages_distributions()
    return {module: {canonicalize_name(name) for name in names} for module, names in found.items()}


OURS = {"longtail", "snakemake_logger_plugin_longtail", "benchmarks", "tests", "__future__"}


def imported(path: Path) -> set[str]:
    """Top-level modules that a file imports anywhere, without the standard library and the project itself."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found - set(sys.stdlib_module_names) - OURS


@pytest.mark.parametrize(
    ("lists", "folder"),
    [
        (["run.in"], "workflow"),
        (["run.in"], "benchmarks"),
        (["run.in", "dev.in"], "docs"),
        (["run.in", "dev.in"], "tests"),
    ],
)
def test_what_is_imported_is_asked_for(lists: list[str], folder: str) -> None:
    """No module is used that is only there because something else needs it."""
    asked = {canonicalize_name(requirement.name) for name in lists for requirement in requirements(name)}
    unasked = {
        f"{module} ({path.relative_to(ROOT)})"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for module in imported(path) - {other.stem for other in path.parent.iterdir()}
        if not distributions().get(module, set()) & asked
    }
    assert unasked == set()


@functools.cache
def needed_by(package: str) -> frozenset[str]:
    """A package and all that it needs here."""
    found, waiting = set(), [canonicalize_name(package)]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for need in map(Requirement, metadata.requires(name) or []):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(need.name))
    return frozenset(found)


BY_HAND = {
    ("compare", "tables"), ("completion", "tables"), ("describe", "torch"), ("info", "tables"), ("list", "tables"),
    ("reference", "tables"),
}  # fmt: skip
"""Commands that no rule runs, with an environment that a person has who asks for them."""


def commands_and_environments() -> list[tuple[str, str]]:
    """The command and the conda environment of every rule that has both, and of what people run by hand."""
    found = set(BY_HAND)
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for rule in re.split(r"(?m)^rule ", path.read_text())[1:]:
            command = re.search(r"python -m longtail (?:job )?([\w-]+)", rule)
            environment = re.search(r"envs/(\w+)\.yaml", rule)
            if command and environment:
                found.add((command[1], environment[1]))
    return sorted(found)


def test_every_command_has_an_environment() -> None:
    assert {command for command, _ in commands_and_environments()} == {*COMMANDS, *JOBS}


@pytest.mark.parametrize(("command", "environment"), commands_and_environments())
def test_a_command_starts_in_the_environment_of_its_rule(command: str, environment: str) -> None:
    """Imports what the command imports with everything hidden that the conda environment does not have."""
    conda = set(dependencies(ROOT / "envs" / f"{environment}.yaml")) - {"python"}
    there = set().union(*(needed_by(ON_CONDA_FORGE.get(name, name)) for name in conda))
    asked = {canonicalize_name(requirement.name) for requirement in requirements("run.in")}
    hidden = {module for module, brought in distributions().items() if brought & asked and not brought & there}
    code = f"""
import importlib, sys
from importlib.machinery import PathFinder

class Visible(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {hidden!r} else super().find_spec(name, path, target)

sys.meta_path[:] = [Visible if finder is PathFinder else finder for finder in sys.meta_path]
importlib.import_module({(COMMANDS | JOBS)[command][0]!r})
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
