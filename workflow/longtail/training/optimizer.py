"""The optimiser of an objective, and its state carried from one objective to the next by parameter name."""

from __future__ import annotations

from typing import Any

import torch

from longtail.errors import LongtailError
from longtail.methods.base import Objective
from longtail.training.settings import TrainingSettings


def new_optimizer(objective: Objective, settings: TrainingSettings) -> torch.optim.Optimizer:
    """SGD or Adam over the objective's parameter groups, each with its ``learning_rate_scale``.

    Weight decay is the L2 penalty of ``torch.optim`` on every parameter: none of the papers' codes excludes batch
    normalisation or biases.
    """
    names = {parameter: name for name, parameter in objective.named_parameters()}
    groups = [
        {**group, "params": [(names[parameter], parameter) for parameter in group["params"]]}
        for group in objective.parameter_groups()
    ]
    common: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay, "fused": True}
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=settings.momentum or 0.0, **common)
    if settings.betas is not None:
        first, second = settings.betas
        common["betas"] = (first, second)
    return torch.optim.Adam(groups, **common)


def restore_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Give ``optimizer`` the moments in ``saved``, the ``state_dict`` of one over parameters of the same names.

    Only the moments are taken: learning rates, weight decay and the grouping are those of the stretch that goes on.
    A parameter that ``saved`` does not know, or never updated, starts without moments, as in a new optimiser.
    """
    try:
        moments = {
            name: saved["state"][index]
            for group in saved["param_groups"]
            for name, index in zip(group["param_names"], group["params"], strict=True)
            if index in saved["state"]
        }
        state = optimizer.state_dict()
        state["state"] = {
            index: moments[name]
            for group in state["param_groups"]
            for name, index in zip(group["param_names"], group["params"], strict=True)
            if name in moments
        }
        optimizer.load_state_dict(state)
    except (KeyError, TypeError, ValueError) as error:
        raise LongtailError(
            f"The optimiser state of the checkpoint does not fit this objective ({error!r})."
        ) from error
