"""Random views of a batch of images, computed on the device that trains on them.

The lists are those of the official codes (AUG-C: VITA-Group/SDCLR and LZX-001/ConMix; AUG-M: LZX-001/MiniClustering):
random resized crop, horizontal flip, colour jitter, random greyscale, and where the catalogue asks for it Gaussian
blur and solarisation. Supervised codes (kaidic/LDAM-DRW) crop padded images and mirror them. All use torchvision's
per-image transforms on Pillow images; here a whole batch is transformed at once, each image with parameters of its own.
:meth:`Augmentation.draw` takes the random numbers, :meth:`Augmentation.apply` is deterministic.

* **Resampling.** Pillow's filters (antialiased; bicubic with a = -0.5; kernels cut off and renormalised at the border
  of the crop) are separable and linear, so crop, resize and flip of an image are one small matrix per axis, and a batch
  is two batched matrix products. PyTorch's own kernels do not give these values for boxes that differ within a batch:
  ``grid_sample`` neither antialiases nor renormalises, and its cubic has a = -0.75. As in Pillow the horizontal pass
  comes first and is clipped; an enlarged crop then differs from Pillow's 8-bit result by its rounding (1.1 / 255 at
  most). Recent Pillow swaps the passes where one axis shrinks and the other grows; this code does not.
* **Colour.** Brightness, contrast and saturation are one blend f x + (1 - f) t with different targets t, so that images
  whose jitter comes in different orders share the arithmetic: three blends, hue once, three blends.
* **Rounding.** Pillow rounds to 8 bits after every operation, random views never are. Values are clipped to [0, 1]
  where Pillow clips. What is embedded (:func:`unaugmented`) is rounded as Pillow does.

Measured on one core of a Xeon server, one AUG-C view of 512 colour images of 32x32 takes 51 ms; torchvision's
transforms, image by image, take 290 ms, and kornia 0.9, with one order of jitter per batch and no antialiasing,
108 ms. A view of 128 grey images of 8x8 takes 0.8 ms. Padded crops and flips: :mod:`longtail.data.window`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from longtail.data.blur import blur, blur_as_pillow
from longtail.data.keys import check_keys, is_count
from longtail.data.window import cut_window
from longtail.errors import LongtailError, unknown

CHUNK = 64  # images resized at a time, as float64 takes eight times their memory
ATTEMPTS = 10  # boxes tried before the central one is taken, as in torchvision's RandomResizedCrop
RESAMPLED = ("crop_scale", "crop_ratio", "interpolation")  # keys that a list with ``pad`` has no use for
BRIGHT = 128 / 255  # what Pillow's solarize inverts
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, Pillow's grey


def _triangle(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp_(min=0)


def _cubic(x: Tensor) -> Tensor:
    """Keys' cubic with a = -1/2."""
    x = x.abs().clamp_(max=2)
    near = (1.5 * x - 2.5).mul_(x).mul_(x).add_(1)
    far = (-0.5 * x + 2.5).mul_(x).sub_(4).mul_(x).add_(2)
    return torch.where(x < 1, near, far)


FILTERS: Mapping[str, Callable[[Tensor], Tensor]] = {"bilinear": _triangle, "bicubic": _cubic}


@dataclass(frozen=True)
class Parameters:
    """What was drawn for a batch; every tensor has one entry per image.

    Attributes:
        top, left, height, width: the box that is cut out, in pixels; float32 with whole values, which leave the image
            only where it is padded.
        flip: whether it is mirrored, bool.
        order: (B, 3) int64, the order of 0 brightness, 1 contrast and 2 saturation.
        hue_position: how many of these three come before hue, 0..3.
        factors: (B, 3) factors of brightness, contrast and saturation; 1 where the image is not jittered.
        hue: shift in turns, in [-0.5, 0.5]; 0 where the image is not jittered.
        grayscale: whether the colours are dropped, bool.
        sigma: standard deviation of the blur in pixels; 0 where the image is not blurred.
        solarize: whether bright values are inverted, bool.
    """

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    flip: Tensor
    order: Tensor
    hue_position: Tensor
    factors: Tensor
    hue: Tensor
    grayscale: Tensor
    sigma: Tensor
    solarize: Tensor


