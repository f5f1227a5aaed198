"""``longtail completion``: words that a shell completes behind ``longtail``, as a script for that shell."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping

from longtail.study.study import load_study

BASH = """\
_longtail() {{
    local words= before=${{COMP_WORDS[*]:1:COMP_CWORD-1}}
    case $before in
        '') words={commands!r} ;;
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _longtail longtail
"""
"""Where no word of ours fits, names of files are completed. zsh takes the same."""

ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"

SHELLS = ("bash", "zsh", "fish")


def words(own: Iterable[str] = ()) -> dict[str, list[str]]:
    """What may follow what: words by those before them, joined by blanks.

    Args:
        own: folders with entries of a person's own catalogue.
    """
    from longtail.__main__ import COMMANDS, JOB, JOBS
    from longtail.reporting.inventory import KINDS

    study = load_study({"targets": ["digits"], "catalog": list(own)})
    targets = [*study.catalog.papers, *study.catalog.artefacts]
    names = {
        "methods": [*study.catalog.methods],
        "datasets": [*study.catalog.datasets],
        "targets": targets,
        "tables": targets,
    }
    return {
        "": [*COMMANDS, JOB],
        JOB: [*JOBS],
        "list": [*KINDS],
        **{f"list {kind}": names[kind] for kind in KINDS},
        "info": [*names["methods"], *names["datasets"], *targets],
        **dict.fromkeys(("plan", "status", "record"), targets),
        "completion": [*SHELLS],
    }


def script(shell: str, following: Mapping[str, list[str]]) -> str:
    """The script for a shell."""
    if shell == "fish":
        return "".join(
            f'complete -c longtail -n \'test (string join " " (commandline -opc)[2..]) = "{before}"\' '
            f"-a '{' '.join(after)}'\n"
            for before, after in following.items()
        )
    cases = "\n".join(
        f"        {before!r}) words={' '.join(after)!r} ;;" for before, after in following.items() if before
    )
    bash = BASH.format(commands=" ".join(following[""]), cases=cases)
    return ZSH + bash if shell == "zsh" else bash


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("shell", choices=SHELLS)
    parser.add_argument("--catalog", nargs="+", default=[], metavar="FOLDER", help="folders with entries of your own")
    parser.epilog = "In ~/.bashrc: source <(longtail completion bash). In fish: longtail completion fish | source."


def run(arguments: argparse.Namespace) -> None:
    """Print the script."""
    print(script(arguments.shell, words(arguments.catalog)), end="")
