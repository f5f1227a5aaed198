"""``longtail <command>``: what people ask for; ``longtail job <name>``: the jobs of the workflow, to be run by hand.

A command is a module with ``add_arguments(parser)`` and ``run(arguments)``, which may return a status to exit with; it
is imported only when it is asked for, so that a job that needs no torch never loads it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import types
import warnings
from pathlib import Path
from typing import NoReturn

from longtail.errors import LongtailError, closest
from longtail.processes import WORKFLOW, end_with, wait_for_clock

COMMANDS = {
    "list": ("longtail.reporting.inventory", "the methods, datasets, targets or tables there are, and what they cost"),
    "info": ("longtail.reporting.info", "all about a method, dataset, paper, table or figure"),
    "plan": ("longtail.reporting.forecast", "what there is to do, what it takes and what is there"),
    "page": ("longtail.results_page.page", "all results as one page to open in a browser"),
    "status": ("longtail.reporting.status", "what is missing, and what failed and why"),
    "describe": ("longtail.data.describe", "write the catalogue file of your own images, from their folders or labels"),
    "compare": ("longtail.reporting.compare", "whether two runs of a table differ by more than their seeds do"),
    "record": ("longtail.records.collect", "keep what finished cells have found, small enough for git"),
    "recorded": (
        "longtail.reproduction.page",
        "tables of records alone, and the page that holds them against print",
    ),
    "discrepancies": ("longtail.discrepancies.page", "where papers, official codes and this project part"),
    "reference": ("longtail.reporting.reference.command", "write the pages of methods, datasets, papers and keys"),
    "completion": ("longtail.completion", "have your shell complete commands, methods, datasets and targets"),
}
"""What people ask for: name, module, what it is for."""

JOBS = {
    "store": ("longtail.data.store", "decode a dataset's images into one memory-mapped array"),
    "index": ("longtail.data.index", "note where the images of a set are that is decoded while it trains"),
    "fetch": ("longtail.data.encoder", "get the files of a sentence encoder"),
    "weights": ("longtail.data.image_weights", "get the weights that a network for images starts from"),
    "tokenize": ("longtail.data.texts", "cut a dataset's texts into words and look up their synonyms"),
    "split": ("longtail.data.split", "cut the long-tailed (or balanced, or test) rows of a dataset"),
    "train": ("longtail.training.train", "train one phase, or go on with an interrupted one"),
    "embed": ("longtail.embedding.embed", "embed a split with a trained phase or a control"),
    "corruptions": ("longtail.embedding.corruptions", "count the corrupted test images that a classifier gets right"),
    "infer-time": ("longtail.embedding.infer_time", "how long the network of a phase takes for a batch of images"),
    "cluster": ("longtail.evaluation.cluster", "cluster embeddings"),
    "classify": ("longtail.evaluation.classify", "predict the classes of embeddings"),
    "score": ("longtail.evaluation.score", "metrics of assignments, predictions or embeddings"),
    "project": ("longtail.evaluation.project", "two-dimensional projection of embeddings"),
    "merge": ("longtail.reporting.merge", "collect the metrics of a table's or figure's cells"),
    "table": ("longtail.reporting.table", "render one table"),
    "figure": ("longtail.reporting.figures.figure", "draw one figure"),
}
"""What rules of the workflow run, a file or two at a time."""

JOB = "job"
"""The word before the name of a job."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 on success or what the command returns, 1 with a message on a ``LongtailError``."""
    arguments = sys.argv[1:] if arguments is None else arguments
    jobs = arguments[:1] == [JOB]
    words = arguments[jobs:]
    if not words or words[0] in {"-h", "--help"}:
        print(usage(jobs), file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    try:
        return execute(arguments)
    except LongtailError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def execute(arguments: list[str]) -> int:
    """Run one command, which the first words name; 0 on success or what the command returns.

    Raises:
        LongtailError: for a command that there is not, and on anything the user can act on.
    """
    jobs = arguments[:1] == [JOB]
    name, *words = arguments[jobs:]
    commands = JOBS if jobs else COMMANDS
    if name not in commands:
        raise _no_command(name, jobs)
    module, what = commands[name]
    command = importlib.import_module(module)
    spare_pandas()
    parser = argparse.ArgumentParser(prog=" ".join([program(), *arguments[:jobs], name]), description=what)
    command.add_arguments(parser)
    options = parser.parse_args(words, argparse.Namespace(command_line=arguments))
    wait_for_clock(arguments)
    return command.run(options) or 0


def program() -> str:
    """What the program was called by, for people to type again."""
    return "longtail" if Path(sys.argv[0]).stem == "longtail" else "python -m longtail"


def usage(jobs: bool) -> str:
    """The commands there are, a line each, or those of jobs."""
    lines = [f"  {name:13} {what}" for name, (_, what) in (JOBS if jobs else COMMANDS).items()]
    if not jobs:
        lines += ["", f"  {JOB:13} what the jobs of the workflow run; `{program()} {JOB}` lists them"]
    called = f"{program()} {JOB} <name>" if jobs else f"{program()} <command>"
    return "\n".join([f"usage: {called} [options]", "", *lines, "", "Each explains itself with --help."])


def _no_command(name: str, jobs: bool) -> LongtailError:
    """What to say of a command that there is not, be it a job that is asked for as a command or the reverse."""
    spelled = {**{job: f"{JOB} {job}" for job in JOBS}, **{command: command for command in COMMANDS}}
    close = closest(name, spelled)
    hint = f" Did you mean `{program()} {spelled[close]}`?" if close else ""
    return LongtailError(
        f"There is no {'job' if jobs else 'command'} {name!r}.{hint} `{program()} --help` lists the commands, "
        f"`{program()} {JOB}` those of jobs."
    )


class _NoPandas:
    """A finder that knows of no pandas."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def spare_pandas() -> None:
    """Keep pyarrow from importing pandas, a third of a second, unless the command has imported it itself.

    pyarrow looks for pandas once, with the first array that it makes, to see whether that is a Series. Whoever asks
    for a data frame later gets it all the same.
    """
    if "pyarrow" not in sys.modules or "pandas" in sys.modules:
        return
    import pyarrow

    sys.meta_path.insert(0, _NoPandas)
    try:
        pyarrow.array([0])
    finally:
        sys.meta_path.remove(_NoPandas)


def stop(number: int, _: types.FrameType | None) -> None:
    """End on a signal by way of an exception, so that no temporary file stays behind."""
    signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt that
    print(f"error: stopped by {signal.Signals(number).name}; no file is half written. Run it again.", file=sys.stderr)
    raise SystemExit(128 + number)


def ignore_inherited() -> None:
    """Set aside what a shell or a notebook has exported for other programs: an ASCII terminal, warnings as errors."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    if sys.warnoptions:
        warnings.resetwarnings()
    # Figures are drawn into files. A notebook exports the name of its own backend to all that is started from it, and
    # where that is not installed, matplotlib ends with an error when it is imported.
    os.environ["MPLBACKEND"] = "agg"


def console() -> NoReturn:
    """Be the program: take the command from the command line, and end with its status."""
    ignore_inherited()
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as in the background of a script
            signal.signal(number, stop)
    if os.environ.get(WORKFLOW):
        end_with(int(os.environ[WORKFLOW]))
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads what we print has read enough, as `head` does
        status = 128 + signal.SIGPIPE
    sys.stderr.flush()
    os._exit(status)  # every file is closed; unloading torch in good order would take half a second more


if __name__ == "__main__":
    console()
