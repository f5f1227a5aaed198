"""GPUs for one process: a lease that the kernel ends with the process, however that ends. Imports no torch.

Which GPUs there are to choose from is CUDA's to say, so CUDA_VISIBLE_DEVICES, set by a person or by Slurm, is the pool.
A lease is a lock on a file per GPU in a folder of the user on this machine, beside no results, so that two studies
share a workstation. Files are named by UUID, which stays the same however a pool numbers its GPUs.

The file stands for the whole GPU. A training that has a third of it holds a third of the file's bytes, so that shares
of different sizes, of two studies say, exclude each other where they overlap, and never add up to more than the GPU.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from longtail.devices import driver
from longtail.errors import LongtailError

FOLDER = Path(f"/tmp/longtail-gpus-{os.getuid()}")
"""Of the locks. Not in TMPDIR, which may differ between two studies of one user."""

SLURM_GPUS = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
"""Where Slurm numbers the GPUs of a job; the step's come first, as they may be fewer."""

PAUSE = 1.0
"""Seconds between two looks for a free GPU."""

WIDTH = 5040
"""Bytes of a lock file, all of which stand for the GPU; the halves, thirds, ... up to the tenths of it are even."""


@dataclass(frozen=True)
class Gpu:
    """A GPU: ``uuid`` as CUDA_VISIBLE_DEVICES takes it ("GPU-..."), and ``name``, its model."""

    uuid: str
    name: str


@dataclass(frozen=True)
class Pool:
    """The GPUs a job may choose from, in CUDA's order, and what the driver complained about, if it did."""

    gpus: tuple[Gpu, ...]
    problem: str = ""


_leased: list[Gpu] = []  # by this process, or for it


def assigned_by_slurm() -> bool:
    """Whether this is a job of Slurm that was given a GPU."""
    said = [os.environ.get(name, "") for name in ("CUDA_VISIBLE_DEVICES", *SLURM_GPUS)]
    return "SLURM_JOB_ID" in os.environ and any(text not in ("", "NoDevFiles") for text in said)


def pool() -> Pool:
    """What CUDA shows to this process, and in a Slurm job no more than the job was given.

    Slurm says so in CUDA_VISIBLE_DEVICES where it is set up to. Else the numbers of SLURM_STEP_GPUS or SLURM_JOB_GPUS
    choose, in the order of the bus, unless a control group hides the other GPUs already.
    """
    numbers = next((os.environ[name] for name in SLURM_GPUS if os.environ.get(name)), "")
    if "CUDA_VISIBLE_DEVICES" in os.environ or not numbers.replace(",", "").isdigit():
        return visible()
    given = [int(number) for number in numbers.split(",") if number]
    shown = visible(CUDA_DEVICE_ORDER="PCI_BUS_ID")
    if max(given) >= len(shown.gpus) or len(shown.gpus) == len(given):
        return shown
    chosen = tuple(shown.gpus[number] for number in given)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpu.uuid for gpu in chosen)
    return Pool(chosen)


def visible(**environment: str) -> Pool:
    """What CUDA shows to a process like this one, with ``environment`` added; this process stays free to choose."""
    if driver.library() is None:  # the usual case without a GPU, which needs no process to find out
        return Pool((), driver.gpus()["problem"])
    command = [sys.executable, "-I", "-S", driver.__file__]
    try:
        ended = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Pool((), f"NVIDIA's driver does not answer ({error}).")
    found = json.loads(ended.stdout)
    return Pool(tuple(Gpu(**gpu) for gpu in found["gpus"]), found["problem"])


def lease(count: int = 1, per_gpu: int = 1) -> Pool:
    """Take GPUs for the life of this process, and wait while too few are free. CUDA must not have started yet.

    Afterwards CUDA shows those GPUs alone. A GPU that is the only one of a Slurm job is Slurm's to share out: it is
    taken without a lock, and without waiting.

    Args:
        count: how many.
        per_gpu: how many processes may share each of them. To keep to its share of the memory is up to the process.

    Returns:
        The GPUs that were taken, in a pool of their own; if there are fewer than ``count`` at all, the pool of those,
        of which none is taken.

    Raises:
        LongtailError: if the folder of the locks cannot be used.
    """
    if _leased:
        return Pool(tuple(_leased))
    choice = pool()
    if len(choice.gpus) < count:
        return choice
    of_slurm = len(choice.gpus) == 1 and assigned_by_slurm()
    taken = choice.gpus if of_slurm else _first_free(choice.gpus, count, per_gpu)
    if len(choice.gpus) > 1:  # one alone is visible already, by a name that may be no UUID (MIG)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpu.uuid for gpu in taken)
    _leased.extend(taken)
    return Pool(taken)


