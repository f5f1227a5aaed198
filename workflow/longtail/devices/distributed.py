"""Several GPUs for one training: the processes of ``torchrun``, one per GPU, which compute what one process would.

All of them go through the same loop with the same random numbers. The images of a batch are shared out where the work
is, in the backbone (:mod:`longtail.models.spreading`); everything else is the same on every process. Which process
writes files and speaks, when to stop and what gradients add up to is settled here.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn

from longtail.errors import LongtailError
from longtail.models.spreading import backbones, spread_batches

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

SECONDS_TO_STOP = 300
"""How long processes that are to stop may take for the update they are at, and for saving."""


@dataclass(frozen=True)
class Group:
    """The processes of one training, as one of them sees it; a training in one process is a group of one.

    Attributes:
        rank: of this process, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def spread(self, objective: nn.Module) -> None:
        """Share out the images of every batch of ``objective``."""
        if self.size > 1:
            spread_batches(objective)

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.size > 1:
            dist.all_reduce(torch.zeros(1))  # on the CPU: a barrier would wait for the GPU as well

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Let the leader go through the block before the others do."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()

    def agree(self, *wishes: bool) -> list[bool]:
        """For each wish, whether any process has it. Does not wait for the GPU."""
        if self.size == 1:
            return list(wishes)
        counted = torch.tensor(wishes, dtype=torch.int32)
        dist.all_reduce(counted, dist.ReduceOp.MAX)
        return [bool(count) for count in counted]

    @torch.no_grad()
    def replicate(self, objective: nn.Module) -> None:
        """Give every process the leader's weights and buffers.

        They are the same already where arithmetic is deterministic. On GPUs it is not, and a clustering between epochs
        may turn a difference in the last bit into other pseudo-labels.
        """
        if self.size > 1:
            for value in (*objective.parameters(), *objective.buffers()):
                sent = value.contiguous()
                dist.broadcast(sent, 0)
                value.copy_(sent)

    @torch.no_grad()
    def add_gradients(self, objective: nn.Module) -> None:
        """Give every process the gradient of the whole batch.

        In a backbone it is the sum over the processes, which saw different images. Elsewhere all have it; their mean
        differs from none of them by more than rounding, and is the same to the last bit for all.
        """
        if self.size == 1:
            return
        partial = {parameter for backbone in backbones(objective) for parameter in backbone.parameters()}
        gradients = []
        for parameter in objective.parameters():
            if parameter.grad is not None:
                gradients.append(parameter.grad if parameter in partial else parameter.grad.div_(self.size))
        total = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(total)
        for gradient, sums in zip(gradients, total.split([each.numel() for each in gradients]), strict=True):
            gradient.copy_(sums.view(gradient.shape))

    def gathered(self, tensor: Tensor) -> list[Tensor]:
        """The tensors of all processes, by rank; they may differ in their first dimension."""
        if self.size == 1:
            return [tensor]
        lengths = [tensor.new_zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(lengths, tensor.new_full((1,), len(tensor), dtype=torch.int64))
        longest = max(map(int, lengths))
        padded = tensor.new_zeros(longest, *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return [part[: int(length)] for part, length in zip(parts, lengths, strict=True)]

    def of_leader(self, value: Tensor | None) -> Tensor | None:
        """The leader's ``value``; None if it has none."""
        if self.size > 1 and value is not None:
            value = value.clone()
            dist.broadcast(value, 0)
        return value


ALONE = Group()


def launched() -> bool:
    """Whether ``torchrun`` has started this process."""
    return dist.is_torchelastic_launched()


def processes() -> int:
    """How many processes ``torchrun`` has started for this training; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1


def local_rank() -> int:
    """The number of this process among those that ``torchrun`` has started on this machine."""
    return int(os.environ["LOCAL_RANK"])


def join(device: torch.device) -> Group:
    """Meet the other processes that ``torchrun`` has started, if it has started this one."""
    if processes() == 1:
        return ALONE
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    return Group(dist.get_rank(), dist.get_world_size())


@contextmanager
def reporting_to_launcher() -> Iterator[None]:
    """Leave it to the launcher to say what went wrong: all processes fail together, but it is to be said once.

    Raises:
        SystemExit: with status 1 in place of a LongtailError, in a process that ``torchrun`` has started.
    """
    try:
        yield
    except LongtailError as error:
        if not launched():
            raise
        from torch.distributed.elastic.multiprocessing.errors import get_error_handler

        get_error_handler().record_exception(error)
        raise SystemExit(1) from None


def launch(command: Sequence[str], processes: int, result: Path, stopped: int) -> None:
    """Run ``python -m longtail <command>`` as ``torchrun --standalone --nproc-per-node <processes>`` does.

    A signal goes on to all processes, which agree on the update after which they stop.

    Args:
        command: arguments of ``python -m longtail``.
        processes: how many to start on this machine.
        result: the file that the leader writes last.
        stopped: exit status of a process that has saved and stopped on request.

    Raises:
        LongtailError: if a process has failed, after the others have been stopped.
        SystemExit: with status ``stopped`` when stopped by a signal, before ``result`` was written.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    def written() -> tuple[int, int] | None:
        return (result.stat().st_ino, result.stat().st_mtime_ns) if result.exists() else None

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what matters is said below
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,  # that is Snakemake's business
        signals_to_handle="SIGTERM,SIGINT,SIGUSR1,SIGHUP,SIGQUIT",
        shutdown_timeout=SECONDS_TO_STOP,
    )
    before = written()
    try:
        elastic_launch(config, sys.executable)("-m", "longtail", *command)
    except SignalException:
        if written() == before:
            raise SystemExit(stopped) from None
    except ChildFailedError as error:
        if stopped in {failure.exitcode for failure in error.failures.values()}:
            raise SystemExit(stopped) from None
        raise LongtailError(_what_failed(error.failures, processes)) from None


def _what_failed(failures: Mapping[int, ProcessFailure], processes: int) -> str:
    """What to say of processes that have failed, most of them because another one had."""
    for rank, failure in failures.items():
        if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:  # which those get that go on
            return (
                f"Process {rank} of {processes} (counted from 0) was ended by {failure.signal_name()}, and the others "
                f"have been stopped. If memory was short, ask for more. The next run goes on from the last save."
            )
    for failure in failures.values():
        said = failure.error_file_data.get("message")
        if isinstance(said, dict):
            return str(said["message"]).removeprefix(f"{LongtailError.__name__}: ")
    first = min(failures, key=lambda rank: failures[rank].timestamp)
    return f"Process {first} of {processes} (counted from 0) failed, and the others have been stopped: see above."
