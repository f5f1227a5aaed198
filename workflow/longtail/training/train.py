"""``python -m longtail job train``: train the last stretch of a phase, or go on where an earlier attempt stopped.

With several GPUs the command starts itself once for each of them (:mod:`longtail.devices.distributed`).

The job can be stopped at any time. On SIGTERM, SIGUSR1 and SIGINT it finishes the update, saves and exits with status
75; after a harder death it goes on from the last periodic save. Either way the weights become those of an
uninterrupted run, bit for bit on a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from longtail.data.streamed import workers_that_speak
from longtail.devices import distributed
from longtail.devices.gpus import adopt, lease
from longtail.devices.memory import is_out_of_memory, room_for
from longtail.devices.precision import computing_type, no_gpu, prepare_device
from longtail.errors import LongtailError
from longtail.files import replacing, write_table
from longtail.models.pretrained import digest_of
from longtail.models.recomputation import recompute_activations
from longtail.processes import end_with
from longtail.signals import StopSignals
from longtail.training import checkpoint
from longtail.training.arguments import GPUS_HELP, PER_GPU_HELP, positive, stores, thread_count
from longtail.training.build import build
from longtail.training.compiled import compile_networks, pays
from longtail.training.encode import decoders, open_split
from longtail.training.loop import Interrupted, Training, train
from longtail.training.optimizer import Optimizer
from longtail.training.out_of_memory import out_of_memory
from longtail.training.so_far import HistorySoFar, history_table
from longtail.training.specification import Specification, read_spec

STOPPED = 75
"""Exit status of a job that saved and stopped on request (EX_TEMPFAIL: try again)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--spec", required=True, metavar="JSON", help="the phase as data, or @FILE")
    parser.add_argument("--split", required=True, type=Path, help="rows to train on")
    parser.add_argument("--images", required=True, nargs="+", action="extend", metavar="PART=PATH", help="stores")
    parser.add_argument("--encoder", type=Path, metavar="DIR", help="sentence encoder, for texts")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights that networks for images start from")
    parser.add_argument("--parent", type=Path, help="checkpoint that the last stretch starts from")
    parser.add_argument("--state", required=True, type=Path, metavar="DIR", help="where an interrupted job is kept")
    parser.add_argument("--checkpoint", required=True, type=Path, help="output: the trained state")
    parser.add_argument("--history", required=True, type=Path, help="output: losses by epoch")
    parser.add_argument("--spec-out", required=True, type=Path, help="output: the specification")
    parser.add_argument("--gpus", type=int, metavar="N", help=f"{GPUS_HELP}; N: on N GPUs of this machine at once")
    parser.add_argument("--trainings-per-gpu", type=positive, default=1, metavar="K", help=PER_GPU_HELP)
    parser.add_argument("--threads", type=int, help="CPU threads of all processes; in a Slurm job those of the job")
    parser.add_argument(
        "--recompute-activations",
        type=int,
        choices=(0, 1),
        default=0,
        help="1: less memory, more time, same result",
    )
    parser.add_argument("--checkpoint-seconds", type=float, default=300.0, help="seconds between saves (300)")


def run(arguments: argparse.Namespace) -> None:
    """Train, then write history, specification and, last, the checkpoint.

    Raises:
        LongtailError: on anything the user can act on.
        SystemExit: with status 75 when stopped by a signal, after saving.
    """
    gpus = arguments.gpus
    if distributed.launched():
        with distributed.reporting_to_launcher():
            end_with(os.getppid())
            if gpus != 0:
                adopt(distributed.local_rank())
            run_one(arguments)
    elif gpus is None or gpus in (0, 1):
        run_one(arguments)
    else:
        if gpus < 0:
            raise LongtailError(f"--gpus is {gpus}; it must be 0, for the CPU, or how many GPUs to train on.")
        found = lease(gpus)
        if len(found.gpus) < gpus:
            raise no_gpu(found, gpus)
        distributed.launch(arguments.command_line, gpus, arguments.checkpoint, STOPPED)