@dataclass(frozen=True)
class _Jitter:
    probability: float
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0


@dataclass(frozen=True)
class _Blur:
    probability: float
    kernel: int | None
    sigma: tuple[float, float]


class Augmentation:
    """One random view of each image of a batch.

    Args:
        spec: the list as in the catalogue: ``crop_scale`` and ``crop_ratio`` (ranges of area share and aspect ratio),
            ``interpolation`` (``bilinear`` or ``bicubic``), or in place of these three ``pad`` (black pixels around the
            image, from which a window of the size of the views is cut as it is); ``flip`` (probability), ``jitter``
            (``probability``, ``brightness``, ``contrast``, ``saturation``, ``hue``), ``grayscale`` (probability),
            ``blur`` (``sigma`` range, ``probability``, and ``kernel`` in pixels for torchvision's, without which it is
            Pillow's), ``solarize`` (probability). What is absent or null is not done.
        size: height and width of the views; None for those of the images.

    Raises:
        LongtailError: for an unknown key, a value out of its range, or keys that do not go together; and when it is
            called on images too small for its window or its blur.
    """

    def __init__(self, spec: Mapping[str, Any], size: int | None = None) -> None:
        known = [*RESAMPLED, "pad", "flip", "jitter", "grayscale", "blur", "solarize"]
        check_keys("an augmentation", spec, known, required=[])
        self.size = size
        self.pad = spec.get("pad")
        if self.pad is not None and not is_count(self.pad):
            raise LongtailError(f"pad of an augmentation is {self.pad!r}; it must be a positive number of pixels.")
        if self.pad is not None and (useless := [key for key in RESAMPLED if key in spec]):
            raise LongtailError(f"An augmentation with pad cuts windows as they are. Remove {' and '.join(useless)}.")
        self.scale = _range(spec, "crop_scale", (1.0, 1.0), 0.0, 1.0)
        self.ratio = _range(spec, "crop_ratio", (3 / 4, 4 / 3), 0.0, math.inf)
        self.crops = spec.get("crop_scale") is not None
        interpolation = spec.get("interpolation") or "bilinear"
        if not isinstance(interpolation, str) or interpolation not in FILTERS:
            raise unknown("interpolation", interpolation, FILTERS)
        self.interpolation = interpolation
        self.flip = _probability("flip", spec.get("flip") or 0.0)
        self.grayscale = _probability("grayscale", spec.get("grayscale") or 0.0)
        self.solarize = _probability("solarize", spec.get("solarize") or 0.0)
        jitter = spec.get("jitter") or {"probability": 0.0}
        for name, inner in (("jitter", jitter), ("blur", spec.get("blur") or {})):
            if not isinstance(inner, Mapping):
                raise LongtailError(f"{name} of an augmentation is {inner!r}; it must be a mapping.")
        strengths = ["brightness", "contrast", "saturation", "hue"]
        check_keys("a colour jitter", jitter, ["probability", *strengths], required=["probability"])
        self.jitter = _Jitter(**jitter)
        _probability("jitter.probability", self.jitter.probability)
        for name in strengths:
            value, most = jitter.get(name, 0.0), 0.5 if name == "hue" else math.inf
            if not is_number(value) or not 0 <= value <= most:
                raise LongtailError(f"jitter.{name} of an augmentation is {value}; it must lie in [0, {most:g}].")
        self.blur = None
        if spec.get("blur"):
            keys = ["probability", "sigma"]
            check_keys("a blur", spec["blur"], [*keys, "kernel"], required=keys)
            kernel = spec["blur"].get("kernel")
            if kernel is not None and (not is_count(kernel) or kernel % 2 == 0):
                raise LongtailError(
                    f"blur.kernel of an augmentation is {kernel!r}; it must be an odd number of pixels."
                )
            probability = _probability("blur.probability", spec["blur"]["probability"])
            self.blur = _Blur(probability, kernel, _range(spec["blur"], "sigma", None, 0.0, math.inf))

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw and apply.

        Args:
            images: uint8 (B, C, H, W), in any memory format.
            generator: source of the random numbers, on the device of ``images``.

        Returns:
            float32 (B, C, S, S) in [0, 1], not yet normalised.
        """
        batch, _, height, width = images.shape
        return self.apply(images, self.draw(batch, height, width, generator))

    def draw(self, batch: int, height: int, width: int, generator: torch.Generator) -> Parameters:
        """Parameters for ``batch`` images of ``height`` x ``width``.

        The distributions are those of torchvision's RandomResizedCrop, RandomHorizontalFlip, RandomApply(ColorJitter),
        RandomGrayscale, GaussianBlur and RandomSolarize. All numbers of a batch come from one call of the generator.
        """
        u = torch.rand(batch, 2 * ATTEMPTS + 16, generator=generator, device=generator.device)
        areas, aspects, rest = u[:, :ATTEMPTS], u[:, ATTEMPTS : 2 * ATTEMPTS], u[:, 2 * ATTEMPTS :].unbind(1)
        if self.crops:
            box = self._box(areas, aspects, rest[0], rest[1], height, width)
        elif self.pad is not None:
            box = self._window(rest[0], rest[1], height, width, self.pad)
        else:
            box = tuple(torch.full_like(rest[0], value) for value in (0, 0, height, width))
        jittered = (rest[3] < self.jitter.probability).float()
        strength = (self.jitter.brightness, self.jitter.contrast, self.jitter.saturation)
        factors = [
            1 + jittered * (max(0.0, 1 - s) + (1 + s - max(0.0, 1 - s)) * value - 1)
            for s, value in zip(strength, rest[4:7], strict=True)
        ]
        sigma = torch.zeros_like(rest[0])
        if self.blur:
            low, high = self.blur.sigma
            sigma = (low + (high - low) * rest[14]) * (rest[13] < self.blur.probability)
        return Parameters(
            top=box[0],
            left=box[1],
            height=box[2],
            width=box[3],
            flip=rest[2] < self.flip,
            order=torch.stack(rest[7:10], 1).argsort(1),
            hue_position=(rest[10] * 4).long().clamp_(max=3),
            factors=torch.stack(factors, 1),
            hue=jittered * self.jitter.hue * (2 * rest[11] - 1),
            grayscale=rest[12] < self.grayscale,
            sigma=sigma,
            solarize=rest[15] < self.solarize,
        )

    def _box(
        self, areas: Tensor, aspects: Tensor, down: Tensor, across: Tensor, height: int, width: int
    ) -> tuple[Tensor, ...]:
        """Top, left, height and width of the first of ten boxes that fits, at a place of its own.

        If none of the ten fits, the box is the largest with an allowed aspect ratio, in the centre.
        """
        low, high = self.scale
        area = height * width * (low + (high - low) * areas)
        slim, wide = self.ratio
        aspect = (math.log(slim) + (math.log(wide) - math.log(slim)) * aspects).exp()
        w, h = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
        fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
        turn = torch.arange(ATTEMPTS, 0, -1, device=areas.device)  # argmax alone does not promise the first of equals
        first = (fits * turn).argmax(1, keepdim=True)
        w, h = w.gather(1, first).squeeze(1), h.gather(1, first).squeeze(1)
        top = (down * (height - h + 1)).floor().minimum(height - h)
        left = (across * (width - w + 1)).floor().minimum(width - w)
        if width / height < slim:
            spare = (round(width / slim), width)
        elif width / height > wide:
            spare = (height, round(height * wide))
        else:
            spare = (height, width)
        centre = ((height - spare[0]) // 2, (width - spare[1]) // 2, *spare)
        found = fits.any(1)
        return tuple(
            torch.where(found, drawn, float(fixed)) for drawn, fixed in zip((top, left, h, w), centre, strict=True)
        )

    def _window(self, down: Tensor, across: Tensor, height: int, width: int, pad: int) -> tuple[Tensor, ...]:
        """Top, left, height and width of a window anywhere in the padded image."""
        places = []
        for share, length in ((down, height), (across, width)):
            free = length + 2 * pad - (self.size or length)
            if free < 0:
                raise LongtailError(
                    f"Images of {height}x{width} with pad {pad} hold no window of {self.size} pixels. Raise pad."
                )
            places.append((share * (free + 1)).floor().clamp_(max=free) - pad)
        return *places, *(torch.full_like(down, self.size or length) for length in (height, width))

    def apply(self, images: Tensor, drawn: Parameters) -> Tensor:
        """The views that ``drawn`` describes; shapes as for a call."""
        x = self._crop(images, drawn)
        x = self._jitter_grey(x, drawn) if x.shape[1] == 1 else self._jitter_colour(x, drawn)
        if self.blur:
            kernel, (_, widest) = self.blur.kernel, self.blur.sigma
            x = blur(x, drawn.sigma, kernel) if kernel else blur_as_pillow(x, drawn.sigma, widest)
        if self.solarize:
            x = torch.where(drawn.solarize[:, None, None, None] & (x >= BRIGHT), 1 - x, x)
        return x

    def _crop(self, images: Tensor, drawn: Parameters) -> Tensor:
        height, width = images.shape[2:]
        if self.pad is not None:
            size = (self.size or height, self.size or width)
            window = cut_window(images, drawn.top, drawn.left, drawn.flip, size, self.pad)
            return window.to(torch.float32).div_(255)
        rows = _resampling(drawn.top, drawn.height, height, self.size or height, self.interpolation)
        columns = _resampling(drawn.left, drawn.width, width, self.size or width, self.interpolation)
        columns = torch.where(drawn.flip[:, None, None], columns.flip(1), columns)
        return _resample(images, rows, columns)

    def _jitter_grey(self, x: Tensor, drawn: Parameters) -> Tensor:
        """Brightness and contrast; saturation, hue and greyscale do nothing to one channel."""
        if self.jitter.probability == 0:
            return x
        for slot in range(3):
            operation = drawn.order[:, slot]
            factor = drawn.factors.gather(1, operation[:, None]).squeeze(1)
            factor = torch.where(operation == 2, 1.0, factor)
            mean = x.mean((1, 2, 3)) * (operation == 1)
            x = x.mul(factor[:, None, None, None]).add_(((1 - factor) * mean)[:, None, None, None]).clamp_(0, 1)
        return x

    def _jitter_colour(self, x: Tensor, drawn: Parameters) -> Tensor:
        if self.jitter.probability > 0:
            x = self._blends(x, drawn, before_hue=True)
            if self.jitter.hue > 0:
                x = shift_hue(x, drawn.hue)
                x = self._blends(x, drawn, before_hue=False)
        if self.grayscale > 0:
            x = torch.where(drawn.grayscale[:, None, None, None], luma(x), x)
        return x

    def _blends(self, x: Tensor, drawn: Parameters, before_hue: bool) -> Tensor:
        """Brightness, contrast and saturation of the images whose turn it is; the others have factor 1."""
        for slot in range(3):
            operation = drawn.order[:, slot]
            turn = drawn.hue_position > slot if before_hue else drawn.hue_position <= slot
            if self.jitter.hue == 0:
                turn = torch.ones_like(turn)
            factor = torch.where(turn, drawn.factors.gather(1, operation[:, None]).squeeze(1), 1.0)[:, None, None, None]
            grey = luma(x)
            mean = grey.mean((2, 3), keepdim=True)
            operation = operation[:, None, None, None]
            target = grey.mul_((1 - factor) * (operation == 2)).add_((1 - factor) * (operation == 1) * mean)
            x = torch.addcmul(target, x, factor).clamp_(0, 1)
        return x


def luma(x: Tensor) -> Tensor:
    """Grey (B, 1, H, W) of colour images (B, 3, H, W)."""
    red, green, blue = x.split(1, 1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def shift_hue(x: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of colour images, with value and saturation (HSV) kept.

    Args:
        x: (B, 3, H, W) in [0, 1].
        turns: (B,) shift, 1 for a full circle.
    """
    red, green, blue = x.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    scale = 1 / chroma.clamp(min=1e-12)  # without chroma all differences are 0, and any hue will do
    sixth = torch.where(
        value == red,
        (green - blue) * scale,
        torch.where(value == green, (blue - red).mul_(scale).add_(2), (red - green).mul_(scale).add_(4)),
    )
    sixth += 6 * turns[:, None, None]
    # Channel n of hue h is value - chroma * max(0, min(k, 4 - k, 1)) with k = (n + h) mod 6.
    shifted = torch.empty_like(x, memory_format=torch.contiguous_format)
    for channel, offset in enumerate((5, 3, 1)):
        k = (sixth + offset).remainder_(6)
        torch.sub(value, torch.minimum(k, 4 - k).clamp_(0, 1).mul_(chroma), out=shifted[:, channel])
    return shifted


