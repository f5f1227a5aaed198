"""The repository speaks of the project alone: nothing of the machines it was written on, and nothing unfinished."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRACES = {
    "absolute path of a machine": r"(?<![\w.~}\])/-])/(?:work|root|home|Users)(?![\w.-])",
    "address of a package registry": r"(?i)\b(?:pypi\.org|pythonhosted\.org|anaconda\.(?:org|com)|pytorch\.org/whl)",
    "unfinished work": r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b",
}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def text(path: Path) -> str | None:
    """What a file says, None for a binary one."""
    content = path.read_bytes()
    return None if b"\0" in content else content.decode()


@pytest.mark.parametrize("what", TRACES)
def test_no_traces(what: str) -> None:
    pattern = re.compile(TRACES[what])
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        for number, line in enumerate((text(path) or "").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("absolute path of a machine", "data = '" + "/ho" + "me/me/data'"),
        ("absolute path of a machine", "cd " + "/ro" + "ot"),
        ("absolute path of a machine", "PATH=a:" + "/wo" + "rk/main/bin"),
        ("address of a package registry", "https://files." + "python" + "hosted.org/packages"),
        ("address of a package registry", "--index-url https://py" + "pi.org/simple"),
        ("unfinished work", "# TO" + "DO: later"),
    ],
)
def test_a_trace_is_recognised(what: str, line: str) -> None:
    assert re.search(TRACES[what], line)


@pytest.mark.parametrize(
    "line",
    [
        "include: 'workflow/rules/x.smk'",
        "{root}/work/x",
        "https://example.org/home/",
        "results/root",
        "mastodon",
        "~/work",
    ],
)
def test_other_lines_are_left_alone(line: str) -> None:
    assert [what for what, pattern in TRACES.items() if re.search(pattern, line)] == []


def test_text_files_end_well() -> None:
    """UTF-8, Unix line ends, a newline at the end and no trailing blanks, as .editorconfig asks for."""
    wrong = []
    for path in tracked():
        content = text(path)
        if not content or path.suffix == ".csv":
            continue
        if "\r" in content or not content.endswith("\n") or re.search(r"[ \t]+$", content, re.MULTILINE):
            wrong.append(str(path.relative_to(ROOT)))
    assert wrong == []


def test_results_are_not_tracked_except_records() -> None:
    inside = {path.relative_to(ROOT).parts[:2] for path in tracked() if path.is_relative_to(ROOT / "results")}
    assert inside <= {("results", "records")}
