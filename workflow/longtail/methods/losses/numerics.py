"""What losses share: they leave autocast, scale rows to unit length, know log-odds and distances of distributions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

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
def log_odds(logits: Tensor) -> Tensor:
    """The log-odds log p_k - log(1 - p_k) of p = softmax(s), (B, K) to (B, K) with K at least 2.

    That is s_k - log sum_(j != k) exp s_j. No class but the one with the largest logit can have p above 1/2, so for all
    others 1 - p loses no digits, and for that one the sum is taken.
    """
    total = logits.logsumexp(1, keepdim=True)
    largest = logits.argmax(1, keepdim=True)
    without = logits.scatter(1, largest, -torch.inf).logsumexp(1, keepdim=True)
    others = total + torch.log1p(-(logits - total).exp().clamp(max=0.5))
    return logits - others.scatter(1, largest, without)


def kullback_leibler(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) = sum_k p_k log(p_k / q_k) of distributions that are given by their logarithms, (..., K) to (...)."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)
