"""Random views of a batch of images, computed on the device that trains on them.

The lists are those of the official codes (AUG-C: VITA-Group/SDCLR and LZX-001/ConMix; AUG-M: LZX-001/MiniClustering):
random resized crop, horizontal flip, colour jitter, random greyscale, and where the catalogue asks for it Gaussian
blur and solarisation. Supervised codes (kaidic/LDAM-DRW) crop padded images and mirror them. All use torchvision's
per-image transforms on Pillow images; here a whole batch is transformed at once, each image with parameters of its own.
:meth:`Augmentation.draw` takes the random numbers, :meth:`Augmentation.apply` is deterministic.

* **Resampling.** Pillow's filters (:mod:`longtail.data.resampling`). PyTorch's own kernels do not give these values for
  boxes that differ within a batch: ``grid_sample`` neither antialiases nor renormalises, and its cubic has a = -0.75.
  An enlarged crop differs from Pillow's 8-bit result by its rounding (1.1 / 255 at most).
* **Colour.** Brightness, contrast and saturation are one blend f x + (1 - f) t with different targets t, so that images
  whose jitter comes in different orders share the arithmetic: three blends, hue once, three blends.
* **Rounding.** Pillow rounds to 8 bits after every operation, random views never are. Values are clipped to [0, 1]
  where Pillow clips. What is embedded (:func:`unaugmented`) is rounded as Pillow does.

Measured on one core of a Xeon server, one AUG-C view of 512 colour images of 32x32 takes 51 ms; torchvision's
transforms, image by image, take 290 ms, and kornia 0.9, with one order of jitter per batch and no antialiasing,
108 ms. A view of 128 grey images of 8x8 takes 0.8 ms. Padded crops and flips: :mod:`longtail.data.window`.

Whole photographs, each of its own size (:class:`longtail.data.pictures.Pictures`), are cut and jittered a few at a
time. On one of two cores of an AMD EPYC, 64 of about 400x500 pixels become views of 224x224 by the list
``imagenet-base`` at 820 a second of processor time; torchvision's transforms of the Pillow images, one after the other,
make 600 (over several runs we are 1.3 to 1.5 times as fast). As they are embedded, both show 650.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from longtail.data.blur import blur, blur_as_pillow
from longtail.data.keys import check_keys, is_count
from longtail.data.pictures import Pictures
from longtail.data.resampling import (
    FILTERS,
    at_a_time,
    cut_boxes,
    cut_centres,
    cut_each_box,
    exact_resampling,
    resize_exactly,
)
from longtail.data.window import cut_window
from longtail.errors import LongtailError, unknown

NEAR = 8  # views of pictures that are made at a time on a CPU, so that its cache holds them
ATTEMPTS = 10  # boxes tried before the central one is taken, as in torchvision's RandomResizedCrop
RESAMPLED = ("crop_scale", "crop_ratio", "interpolation")  # keys that a list with ``pad`` has no use for
BRIGHT = 128 / 255  # what Pillow's solarize inverts
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, Pillow's grey


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

    def part(self, rows: slice) -> Parameters:
        """Those of some of the images."""
        return Parameters(**{name: value[rows] for name, value in vars(self).items()})

    @property
    def box(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``top``, ``left``, ``height``, ``width``."""
        return self.top, self.left, self.height, self.width


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

    def __call__(self, images: Tensor | Pictures, generator: torch.Generator) -> Tensor:
        """Draw and apply.

        Args:
            images: uint8 (B, C, H, W), in any memory format; or pictures, each of which is cut out of its own size.
            generator: source of the random numbers, on the device of ``images``.

        Returns:
            float32 (B, C, S, S) in [0, 1], not yet normalised.
        """
        if isinstance(images, Pictures) and not images.whole:
            return self.apply(images, self.draw(len(images), images.heights, images.widths, generator))
        batch, _, height, width = images.shape
        return self.apply(images, self.draw(batch, height, width, generator))

    def draw(self, batch: int, height: int | Tensor, width: int | Tensor, generator: torch.Generator) -> Parameters:
        """Parameters for ``batch`` images of ``height`` x ``width``, or each (B,) of its own; numbers alike either way.

        The distributions are those of torchvision's RandomResizedCrop, RandomHorizontalFlip, RandomApply(ColorJitter),
        RandomGrayscale, GaussianBlur and RandomSolarize. All numbers of a batch come from one call of the generator.
        """
        u = torch.rand(batch, 2 * ATTEMPTS + 16, generator=generator, device=generator.device)
        areas, aspects, rest = u[:, :ATTEMPTS], u[:, ATTEMPTS : 2 * ATTEMPTS], u[:, 2 * ATTEMPTS :].unbind(1)
        h, w = (
            length.to(u.dtype) if isinstance(length, Tensor) else torch.full_like(rest[0], length)
            for length in (height, width)
        )
        if self.crops:
            box = self._box(areas, aspects, rest[0], rest[1], h, w)
        elif self.pad is not None:
            box = self._window(rest[0], rest[1], height, width, self.pad)
        else:
            box = (torch.zeros_like(h), torch.zeros_like(w), h, w)
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
        self, areas: Tensor, aspects: Tensor, down: Tensor, across: Tensor, height: Tensor, width: Tensor
    ) -> tuple[Tensor, ...]:
        """Top, left, height and width of the first of ten boxes that fits, at a place of its own.

        If none of the ten fits, the box is the largest with an allowed aspect ratio, in the centre.
        """
        low, high = self.scale
        area = (height * width)[:, None] * (low + (high - low) * areas)
        slim, wide = self.ratio
        aspect = (math.log(slim) + (math.log(wide) - math.log(slim)) * aspects).exp()
        w, h = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
        fits = (w > 0) & (w <= width[:, None]) & (h > 0) & (h <= height[:, None])
        turn = torch.arange(ATTEMPTS, 0, -1, device=areas.device)  # argmax alone does not promise the first of equals
        first = (fits * turn).argmax(1, keepdim=True)
        w, h = w.gather(1, first).squeeze(1), h.gather(1, first).squeeze(1)
        top = (down * (height - h + 1)).floor().minimum(height - h)
        left = (across * (width - w + 1)).floor().minimum(width - w)
        # In float64, as Python computes it for torchvision: halves are common, and rounded to even numbers.
        shape = width.double() / height.double()
        largest_h = torch.where(shape < slim, (width.double() / slim).round().float(), height)
        largest_w = torch.where(shape > wide, (height.double() * wide).round().float(), width)
        centre = ((height - largest_h).div(2).floor(), (width - largest_w).div(2).floor(), largest_h, largest_w)
        found = fits.any(1)
        return tuple(torch.where(found, drawn, fixed) for drawn, fixed in zip((top, left, h, w), centre, strict=True))

    def _window(
        self, down: Tensor, across: Tensor, height: int | Tensor, width: int | Tensor, pad: int
    ) -> tuple[Tensor, ...]:
        """Top, left, height and width of a window anywhere in the padded image."""
        if isinstance(height, Tensor) or isinstance(width, Tensor):
            raise LongtailError(
                f"Images of different sizes have no windows of one size (pad {pad}). Give the augmentation crop_scale "
                f"in place of pad, or the images' source `resize` and `crop`, which make them one size."
            )
        places = []
        for share, length in ((down, height), (across, width)):
            free = length + 2 * pad - (self.size or length)
            if free < 0:
                raise LongtailError(
                    f"Images of {height}x{width} with pad {pad} hold no window of {self.size} pixels. Raise pad."
                )
            places.append((share * (free + 1)).floor().clamp_(max=free) - pad)
        return *places, *(torch.full_like(down, self.size or length) for length in (height, width))

    def apply(self, images: Tensor | Pictures, drawn: Parameters) -> Tensor:
        """The views that ``drawn`` describes; shapes as for a call."""
        if isinstance(images, Pictures):
            if images.whole:
                return self.apply(images.images, drawn)
            return self._apply_to_pictures(images.images, drawn)
        return self._recolour(self._crop(images, drawn), drawn)

    def _apply_to_pictures(self, images: Tensor, drawn: Parameters) -> Tensor:
        """A few at a time, because frames are large and of each no more than its box is needed."""
        if self.size is None:
            raise LongtailError("Images of different sizes have views of one size. Say which: it is None.")
        on_cpu = images.device.type == "cpu"
        cut, step = (cut_each_box, NEAR) if on_cpu else (cut_boxes, at_a_time(images))
        size = (self.size, self.size)
        views = torch.empty(*images.shape[:2], *size, device=images.device)
        for first in range(0, len(images), step):
            rows = slice(first, first + step)
            part = drawn.part(rows)
            x = cut(images[rows], part.box, part.flip, size, self.interpolation)
            views[rows] = self._recolour(x, part)
        return views

    def _recolour(self, x: Tensor, drawn: Parameters) -> Tensor:
        """What follows the crop, (B, C, S, S)."""
        x = self._jitter_grey(x, drawn) if x.shape[1] == 1 else self._jitter_colour(x, drawn)
        if self.blur:
            kernel, (_, widest) = self.blur.kernel, self.blur.sigma
            x = blur(x, drawn.sigma, kernel) if kernel else blur_as_pillow(x, drawn.sigma, widest)
        if self.solarize:
            x = torch.where(drawn.solarize[:, None, None, None] & (x >= BRIGHT), 1 - x, x)
        return x

    def _crop(self, images: Tensor, drawn: Parameters) -> Tensor:
        height, width = images.shape[2:]
        size = (self.size or height, self.size or width)
        if self.pad is not None:
            window = cut_window(images, drawn.top, drawn.left, drawn.flip, size, self.pad)
            return window.to(torch.float32).div_(255)
        return cut_boxes(images, drawn.box, drawn.flip, size, self.interpolation)

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
            x = torch.addcmul(target, x, factor, out=x).clamp_(0, 1)
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


