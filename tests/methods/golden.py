"""What the golden values of recognition are of: four classes, three images, and gradients of logits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

SIZES = torch.tensor([100, 30, 10, 2])
LABELS = torch.tensor([0, 2, 3])
LOGITS = [[1, -0.5, 0.3, 0.2], [0.2, 0.8, -1, 0.5], [-0.3, 0.1, 0.4, 1.2]]
COSINES = [[0.6, -0.2, 0.1, 0.3], [0.1, 0.4, -0.3, 0.2], [0, 0.2, 0.5, -0.1]]


def tensor(values) -> Tensor:
    """Float64 that can be asked for its gradient."""
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def golden(loss: Tensor, *inputs: Tensor) -> tuple[float, float]:
    """The value, and the Euclidean norm of the gradient with respect to all ``inputs``."""
    grads = torch.autograd.grad(loss, inputs)
    return loss.item(), sum(grad.square().sum() for grad in grads).sqrt().item()


def near(*values: float):
    """Equal up to the digits that are printed."""
    return pytest.approx(values, abs=6e-7, rel=1e-6)


def waves(rows: int, columns: int, offset: int) -> Tensor:
    """R(n, d, o): entry (i, j) is sin(t^2) with t = o + 1 + i d + j."""
    t = torch.arange(offset + 1, offset + 1 + rows * columns, dtype=torch.float64)
    return (t**2).sin().reshape(rows, columns).requires_grad_()


def directions(rows: int, columns: int, offset: int) -> Tensor:
    """Z(n, d, o): the same with rows of length 1."""
    found = waves(rows, columns, offset).detach()
    return (found / found.norm(dim=1, keepdim=True)).requires_grad_()