def _resampling(start: Tensor, length: Tensor, size: int, out: int, interpolation: str) -> Tensor:
    """Weights of Pillow's resize of a stretch of an axis to ``out`` pixels.

    Args:
        start: (B,) first pixel of the stretch.
        length: (B,) pixels in it.
        size: pixels of the axis.
        out: pixels wanted.
        interpolation: a key of ``FILTERS``.

    Returns:
        (B, out, size), each row of weights adding up to 1.
    """
    position = torch.arange(size, device=start.device) + 0.5 - start[:, None]
    inside = (position > 0) & (position < length[:, None])
    step = length / out
    centre = (torch.arange(out, device=start.device) + 0.5) * step[:, None]
    support = step.clamp(min=1)[:, None, None]
    weights = FILTERS[interpolation]((position[:, None, :] - centre[:, :, None]).div_(support)) * inside[:, None, :]
    return weights / weights.sum(2, keepdim=True)


def _resample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``rows`` @ image @ ``columns``^T for every image and channel.

    Args:
        images: uint8 (B, C, H, W).
        rows: (B, S, H), or (1, S, H) for all images alike.
        columns: (B, T, W), or (1, T, W).

    Returns:
        float32 (B, C, S, T) in [0, 1], contiguous.
    """
    batch, channels, height, width = images.shape
    down, across = rows.shape[1], columns.shape[1]
    planes = images.permute(0, 2, 1, 3).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
    with torch.autocast(images.device.type, enabled=False):
        x = planes.reshape(batch, height * channels, width) @ columns.expand(batch, -1, -1).transpose(1, 2)
        x = x.clamp_(0, 1).reshape(batch, height, channels * across)  # Pillow, too, clips between the two passes
        x = rows.expand(batch, -1, -1) @ x
    return x.reshape(batch, down, channels, across).transpose(1, 2).contiguous().clamp_(0, 1)


def unaugmented(images: Tensor, transform: Mapping[str, Any], size: int) -> Tensor:
    """The images as they are embedded: resized, cut to the centre and brought to the size of the network.

    Every resize gives what Pillow gives, to the last bit. MiniClustering's code embeds Tiny ImageNet with resize 256,
    crop 224 and size 64, so it sees the central 87.5 % of each axis.

    Args:
        images: uint8 (B, C, S, S).
        transform: ``resize`` and ``crop`` in pixels, each null for none; ``interpolation`` of the resize and
            ``final_interpolation`` of that to ``size``, keys of ``FILTERS``, each given where it changes the size.
        size: height and width wanted.

    Returns:
        float32 (B, C, size, size) in [0, 1].

    Raises:
        LongtailError: if the images are not square or smaller than the crop, or a resize has no interpolation.
    """
    side = images.shape[-1]
    if images.shape[-2] != side:
        raise LongtailError(f"Images are embedded as squares, not as {images.shape[-2]}x{side}.")
    resize = transform.get("resize") or side
    crop = transform.get("crop") or resize
    if crop > resize:
        raise LongtailError(f"test_transform cuts {crop} pixels out of images of {resize}.")
    centre = slice(round((resize - crop) / 2), round((resize - crop) / 2) + crop)
    if resize != side:
        images = _resize(images, _whole(side, resize, transform, "interpolation", images.device)[centre])
    else:
        images = images[..., centre, centre]
    if crop != size:
        images = _resize(images, _whole(crop, size, transform, "final_interpolation", images.device))
    return images.to(torch.float32).div_(255)


def _whole(size: int, out: int, transform: Mapping[str, Any], key: str, device: torch.device) -> Tensor:
    """Weights (out, size) of resizing a whole axis, float64 multiples of 2^-22 as in Pillow's integer arithmetic."""
    if transform.get(key) not in FILTERS:
        raise LongtailError(
            f"test_transform resizes images of {size} pixels to {out} with {key} {transform.get(key)!r}. Name one of "
            f"{', '.join(FILTERS)} in the dataset's file of the catalogue."
        )
    length = torch.full((1,), size, dtype=torch.float64, device=device)
    weights = _resampling(torch.zeros_like(length), length, size, out, transform[key])[0]
    return (weights * 2**22).round() / 2**22


