from __future__ import annotations

import argparse
import importlib.util
import pkgutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import longtail.discrepancies
import longtail.reporting
import longtail.study
from longtail.__main__ import COMMANDS, JOBS, main
from longtail.errors import LongtailError

PACKAGE = Path(longtail.__file__).parent
HEAVY = ("torch", "torchvision", "numpy", "pandas", "sklearn", "scipy", "pyarrow", "matplotlib")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> list[argparse.Namespace]:
    """A command ``probe`` that takes ``--ratio`` and fails for ratio 0; what it was called with."""
    calls: list[argparse.Namespace] = []

    def run(arguments: argparse.Namespace) -> None:
        calls.append(arguments)
        if arguments.ratio == 0:
            raise LongtailError("The ratio 0 has no tail. Give 1 or more.")
        if arguments.ratio < 0:
            raise ValueError("a fault of ours")

    module = types.ModuleType("probe")
    module.run = run  # type: ignore[attr-defined]
    module.add_arguments = lambda parser: parser.add_argument("--ratio", type=int, required=True)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "probe", module)
    monkeypatch.setitem(COMMANDS, "probe", ("probe", "try a command"))
    return calls


def test_a_command_gets_its_arguments(command: list[argparse.Namespace]) -> None:
    assert main(["probe", "--ratio", "10"]) == 0
    assert [call.ratio for call in command] == [10]


@pytest.mark.parametrize("returned", [0, 1, 2])
def test_a_command_may_say_what_to_exit_with(returned: int, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("probe")
    module.run = lambda arguments: returned  # type: ignore[attr-defined]
    module.add_arguments = lambda parser: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "probe", module)
    monkeypatch.setitem(COMMANDS, "probe", ("probe", "try a command"))
    assert main(["probe"]) == returned


def test_an_error_of_the_user_is_one_line_and_status_1(
    command: list[argparse.Namespace], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", "--ratio", "0"]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: The ratio 0 has no tail. Give 1 or more.\n")


def test_a_fault_of_the_program_keeps_its_traceback(command: list[argparse.Namespace]) -> None:
    with pytest.raises(ValueError, match="a fault of ours"):
        main(["probe", "--ratio", "-1"])


def test_wrong_options_end_with_the_usage(
    command: list[argparse.Namespace], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["probe", "--ration", "10"])
    assert caught.value.code == 2
    assert "usage: python -m longtail probe" in capsys.readouterr().err
    assert command == []


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["staus"], "status"), (["job", "trian"], "job train"), (["train"], "job train"), (["job", "status"], "status")],
)
def test_an_unknown_command_is_answered_with_the_closest(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1
    kind, wrong = "job" if words[0] == "job" else "command", words[-1]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: There is no {kind} {wrong!r}. Did you mean `python -m longtail {meant}`?")


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize(("before", "commands"), [([], COMMANDS), (["job"], JOBS)])
def test_help_lists_every_command(
    flag: str, before: list[str], commands: dict[str, tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*before, flag]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for name, (_, what) in commands.items():
        assert any(line.split() == [name, *what.split()] for line in out.splitlines())


def test_no_command_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: python -m longtail <command>" in capsys.readouterr().err


def test_no_job_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["job"]) == 2
    assert "usage: python -m longtail job <name>" in capsys.readouterr().err


@pytest.mark.parametrize("words", [*([name] for name in COMMANDS), *(["job", name] for name in JOBS)], ids=" ".join)
def test_every_command_explains_itself(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    module, what = (JOBS if len(words) > 1 else COMMANDS)[words[-1]]
    assert importlib.util.find_spec(module) is not None, f"{module} does not exist"
    with pytest.raises(SystemExit) as caught:
        main([*words, "--help"])
    assert caught.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"usage: python -m longtail {' '.join(words)}" in out
    assert what in out


def test_run_as_a_program_it_prints_no_traceback() -> None:
    ended = python("-m", "longtail", "satus")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: There is no command 'satus'. Did you mean `python -m longtail status`?")
    assert "Traceback" not in ended.stderr


def heavy_modules_after(code: str) -> set[str]:
    """Those of ``HEAVY`` that a fresh interpreter has loaded after ``code``."""
    ended = python("-c", f"{code}\nimport sys; print(*sys.modules)")
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.split()) & set(HEAVY)


def test_help_loads_no_library() -> None:
    code = "import contextlib, io, longtail.__main__ as program\nwith contextlib.redirect_stdout(io.StringIO()): "
    assert heavy_modules_after(f"{code}assert program.main(['--help']) == 0") == set()


def test_the_study_loads_no_library() -> None:
    modules = [module.name for module in pkgutil.walk_packages(longtail.study.__path__, "longtail.study.")]
    assert modules
    assert heavy_modules_after(f"import longtail.study, {', '.join(modules)}") == set()


def test_the_probe_for_loaded_libraries_notices_one() -> None:
    assert heavy_modules_after("import longtail.files") >= {"pyarrow"}


@pytest.mark.parametrize("room", [longtail.reporting, longtail.discrepancies])
def test_pages_load_no_torch(room: types.ModuleType) -> None:
    found = [module.name for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")]
    assert found
    assert heavy_modules_after(f"import {', '.join(found)}") & {"torch", "torchvision"} == set()


def test_pyarrow_is_kept_from_importing_pandas_and_finds_it_when_asked() -> None:
    program = """
import sys
from longtail.__main__ import spare_pandas
spare_pandas()
import pyarrow
spare_pandas()
import numpy
table = pyarrow.table({"a": numpy.arange(3)})
print("pandas" in sys.modules, len(table.to_pandas()), "pandas" in sys.modules)
spare_pandas()
print(pyarrow.Table.from_pandas(table.to_pandas()).equals(table))
"""
    assert python("-c", program).stdout.split() == ["False", "3", "True", "True"]
