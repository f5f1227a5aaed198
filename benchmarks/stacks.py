"""Four ways to do the same training updates: the project's loop, its ceiling, and two stacks of DataLoader workers.

Each has ``epoch()``, which does the same number of updates of the same objective with the same networks from the same
start, and says how long it took.
"""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import torch
import torchvision.transforms
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms import InterpolationMode, v2

from longtail.data.augment import Normalization
from longtail.data.resident import ResidentSplit, generator
from longtail.devices.precision import autocast
from longtail.methods.base import Batch, Objective
from longtail.training.build import build
from longtail.training.compiled import compile_networks
from longtail.training.encode import SplitImages
from longtail.training.hyperparameters import TrainingSettings
from longtail.training.loop import Training, train
from longtail.training.optimizer import Optimizer
from longtail.training.specification import Specification

AUGMENTATION, FORWARD_BACKWARD, OPTIMIZER, BETWEEN = "augmentation", "forward_backward", "optimizer", "between"


@dataclass(frozen=True)
class Work:
    """The updates that all stacks do.

    Attributes:
        spec: a phase; the last stretch of its lineage is trained.
        split: ``steps`` full batches of images, on the device.
        steps: updates per epoch.
        dtype: what the project's loop computes in; float32 switches autocast off.
        workers: processes of a DataLoader.
        compiled: whether the project compiles the networks.
    """

    spec: Specification
    split: ResidentSplit
    steps: int
    dtype: torch.dtype
    workers: int
    compiled: bool

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.split.device

    def objective(self, memory_format: torch.memory_format) -> Objective:
        """The objective with its networks on the device, not compiled."""
        return build(self.spec).to(self.device).to(memory_format=memory_format)

    def own_objective(self) -> Objective:
        """The objective as the project trains it."""
        objective = self.objective(torch.channels_last)
        if self.compiled:
            compile_networks(objective, self.spec.last.settings.batch_size, print)
        return objective

    def batch(self, objective: Objective, views: Sequence[Tensor], rows: Tensor, draws: torch.Generator) -> Batch:
        """Views of ``rows`` as ``objective`` takes them, with labels where it is supervised."""
        labels = (self.split.labels[rows],) * len(views) if objective.supervised else ()
        return Batch(tuple(views), (rows,) * len(views), draws, labels, progress=0.5)


@dataclass(frozen=True)
class Timing:
    """One epoch.

    Attributes:
        seconds: from the start of the epoch to the end of its last update.
        parts: seconds of it by part of the work.
    """

    seconds: float
    parts: Mapping[str, float]


class Stack(Protocol):
    """A way to do the updates."""

    def epoch(self) -> Timing:
        """All updates of one more epoch."""
        ...


class Images(Protocol):
    """Images by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Clock:
    """Where the time of the device goes, by what it has just done; nothing waits before :meth:`stop`."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        if self.cuda:
            torch.cuda.synchronize()
        self.marks: list[tuple[str, Any]] = []
        self.mark(BETWEEN)

    def mark(self, part: str) -> None:
        """Put the time since the last mark down to ``part``."""
        if self.cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self.marks.append((part, event))
        else:
            self.marks.append((part, time.perf_counter()))

    def stop(self) -> Timing:
        """Wait for the device and add up."""
        self.mark(BETWEEN)
        if self.cuda:
            torch.cuda.synchronize()
        parts: defaultdict[str, float] = defaultdict(float)
        for (_, before), (part, now) in zip(self.marks, self.marks[1:], strict=False):
            parts[part] += before.elapsed_time(now) / 1000 if self.cuda else now - before
        seconds = sum(parts.values())
        parts.pop(BETWEEN)
        return Timing(seconds, dict(parts))


Step = Callable[[], object]
"""Updates the weights by their gradients."""


def fused(objective: Objective, settings: TrainingSettings) -> Step:
    """The step of the loop's own optimiser, at one learning rate."""
    return functools.partial(Optimizer(objective, settings).step, settings.learning_rate)


def update(objective: Objective, step: Step, batch: Batch, dtype: torch.dtype, clock: Clock) -> None:
    """One bare update, as the loop does it, without its schedule, history and progress."""
    objective.before_step(0.5)
    objective.zero_grad(set_to_none=True)
    clock.mark(BETWEEN)
    with autocast(dtype, batch.views[0].device):
        loss = objective.loss(batch)["loss"]
    loss.backward()
    clock.mark(FORWARD_BACKWARD)
    step()
    objective.after_step(0.5)
    clock.mark(OPTIMIZER)


