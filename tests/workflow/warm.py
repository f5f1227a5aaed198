"""``python -m snakemake`` without its imports, for which most runs of the tests take longer than for all the rest.

A server imports Snakemake once and forks for each run, which then takes over the arguments, the working directory, the
environment and the files that it is asked for. Our own modules are imported by each run, from its checkout.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

IMPORTED = ("snakemake.cli", "snakemake_executor_plugin_slurm")
"""What every run imports, its executors included."""


def run(
    command: Sequence[str], cwd: Path, environment: Mapping[str, str], timeout: int
) -> subprocess.CompletedProcess[str]:
    """What ``subprocess.run`` returns for ``python -m snakemake`` and its arguments, ended after so many seconds."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [str(Path(folder) / name) for name in ("stdout", "stderr")]
        request = {"arguments": command[3:], "cwd": str(cwd), "environment": {**environment}}
        process = server()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({**request, "outputs": outputs, "timeout": timeout}) + "\n")
        process.stdin.flush()
        status = process.stdout.readline()
        assert status, "the server has ended; what it had to say stands above"
        return subprocess.CompletedProcess(command, int(status), *(Path(path).read_text("utf-8") for path in outputs))


@functools.cache
def server() -> subprocess.Popen[str]:
    """The server of this process, which ends with it: nobody writes to its input any more."""
    command = [sys.executable, str(Path(__file__))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def serve() -> None:
    """Run what is asked for, line by line, and answer with the exit status."""
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            snakemake(**json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def snakemake(arguments: list[str], cwd: str, environment: dict[str, str], outputs: list[str], timeout: int) -> Any:
    """Be ``python -m snakemake`` from here on."""
    signal.alarm(timeout)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate((os.devnull, *outputs)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    cli = sys.modules["snakemake.cli"]
    sys.path[0] = cwd
    sys.argv = [str(Path(cli.__file__ or "").with_name("__main__.py")), *arguments]
    cli.main()


if __name__ == "__main__":
    serve()
