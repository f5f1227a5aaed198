"""What shells complete, asked of the shells that are there."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from longtail.__main__ import COMMANDS, JOBS
from longtail.completion import SHELLS, script, words


@pytest.fixture(scope="module")
def following() -> dict[str, list[str]]:
    return words()


def completed(following: dict[str, list[str]], *typed: str) -> list[str]:
    """What bash offers for the last of the words typed behind ``longtail``."""
    line = " ".join(("longtail", *(f"'{word}'" for word in typed)))
    program = f"{script('bash', following)}\nCOMP_WORDS=({line}); COMP_CWORD={len(typed)}; _longtail\n"
    program += 'printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ([""], [*COMMANDS, "job"]),
        (["dis"], ["discrepancies"]),
        (["list", ""], ["methods", "datasets", "targets", "tables"]),
        (["list", "methods", "miniclustering-b"], ["miniclustering-balms"]),
        (["info", "digits-"], ["digits-lt"]),
        (["plan", "conmix_table1"], ["conmix_table1", "conmix_table10"]),
        (["job", "tra"], ["train"]),
        (["job", ""], [*JOBS]),
        (["compare", "x"], []),
    ],
    ids=str,
)
def test_bash_offers_what_may_follow(following: dict[str, list[str]], typed: list[str], offered: list[str]) -> None:
    assert sorted(completed(following, *typed)) == sorted(offered)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_takes_its_script(shell: str, following: dict[str, list[str]]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n"], input=script(shell, following), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_fish_is_told_every_word(following: dict[str, list[str]]) -> None:
    said = script("fish", following)
    assert len(said.splitlines()) == len(following)
    assert all(word in said for after in following.values() for word in after)