class Ours:
    """``longtail.training.loop.train``, as it is, over a split that lies on the device."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.settings = settings = work.spec.last.settings
        objective = work.own_objective()
        self.run = Training(objective, Optimizer(objective, settings), work.spec.last.first_epoch)
        self.images = SplitImages(work.split, work.spec.data, settings.normalization, work.dtype)
        self.augment = self.images.augmentation(settings.augmentations[0])

    def epoch(self) -> Timing:
        """One more epoch of the loop, which times itself; its augmentation is timed apart, the other parts are not."""
        spec = self.work.spec.with_last(last_epoch=self.run.epoch + 1)
        train(self.run, spec, self.work.split, dtype=self.work.dtype, save=lambda _: None, save_every=float("inf"))
        return Timing(self.run.history[-1]["seconds"], self._augmentation())

    def views(self, step: int) -> tuple[Tensor, ...]:
        """The views of a batch, as the loop makes them."""
        size, device = self.settings.batch_size, self.work.device
        rows = torch.arange(step * size, (step + 1) * size, device=device)
        raw, draws = self.work.split.batch(rows), generator(device, 0, "augment", step)
        return tuple(self.images.normalize(self.augment(raw, draws)) for _ in range(self.settings.views))

    def _augmentation(self) -> Mapping[str, float]:
        clock = Clock(self.work.device)
        for step in range(self.work.steps):
            self.views(step)
            clock.mark(AUGMENTATION)
        return clock.stop().parts


class Ceiling:
    """Forward, backward and update on one batch whose views are made beforehand.

    Args:
        work: what to do.
        views: of one batch.
    """

    def __init__(self, work: Work, views: tuple[Tensor, ...]) -> None:
        self.work = work
        settings = work.spec.last.settings
        self.objective = work.own_objective().train()
        self.step = fused(self.objective, settings)
        rows = torch.arange(settings.batch_size, device=work.device)
        self.batch = work.batch(self.objective, views, rows, generator(work.device, 0, "loss"))

    def epoch(self) -> Timing:
        """Some updates on the same views."""
        clock = Clock(self.work.device)
        for _ in range(self.work.steps):
            update(self.objective, self.step, self.batch, self.work.dtype, clock)
        return clock.stop()

    def flops(self) -> int:
        """Floating point operations of one forward and backward: matrix products and convolutions, a+b*c being two."""
        objective = self.work.objective(torch.channels_last).train()  # the counter does not see into compiled networks
        with FlopCounterMode(display=False) as counter, autocast(self.work.dtype, self.work.device):
            objective.loss(self.batch)["loss"].backward()
        return counter.get_total_flops()


def unchanged(x: Any) -> Any:
    """``x``; a function with a name, as workers may have to look it up."""
    return x


class Views(Dataset[tuple[Tensor, int]]):
    """Images augmented one by one, ``views`` times each.

    Args:
        images: one per index.
        decode: to what ``transform`` takes.
        transform: makes a view, a tensor.
        views: of each image.
    """

    def __init__(
        self, images: Images, decode: Callable[[Any], Any], transform: Callable[[Any], Tensor], views: int
    ) -> None:
        self.images, self.decode, self.transform, self.views = images, decode, transform, views

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.decode(self.images[index])
        return torch.stack([self.transform(image) for _ in range(self.views)]), index


class Loader:
    """A DataLoader of augmented views in front of the same updates.

    Its workers outlive an epoch, which is more than the official codes grant theirs.

    Args:
        work: what to do.
        views: the images.
        dtype: what autocast computes in; float32 switches it off.
        objective: with its networks.
        memory_format: of networks and images.
        step: of an objective.
        finish: from a batch of views as the workers leave them to one as the network takes it, on the device.
        pinned: whether batches wait in memory that a GPU can fetch from by itself.
    """

    def __init__(
        self,
        work: Work,
        views: Views,
        *,
        dtype: torch.dtype,
        objective: Objective,
        memory_format: torch.memory_format,
        step: Callable[[Objective], Step],
        finish: Callable[[Tensor], Tensor],
        pinned: bool,
    ) -> None:
        self.work, self.views, self.dtype, self.finish = work, views, dtype, finish
        self.objective = objective.train()
        self.step = step(self.objective)
        self.memory_format = memory_format
        self.draws = generator(work.device, 0, "loss")
        self.loader = DataLoader(
            views,
            batch_size=len(views) // work.steps,
            shuffle=True,
            num_workers=work.workers,
            multiprocessing_context="forkserver",  # forked off here, they would double the memory of training
            persistent_workers=True,
            pin_memory=pinned and work.device.type == "cuda",
        )

    def epoch(self) -> Timing:
        """All images once. ``augmentation`` is what a batch costs one worker, and runs beside the updates."""
        clock = Clock(self.work.device)
        for views, rows in self.loader:
            on_device = self.finish(views.to(self.work.device, non_blocking=True).transpose(0, 1).flatten(0, 1))
            each = on_device.contiguous(memory_format=self.memory_format).chunk(self.views.views)
            batch = self.work.batch(self.objective, each, rows.to(self.work.device, non_blocking=True), self.draws)
            update(self.objective, self.step, batch, self.dtype, clock)
        timing = clock.stop()
        return Timing(timing.seconds, {**timing.parts, AUGMENTATION: self._augmentation()})

    def _augmentation(self, images: int = 64) -> float:
        with _threads(1):
            began = time.perf_counter()
            for index in range(images):
                self.views[index % len(self.views)]
            return (time.perf_counter() - began) / images * len(self.views)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Usual(Loader):
    """What the official codes do: torchvision's transforms of Pillow images.

    Those of LZX-001/ConMix, VITA-Group/SDCLR and kaidic/LDAM-DRW, that is: float32 in contiguous memory, SGD or Adam as
    torch makes it by default, torch's own default for TF32 in convolutions. Some synchronise batch normalisation over
    GPUs, and ConMix and SDCLR take a third forward pass; neither is charged here.
    """

    def __init__(self, work: Work) -> None:
        settings = work.spec.last.settings
        kit = torchvision.transforms
        normalize = kit.Normalize(settings.normalization["mean"], settings.normalization["std"])
        random = random_transforms(kit, settings.augmentations[0], work.spec.data.image_size)
        pixels = work.split.images.permute(0, 2, 3, 1).cpu().numpy()
        views = Views(pixels, Image.fromarray, kit.Compose([*random, kit.ToTensor(), normalize]), settings.views)

        def plain(objective: Objective) -> Step:
            groups = [{"params": group["params"]} for group in objective.parameter_groups()]
            rate, decay = settings.learning_rate, settings.weight_decay
            if settings.optimizer == "adam":
                return torch.optim.Adam(groups, lr=rate, weight_decay=decay).step
            return torch.optim.SGD(groups, lr=rate, weight_decay=decay, momentum=settings.momentum or 0.0).step

        super().__init__(
            work,
            views,
            dtype=torch.float32,
            objective=work.objective(torch.contiguous_format),
            memory_format=torch.contiguous_format,
            step=plain,
            finish=unchanged,
            pinned=False,
        )

    def epoch(self) -> Timing:
        """All images once, with TF32 where torch uses it unasked."""
        before = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = True
        try:
            return super().epoch()
        finally:
            torch.backends.cudnn.allow_tf32 = before


class Tensors(Loader):
    """The best that per-image transforms allow: torchvision's v2 transforms of 8-bit tensors, the rest as in the loop.

    Workers leave 8-bit pixels, a quarter of the bytes to carry; the device makes normalised numbers of them.
    """

    def __init__(self, work: Work) -> None:
        settings = work.spec.last.settings
        normalize = Normalization(settings.normalization["mean"], settings.normalization["std"], work.device)
        random = random_transforms(v2, settings.augmentations[0], work.spec.data.image_size)
        pixels = work.split.images.contiguous().cpu()
        super().__init__(
            work,
            Views(pixels, unchanged, v2.Compose(random), settings.views),
            dtype=work.dtype,
            objective=work.own_objective(),
            memory_format=torch.channels_last,
            step=lambda objective: fused(objective, settings),
            finish=lambda x: normalize(x.float().div_(255)),
            pinned=True,
        )


def random_transforms(kit: ModuleType, spec: Mapping[str, Any], size: int) -> list[Callable[[Any], Any]]:
    """A list of the catalogue in torchvision's words.

    Args:
        kit: ``torchvision.transforms`` or ``torchvision.transforms.v2``.
        spec: as :class:`longtail.data.augment.Augmentation` takes it.
        size: height and width of the views.
    """
    made: list[Callable[[Any], Any]] = []
    if "pad" in spec:
        made.append(kit.RandomCrop(size, padding=spec["pad"]))
    else:
        filters = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}
        filtering = filters[spec.get("interpolation") or "bilinear"]
        scale, shape = spec.get("crop_scale") or (1.0, 1.0), spec.get("crop_ratio") or (3 / 4, 4 / 3)
        made.append(kit.RandomResizedCrop(size, scale=tuple(scale), ratio=tuple(shape), interpolation=filtering))
    made.append(kit.RandomHorizontalFlip(spec.get("flip") or 0.0))
    if jitter := spec.get("jitter"):
        strengths = {name: value for name, value in jitter.items() if name != "probability"}
        made.append(kit.RandomApply([kit.ColorJitter(**strengths)], p=jitter["probability"]))
    if grayscale := spec.get("grayscale"):
        made.append(kit.RandomGrayscale(grayscale))
    if blur := spec.get("blur"):
        made.append(kit.RandomApply([kit.GaussianBlur(blur["kernel"], tuple(blur["sigma"]))], p=blur["probability"]))
    return made
