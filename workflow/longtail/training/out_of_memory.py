"""What to say of a training that does not fit a device: how much it takes, and what would fit.

A step that fails does not tell how much it would have taken. So a few updates with a half, a quarter, ... of the batch
are made afterwards and measured; memory grows linearly with the batch, but for the few bytes of its similarities.
"""

from __future__ import annotations

import contextlib
import math
import traceback

import torch

from longtail.devices.distributed import ALONE, Group
from longtail.devices.memory import Footprint, available, gigabytes, is_out_of_memory, measure, way_to_more
from longtail.errors import LongtailError
from longtail.models.recomputation import recompute_activations
from longtail.training.encode import Split
from longtail.training.loop import Interrupted, Training, train
from longtail.training.specification import Data, Specification

HEADROOM = 0.95
"""Share of the memory to plan with: torch's allocator leaves gaps, and convolutions want workspace."""


def out_of_memory(
    error: RuntimeError,
    training: Training,
    spec: Specification,
    split: Split,
    dtype: torch.dtype,
    device: str,
    group: Group = ALONE,
) -> LongtailError:
    """What to raise for ``error``, after which ``training`` is of no use any more.

    Args:
        error: says that memory is short.
        training: in which it was raised.
        spec: the phase.
        split: the training images.
        dtype: what autocast computes in.
        device: its name.
        group: the processes that train together.
    """
    objective, batch = spec.last.objective, spec.last.settings.batch_size
    text = f"{device} is out of memory training {objective} with batch size {batch} on {_described(spec.data)}."
    if split.device.type != "cuda" or group.size > 1:  # one process cannot try smaller batches without the others
        return LongtailError(f"{text} {advice(batch, None, None, None)}")
    traceback.clear_frames(error.__traceback__)  # they hold the activations of the step that failed
    images = min(batch, len(split))  # of the largest batch there is
    plain = measure(lambda size: peak_on_gpu(training, spec, split, dtype, size), images)
    small = None
    if recompute_activations(training.objective):
        small = measure(lambda size: peak_on_gpu(training, spec, split, dtype, size), images)
    _empty(training)
    room, word = available(split.device)
    return LongtailError(" ".join(filter(None, (text, word, advice(images, plain, small, HEADROOM * room)))))


def advice(batch: int, plain: Footprint | None, small: Footprint | None, room: float | None) -> str:
    """The ways out.

    Args:
        batch: images of the update that did not fit.
        plain: what updates take, if it was measured.
        small: what they take when activations are recomputed.
        room: bytes that there are.
    """
    recompute, more = "--set-resources train:recompute_activations=1", way_to_more()
    if plain is None or room is None or plain.of(batch) <= room:
        return (
            f"Activations that are computed again in the backward pass take less of it and give the same result, in a "
            f"third more time: say {recompute} to Snakemake if you have not yet. Else {more}; a smaller batch_size "
            f"also helps, but trains something else."
        )
    fits = plain.largest_batch(room)
    said = f"An update takes about {gigabytes(plain.of(batch))}, and there are {gigabytes(room)}."
    smaller = f"about {fits} images" if fits else "not even one image"
    if small is not None and small.of(batch) <= room < plain.of(batch):
        said += (
            f" With activations that are computed again in the backward pass it takes about "
            f"{gigabytes(small.of(batch))} and gives the same result, in a third more time: say {recompute} to "
            f"Snakemake. Or {more}."
        )
    else:
        said += f" Not even {recompute} would be enough: {more}."
    return (
        f"{said} In a smaller batch, {smaller} would fit, but that trains something else (budget: {{batch_size: ...}})."
    )


def peak_on_gpu(training: Training, spec: Specification, split: Split, dtype: torch.dtype, size: int) -> int | None:
    """Most bytes that torch holds in an update with ``size`` images; None if that does not fit, or is no batch."""
    _empty(training)
    torch.cuda.reset_peak_memory_stats(split.device)
    try:
        one_update(training, spec, split, dtype, size)
        return torch.cuda.max_memory_allocated(split.device)
    except LongtailError:
        return None
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        return None


def one_update(training: Training, spec: Specification, split: Split, dtype: torch.dtype, size: int) -> None:
    """One update in the middle of an epoch with batches of ``size`` images, at most half of those there are."""
    epoch = min(training.epoch, spec.last.last_epoch - 1)
    probe = Training(training.objective, training.optimizer, epoch, step=1)
    with contextlib.suppress(Interrupted):
        train(
            probe,
            spec.with_last({"batch_size": size, "drop_last": True}),
            split,
            dtype=dtype,
            save=lambda _: None,
            save_every=math.inf,
            stop_requested=lambda: True,
        )


def _empty(training: Training) -> None:
    """Give back what no tensor uses, after the gradients."""
    training.optimizer.zero_grad()
    torch.cuda.empty_cache()


def _described(data: Data) -> str:
    return f"images of {data.image_size} pixels" if data.holds == "images" else f"texts of {data.max_tokens} tokens"
