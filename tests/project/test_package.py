"""What `pip install .` brings: the wheel is built, unpacked elsewhere and used from there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import longtail

ROOT = Path(__file__).parents[2]
WITHIN = {"workflow/catalog/": "longtail/catalog/", "workflow/schemas/": "longtail/schemas/", "workflow/": ""}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that an unpacked wheel of this checkout is in."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("longtail-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def python(site: Path, folder: Path, *arguments: str) -> str:
    """What a program prints that finds the package in ``site``, run in ``folder``."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(site), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def metadata(site: Path, name: str) -> str:
    (folder,) = site.glob("longtail-*.dist-info")
    return (folder / name).read_text(encoding="utf-8")


def test_the_wheel_has_every_file_that_the_package_uses(installed: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "workflow"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not tracked:
        pytest.skip("git does not say which files belong to the checkout")
    wanted = set()
    for path in tracked:
        if path.startswith(("workflow/rules/", "workflow/report/")):  # Snakemake's, who needs the checkout anyway
            continue
        start = next(one for one in WITHIN if path.startswith(one))
        wanted.add(WITHIN[start] + path.removeprefix(start))
    there = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert wanted <= there, sorted(wanted - there)
    others = {path for path in there - wanted if ".dist-info/" not in path}
    assert not any(path.endswith(".py") for path in others), others
    assert "longtail/py.typed" in there


def test_it_declares_what_it_needs(installed: Path) -> None:
    said = message_from_string(metadata(installed, "METADATA"))
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements/run.in").read_text().splitlines())
    assert [str(Requirement(one)) for one in said.get_all("Requires-Dist", [])] == [line for line in lines if line]
    assert said["Version"] == longtail.__version__
    assert said["License-Expression"] == "BSD-3-Clause"


def test_it_brings_the_command(installed: Path) -> None:
    assert "longtail = longtail.__main__:console" in metadata(installed, "entry_points.txt")


def test_what_is_installed_works_in_another_folder(installed: Path, tmp_path: Path) -> None:
    place = python(installed, tmp_path, "-c", "import longtail; print(longtail.__file__)").strip()
    assert Path(place).is_relative_to(installed)
    python(installed, tmp_path, "-m", "longtail", "discrepancies", "--out", "page")
    assert "ConMix" in (tmp_path / "page.md").read_text(encoding="utf-8")
    revision = "from longtail.files import provenance; print(provenance()['revision'])"
    assert python(installed, tmp_path, "-c", revision).strip() == "unknown"


def test_an_installation_within_another_repository_has_no_revision_of_that(installed: Path, tmp_path: Path) -> None:
    """As that of an environment in the checkout of a project that uses this one."""
    project = tmp_path / "project"
    (project / "site").mkdir(parents=True)
    (project / "site/longtail").symlink_to(installed / "longtail", target_is_directory=True)
    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", project, *author, "commit", "--quiet", "--allow-empty", "-m", "Begin"], check=True)
    program = (
        "import longtail.files as files, pathlib\n"
        f"files.__file__ = {str(project / 'site/longtail/files.py')!r}\n"
        "print(files.provenance()['revision'])"
    )
    assert python(project / "site", tmp_path, "-c", program).strip() == "unknown"
