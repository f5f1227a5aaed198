"""M2m: a batch's images of large classes are made into images of small ones (Kim et al., CVPR 2020; alinlab/M2m).

A trained network g, the generator, says what an image of a small class looks like. The network f that is trained gives
no image up that it still takes for one of the large class. The rows of all tables have LDAM as the loss of f.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from longtail.errors import LongtailError
from longtail.methods.base import Batch, Context, Objective, Start
from longtail.methods.checks import check_choices, require
from longtail.methods.losses.classification import accuracy
from longtail.methods.losses.m2m import acceptance, start_noise, step_against, translation
from longtail.methods.recognition.reweighting import LDAM
from longtail.models.headed import HeadedEncoder


class LDAMBesideGenerator(LDAM):
    """LDAM, and beside it the generator: the network that the training before it leaves, for the stretch after it.

    Attributes:
        generator: g, images to the pair (feature, logits), without gradient and always in eval mode.
    """

    starts: ClassVar[Start] = "transfer"

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        assert parent is not None
        generator = parent.encoder("backbone")
        if not isinstance(generator, HeadedEncoder):
            raise LongtailError("M2m needs a generator with a classifier: put a step such as ce before it.")
        self.generator = generator.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Train mode for all but the generator."""
        super().train(mode)
        self.generator.eval()
        return self


class M2mLDAM(LDAMBesideGenerator):
    """The same on batches of balanced classes, of whose images some give way to translated ones."""

    @dataclass(frozen=True)
    class Settings(LDAM.Settings):
        """Hyperparameters, besides those of LDAM.

        Attributes:
            beta: how much larger the class of a seed has to be.
            seed_weight: lambda, of the seed's class in what is minimised by an image.
            threshold: gamma, the probability that g has to give to the new class.
            steps: how often an image is moved.
            step_size: how far, in pixels of [0, 1].
            noise_radius: of the noise that it is moved by before.
            noise_norm: what the radius bounds, see :func:`~longtail.methods.losses.m2m.start_noise`.
        """

        beta: float
        seed_weight: float
        threshold: float
        steps: int
        step_size: float
        noise_radius: float
        noise_norm: Literal["image", "channel"]

        def __post_init__(self) -> None:
            super().__post_init__()
            check_choices(self)
            require(0 <= self.beta < 1, "beta", self.beta, "at least 0 and below 1")
            require(self.steps >= 1, "steps", self.steps, "at least 1")
            require(0 <= self.threshold <= 1, "threshold", self.threshold, "between 0 and 1")

    mean: Tensor
    std: Tensor

    def __init__(self, settings: Any, context: Context, parent: Objective | None = None) -> None:
        super().__init__(settings, context, parent)
        for name in ("mean", "std"):  # not part of the state: the specification has them
            values = torch.tensor(context.normalization[name])[:, None, None]
            self.register_buffer(name, values, persistent=False)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss`` and ``accuracy`` as of LDAM on the new batch; ``translated``, the share of new images in percent."""
        labels = batch.labels[0]
        images, made = self.translated(batch.views[0], labels, batch.generator)
        _, logits = self.network(images)
        share = 100 * made.float().mean()
        return {"loss": self.criterion(logits, labels), "accuracy": accuracy(logits, labels), "translated": share}

    def translated(self, images: Tensor, labels: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """The batch with some images exchanged for translated ones of the same class.

        Every image gets a translation, whether it is meant to or not: shapes then depend on no value.

        Args:
            images: normalised, (B, C, H, W).
            labels: (B,) int64; those of the new images are the same.
            draws: the only source of randomness.

        Returns:
            Images as given, and which of them are new, (B,) bool.
        """
        sizes = self.class_sizes.double()
        marked = torch.bernoulli(1 - sizes[labels] / sizes.max(), generator=draws).bool()
        chances = acceptance(sizes, labels, labels, self.settings.beta)
        # A seed is drawn in proportion to its chance; torch.multinomial would wait for the device, and refuses zeros.
        drawn = torch.rand(len(labels), 1, dtype=chances.dtype, device=chances.device, generator=draws)
        sums = chances.cumsum(1)
        seeds = torch.searchsorted(sums, drawn * sums[:, -1:], right=True).squeeze(1).clamp(max=len(labels) - 1)
        chance = chances.gather(1, seeds[:, None]).squeeze(1)  # 0 if the batch has no image of a larger class
        marked &= chance > 0
        pixels = images * self.std + self.mean
        settings = self.settings
        noise = start_noise(images, marked, settings.noise_radius, settings.noise_norm, draws)
        new, sureness = self.translate((pixels[seeds] + noise).clamp(0, 1), labels, labels[seeds])
        accepted = torch.bernoulli(chance, generator=draws).bool()
        made = marked & accepted & (sureness >= settings.threshold)
        return torch.where(made[:, None, None, None], self.normalized(new), images), made

    def translate(self, x: Tensor, targets: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """Move pixels of classes ``seeds`` to ``targets``; returns them and the probability that g gives to those."""
        training = self.network.training
        self.network.eval()
        for _ in range(self.settings.steps):
            x = x.detach().requires_grad_()
            seen = self.normalized(x)
            trained = self.network(seen)[1] / self.settings.scale  # the code scales cosines in its loss alone
            energy = translation(self.generator(seen)[1], trained, targets, seeds, self.settings.seed_weight)
            (gradient,) = torch.autograd.grad(energy.sum(), x)
            x = (x + step_against(gradient, self.settings.step_size)).clamp(0, 1)
        self.network.train(training)
        with torch.no_grad():
            x = x.detach()
            probabilities = self.generator(self.normalized(x))[1].softmax(1)
        return x, probabilities.gather(1, targets[:, None]).squeeze(1)

    def normalized(self, pixels: Tensor) -> Tensor:
        """What networks are given of pixels in [0, 1], (B, C, H, W).

        The code clips here once more. In the PyTorch of its time that let gradients at 0 and 1 pass, as this does.
        """
        return (pixels - self.mean) / self.std