def _resize(images: Tensor, weights: Tensor) -> Tensor:
    """Resize both axes, and round to 8 bits after each as Pillow does.

    Args:
        images: uint8 (B, C, S, S).
        weights: (T, S) from :func:`_whole`. Sums of such multiples are exact in float64, in any order.

    Returns:
        uint8 (B, C, T, T).
    """
    resized = []
    for x in images.split(CHUNK):
        for _ in range(2):  # across, then down: each pass leaves the axes exchanged
            x = (x.double().contiguous() @ weights.T).add_(0.5).floor_().clamp_(0, 255).transpose(2, 3)
        resized.append(x.to(torch.uint8))
    return torch.cat(resized)


class Normalization:
    """(x - mean) / std per channel.

    Args:
        mean: one per channel, of pixels in [0, 1].
        std: likewise.
        device: where the images are.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device | str = "cpu") -> None:
        if len(mean) != len(std) or not all(value > 0 for value in std):
            raise LongtailError(f"A normalisation needs a mean and a positive std per channel, not {mean} and {std}.")
        self.mean = torch.tensor(mean, dtype=torch.float32, device=device)[:, None, None]
        self.std = torch.tensor(std, dtype=torch.float32, device=device)[:, None, None]

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise float images (B, C, H, W)."""
        return (images - self.mean).div_(self.std)


def is_number(value: object) -> bool:
    """Whether ``value`` is a number, which ``True`` is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _probability(name: str, value: float) -> float:
    if not is_number(value) or not 0 <= value <= 1:
        raise LongtailError(f"{name} of an augmentation is {value}; a probability lies in [0, 1].")
    return value


def _range(
    spec: Mapping[str, Any], key: str, default: tuple[float, float] | None, above: float, most: float
) -> tuple[float, float]:
    """The pair of numbers ``spec[key]``, increasing, greater than ``above`` and at most ``most``."""
    value = spec.get(key) or default
    pair = isinstance(value, list | tuple) and len(value) == 2 and all(is_number(end) for end in value)
    if value is None or not pair or not above < value[0] <= value[1] <= most:
        raise LongtailError(
            f"{key} of an augmentation is {value}; it must be [low, high] with {above:g} < low <= high."
        )
    return float(value[0]), float(value[1])
