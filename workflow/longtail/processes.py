"""Which processes work on the results: one workflow at a time, no job that outlives it, and none ahead of its clock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from longtail.errors import LongtailError

WORKFLOW = "LONGTAIL_WORKFLOW"
"""Environment variable with the process that a job must not outlive."""
CLAIM = ".workflow"
PATIENCE = 300.0


def claim(folder: str | os.PathLike[str]) -> IO[str]:
    """Take a folder of results for this process.

    The kernel gives it back when the process ends, however that happens, so nothing is ever left to be unlocked.
    Snakemake's own lock lies in the working directory: it knows nothing of another one whose ``results`` is a link to
    the same folder, and two that start at the same moment may both get it.

    Returns:
        The open file that stands for the claim. Closing it gives the folder back.

    Raises:
        LongtailError: if another process has taken the folder, or it cannot be written.
    """
    path = Path(folder) / CLAIM
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
        if not _lock(file):
            file.seek(0)
            holder = file.read().strip() or "an unknown process"
            file.close()
            raise LongtailError(
                f"Another workflow is at work on {path.parent.resolve()}: {holder}. Let it finish, or stop it there "
                f"with Ctrl-C or `kill`; what it has finished is kept. Or run this one in a folder of its own."
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}, started in {Path.cwd()}\n")
        file.flush()
    except OSError as error:
        raise LongtailError(
            f"Cannot write {folder}: {error.strerror or error}. Check the folder's permissions and the free space."
        ) from error
    return file


def _lock(file: IO[str]) -> bool:
    """Whether the file could be locked, or lies on a file system without locks: then Snakemake's own has to do."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def end_with(workflow: int, every: float = 1.0) -> None:
    """Have this process terminated (SIGTERM) once process ``workflow`` is gone.

    A workflow that is killed outright (SIGKILL, out of memory) cannot stop its jobs. Left alone they would go on beside
    those of its successor, and replace files that others have been derived from in the meantime.

    Args:
        workflow: its process id. If there is none now, as within a container, nothing is watched.
        every: seconds between two looks.
    """

    def watch() -> None:
        while _lives(workflow):
            time.sleep(every)
        print(f"The workflow (process {workflow}) has ended without its jobs.", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    if _lives(workflow):
        threading.Thread(target=watch, daemon=True).start()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:  # gone, or its number is another user's by now
        return False
    try:
        stat = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:  # no such thing outside Linux
        return True
    # One that has ended keeps its number until its parent takes note, who may be waiting for what our shell prints.
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def wait_for_clock(arguments: Iterable[str], patience: float = PATIENCE) -> None:
    """Wait until no file that a command line names lies in the future.

    Where the clocks of two machines differ, a job can find its inputs written later than now. Its outputs would be
    older than they are, and Snakemake takes such an output for outdated and deletes it, after all the work.

    Args:
        arguments: of the command line; files stand by themselves or after a ``=``.
        patience: seconds to wait at most.

    Raises:
        LongtailError: if the newest file lies further ahead.
    """
    written, path = max(_times(arguments), default=(0.0, ""))
    ahead = written - time.time()
    if ahead > patience:
        raise LongtailError(
            f"{path} was written {ahead:z.0f} seconds from now by this machine's clock ({socket.gethostname()}): the "
            f"clocks of the machines differ, and results would look older than what they were made from. Set the "
            f"clocks (NTP); if the file's time alone is wrong, `touch {path}`."
        )
    if ahead > 0:
        if ahead > 1:
            print(f"Waiting {ahead:z.0f} seconds: {path} lies in the future.", file=sys.stderr, flush=True)
        time.sleep(ahead)


def _times(arguments: Iterable[str]) -> Iterable[tuple[float, str]]:
    """Time of the last change, in seconds, and path of every file that is named."""
    for argument in arguments:
        path = argument.rpartition("=")[2]
        with contextlib.suppress(OSError, ValueError):  # most arguments are no files
            yield Path(path).stat().st_mtime, path
