"""Every list of random transforms of the catalogue on photographs, against Pillow and torchvision on the same draws."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from longtail.data.augment import Augmentation, Parameters, unaugmented
from longtail.data.strong_augment import StrongAugmentation, new_augmentation
from longtail.study.catalog import load

from ..photographs import SIZES, as_tensor, grey, photographs
from .test_blur import slow_blur

LISTS = {name: dict(spec) for name, spec in load().augmentations.items() if "replaced" not in spec}  # but for texts
CROPS = ("crop_scale", "crop_ratio", "interpolation", "pad", "flip")
STORED = {224: 256}  # ImageNet's images are stored larger than networks see them
MEAN = (0.4, 0.5, 0.6)
PLAIN = [name for name, spec in LISTS.items() if isinstance(new_augmentation(spec, 32, MEAN), Augmentation)]
SCANS = [name for name, spec in LISTS.items() if "operations" in spec]


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(size: int, channels: int = 3) -> np.ndarray:
    """Photographs as they are stored for networks that see ``size`` pixels."""
    found = photographs({32: 16, 64: 10, 96: 6}.get(size, 3), STORED.get(size, size))
    return grey(found) if channels == 1 else found


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LISTS)
def test_views_of_photographs_are_in_range_and_no_two_alike(name: str, size: int, channels: int) -> None:
    images = as_tensor(pictures(size, channels))
    augment = new_augmentation(LISTS[name], size, MEAN[:channels])
    views = augment(images, drawn())
    assert views.shape == (len(images), channels, size, size)
    assert views.dtype == torch.float32
    assert ((views >= 0) & (views <= 1)).all()  # which NaN is not
    assert torch.equal(views, augment(images, drawn()))
    if LISTS[name]:
        assert not torch.equal(views, augment(images, drawn(1)))
    assert (views.std((1, 2, 3)) > 0.01).float().mean() > 0.5  # most still show something


@functools.cache
def drawn_views(name: str, size: int) -> tuple[Parameters, Tensor, Tensor]:
    """What a list of the catalogue drew for the photographs, the views, and the views without what follows the crop."""
    images, augment = as_tensor(pictures(size)), Augmentation(LISTS[name], size)
    parameters = augment.draw(len(images), *images.shape[2:], drawn(2))
    crop = Augmentation({key: value for key, value in LISTS[name].items() if key in CROPS}, size)
    return parameters, augment.apply(images, parameters), crop.apply(images, parameters)


def crop_of(image: Any, name: str, parameters: Parameters, i: int, size: int) -> Any:
    """Torchvision's crop and flip of an image, of either of its kinds of images."""
    box = [int(value[i]) for value in (parameters.top, parameters.left, parameters.height, parameters.width)]
    if "crop_scale" in LISTS[name]:
        filter_ = InterpolationMode(LISTS[name]["interpolation"])
        image = reference.resized_crop(image, *box, [size, size], filter_, antialias=True)
    elif pad := LISTS[name].get("pad"):
        image = reference.crop(reference.pad(image, [pad]), box[0] + pad, box[1] + pad, *box[2:])
    else:
        image = reference.resize(image, [size, size], antialias=True)
    return reference.hflip(image) if parameters.flip[i] else image


def blur_of(image: Any, kernel: int | None, sigma: float) -> Any:
    """Torchvision's blur where there is a kernel, else Pillow's, of either kind of images."""
    if kernel:
        return reference.gaussian_blur(image, [kernel] * 2, [sigma] * 2)
    return slow_blur(image, sigma) if isinstance(image, Tensor) else image.filter(ImageFilter.GaussianBlur(sigma))


def colours_of(image: Any, name: str, parameters: Parameters, i: int) -> Any:
    """What torchvision makes of a cropped image, of either of its kinds of images."""
    adjust = [reference.adjust_brightness, reference.adjust_contrast, reference.adjust_saturation]
    order = parameters.order[i].tolist()
    order.insert(int(parameters.hue_position[i]), 3)
    amounts = [*parameters.factors[i].tolist(), float(parameters.hue[i])]
    for operation in order if LISTS[name].get("jitter") else ():
        image = [*adjust, reference.adjust_hue][operation](image, amounts[operation])
    if parameters.grayscale[i]:
        image = reference.rgb_to_grayscale(image, 3)
    if parameters.sigma[i] > 0:
        image = blur_of(image, LISTS[name]["blur"].get("kernel"), float(parameters.sigma[i]))
    if parameters.solarize[i]:
        image = reference.solarize(image, 128 / 255 if isinstance(image, Tensor) else 128)
    return image


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PLAIN)
def test_crops_of_photographs_are_those_of_pillow_and_torchvision(name: str, size: int) -> None:
    """To Pillow's two roundings; torchvision's bicubic tensors are not clipped between the passes as Pillow's are."""
    parameters, _, crops = drawn_views(name, size)
    for i, picture in enumerate(pictures(size)):
        view = reference.to_tensor(crop_of(reference.to_pil_image(picture), name, parameters, i, size))
        assert (crops[i] - view).abs().max() < 1.3 / 255
        assert (crops[i] - view).abs().mean() < 0.4 / 255
        view = crop_of(reference.to_tensor(picture), name, parameters, i, size)
        if "pad" in LISTS[name]:
            assert torch.equal(crops[i], view)
        if LISTS[name].get("interpolation") != "bicubic":
            torch.testing.assert_close(crops[i], view, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PLAIN)
