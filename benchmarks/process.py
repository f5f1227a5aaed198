"""Processes that are measured: their time, their processor time with that of their children, and their memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process that has ended well.

    Attributes:
        seconds: that passed.
        cpu_seconds: of it and of its children.
        peak_mb: most memory of the largest of them.
        output: what it printed.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str


def run_python(folder: Path, environment: Mapping[str, str], *arguments: str) -> Process:
    """Run Python in ``folder`` to the end.

    Args:
        folder: working directory.
        environment: what is added to this process's own.
        arguments: of the interpreter.

    Raises:
        subprocess.CalledProcessError: if it fails, after printing what it said.
    """
    command = [sys.executable, *arguments]
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        child = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read()
    if child.returncode != 0:
        print(printed[-4000:], file=sys.stderr)
        raise subprocess.CalledProcessError(child.returncode, command)
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
    return Process(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / unit, printed)
