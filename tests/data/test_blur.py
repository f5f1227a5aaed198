from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from torch import Tensor

from longtail.data.blur import blur, blur_as_pillow

from ..photographs import as_tensor, photographs


def slow_blur(image: Tensor, sigma: float, whole_values: bool = False) -> Tensor:
    """Pillow's GaussianBlur of one image (C, H, W): three box filters along each axis, each rounded if that is asked.

    A box of radius r = l + a, with l whole, counts the 2l + 1 pixels around a pixel wholly and the next two by a.
    """
    variance = sigma**2 / 3
    whole = math.floor((math.sqrt(12 * variance + 1) - 1) / 2)
    share = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) ** 2))
    x = image.double()
    for axis in (2, 2, 2, 1, 1, 1):
        last = x.shape[axis] - 1
        lines = []
        for i in range(last + 1):
            near = range(i - whole, i + whole + 1)
            total = sum(x.select(axis, min(max(j, 0), last)) for j in near)
            ends = [x.select(axis, min(max(j, 0), last)) for j in (i - whole - 1, i + whole + 1)]
            lines.append((total + share * sum(ends)) / (2 * whole + 1 + 2 * share))
        x = torch.stack(lines, axis)
        x = (x + 0.5).floor() if whole_values else x
    return x.to(image.dtype)


@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 3), st.integers(0, 99))
@settings(max_examples=60)
def test_pillows_blur_is_that_of_the_definition(height, width, sigma, seed):
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    found = blur_as_pillow(images, torch.tensor([sigma, sigma / 2]), 3.0)
    torch.testing.assert_close(found[0], slow_blur(images[0], sigma), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], slow_blur(images[1], sigma / 2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [32, 64, 224])
def test_photographs_are_blurred_as_by_pillow(size):
    """To half a grey level for each of Pillow's six passes, which round to 8 bits; so rounded, the definition is it."""
    pictures = photographs(24 if size < 224 else 4, size)
    sigma = torch.linspace(0.1, 1.99, len(pictures))  # at 2 many values lie halfway
    found = 255 * blur_as_pillow(as_tensor(pictures) / 255, sigma, 2.0)
    for picture, view, width in zip(pictures, found, sigma.tolist(), strict=True):
        expected = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(width))).astype(float)
        difference = np.abs(view.permute(1, 2, 0).numpy() - expected)
        assert difference.max() < 3.01
        assert difference.mean() < 0.8
        rounded = slow_blur(as_tensor(picture[None])[0], width, whole_values=True)
        np.testing.assert_array_equal(rounded.permute(1, 2, 0).numpy(), expected)


def test_a_width_of_zero_changes_nothing():
    images = torch.rand(3, 1, 6, 8)
    torch.testing.assert_close(blur_as_pillow(images, torch.zeros(3), 2.0), images)
    torch.testing.assert_close(blur(images, torch.zeros(3), 5), images)


def test_each_image_has_a_width_of_its_own():
    images, sigma = torch.rand(3, 3, 12, 10), torch.tensor([0.1, 1.0, 2.0])
    together = blur_as_pillow(images, sigma, 2.0)
    for i in range(3):
        alone = blur_as_pillow(images[i : i + 1], sigma[i : i + 1], 2.0)
        torch.testing.assert_close(alone[0], together[i], atol=1e-6, rtol=0)
        expected = reference.gaussian_blur(images[i], [7, 7], [float(sigma[i])] * 2)
        torch.testing.assert_close(blur(images, sigma, 7)[i], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "blurred", [lambda x, sigma: blur(x, sigma, 5), lambda x, sigma: blur_as_pillow(x, sigma, 2.0)]
)
def test_autocast_around_it_changes_nothing(blurred):
    images, sigma = torch.rand(2, 3, 9, 9), torch.tensor([0.7, 1.9])
    with torch.autocast("cpu", torch.bfloat16):
        found = blurred(images, sigma)
    assert torch.equal(found, blurred(images, sigma))