def test_colours_of_photographs_are_those_of_torchvision(name: str, size: int) -> None:
    """To its coarser weights of grey, which decide for some values of just 128 whether they are solarised."""
    parameters, views, crops = drawn_views(name, size)
    for i, crop in enumerate(crops):
        difference = (views[i] - colours_of(crop, name, parameters, i)).abs()
        assert (difference > 2e-4).float().mean() < 2e-3
        assert difference.mean() < 2e-4


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["conmix", "cc", "secu_second", "sim", "imagenet-sim"])
def test_views_of_photographs_are_those_of_8_bit_pipelines(name: str, size: int) -> None:
    """The official codes work on Pillow's 8-bit images; what their rounding makes of a view is about a grey level."""
    parameters, views, _ = drawn_views(name, size)
    differences = []
    for i, picture in enumerate(pictures(size)):
        view = crop_of(reference.to_pil_image(picture), name, parameters, i, size)
        view = reference.to_tensor(colours_of(view, name, parameters, i))
        differences.append((views[i] - view).abs().mean())
    assert torch.stack(differences).mean() < 1.5 / 255
    assert max(differences) < 4 / 255


TINY = {"resize": 256, "crop": 224, "interpolation": "bilinear", "final_interpolation": "bicubic"}


def shown_by_pillow(picture: np.ndarray, transform: dict[str, Any], size: int) -> np.ndarray:
    """The transform of the official code, step by step on a Pillow image."""
    image = Image.fromarray(picture.squeeze())
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    if side := transform.get("resize"):
        image = image.resize((side, side), filters[transform.get("interpolation", "bilinear")])
    if side := transform.get("crop"):
        image = reference.center_crop(image, [side, side])
    if image.size != (size, size):
        image = image.resize((size, size), filters[transform["final_interpolation"]])
    return np.asarray(image).reshape(size, size, -1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("stored", "transform", "size"),
    [
        (64, TINY, 64),
        (64, {**TINY, "final_interpolation": "bilinear"}, 64),
        (64, {**TINY, "interpolation": "bicubic"}, 32),
        (96, {"resize": 120, "crop": None, "interpolation": "bicubic", "final_interpolation": "bilinear"}, 96),
        (96, {"final_interpolation": "bicubic"}, 224),
        (256, {"resize": 256, "crop": 224}, 224),  # ImageNet
        (224, {"crop": 161, "final_interpolation": "bicubic"}, 64),  # an odd margin
        (32, {}, 32),
    ],
)
def test_photographs_are_embedded_as_by_pillow_to_the_last_bit(
    stored: int, transform: dict[str, Any], size: int, channels: int
) -> None:
    found = photographs(70 if stored == 64 else 8, stored)  # more than are resized at a time
    found = grey(found) if channels == 1 else found
    views = unaugmented(as_tensor(found), transform, size)
    assert views.dtype == torch.float32
    expected = np.stack([shown_by_pillow(picture, transform, size) for picture in found])
    assert torch.equal(views, as_tensor(expected).float() / 255)


@given(st.integers(4, 90), st.integers(4, 90), st.integers(4, 90), st.integers(4, 90), st.data())
@settings(max_examples=60)
def test_every_test_transform_is_pillows(stored: int, resize: int, crop: int, size: int, data: st.DataObject) -> None:
    filters = st.sampled_from(["bilinear", "bicubic"])
    transform = {"resize": resize, "crop": min(crop, resize), "interpolation": data.draw(filters)}
    transform["final_interpolation"] = data.draw(filters)
    pixels = np.random.default_rng(stored).integers(0, 256, (2, stored, stored, 3), dtype=np.uint8)
    pixels[1] = 255 * (pixels[1] > 127)  # what a bicubic filter overshoots
    views = unaugmented(as_tensor(pixels), transform, size)
    expected = np.stack([shown_by_pillow(picture, transform, size) for picture in pixels])
    assert torch.equal(views, as_tensor(expected).float() / 255)


def test_tiny_imagenet_is_embedded_as_the_official_code_shows_it() -> None:
    """Resize(256) and CenterCrop(224) of torchvision, then Image.resize with nothing but a size."""
    found = photographs(16, 64)
    transform = load().dataset("tiny_imagenet").images["test_transform"]
    for view, picture in zip(unaugmented(as_tensor(found), transform, 64), found, strict=True):
        image = Compose([Resize(256), CenterCrop(224)])(Image.fromarray(picture)).resize((64, 64))
        assert torch.equal(view, reference.to_tensor(image))


@pytest.mark.parametrize("name", SCANS)
def test_strong_views_cut_what_networks_see_out_of_larger_images_as_the_official_code(name: str) -> None:
    """Of SCAN's images of ImageNet, 256 pixels wide, squares of 224 are taken as they are; nothing is resampled."""
    before = StrongAugmentation(LISTS[name], 224, MEAN).before
    images = as_tensor(photographs(3, STORED[224] if "imagenet" in name else 224))
    parameters = before.draw(len(images), *images.shape[2:], drawn())
    views = before.apply(images, parameters)
    for i, image in enumerate(images):
        top, left = int(parameters.top[i]), int(parameters.left[i])
        square = image[:, top : top + 224, left : left + 224]
        square = square.flip(2) if parameters.flip[i] else square
        torch.testing.assert_close(255 * views[i], square.float(), atol=1e-3, rtol=0)
