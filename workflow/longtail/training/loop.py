"""The training loop: one for all objectives, in one piece."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from longtail.data.resident import ResidentSplit, derived_seed, epoch_order, generator
from longtail.data.resident_texts import ResidentTexts
from longtail.devices.distributed import ALONE, Group
from longtail.devices.precision import autocast
from longtail.errors import LongtailError
from longtail.methods.base import Batch, Objective
from longtail.training.batches import batches_of
from longtail.training.encode import Augment, SplitInputs, inputs
from longtail.training.hyperparameters import TrainingSettings, split_settings
from longtail.training.optimizer import Optimizer
from longtail.training.progress import Progress
from longtail.training.schedules import schedule_of


@dataclass
class Training:
    """A training at some point: what the loop changes.

    Attributes:
        objective: the networks, on their device.
        optimizer: over the objective's parameter groups.
        epoch: complete epochs of the clock.
        step: updates done in the epoch after that.
        sums: over those updates, each part of the loss, float64 on the device.
        seconds: spent on those updates.
        history: one entry per epoch of this job that is complete.
    """

    objective: Objective
    optimizer: Optimizer
    epoch: int
    step: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


class Interrupted(Exception):
    """The training was asked to stop, and has stopped after a complete and saved update."""


def view_augmentations(settings: TrainingSettings, images: SplitInputs) -> list[Augment]:
    """What makes each view of a step: ``augmentation`` all, or all but view 2 where that has a list of its own."""
    made = [images.augmentation(settings.augmentation)] * settings.views
    if settings.second_augmentation is not None:
        made[1] = images.augmentation(settings.second_augmentation)
    return made


def train(
    run: Training,
    spec: Mapping[str, Any],
    split: ResidentSplit | ResidentTexts,
    *,
    dtype: torch.dtype,
    save: Callable[[Training], None],
    save_every: float,
    stop_requested: Callable[[], bool] = lambda: False,
    group: Group = ALONE,
) -> None:
    """Train ``run`` from where it stands to the last epoch of the specification's last stretch.

    Every random number comes from a generator seeded by the seed, its purpose, the epoch and the step, so a run that
    is interrupted and resumed from a saved state is the same run.

    Args:
        run: changed in place.
        spec: the phase as data; the last stretch of its lineage is trained.
        split: the training images or texts, on the objective's device.
        dtype: what autocast computes in; float32 switches it off.
        save: called with ``run`` between two updates, when it can be resumed; on every process.
        save_every: seconds between saves.
        stop_requested: asked after every update.
        group: the processes that train together; each calls this with the same arguments.

    Raises:
        Interrupted: when ``stop_requested``, after saving.
        LongtailError: if the split cannot be cut into batches, or a part of the loss is no longer finite.
    """
    objective, optimizer, device = run.objective, run.optimizer, split.device
    seed, stretch = spec["seed"], spec["lineage"][-1]
    settings, _ = split_settings(stretch)
    batches = batches_of(stretch["objective"], stretch["settings"], len(split))
    steps = len(batches)
    first, last, clock = stretch["first_epoch"], stretch["last_epoch"], stretch["clock"]
    schedule = schedule_of(settings.schedule)
    images = inputs(split, spec["data"], settings.normalization, dtype)
    augmentations = view_augmentations(settings, images)
    progress = Progress(
        stretch["objective"],
        epochs=last,
        steps=steps,
        remaining=(last - run.epoch) * steps - run.step,
        interval=None if group.leads else math.inf,
    )
    saved = time.monotonic()

    while run.epoch < last:
        began = time.perf_counter() - run.seconds
        if run.step == 0:
            torch.manual_seed(derived_seed(seed, "start", run.epoch))
            if run.epoch == first:
                objective.prepare(images)
            objective.start_epoch(run.epoch, images)
            group.replicate(objective)
        objective.train()
        order = epoch_order(seed, run.epoch, len(split), objective.sampling_weights()).to(device)

        for step in range(run.step, steps):
            rows = order[batches[step]]
            raw, draws = split.batch(rows), generator(device, seed, "augment", run.epoch, step)
            shown = objective.shown(rows, settings.views, draws)
            views = tuple(
                images.normalize(augment(raw if these is rows else split.batch(these), draws))
                for these, augment in zip(shown, augmentations, strict=True)
            )
            update = run.epoch * steps + step + 1
            share = update / (clock * steps)
            labels = tuple(split.labels[these] for these in shown) if objective.supervised else ()
            batch = Batch(views, shown, generator(device, seed, "loss", run.epoch, step), labels, share)

            learning_rate = schedule(update, steps, clock, settings)
            objective.before_step(share)
            optimizer.zero_grad()
            torch.manual_seed(derived_seed(seed, "dropout", run.epoch, step))  # which takes no generator of its own
            with autocast(dtype, device):
                parts = objective.loss(batch)
            parts["loss"].backward()
            group.add_gradients(objective)
            optimizer.step(learning_rate, group.of_leader(parts.get("skipped")))
            objective.after_step(share)

            for name, value in parts.items():
                run.sums[name] = run.sums.get(name, 0) + value.detach().double()
            run.step, run.seconds = step + 1, time.perf_counter() - began
            progress.advance(run.epoch, run.step, len(rows), run.history[-1]["loss"] if run.history else None)

            if run.step == steps:
                means = _means(run, stretch, settings)  # waits for the device
                seconds = time.perf_counter() - began
                pace = {"images_per_second": batches.visited / seconds, "seconds": seconds}
                run.history.append({"epoch": run.epoch + 1, **means, "learning_rate": learning_rate, **pace})
                run.epoch, run.step, run.seconds, run.sums = run.epoch + 1, 0, 0.0, {}
            stopping, saving = group.agree(stop_requested(), time.monotonic() - saved > save_every)
            if run.epoch < last and (stopping or saving):
                _means(run, stretch, settings)  # what has diverged is not worth saving
                save(run)
                saved = time.monotonic()
                if stopping:
                    raise Interrupted
    progress.close()


def _means(run: Training, stretch: Mapping[str, Any], settings: TrainingSettings) -> dict[str, float]:
    """Means over the updates of the epoch so far; raises LongtailError if one is not finite."""
    means = {name: float(total) / run.step for name, total in run.sums.items()}
    for name, value in means.items():
        if not math.isfinite(value):
            raise LongtailError(
                f"Training {stretch['objective']} has diverged: {name!r} is {value} in epoch {run.epoch + 1} of "
                f"{stretch['clock']} (learning rate {settings.learning_rate}, batch size {settings.batch_size}). Try a "
                f"lower learning_rate, more warmup_epochs, or precision: float32."
            )
    return means