def run_one(arguments: argparse.Namespace) -> None:
    """What one process does, alone or beside others that do the same."""
    spec = read_spec(arguments.spec)
    threads = thread_count(arguments.threads)
    if threads is not None:
        threads = max(1, threads // distributed.processes())
    gpus = None if arguments.gpus is None else min(arguments.gpus, 1)
    device = prepare_device(threads, gpus, 1 if distributed.launched() else arguments.trainings_per_gpu)
    dtype = computing_type(spec.precision, device)
    with StopSignals() as signals:
        group = distributed.join(device)
        say = tell if group.leads else lambda text: None
        workers = decoders(threads, device)
        split = open_split(spec.data, arguments.split, stores(arguments.images), device, workers, group)
        spec = spec.with_split(split.labels.tolist(), arguments.split)
        folder = checkpoint.StateFolder(arguments.state, spec, split.digest)
        with group.leader_first():  # it clears away what cannot be read
            state = folder.newest()
        with room_for("the networks", device_name(device)):
            if state is None:
                training = start(spec, arguments.parent, device, arguments.encoder, arguments.weights)
            else:
                training = resume(spec, state, device, arguments.encoder)
            group.spread(training.objective)
        if arguments.recompute_activations:
            recompute_activations(training.objective)
        elif pays(spec, device):  # blocks that are computed again are beyond the compiler
            compile_networks(training.objective, spec.last.settings.batch_size, say)
        if state is not None:
            say(f"Going on from epoch {training.epoch}, step {training.step}.")
        name = device_name(device) if group.size == 1 else f"{group.size} × {device_name(device)}"
        say(f"Training {spec.last.objective} up to epoch {spec.last.last_epoch} on {name}.")

        def save(now: Training) -> None:
            if group.leads:
                folder.save(saved_state(spec, now))
            group.wait()

        so_far = HistorySoFar(arguments.state)

        def tell_epoch(now: Training) -> None:
            if group.leads:
                so_far.tell(now.history)

        try:
            with workers_that_speak():
                train(
                    training,
                    spec,
                    split,
                    dtype=dtype,
                    save=save,
                    epoch_done=tell_epoch,
                    save_every=arguments.checkpoint_seconds,
                    stop_requested=lambda: signals.received is not None,
                    group=group,
                )
        except Interrupted:
            say(
                f"Stopped by {signals.received or 'a signal'}: saved in {arguments.state}. The next run goes on from "
                f"epoch {training.epoch}, step {training.step}."
            )
            raise SystemExit(STOPPED) from None
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise out_of_memory(error, training, spec, split, dtype, device_name(device), group) from error
        require_finite(training, spec)
        if not group.leads:
            return
        seconds = sum(epoch["seconds"] for epoch in training.history)
        images = sum(epoch["seconds"] * epoch["images_per_second"] for epoch in training.history)
        write_table(
            arguments.history,
            history_table(training.history),
            identity=spec.identity,
            seed=spec.seed,
            device=name,
            precision=str(dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            seconds=seconds,
            images_per_second=images / seconds if seconds else None,
            peak_memory_bytes=peak_memory(device),
            **({"image_weights": digest_of(arguments.weights)} if arguments.weights else {}),
        )
        with replacing(arguments.spec_out) as temporary:
            temporary.write_text(json.dumps(spec.document, indent=2) + "\n", encoding="utf-8")
        finished = checkpoint.contents(spec, training.objective, training.optimizer.moments, training.epoch, 0)
        checkpoint.write(arguments.checkpoint, finished)
        so_far.remove()
        folder.remove()


def start(
    spec: Specification,
    parent: Path | None,
    device: torch.device,
    encoder: Path | None = None,
    weights: Path | None = None,
) -> Training:
    """A training at the beginning of this job: from nothing, from published weights, or from the parent's checkpoint.

    Raises:
        LongtailError: if a parent or weights are needed and missing, or not such as this phase can start from.
    """
    stretch = spec.last
    if parent is None:
        if stretch.start != "fresh":
            raise LongtailError(
                f"{stretch.objective} has start {stretch.start!r}, so it needs the checkpoint of the training "
                f"before it. Give it with --parent."
            )
        require_weights(spec, weights)
        return _run(spec, build(spec, encoder=encoder, weights=weights), device, stretch.first_epoch)
    trained = checkpoint.read(parent)
    if checkpoint.require_ancestor(trained, spec, parent):
        objective = build(spec, encoder=encoder)
        checkpoint.load_same(objective, trained, parent)
        return _run(spec, objective, device, trained["epoch"], trained["moments"])
    if stretch.start == "transfer":
        # The classes that are built are those of our own lineage: the file's are data, and name no code to be run.
        require_weights(spec, weights)
        source = build(spec.before(-1), encoder=encoder)
        checkpoint.load_same(source, trained, parent)
        return _run(spec, build(spec, source, encoder, weights), device, stretch.first_epoch)
    before, now = spec.lineage[-2].settings.optimizer, stretch.settings.optimizer
    if before != now:
        raise LongtailError(
            f"{stretch.objective} uses {now}, but continues a training with {before}, whose moments mean something "
            f"else. Use the same optimizer, or 'start: transfer'."
        )
    objective = build(spec, encoder=encoder)
    checkpoint.load_continued(objective, trained, parent)
    return _run(spec, objective, device, stretch.first_epoch, trained["moments"])


def require_weights(spec: Specification, weights: Path | None) -> None:
    """Raise where networks are to be made that start from published weights, and no file has them."""
    if spec.backbone.weights and weights is None:
        raise LongtailError(
            f"{spec.last.objective} starts from the weights {spec.backbone.weights} of {spec.backbone.name}: give "
            f"their file with --weights."
        )


def resume(
    spec: Specification, state: Mapping[str, Any], device: torch.device, encoder: Path | None = None
) -> Training:
    """A training where a saved state of this job left it."""
    objective = build(spec, encoder=encoder)
    checkpoint.load_same(objective, state, Path("the saved state"))
    resumed = _run(spec, objective, device, state["epoch"], state["moments"])
    resumed.step = state["step"]
    resumed.sums = {name: total.to(device) for name, total in state["progress"]["sums"].items()}
    resumed.seconds = state["progress"]["seconds"]
    resumed.history = state["progress"]["history"]
    return resumed


def _run(
    spec: Specification, objective: Any, device: torch.device, epoch: int, moments: dict[str, Any] | None = None
) -> Training:
    objective = objective.to(device).to(memory_format=torch.channels_last)
    optimizer = Optimizer(objective, spec.last.settings)
    if moments is not None:
        optimizer.load_moments(moments)
    return Training(objective, optimizer, epoch)


def saved_state(spec: Specification, now: Training) -> dict[str, Any]:
    """What the state folder keeps of a training: a checkpoint, and how far its epoch is."""
    return {
        **checkpoint.contents(spec, now.objective, now.optimizer.moments, now.epoch, now.step),
        "progress": {"sums": now.sums, "seconds": now.seconds, "history": now.history},
    }


def require_finite(training: Training, spec: Specification) -> None:
    """Check that the last update left no infinite weight, which no later loss would show."""
    for name, weights in training.objective.named_parameters():
        if not bool(weights.isfinite().all()):
            raise LongtailError(
                f"Training {spec.last.objective} has diverged: {name} is not finite after epoch "
                f"{training.epoch}. Try a lower learning_rate, more warmup_epochs, or precision: float32."
            )


def device_name(device: torch.device) -> str:
    """What the device is called, a processor with the instructions that torch uses of it: results depend on them."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine()
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


def peak_memory(device: torch.device) -> int:
    """Most bytes that were in use: on a GPU by torch, else by the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def tell(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)
