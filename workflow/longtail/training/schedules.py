"""Learning rates as pure functions of the update number.

Every schedule takes the update number ``s`` counted from 1 on the whole clock, the updates per epoch ``n_b``, the
clock's length ``E`` in epochs, and the settings, and returns the learning rate *of that update*. The stretch that is
being trained does not enter: a cosine depends on the end of its clock, not on where a job ends.

Codes for clustering have schedules that nobody shares; these are functions with a name. Codes for recognition combine a
warm-up and a decay, of which ``catalog/schedules.yaml`` holds the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol


class ScheduleSettings(Protocol):
    """The part of the training settings that a schedule reads."""

    @property
    def learning_rate(self) -> float:
        """The peak."""

    @property
    def warmup_epochs(self) -> float | None:
        """Epochs of linear warm-up."""

    @property
    def final_learning_rate(self) -> float | None:
        """The rate at the end of the clock."""

    @property
    def milestones(self) -> tuple[float, ...] | None:
        """Shares of the clock at which the rate falls."""

    @property
    def decay(self) -> float | None:
        """The factor by which it falls."""


Schedule = Callable[[int, int, int, ScheduleSettings], float]


def warmup_cosine(update: int, updates_per_epoch: int, clock: int, settings: ScheduleSettings) -> float:
    """Linear warm-up, then a cosine that reaches ``final_learning_rate`` with the last update of the clock.

    With S = E n_b and S_w = E_w n_b: lr s / S_w for s < S_w, else
    lr_end + (lr - lr_end) (1 + cos(pi (s - S_w) / (S - S_w))) / 2. As in VITA-Group/SDCLR and ConMix: the schedule
    moves before the update, so the first update has lr / S_w, not 0.
    """
    assert settings.warmup_epochs is not None
    assert settings.final_learning_rate is not None
    peak, final = settings.learning_rate, settings.final_learning_rate
    total, warmup = clock * updates_per_epoch, settings.warmup_epochs * updates_per_epoch
    if update < warmup:
        return peak * update / warmup
    return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * (update - warmup) / max(total - warmup, 1)))


def byol_warmup_cosine(update: int, updates_per_epoch: int, clock: int, settings: ScheduleSettings) -> float:
    """BYOL as the pre-training of MiniClustering has it (LZX-001/MiniClustering).

    With e = s / n_b + 1: lr e / E_w for e < E_w, else lr (1 + cos(pi (e - E_w) / E)) / 2. The cosine is stretched
    over E, not E - E_w, so it does not quite reach 0.
    """
    return _stretched_cosine(update / updates_per_epoch + 1, clock, settings)


def propos_cosine(update: int, updates_per_epoch: int, clock: int, settings: ScheduleSettings) -> float:
    """BYOL and ProPos in Hzzone/ProPos: :func:`byol_warmup_cosine` with e = s / n_b, that is one epoch later."""
    return _stretched_cosine(update / updates_per_epoch, clock, settings)


def lfss_cosine(update: int, updates_per_epoch: int, clock: int, settings: ScheduleSettings) -> float:
    """LFSS (LZX-001/LFSS): :func:`byol_warmup_cosine` towards ``final_learning_rate`` instead of 0."""
    assert settings.final_learning_rate is not None
    return _stretched_cosine(update / updates_per_epoch + 1, clock, settings, settings.final_learning_rate)


def _stretched_cosine(epoch: float, clock: int, settings: ScheduleSettings, final: float = 0.0) -> float:
    assert settings.warmup_epochs is not None
    if epoch < settings.warmup_epochs:
        return settings.learning_rate * epoch / settings.warmup_epochs
    share = (epoch - settings.warmup_epochs) / clock
    return final + 0.5 * (settings.learning_rate - final) * (1 + math.cos(math.pi * share))


def epoch_cosine(update: int, updates_per_epoch: int, clock: int, settings: ScheduleSettings) -> float:
    """Cosine in steps of an epoch, as the CIFAR-10 demo of facebookresearch/moco has it: lr (1 + cos(pi e / E)) / 2.

    The demo counts e from 1, so the first epoch is already below lr, and the last one trains at 0.
    """
    epoch = (update - 1) // updates_per_epoch + 1
    return 0.5 * settings.learning_rate * (1 + math.cos(math.pi * epoch / clock))


def floored_epoch_cosine(update: int, updates_per_epoch: int, clock: int, settings: ScheduleSettings) -> float:
    """SCAN (wvangansbeke/Unsupervised-Classification): lr_end + (lr - lr_end) (1 + cos(pi e / E)) / 2, e from 0.

    ``final_learning_rate`` is lr_end.
    """
    assert settings.final_learning_rate is not None
    epoch = (update - 1) // updates_per_epoch
    final = settings.final_learning_rate
    return final + 0.5 * (settings.learning_rate - final) * (1 + math.cos(math.pi * epoch / clock))


def steps(update: int, updates_per_epoch: int, clock: int, settings: ScheduleSettings) -> float:
    """The learning rate times ``decay`` for every milestone that is reached, as torch's MultiStepLR.

    Milestones are shares of the clock, so that they move with its length.
    """
    assert settings.milestones is not None
    assert settings.decay is not None
    epoch = (update - 1) // updates_per_epoch
    reached = sum(epoch + 1e-6 >= share * clock for share in settings.milestones)  # 0.55 * 1000 is above 550
    return settings.learning_rate * settings.decay**reached


def secu_cosine(update: int, updates_per_epoch: int, clock: int, settings: ScheduleSettings) -> float:
    """SeCu (idstcv/SeCu): 0 in the first epoch, linear up to epoch E_w, then a cosine to 0 at the end of the clock.

    With i = s - 1: lr (i - n_b) / ((E_w - 1) n_b), at least that of i - n_b = 1, in epochs 1 to E_w - 1 counted from 0.
    """
    assert settings.warmup_epochs is not None
    done, warmup = update - 1, settings.warmup_epochs * updates_per_epoch
    epoch = done // updates_per_epoch
    if epoch == 0:
        return 0.0
    if epoch < settings.warmup_epochs:
        return settings.learning_rate * max(1, done - updates_per_epoch) / (warmup - updates_per_epoch)
    share = (done - warmup) / (clock * updates_per_epoch - warmup)
    return 0.5 * settings.learning_rate * (1 + math.cos(math.pi * share))


def constant(update: int, updates_per_epoch: int, clock: int, settings: ScheduleSettings) -> float:
    """The learning rate as it is."""
    return settings.learning_rate


SCHEDULES: dict[str, tuple[Schedule, tuple[str, ...]]] = {
    "warmup_cosine": (warmup_cosine, ("warmup_epochs", "final_learning_rate")),
    "byol_warmup_cosine": (byol_warmup_cosine, ("warmup_epochs",)),
    "propos_cosine": (propos_cosine, ("warmup_epochs",)),
    "epoch_cosine": (epoch_cosine, ()),
    "floored_epoch_cosine": (floored_epoch_cosine, ("final_learning_rate",)),
    "steps": (steps, ("milestones", "decay")),
    "lfss_cosine": (lfss_cosine, ("warmup_epochs", "final_learning_rate")),
    "secu_cosine": (secu_cosine, ("warmup_epochs",)),
    "constant": (constant, ()),
}
"""By name: the function, and the settings it reads besides ``learning_rate``."""


@dataclass(frozen=True)
class Warmup:
    """The factor ``start + (end - start) e / epochs`` in the epochs e from 0 that begin within ``epochs``.

    Without ``end``, it rises with every update, towards the factor that the decay has in the last of the epochs:
    e is i / n_b, with i updates done.
    """

    epochs: float
    start: float
    end: float | None = None

    def __call__(self, update: int, updates_per_epoch: int, clock: int, decay: Decay) -> float:
        """The factor of an update among the epochs, that of the decay included."""
        done, updates = update - 1, self.epochs * updates_per_epoch
        if self.end is None:
            met = decay(math.ceil(updates), updates_per_epoch, clock, self.epochs)
            return self.start + (met - self.start) * done / updates
        factor = self.start + (self.end - self.start) * (done // updates_per_epoch) / self.epochs
        return factor * decay(update, updates_per_epoch, clock, self.epochs)


@dataclass(frozen=True)
class Steps:
    """The factor ``factor`` to the number of milestones, shares of the clock, that are passed.

    One is passed by the first update whose share of the clock is above it, as in an objective that defers something to
    the same share. That is exact: update and clock are whole numbers, and a quotient rounds as the decimal does.
    """

    milestones: tuple[float, ...]
    factor: float

    def __call__(self, update: int, updates_per_epoch: int, clock: int, warmup: float) -> float:
        """The factor of an update."""
        return self.factor ** sum(update / (clock * updates_per_epoch) > milestone for milestone in self.milestones)


@dataclass(frozen=True)
class Cosine:
    """The factor ``final + (1 - final) (1 + cos(pi (e - F) / (L - F))) / 2`` in the epochs e from F.

    L is E - 1 if ``final`` is ``reached`` in the ``last_epoch``, E if at the ``end`` of the clock. F is
    ``from_epoch``, -1 where a code counts from 1; without it, the epochs of warm-up.
    """

    final: float
    reached: str
    from_epoch: int | None = None

    ENDS: ClassVar[tuple[str, ...]] = ("last_epoch", "end")

    def __call__(self, update: int, updates_per_epoch: int, clock: int, warmup: float) -> float:
        """The factor of an update."""
        last = clock - 1 if self.reached == "last_epoch" else clock
        first = warmup if self.from_epoch is None else self.from_epoch
        past = max((update - 1) // updates_per_epoch - first, 0.0)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * past / max(last - first, 1)))


Decay = Steps | Cosine

DECAYS: dict[str, type[Decay]] = {"steps": Steps, "cosine": Cosine}
"""By name: what a warm-up may be followed by."""


def schedule_of(given: str | Mapping[str, Any]) -> Schedule:
    """The schedule of a name, or of the parts that a name of ``catalog/schedules.yaml`` stands for.

    Args:
        given: a key of :data:`SCHEDULES`, or ``{"warmup": {...}, "decay": {"steps" | "cosine": {...}}}`` with the
            fields of :class:`Warmup`, :class:`Steps` and :class:`Cosine`; ``warmup`` may be absent. Already checked.
    """
    if isinstance(given, str):
        return SCHEDULES[given][0]
    warmup = Warmup(**given["warmup"]) if given.get("warmup") else Warmup(0.0, 1.0, 1.0)
    ((kind, values),) = given["decay"].items()
    decay = DECAYS[kind](**values)

    def schedule(update: int, updates_per_epoch: int, clock: int, settings: ScheduleSettings) -> float:
        if update - 1 < warmup.epochs * updates_per_epoch:
            factor = warmup(update, updates_per_epoch, clock, decay)
        else:
            factor = decay(update, updates_per_epoch, clock, warmup.epochs)
        return settings.learning_rate * factor

    return schedule
