"""A stretch's flat settings, taken apart: what the loop reads, and what the objective reads."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from longtail.errors import LongtailError, unknown
from longtail.training.schedules import DECAYS, SCHEDULES, Cosine, Warmup

OPTIMIZERS = {"sgd": ("momentum", "nesterov"), "adam": ("betas",)}
"""The optimisers, and the settings that only they read."""

SAMPLERS = ("power", "effective_number", "class_aware", "class_drawn")
"""What a sampler that is not ``uniform`` is by, see :mod:`longtail.data.samplers`."""

OPTIONAL = ("betas", "nesterov")
"""Settings that may be left out by who could read them."""


@dataclass(frozen=True)
class TrainingSettings:
    """What the loop needs to know of a stretch. Epochs are counted on the clock, not in the stretch.

    Attributes:
        optimizer: ``sgd`` or ``adam``.
        learning_rate: the peak of the schedule; parameter groups may scale it.
        weight_decay: L2 penalty on every parameter, batch normalisation and biases included; parameter groups may have
            one of their own.
        schedule: what :func:`longtail.training.schedules.schedule_of` takes.
        batch_size: images per update (each is seen in ``views`` views).
        drop_last: whether an incomplete last batch of an epoch is left out.
        augmentation: what ``longtail.data.strong_augment.new_augmentation`` takes, or one such list for each view.
        normalization: ``mean`` and ``std`` per channel, on the scale [0, 1]; empty for texts.
        momentum: of SGD.
        nesterov: whether it is Nesterov's; it is not when absent.
        betas: of Adam; the optimiser's own default (0.9, 0.999) when absent.
        warmup_epochs: of the schedules that have a warm-up.
        final_learning_rate: where ``warmup_cosine`` and ``floored_epoch_cosine`` end.
        milestones: of ``steps``, as shares of the clock.
        decay: factor of ``steps`` on the learning rate at each milestone.
        sampler: what :func:`longtail.data.samplers.sampled` takes, for all views or one for each, which then show
            images of their own; an epoch visits each row once when absent.
        views: augmented versions of each image.
    """

    optimizer: str
    learning_rate: float
    weight_decay: float
    schedule: str | Mapping[str, Any]
    batch_size: int
    drop_last: bool
    augmentation: Mapping[str, Any] | tuple[Mapping[str, Any], ...]
    normalization: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    momentum: float | None = None
    nesterov: bool | None = None
    betas: tuple[float, ...] | None = None
    warmup_epochs: float | None = None
    final_learning_rate: float | None = None
    milestones: tuple[float, ...] | None = None
    decay: float | None = None
    sampler: str | Mapping[str, Any] | tuple[str | Mapping[str, Any], ...] | None = None
    views: int = 2

    @property
    def samplers(self) -> tuple[str | Mapping[str, Any], ...]:
        """The sampler of all views, or that of each; empty where there is none."""
        if self.sampler is None:
            return ()
        return self.sampler if isinstance(self.sampler, tuple) else (self.sampler,)

    @property
    def augmentations(self) -> tuple[Mapping[str, Any], ...]:
        """The list of transforms of each view."""
        return self.augmentation if isinstance(self.augmentation, tuple) else (self.augmentation,) * self.views


def parse_settings(objective: str, flat: Mapping[str, Any]) -> tuple[TrainingSettings, dict[str, Any]]:
    """Take the loop's settings out of those of a stretch.

    Args:
        objective: of the stretch, for the messages.
        flat: its ``settings`` (ARCHITECTURE.md, "A phase, as data").

    Returns:
        The loop's settings, and the others, which are the objective's.

    Raises:
        LongtailError: if a setting is missing, of the wrong type, outside its range, or given although the chosen
            optimiser and schedule do not read it.
    """
    names = {field.name for field in dataclasses.fields(TrainingSettings)}
    own = {name: value for name, value in flat.items() if name not in names}
    settings = construct(TrainingSettings, {name: flat[name] for name in flat if name in names}, objective)
    if settings.optimizer not in OPTIMIZERS:
        raise unknown(f"optimizer (objective {objective!r})", settings.optimizer, OPTIMIZERS)
    _settings_of_choice(settings, objective, "optimizer", settings.optimizer, OPTIMIZERS)
    reads = {name: reads for name, (_, reads) in SCHEDULES.items()}
    if not isinstance(settings.schedule, str):
        _check_parts(settings.schedule, objective)
        _settings_of_choice(settings, objective, "schedule", "of parts", {**reads, "of parts": ()})
    elif settings.schedule in SCHEDULES:
        _settings_of_choice(settings, objective, "schedule", settings.schedule, reads)
    else:
        raise unknown(f"schedule (objective {objective!r})", settings.schedule, SCHEDULES)
    for name, least in (("batch_size", 1), ("views", 1), ("learning_rate", 0), ("weight_decay", 0), ("momentum", 0)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise LongtailError(f"Objective {objective!r}: setting {name!r} is {value}, but must be at least {least}.")
    if len(settings.augmentations) != settings.views:
        raise LongtailError(
            f"Objective {objective!r}: setting 'augmentation' has {len(settings.augmentations)} lists of transforms, "
            f"but there are {settings.views} views. Give it one list for all views, or one for each."
        )
    if not all(isinstance(listed, Mapping) for listed in settings.augmentations):
        raise LongtailError(
            f"Objective {objective!r}: setting 'augmentation' must be a mapping, or a list of mappings."
        )
    if settings.nesterov and not settings.momentum:
        raise LongtailError(
            f"Objective {objective!r} has nesterov: true, but no momentum. Give it one, or leave it out."
        )
    if isinstance(settings.sampler, tuple) and len(settings.sampler) != settings.views:
        raise LongtailError(
            f"Objective {objective!r}: setting 'sampler' has {len(settings.sampler)} entries, but there are "
            f"{settings.views} views. Give it one sampler for all views, or one for each."
        )
    for sampler in settings.samplers:
        require_sampler(sampler, f"Objective {objective!r}")
    betas = settings.betas
    if betas is not None and (len(betas) != 2 or not all(isinstance(beta, float) and 0 <= beta < 1 for beta in betas)):
        raise LongtailError(
            f"Objective {objective!r}: setting 'betas' is {settings.betas}, but must be two numbers in [0, 1)."
        )
    return settings, own


def _settings_of_choice(
    settings: TrainingSettings, objective: str, choice: str, chosen: str, reads: Mapping[str, tuple[str, ...]]
) -> None:
    """Check that just the settings which the chosen optimiser or schedule reads are given."""
    for name in sorted({name for names in reads.values() for name in names}):
        given = getattr(settings, name) is not None
        if name in reads[chosen] and not given and name not in OPTIONAL:
            raise LongtailError(
                f"Objective {objective!r} lacks the setting {name!r}, which {choice} {chosen!r} reads. Add it."
            )
        if given and name not in reads[chosen]:
            raise LongtailError(
                f"Objective {objective!r} has the setting {name!r}, which {choice} {chosen!r} does not read. Remove it."
            )


def _check_parts(schedule: Mapping[str, Any], objective: str) -> None:
    """Check a schedule that is given as warm-up and decay."""
    decay, warmup = schedule.get("decay", {}), schedule.get("warmup", {})
    known = set(schedule) <= {"warmup", "decay"} and isinstance(warmup, Mapping)
    if (
        not known
        or not isinstance(decay, Mapping)
        or len(decay) != 1
        or not all(isinstance(values, Mapping) for values in decay.values())
    ):
        raise LongtailError(
            f"Objective {objective!r} has the schedule {dict(schedule)}. One of parts has a mapping 'decay' with one "
            f"of {', '.join(DECAYS)}, and perhaps a mapping 'warmup', as in catalog/schedules.yaml."
        )
    ((kind, values),) = decay.items()
    if kind not in DECAYS:
        raise unknown(f"decay of a schedule (objective {objective!r})", kind, DECAYS)
    made = construct(DECAYS[kind], values, objective)
    if isinstance(made, Cosine) and made.reached not in Cosine.ENDS:
        raise unknown(f"end of a cosine (objective {objective!r})", made.reached, Cosine.ENDS)
    if warmup and construct(Warmup, warmup, objective).epochs <= 0:
        raise LongtailError(f"Objective {objective!r} has a warm-up of no epochs. Leave it out.")


def construct(kind: type[Any], values: Mapping[str, Any], objective: str, known: tuple[str, ...] = ()) -> Any:
    """Make the settings dataclass ``kind`` from resolved catalogue values.

    Args:
        kind: a dataclass whose annotations are numbers, strings, booleans, tuples or mappings.
        values: its fields by name.
        objective: for the error messages.
        known: names known elsewhere, for the hint at what an unknown key should have been.

    Raises:
        LongtailError: on a key that is no field, a field without value, or a value of another type (``1e-3`` in
            YAML is a string).
    """
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    names = [field.name for field in fields]
    for name in values:
        if name not in names:
            raise unknown(f"setting (objective {objective!r})", name, (*names, *known))
    for field in fields:
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if field.name not in values and not optional:
            raise LongtailError(f"Objective {objective!r} lacks the setting {field.name!r}. Add it to its settings.")
    return kind(**{name: _typed(value, hints[name], name, objective) for name, value in values.items()})


def _typed(value: Any, hint: Any, name: str, objective: str) -> Any:
    """``value`` if ``hint`` allows it, with lists of JSON turned into the tuples that frozen dataclasses hold."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    for option in options:
        plain = typing.get_origin(option) or option
        if plain is float and isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        if plain is int and isinstance(value, int) and not isinstance(value, bool):
            return value
        if plain is tuple and isinstance(value, (list, tuple)):
            return tuple(value)
        if plain in (bool, str, list, dict, type(None)) and isinstance(value, plain):
            return value
        if plain not in (float, int, tuple, bool, str, list, dict, type(None), Mapping):
            return value
        if plain is Mapping and isinstance(value, Mapping):
            return value
    expected = " or ".join(
        "none" if option is type(None) else getattr(option, "__name__", str(option)) for option in options
    )
    raise LongtailError(
        f"Objective {objective!r}: setting {name!r} is {value!r} ({type(value).__name__}), but should be {expected}."
        + (" YAML reads 1e-3 as text: write 1.0e-3." if isinstance(value, str) and expected.startswith("float") else "")
    )


def require_sampler(sampler: Any, place: str) -> None:
    """Check that ``sampler`` is one; ``place`` says in messages whose it is.

    Raises:
        LongtailError: if it is not.
    """
    if sampler == "uniform":
        return
    if not isinstance(sampler, Mapping) or len(sampler) != 1:
        raise LongtailError(
            f"{place} has the sampler {sampler!r}. It must be uniform, or a mapping with one of {', '.join(SAMPLERS)}."
        )
    ((kind, value),) = sampler.items()
    if kind not in SAMPLERS:
        raise unknown(f"sampler ({place})", kind, (*SAMPLERS, "uniform"))
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    in_turns = kind in ("class_aware", "class_drawn")
    if in_turns and not (isinstance(value, int) and number and value >= 1):
        raise LongtailError(f"{place} has the sampler {kind}: {value!r}, but images per turn are a whole number.")
    if not number or (kind == "effective_number" and not 0 <= value < 1):
        expected = "a number in [0, 1)" if kind == "effective_number" else "a number"
        raise LongtailError(f"{place} has the sampler {kind}: {value!r}, but {expected} is meant.")