def unaugmented(images: Tensor | Pictures, transform: Mapping[str, Any], size: int) -> Tensor:
    """The images as they are embedded: resized, cut to the centre and brought to the size of the network.

    Every resize gives what Pillow gives, to the last bit. MiniClustering's code embeds Tiny ImageNet with resize 256,
    crop 224 and size 64, so it sees the central 87.5 % of each axis.

    Args:
        images: uint8 (B, C, S, S), or pictures of any sizes, whose short side is resized as by torchvision's Resize.
        transform: ``resize`` and ``crop`` in pixels, each null for none; ``interpolation`` of the resize and
            ``final_interpolation`` of that to ``size``, keys of ``FILTERS``, each given where it changes the size; of
            pictures the former is bilinear unless it says otherwise. They are padded to ``crop`` with black as by
            torchvision's CenterCrop, where nothing resizes them.
        size: height and width wanted.

    Returns:
        float32 (B, C, size, size) in [0, 1].

    Raises:
        LongtailError: if the images are not square or smaller than the crop, pictures are neither resized nor cut, or a
            resize has no interpolation.
    """
    resize = transform.get("resize")
    crop = transform.get("crop") or resize
    if resize and crop > resize:
        raise LongtailError(f"test_transform cuts {crop} pixels out of images of {resize}.")
    if isinstance(images, Pictures) and (crop or not images.whole):
        images = _centres(images, transform, resize, crop)
    else:
        images = _centre(images.images if isinstance(images, Pictures) else images, transform, resize, crop)
    crop = images.shape[-1]
    if crop != size:
        name = _filter(crop, size, transform, "final_interpolation")
        images = _square(images, size, torch.arange(size, device=images.device), name)
    return images.to(torch.float32).div_(255)


