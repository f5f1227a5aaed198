"""The NT-Xent loss (ConMix Eqs. 1 and 4) and what the objectives of the SimCLR family have in common.

Shapes: B images, d dimensions of a representation. Views a and b of one image are the rows of one index.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longtail.errors import LongtailError, unknown
from longtail.methods.base import Context, Objective
from longtail.models.dual_branch import DualBranchNetwork

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Keep a loss out of autocast: half-precision arguments become float32, wider ones stay as they are.

    Similarities over a temperature of 0.2 lose the digits that matter in eight bits of mantissa.
    """

    def widened(value: Any) -> Any:
        return value.float() if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16) else value

    @functools.wraps(function)
    def wrapped(*arguments: P.args, **named: P.kwargs) -> R:
        kind = next(value.device.type for value in arguments if isinstance(value, Tensor))
        with torch.autocast(kind, enabled=False):
            return function(*map(widened, arguments), **{name: widened(value) for name, value in named.items()})

    return wrapped


@full_precision
def unit(v: Tensor) -> Tensor:
    """Rows of (B, d) scaled to length 1; rows of zeros stay zeros."""
    return F.normalize(v, dim=1)


@full_precision
def nt_xent(a: Tensor, b: Tensor, temperature: float, present: Tensor | None = None) -> Tensor:
    """The normalised-temperature cross-entropy over both views: ConMix Eq. 4, and Eq. 1 summed over both views.

    Each of the 2B rows is to pick its partner in the other view out of all other rows, by cosine similarity.

    Args:
        a: representations of the first view, (B, d); they are normalised here.
        b: those of the second view, (B, d), in the same order.
        temperature: tau.
        present: (B,) bool, the rows that exist; the others count neither as anchors, nor as partners, nor in the mean.
            Masking instead of indexing keeps the shapes static. All rows exist when None; at least one must.

    Returns:
        A scalar, the mean over the rows that exist; 0 if there is only one pair.
    """
    rows = len(a)
    z = F.normalize(torch.cat([a, b]), dim=1)
    similarity = z @ z.T / temperature
    positive = torch.cat([similarity.diagonal(rows), similarity.diagonal(-rows)])
    excluded = torch.eye(2 * rows, dtype=torch.bool, device=z.device)
    if present is None:
        return (similarity.masked_fill(excluded, -torch.inf).logsumexp(1) - positive).mean()
    exists = present.repeat(2)
    loss = similarity.masked_fill(excluded | ~exists, -torch.inf).logsumexp(1) - positive
    return torch.where(exists, loss, 0).sum() / exists.sum()


class Contrastive(Objective):
    """A :class:`DualBranchNetwork` trained by NT-Xent; subclasses say between what.

    All of them build the same network under the same names, so each continues the others.

    The two views are two forwards with batch statistics of their own. The official code (LZX-001/ConMix) gets the
    gradient from two partial backward passes at the same parameters, which add up to the one taken here. The extra
    forward that this costs moves running statistics once more per step, which is not reproduced: those of the pruned
    branch in SDCLR, of the only branch in use elsewhere.
    """

    @dataclass(frozen=True)
    class Settings:
        """Attributes.

        temperature: tau of NT-Xent.
        projection_width: d, the dimension of the representations.
        """

        temperature: float
        projection_width: int

        def __post_init__(self) -> None:
            require(self.temperature > 0, "temperature", self.temperature, "above 0")
            require(self.projection_width >= 1, "projection_width", self.projection_width, "at least 1")

    features = ("projection", "backbone")

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        self.settings = settings
        self.network = DualBranchNetwork(context.new_backbone, settings.projection_width)

    def encoder(self, features: str) -> nn.Module:
        """The dense branch: ``projection`` is the head's output, ``backbone`` its input; neither is normalised.

        ConMix clusters ``projection``. The modules are those in training, with ``width`` as an attribute.
        """
        if features == "projection":
            return self.network
        if features == "backbone":
            return self.network.backbone
        raise unknown(f"feature of {type(self).__name__}", features, self.features)


def require(holds: bool, name: str, value: object, what: str) -> None:
    """Raise a LongtailError about the setting ``name`` unless it ``holds``."""
    if not holds:
        raise LongtailError(f"The setting {name} is {value!r}; it must be {what}.")
