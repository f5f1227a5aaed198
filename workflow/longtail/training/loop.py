"""The training loop: one for all objectives, in one piece."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from longtail.data.resident import derived_seed, epoch_order, generator
from longtail.data.samplers import sampled
from longtail.devices.distributed import ALONE, Group
from longtail.devices.precision import autocast
from longtail.errors import LongtailError
from longtail.methods.base import Batch, Objective
from longtail.training.batches import Batches, batches_of
from longtail.training.encode import Augment, Split, SplitInputs, split_inputs
from longtail.training.hyperparameters import TrainingSettings
from longtail.training.optimizer import Optimizer
from longtail.training.progress import Progress
from longtail.training.schedules import schedule_of
from longtail.training.specification import Specification, Stretch


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


def view_augmentations(settings: TrainingSettings, inputs: SplitInputs) -> list[Augment]:
    """What makes each view of a step."""
    return [inputs.augmentation(listed) for listed in settings.augmentations]


@dataclass(frozen=True)
class Step:
    """What an update is shown, which is known some updates before it.

    Attributes:
        number: of the update in its epoch.
        shown: for each view, the rows whose images it shows, (B,) int64 on the device.
        wanted: those of them that differ, where the split wants to be told of them.
        places: for each view, which of ``wanted`` it shows.
        draws: the random numbers of its views, from where ``shown`` left them.
    """

    number: int
    shown: tuple[Tensor, ...]
    wanted: tuple[Tensor, ...]
    places: tuple[int, ...]
    draws: torch.Generator


def planned(
    objective: Objective,
    views: int,
    orders: Sequence[Tensor],
    batches: Batches,
    device: torch.device,
    *,
    seed: int,
    epoch: int,
    first: int,
) -> Iterator[Step]:
    """The updates of an epoch, each as soon as it is asked for.

    Args:
        objective: says whose images the views show, where there is one order for all of them.
        views: how many there are.
        orders: the rows that the epoch visits, of all views or of each.
        batches: how they are cut.
        device: of the training.
        seed: of the training.
        epoch: of the clock.
        first: update of the epoch to begin with.
    """
    for number in range(first, len(batches)):
        draws = generator(device, seed, "augment", epoch, number)
        visited = tuple(order[batches[number]] for order in orders)
        if len(visited) > 1:
            shown = tuple(rows.to(device) for rows in visited)
            yield Step(number, shown, visited, tuple(range(len(visited))), draws)
            continue
        rows = visited[0].to(device)
        shown = objective.shown(rows, views, draws)
        others = [these for these in shown if these is not rows]
        rank = itertools.count(1)
        places = tuple(0 if these is rows else next(rank) for these in shown)
        yield Step(number, shown, (*visited, *others), places, draws)


def epoch_orders(
    objective: Objective, settings: TrainingSettings, split: Split, seed: int, epoch: int
) -> tuple[Tensor, ...]:
    """The rows that an epoch visits, (N,) int64 each where the split wants to be told: of all views, or of each."""
    if not settings.samplers:
        return (epoch_order(seed, epoch, len(split), objective.sampling_weights()).to(split.planned_on),)
    purposes = ["order", *(f"order of view {view}" for view in range(2, len(settings.samplers) + 1))]
    labels = split.labels.cpu()
    return tuple(
        sampled(sampler, labels, generator("cpu", seed, purpose, epoch)).to(split.planned_on)
        for sampler, purpose in zip(settings.samplers, purposes, strict=True)
    )


def train(
    run: Training,
    spec: Specification,
    split: Split,
    *,
    dtype: torch.dtype,
    save: Callable[[Training], None],
    save_every: float,
    epoch_done: Callable[[Training], None] = lambda run: None,
    stop_requested: Callable[[], bool] = lambda: False,
    group: Group = ALONE,
) -> None:
    """Train ``run`` from where it stands to the last epoch of the specification's last stretch.

    Every random number comes from a generator seeded by the seed, its purpose, the epoch and the step, so a run that
    is interrupted and resumed from a saved state is the same run.

    Args:
        run: changed in place.
        spec: the phase; the last stretch of its lineage is trained.
        split: the training images or texts, for the objective's device.
        dtype: what autocast computes in; float32 switches it off.
        save: called with ``run`` between two updates, when it can be resumed; on every process.
        save_every: seconds between saves.
        epoch_done: called with ``run`` after every complete epoch; on every process.
        stop_requested: asked after every update.
        group: the processes that train together; each calls this with the same arguments.

    Raises:
        Interrupted: when ``stop_requested``, after saving.
        LongtailError: if the split cannot be cut into batches, or a part of the loss is no longer finite.
    """
    objective, optimizer, device = run.objective, run.optimizer, split.device
    seed, stretch, settings = spec.seed, spec.last, spec.last.settings
    batches = batches_of(stretch.objective, len(split), settings.batch_size, settings.drop_last, stretch.own)
    steps = len(batches)
    first, last, clock = stretch.first_epoch, stretch.last_epoch, stretch.clock
    schedule = schedule_of(settings.schedule)
    inputs = split_inputs(split, spec.data, settings.normalization, dtype)
    inputs.augmentations = augmentations = view_augmentations(settings, inputs)
    progress = Progress(
        stretch.objective,
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
                objective.prepare(inputs)
            objective.start_epoch(run.epoch, inputs)
            group.replicate(objective)
        objective.train()
        orders = epoch_orders(objective, settings, split, seed, run.epoch)

        plan = planned(
            objective,
            settings.views,
            orders,
            batches,
            device,
            seed=seed,
            epoch=run.epoch,
            first=run.step,
        )
        for this, raw in split.ahead(plan, lambda this: this.wanted):
            step, shown = this.number, this.shown
            views = tuple(
                inputs.normalize(augment(raw[place], this.draws))
                for place, augment in zip(this.places, augmentations, strict=True)
            )
            update = run.epoch * steps + step + 1
            share = update / (clock * steps)
            labels = tuple(split.labels[these] for these in shown) if objective.supervised else ()
            learning_rate = schedule(update, steps, clock, settings)
            batch = Batch(views, shown, generator(device, seed, "loss", run.epoch, step), labels, share, learning_rate)

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
            progress.advance(run.epoch, run.step, len(shown[0]), run.history[-1]["loss"] if run.history else None)

            if run.step == steps:
                means = _means(run, stretch)  # waits for the device
                seconds = time.perf_counter() - began
                pace = {"images_per_second": batches.visited / seconds, "seconds": seconds}
                run.history.append({"epoch": run.epoch + 1, **means, "learning_rate": learning_rate, **pace})
                run.epoch, run.step, run.seconds, run.sums = run.epoch + 1, 0, 0.0, {}
                epoch_done(run)
            stopping, saving = group.agree(stop_requested(), time.monotonic() - saved > save_every)
            if run.epoch < last and (stopping or saving):
                _means(run, stretch)  # what has diverged is not worth saving
                save(run)
                saved = time.monotonic()
                if stopping:
                    raise Interrupted
    progress.close()


def _means(run: Training, stretch: Stretch) -> dict[str, float]:
    """Means over the updates of the epoch so far; raises LongtailError if one is not finite."""
    settings = stretch.settings
    means = {name: float(total) / run.step for name, total in run.sums.items()}
    for name, value in means.items():
        if not math.isfinite(value):
            raise LongtailError(
                f"Training {stretch.objective} has diverged: {name!r} is {value} in epoch {run.epoch + 1} of "
                f"{stretch.clock} (learning rate {settings.learning_rate}, batch size {settings.batch_size}). Try a "
                f"lower learning_rate, more warmup_epochs, or precision: float32."
            )
    return means