def _centre(images: Tensor, transform: Mapping[str, Any], resize: int | None, crop: int | None) -> Tensor:
    """Of square images, resized, the centre; uint8."""
    side = images.shape[-1]
    if images.shape[-2] != side:
        raise LongtailError(f"Images are embedded as squares, not as {images.shape[-2]}x{side}.")
    resize, crop = resize or side, crop or side
    if crop > resize:
        raise LongtailError(f"test_transform cuts {crop} pixels out of images of {resize}.")
    first = round((resize - crop) / 2)
    if resize == side:
        return images[..., first : first + crop, first : first + crop]
    name = _filter(side, resize, transform, "interpolation")
    return _square(images, resize, torch.arange(first, first + crop, device=images.device), name)


def _centres(pictures: Pictures, transform: Mapping[str, Any], resize: int | None, crop: int | None) -> Tensor:
    """Of pictures, their short side resized, the centres; uint8."""
    if crop is None:
        raise LongtailError(
            "Images of different sizes are embedded as squares cut out of them. Give test_transform a crop in the "
            "dataset's file of the catalogue."
        )
    if not transform.get("interpolation"):  # torchvision's own
        transform = {**transform, "interpolation": "bilinear"}
    return cut_centres(pictures, resize, crop, _filter("any", resize or crop, transform, "interpolation"))


def _filter(size: int | str, out: int, transform: Mapping[str, Any], key: str) -> str:
    """The interpolation ``transform[key]`` of a resize."""
    name = transform.get(key)
    if name not in FILTERS:
        raise LongtailError(
            f"test_transform resizes images of {size} pixels to {out} with {key} {name!r}. Name one of "
            f"{', '.join(FILTERS)} in the dataset's file of the catalogue."
        )
    return str(name)


def _square(images: Tensor, out: int, wanted: Tensor, interpolation: str) -> Tensor:
    """Of square images (B, C, S, S), resized to ``out`` pixels, the rows and columns ``wanted`` (T,)."""
    side, new = (torch.full((1,), pixels, device=images.device) for pixels in (images.shape[-1], out))
    weights = exact_resampling(side, images.shape[-1], new, wanted, interpolation)
    return resize_exactly(images, weights, weights)


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
