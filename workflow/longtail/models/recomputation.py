"""Activation checkpointing of residual blocks (Chen et al. 2016, arXiv 1604.06174): less memory, the same training.

Between forward and backward pass only the input of each block is kept; the backward pass computes the block once more.
A batch stays in one piece, so that contrastive losses and batch normalisation, which couple its images, see what they
always see. Loss, gradients and running statistics are the same numbers: in micro-batches only the loss could be.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from longtail.models.dual_batchnorm import DualBatchNorm


def recompute_activations(network: nn.Module) -> int:
    """Let every residual block of ``network``, any module with a ``downsample``, forget what it can compute again.

    Names of parameters and buffers stay. Blocks must draw no random numbers.

    Returns:
        How many blocks there are.
    """
    blocks = [module for module in network.modules() if hasattr(module, "downsample")]
    for block in blocks:
        # The attribute goes before the method of the class, and copies of the block get one of their own.
        block.forward = functools.partial(_forward, block, type(block).forward)
    return len(blocks)


def _forward(block: nn.Module, forward: Callable[..., Tensor], x: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return forward(block, x)
    contexts = nullcontext(), _as_now(block)
    return checkpoint(forward, block, x, use_reentrant=False, preserve_rng_state=False, context_fn=lambda: contexts)


def _as_now(block: nn.Module) -> AbstractContextManager[None]:
    """A context in which ``block`` computes what it would compute now, and moves no running statistics.

    By the backward pass a pruned forward has ended: its masked weights (``torch.func.functional_call``) and its branch
    of batch normalisations are gone from the block.
    """
    modules = list(block.modules())
    weights = [dict(module._parameters) for module in modules]
    branches = [module.branch if isinstance(module, DualBatchNorm) else None for module in modules]

    @contextmanager
    def again() -> Iterator[None]:
        before = [(dict(m._parameters), dict(m._buffers), getattr(m, "branch", None)) for m in modules]
        for module, weight, name in zip(modules, weights, branches, strict=True):
            buffers = {key: None if value is None else value.clone() for key, value in module._buffers.items()}
            _set(module, weight, buffers, name)
        try:
            yield
        finally:
            for module, state in zip(modules, before, strict=True):
                _set(module, *state)

    return again()


def _set(module: nn.Module, weights: Any, buffers: Any, branch: Any) -> None:
    module._parameters.update(weights)
    module._buffers.update(buffers)
    if isinstance(module, DualBatchNorm):
        module.branch = branch
