"""An objective small enough to train in milliseconds, that uses everything the loop offers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from longtail.methods.base import Objective


class Pair(nn.Module):
    def __init__(self, body, head):
        super().__init__()
        self.body, self.head = body, head

    def forward(self, images):
        embedding = self.body(images)
        return embedding, self.head(embedding)


class Toy(Objective):
    """Noisy views, a drifting copy, a mask drawn per epoch, centres found once."""

    @dataclass(frozen=True)
    class Settings:
        noise: float
        head_scale: float = 2.0

    features = ("embedding", "head")
    starts = "either"

    def __init__(self, settings, context, parent=None):
        super().__init__(settings, context, parent)
        self.settings = settings
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )
        self.head = nn.Linear(16, context.classes)
        self.drifting = nn.Linear(16, context.classes).requires_grad_(False)
        if parent is not None:
            self.body.load_state_dict(parent.body.state_dict())
        self.register_buffer("mask", torch.ones(context.classes))
        self.register_buffer("centre", torch.zeros(16))
        self.register_buffer("memory", torch.zeros(context.rows))
        self.calls: list[tuple] = []

    def parameter_groups(self):
        return [
            {"params": list(self.body.parameters()), "learning_rate_scale": 1.0},
            {"params": list(self.head.parameters()), "learning_rate_scale": self.settings.head_scale},
        ]

    @torch.no_grad()
    def prepare(self, images):
        self.calls.append(("prepare",))
        self.centre.copy_(images.encode(self.body).mean(0))

    def start_epoch(self, epoch, images):
        self.calls.append(("start_epoch", epoch))
        drawn = (torch.rand(len(self.mask)) < 0.8).float()
        self.mask.copy_(drawn * self.head.weight.detach().abs().sum(1).tanh())

    def loss(self, batch):
        first, second = (self.body(view) - self.centre for view in batch.views)
        noise = self.settings.noise * torch.randn(first.shape, generator=batch.generator, device=first.device)
        target = self.drifting(second.float()).detach() * self.mask
        fit = functional.mse_loss(self.head((first + noise).float()), target)
        self.memory[batch.rows[0]] = first.detach().float().mean(1)
        size = first.float().square().mean()
        return {"loss": fit + 0.01 * size, "fit": fit, "size": size}

    def after_step(self, progress):
        with torch.no_grad():
            for slow, fast in zip(self.drifting.parameters(), self.head.parameters(), strict=True):
                slow.lerp_(fast, 0.1 * (1 - progress))

    def encoder(self, features):
        return self.body if features == "embedding" else Pair(self.body, self.head)


class Successor(Toy):
    """Continues a Toy: the same networks and centre, other memories."""

    continued = ("centre",)

    def __init__(self, settings, context, parent=None):
        super().__init__(settings, context, parent)
        del self.memory
        self.register_buffer("memory", torch.zeros(context.rows + 1))
        self.register_buffer("extra", torch.zeros(3))

    def loss(self, batch):
        return {"loss": self.head(self.body(batch.views[0])).float().square().mean()}


class Stranger(Toy):
    """Has a network that a Toy lacks."""

    def __init__(self, settings, context, parent=None):
        super().__init__(settings, context, parent)
        self.more = nn.Linear(2, 2)


class Diverging(Toy):
    """Its second part is infinite."""

    def loss(self, batch):
        parts = super().loss(batch)
        return {**parts, "size": parts["size"] / 0}


class Slow(Toy):
    """Leaves time for a signal, and says where it is."""

    def after_step(self, progress):
        import time

        super().after_step(progress)
        print("update", flush=True)
        time.sleep(0.02)


class Gluttonous(Toy):
    """Fills 64 MB per image with what the backward pass needs."""

    def loss(self, batch):
        parts = super().loss(batch)
        scale = self.head.weight.float().mean()
        activations = scale * torch.ones(len(batch.rows[0]), 2**24, device=scale.device)
        return {**parts, "loss": parts["loss"] + 0 * activations.square().mean()}


class Hungry(Toy):
    """Wants more memory than there is."""

    def loss(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.")


class Fresh(Toy):
    """Takes no encoder over."""

    starts = "fresh"


class Transferred(Toy):
    """Needs a trained encoder."""

    starts = "transfer"


class Watched(Toy):
    """Notes what it is given of true classes."""

    def __init__(self, settings, context, parent=None):
        super().__init__(settings, context, parent)
        self.class_sizes, self.batches = context.class_sizes, []

    def shown(self, rows, views, generator):
        return (rows, rows.flip(0))

    def loss(self, batch):
        self.batches.append(batch)
        return super().loss(batch)


class Supervised(Watched):
    """Asks for true classes."""

    supervised = True


class Sampled(Supervised):
    """Shows what it is given."""

    shown = Toy.shown


class Weighted(Sampled):
    """Draws images by weights of its own."""

    def sampling_weights(self):
        return torch.ones(len(self.memory))


class Forgetful(Toy):
    """Continues a Toy, and nothing that it remembers."""


class Remembering(Toy):
    """Continues a Toy with all that a module of it remembers, and a memory of another size."""

    continued = ("memory",)

    def __init__(self, settings, context, parent=None):
        super().__init__(settings, context, parent)
        del self.memory
        self.register_buffer("memory", torch.zeros(context.rows + 1))


class Mistaken(Toy):
    """Continues what it has not."""

    continued = ("center",)