def adopt(number: int) -> None:
    """Take the GPU of this number among those that CUDA shows, which the process that started this one has leased."""
    shown = visible().gpus
    if number < len(shown):
        if len(shown) > 1:
            os.environ["CUDA_VISIBLE_DEVICES"] = shown[number].uuid
        _leased.append(shown[number])


def share(number: int, per_gpu: int) -> tuple[int, int]:
    """First byte and length of share ``number`` of ``per_gpu``, from 0; all of them together cover the file."""
    start = number * WIDTH // per_gpu
    return start, (number + 1) * WIDTH // per_gpu - start


def _first_free(gpus: Sequence[Gpu], count: int, per_gpu: int) -> tuple[Gpu, ...]:
    """The first ``count`` that are free at the same time: who held some and waited for more might wait for ever."""
    try:
        _open_folder()
        told = False
        while True:
            locked: dict[Gpu, int] = {}
            for number, gpu in itertools.product(range(per_gpu), gpus):  # no GPU is shared while another one is free
                if gpu not in locked:
                    handle = _lock(FOLDER / f"{gpu.uuid}.lock", *share(number, per_gpu))
                    if handle is not None:
                        locked[gpu] = handle
                if len(locked) == count:
                    return tuple(gpu for gpu in gpus if gpu in locked)
            for handle in locked.values():
                os.close(handle)
            if not told:
                print(_waiting(gpus, count), file=sys.stderr, flush=True)
                told = True
            time.sleep(PAUSE)
    except OSError as error:
        raise LongtailError(
            f"Cannot take a GPU: {FOLDER}, where the jobs on this machine note which ones they use, cannot be used "
            f"({error.strerror or error}). Check its permissions and the space on the disk, or remove it."
        ) from error


def _open_folder() -> None:
    """Make the folder, and hold it: systemd-tmpfiles leaves alone what lies in a locked folder, however old it gets."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    owner = os.fstat(handle).st_uid
    if owner != os.getuid():
        os.close(handle)
        raise LongtailError(
            f"Cannot take a GPU: {FOLDER}, where your jobs note which ones they use, belongs to user {owner}. Have "
            f"it removed."
        )
    fcntl.flock(handle, fcntl.LOCK_SH)


def _lock(path: Path, start: int = 0, length: int = WIDTH) -> int | None:
    """Lock bytes of the file if nobody else has any of them. They stay locked until the process ends.

    Bytes can be locked by POSIX locks alone, which a process loses as soon as it closes *any* handle of the file, not
    only the one that is returned. So nothing here opens a file of which this process has locked a part.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
    except BlockingIOError:
        os.close(handle)
        return None
    if os.fstat(handle).st_nlink == 0:  # it was removed meanwhile, and the next one makes it anew
        os.close(handle)
        return None
    named = f"{os.getpid()}".ljust(length - 1) + "\n"
    os.pwrite(handle, named.encode(), start)  # over who held these bytes before
    return handle


def _waiting(gpus: Sequence[Gpu], count: int) -> str:
    holders = []
    for gpu in gpus:
        with contextlib.suppress(FileNotFoundError):
            named = (FOLDER / f"{gpu.uuid}.lock").read_text().replace("\0", " ").split()
            holders += [process for process in named if Path("/proc", process).exists()]  # others have left theirs
    return (
        f"Waiting for {'a GPU' if count == 1 else f'{count} GPUs'}: other jobs of yours use "
        f"{'all' if count == 1 else 'some'} that CUDA shows to this one ({len(gpus)}; processes {', '.join(holders)})."
    )
