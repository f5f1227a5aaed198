"""One batch through a backbone on several processes, with the numbers that one process would get.

Each process passes its share of the images through the backbone, batch normalisation takes the statistics of the whole
batch, and every process gets the outputs for all images. What follows, heads, losses, queues, memories and momentum
networks, is computed on the whole batch by all of them alike: it needs no version of its own, and costs next to nothing
beside a backbone. So no objective knows that there is more than one process.

Process r of n takes the images r, r + n, r + 2n, ... of a batch. Gradients of the loss arrive at every process for its
own images; their sums over the processes (``longtail.devices.distributed``) are those of the batch.

``nn.SyncBatchNorm`` is for GPUs only; the one here is the same on CPUs, where tests hold it against one process.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from longtail.errors import LongtailError


def spread_batches(network: nn.Module) -> None:
    """Let every backbone in ``network`` share the images of its batches with those of the other processes.

    Names of parameters and buffers stay. All processes must call it with the same batches, in the same order.
    """
    for backbone in backbones(network):
        layers: list[Any] = [module for module in backbone.modules() if isinstance(module, _BatchNorm)]
        for layer in layers:
            normalized = _normalized_in_groups if hasattr(layer, "splits") else _normalized
            # The attribute goes before the method of the class, and copies of the layer get one of their own.
            layer.forward = functools.partial(normalized, layer, type(layer).forward)
        backbone.forward = functools.partial(_spread, backbone, type(backbone).forward)


def backbones(network: nn.Module) -> list[Any]:
    """The backbones in ``network``: like torchvision's residual networks, all of ours have an ``avgpool``."""
    return [module for module in network.modules() if hasattr(module, "avgpool")]


def _spread(backbone: nn.Module, forward: Callable[..., Tensor], x: Tensor, *branch: int) -> Tensor:
    """What ``backbone``, or a branch of it, makes of all processes' images, (B, C, H, W) to (B, d), on each of them."""
    if any(layer._forward_hooks for layer in backbone.modules()):
        raise LongtailError(
            "This objective mixes the features of different images inside the backbone, but on several GPUs each has "
            "some of the images only. Train it on one GPU: --resources gpu=1."
        )
    own = x[dist.get_rank() :: dist.get_world_size()].contiguous(memory_format=torch.channels_last)
    return _Gathered.apply(forward(backbone, own, *branch), len(x))


class _Gathered(torch.autograd.Function):
    """The outputs of all processes in the order of the batch; the gradient of each goes back to where it came from."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, batch: int) -> Tensor:
        size = dist.get_world_size()
        padded = own.new_zeros(-(-batch // size), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in range(size)]
        dist.all_gather(parts, padded)
        return torch.stack(parts, 1).flatten(0, 1)[:batch]  # part r holds r, r + n, r + 2n, ...

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # All processes compute the same loss from the whole batch, so each has the whole gradient already.
        return gradient[dist.get_rank() :: dist.get_world_size()], None


def _normalized(layer: Any, forward: Callable[..., Tensor], x: Tensor) -> Tensor:
    """Batch normalisation by the statistics of all processes' images."""
    if not layer.training:
        return forward(layer, x)
    output, mean, variance, count = _Normalized.apply(x, layer.weight, layer.bias, layer.eps)
    with torch.no_grad():
        layer.num_batches_tracked.add_(1)
        layer.running_mean.lerp_(mean, layer.momentum)
        layer.running_var.lerp_(variance * (count / (count - 1)), layer.momentum)
    return output


class _Normalized(torch.autograd.Function):
    """Normalised images, (B, C, H, W); mean and (biased) variance by channel, (C,), and over how many values, (1,).

    Statistics are float32 even where the images are bfloat16. The variance is put together from those of the processes
    and from the spread of their means (Chan, Golub, LeVeque 1979), which loses no digits to a large mean.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        channels = x.shape[1]
        if len(x):
            own_variance, own_mean = torch.var_mean(_wide(x), _others(x), correction=0)
        else:  # fewer images than processes
            own_variance = own_mean = torch.zeros_like(weight)
        own = torch.cat([own_mean, own_variance, own_mean.new_full((1,), x.numel() / channels)])
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own)
        means, variances, counts = torch.stack(parts).split([channels, channels, 1], 1)
        count = counts.sum(0)
        mean = (counts * means).sum(0) / count
        variance = (counts * (variances + (means - mean).square())).sum(0) / count
        output = functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=epsilon)
        ctx.save_for_backward(x, weight, mean, (variance + epsilon).rsqrt(), count)
        ctx.mark_non_differentiable(mean, variance, count)
        return output, mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, scale, count = ctx.saved_tensors

        def by_channel(values: Tensor) -> Tensor:
            return values.view(-1, *[1] * (x.dim() - 2))

        gradient, centred = _wide(gradient), _wide(x) - by_channel(mean)
        own = torch.stack([gradient.sum(_others(x)), (gradient * centred).sum(_others(x))])
        sums = own.clone()
        dist.all_reduce(sums)
        mean_gradient, mean_product = sums / count
        toward_x = gradient - by_channel(mean_gradient) - centred * by_channel(scale.square() * mean_product)
        return (toward_x * by_channel(weight * scale)).to(x.dtype), own[1] * scale, own[0], None


def _wide(x: Tensor) -> Tensor:
    """At least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _others(x: Tensor) -> list[int]:
    """All dimensions but that of the channels."""
    return [0, *range(2, x.dim())]


def _normalized_in_groups(layer: Any, forward: Callable[..., Tensor], x: Tensor) -> Tensor:
    """Batch normalisation in interleaved groups, each of which lies on one process."""
    if not layer.training:
        return forward(layer, x)
    if layer.splits == 1:
        return _normalized(layer, forward, x)
    size, splits = dist.get_world_size(), layer.splits
    if splits % size:
        raise LongtailError(
            f"{splits} groups of batch normalisation (batchnorm_splits, batch_groups) cannot be dealt out to {size} "
            f"GPUs. Train on a number of GPUs that divides {splits}, for example one: --resources gpu=1."
        )
    if splits == size:  # what is here is one group
        # The backward pass keeps hold of the statistics that it is given, which must not change until then.
        means, variances = layer.running_mean.clone(), layer.running_var.clone()
        output = functional.batch_norm(
            x, means, variances, layer.weight, layer.bias, training=True, momentum=layer.momentum, eps=layer.eps
        )
        layer.num_batches_tracked.add_(1)
    else:
        layer.splits = splits // size
        try:
            output = forward(layer, x)
        finally:
            layer.splits = splits
        means, variances = layer.running_mean, layer.running_var
    statistics = torch.stack([means, variances])
    dist.all_reduce(statistics)
    layer.running_mean.copy_(statistics[0] / size)
    layer.running_var.copy_(statistics[1] / size)
    return output
