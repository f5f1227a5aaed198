"""SGD and Adam by torch's fused kernels, with moments that one objective hands on to the next by parameter name.

``torch.optim``'s functions are called directly: its classes import the whole compiler with their first use, which
costs every training job a second, and know parameters by position only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from longtail.errors import LongtailError
from longtail.methods.base import Objective
from longtail.training.hyperparameters import TrainingSettings

EPSILON = 1e-8  # of Adam; torch's default, which all the papers' codes leave alone


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters by name, and how they learn.

    Attributes:
        parameters: what is updated.
        weight_decay: L2 penalty on them.
        learning_rate_scale: factor on the learning rate of the schedule.
        learning_rate: one of their own, which stays.
    """

    parameters: Mapping[str, Tensor]
    weight_decay: float
    learning_rate_scale: float = 1.0
    learning_rate: float | None = None

    def rate(self, scheduled: float) -> float:
        """The learning rate of the group when the schedule's is ``scheduled``."""
        return scheduled * self.learning_rate_scale if self.learning_rate is None else self.learning_rate


class Optimizer:
    """SGD or Adam over an objective's parameter groups.

    Weight decay is the L2 penalty of ``torch.optim``, on batch normalisation and biases too: of the papers' codes none
    excludes them where the objective's groups do not say so. A parameter that the loss did not reach is left alone.

    Attributes:
        groups: what is updated.
        moments: by parameter name: ``momentum`` of SGD; ``mean``, ``square`` and ``updates`` (float32 scalar) of Adam.

    Args:
        objective: the networks, on their device.
        settings: of the stretch.
    """

    def __init__(self, objective: Objective, settings: TrainingSettings) -> None:
        names = {parameter: name for name, parameter in objective.named_parameters()}
        self.groups = [
            ParameterGroup(
                {names[parameter]: parameter for parameter in group["params"]},
                **{"weight_decay": settings.weight_decay, **{key: v for key, v in group.items() if key != "params"}},
            )
            for group in objective.parameter_groups()
        ]
        self.settings = settings
        self.moments: dict[str, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.groups:
            for parameter in group.parameters.values():
                parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float, skipped: Tensor | None = None) -> None:
        """Update every parameter that has a gradient.

        Args:
            learning_rate: of the schedule, which a group may scale or leave aside.
            skipped: a float32 scalar on the device; if 1, weights and moments stay as they are. The kernels look at
                it, so that the host need not wait.
        """
        update = self._sgd if self.settings.optimizer == "sgd" else self._adam
        for group in self.groups:
            reached = {name: p for name, p in group.parameters.items() if p.grad is not None}
            if reached:
                update(reached, group.rate(learning_rate), group.weight_decay, skipped)

    def load_moments(self, moments: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over the moments of an optimiser of the same kind over parameters of the same names.

        A parameter that ``moments`` does not know starts without, as in a new optimiser.

        Raises:
            LongtailError: if a moment is not of its parameter's shape, or of another kind of optimiser.
        """
        kinds = ("momentum",) if self.settings.optimizer == "sgd" else ("mean", "square", "updates")
        for group in self.groups:
            for name, parameter in group.parameters.items():
                if name not in moments:
                    continue
                known = moments[name]
                shapes = {kind: torch.Size() if kind == "updates" else parameter.shape for kind in kinds}
                if {kind: getattr(value, "shape", None) for kind, value in known.items()} != shapes:
                    raise LongtailError(
                        f"The optimiser state of the checkpoint does not fit {name!r} of this objective."
                    )
                self.moments[name] = {
                    kind: value.to(parameter.device, torch.float32 if kind == "updates" else parameter.dtype)
                    for kind, value in known.items()
                }

    def _sgd(
        self, reached: Mapping[str, Tensor], learning_rate: float, weight_decay: float, skipped: Tensor | None
    ) -> None:
        momentum: float = self.settings.momentum or 0.0
        for name, parameter in reached.items():
            if momentum and name not in self.moments:
                self.moments[name] = {"momentum": torch.zeros_like(parameter)}
        sgd(
            list(reached.values()),
            _gradients(reached),
            [self.moments[name]["momentum"] if momentum else None for name in reached],
            fused=True,
            found_inf=skipped,
            weight_decay=weight_decay,
            momentum=momentum,
            lr=learning_rate,
            dampening=0.0,
            nesterov=bool(self.settings.nesterov),
            maximize=False,
        )

    def _adam(
        self, reached: Mapping[str, Tensor], learning_rate: float, weight_decay: float, skipped: Tensor | None
    ) -> None:
        for name, parameter in reached.items():
            if name not in self.moments:
                self.moments[name] = {
                    "mean": torch.zeros_like(parameter),
                    "square": torch.zeros_like(parameter),
                    "updates": torch.zeros((), device=parameter.device),
                }
        first, second = self.settings.betas or (0.9, 0.999)
        adam(
            list(reached.values()),
            _gradients(reached),
            [self.moments[name]["mean"] for name in reached],
            [self.moments[name]["square"] for name in reached],
            [],
            [self.moments[name]["updates"] for name in reached],
            fused=True,
            found_inf=skipped,
            amsgrad=False,
            beta1=first,
            beta2=second,
            lr=learning_rate,
            weight_decay=weight_decay,
            eps=EPSILON,
            maximize=False,
        )


def _gradients(reached: Mapping[str, Tensor]) -> list[Any]:
    return [parameter.grad for parameter in reached.values()]
