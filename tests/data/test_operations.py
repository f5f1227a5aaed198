from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from longtail.data.operations import BICUBIC, BILINEAR, NEAREST, OPERATIONS, operate

from ..photographs import as_tensor, grey, photographs
from .pillow import pillow

AMOUNTS = {
    "identity": (0, 1),
    "autocontrast": (0, 1),
    "equalize": (0, 1),
    "invert": (0, 1),
    "rotate": (-30, 30),
    "solarize": (0, 256),
    "solarize_add": (0, 110),
    "color": (0, 2),
    "contrast": (0, 2),
    "brightness": (0, 2),
    "sharpness": (0, 2),
    "shear_x": (-0.3, 0.3),
    "shear_y": (-0.3, 0.3),
    "translate_x": (-0.45, 0.45),
    "translate_y": (-0.45, 0.45),
    "posterize": (1, 8),
}
NAMES = list(OPERATIONS)
MOVES = ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"]
FILL = (124, 116, 104)


def photos(count: int, size: int, channels: int, seed: int = 0) -> torch.Tensor:
    """Smooth images with some structure, and one of a single value."""
    draws = np.random.default_rng(seed)
    coarse = draws.integers(0, 256, (count, 4, 4, channels), dtype=np.uint8)
    made = [
        np.asarray(Image.fromarray(image.squeeze(), "L" if channels == 1 else "RGB").resize((size, size)))
        for image in coarse
    ]
    made[0] = np.full_like(made[0], 77)
    return torch.from_numpy(np.stack(made)).reshape(count, size, size, channels).permute(0, 3, 1, 2)


def assert_pillows(pictures: np.ndarray, names: Sequence[str], seed: int = 1, resampling: int | None = None) -> None:
    """One operation on each of the pictures (B, H, W, C), by an amount that is drawn, exactly as Pillow has it."""
    low, high = torch.tensor([AMOUNTS[name] for name in names]).unbind(1)
    amounts = low + (high - low) * torch.rand(len(names), generator=torch.Generator().manual_seed(seed)).double()
    amounts = torch.where(torch.tensor([name == "solarize_add" for name in names]), amounts.floor(), amounts)
    operation = torch.tensor([NAMES.index(name) for name in names])
    how = None if resampling is None else torch.full((len(names),), resampling)
    x = as_tensor(pictures).float()
    found = operate(x, operation, amounts, how, FILL).permute(0, 2, 3, 1).numpy()
    for picture, result, name, amount in zip(pictures, found, names, amounts.tolist(), strict=True):
        image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
        expected = np.asarray(pillow(image, name, amount, resampling or NEAREST, FILL)).reshape(picture.shape)
        np.testing.assert_array_equal(result, expected, err_msg=f"{name} by {amount}")


def test_every_operation_has_amounts_here():
    assert set(AMOUNTS) == set(OPERATIONS)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_pillows(name, channels):
    assert_pillows(photos(24, 16, channels).permute(0, 2, 3, 1).numpy(), [name] * 24)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 64), (96, 96), (224, 224), (64, 40), (30, 96)])
@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_pillows_on_photographs(name, height, width, channels):
    size = max(height, width)
    pictures = photographs({32: 24, 64: 12, 96: 8}.get(size, 3), size)[:, :height, :width]
    pictures = grey(pictures) if channels == 1 else pictures
    assert_pillows(np.ascontiguousarray(pictures), [name] * len(pictures))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 256), st.floats(0.1, 8), st.integers(0, 999))
@settings(max_examples=60)
def test_every_operation_is_pillows_whatever_the_histogram(height, width, levels, crowding, seed):
    """Few values or many, most of them among the brightest or the darkest: what tables of grey values depend on."""
    draws = np.random.default_rng(seed)
    values = np.sort(draws.choice(256, levels, replace=False))
    pixels = values[(levels * draws.random((height, width, 3)) ** crowding).astype(int)].astype(np.uint8)
    pictures = np.stack([pixels, 255 - pixels])
    assert_pillows(pictures.repeat(len(NAMES), axis=0), 2 * NAMES, seed)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 64), (224, 224), (64, 40), (30, 96)])
@pytest.mark.parametrize("resampling", [BILINEAR, BICUBIC])
@pytest.mark.parametrize("name", MOVES)
def test_every_move_is_pillows_between_pixels(name, resampling, height, width, channels):
    size = max(height, width)
    pictures = photographs({32: 70, 64: 12, 96: 8}.get(size, 2), size)[:, :height, :width]  # 70: more than one part
    pictures = grey(pictures) if channels == 1 else pictures
    assert_pillows(np.ascontiguousarray(pictures), [name] * len(pictures), 2, resampling)


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([NEAREST, BILINEAR, BICUBIC]), st.integers(0, 999))
@settings(max_examples=60)
def test_every_move_is_pillows_on_any_pixels(height, width, resampling, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (len(MOVES), height, width, 3), dtype=np.uint8)
    pixels[::2] = 255 * (pixels[::2] > 127)  # what a bicubic filter overshoots
    assert_pillows(pixels, MOVES, seed, resampling)


def test_a_turn_of_30_degrees_is_against_the_clock():
    """Level 9 of AutoAugment's official port moves a white pixel from row 4, column 16 to row 5, column 10."""
    x = torch.zeros(1, 3, 32, 32)
    x[:, :, 4, 16] = 255
    turned = operate(x, torch.tensor([NAMES.index("rotate")]), torch.tensor([30.0]))
    assert turned[0, 0].nonzero().tolist() == [[5, 10]]


def test_images_of_one_batch_are_operated_on_apart():
    images = photos(len(NAMES), 16, 3).float()
    numbers = torch.arange(len(NAMES))
    amounts = torch.tensor([sum(AMOUNTS[name]) / 2 + 0.05 for name in OPERATIONS])
    together = operate(images, numbers, amounts)
    for i in range(len(NAMES)):
        assert torch.equal(together[i : i + 1], operate(images[i : i + 1], numbers[i : i + 1], amounts[i : i + 1]))


@pytest.mark.parametrize("resampling", [None, NEAREST, BILINEAR, BICUBIC])
def test_images_are_operated_on_alike_whether_or_not_those_that_drew_it_are_picked_out(resampling, monkeypatch):
    """As a GPU does it, which computes every operation for all images."""
    images = photos(3 * len(NAMES), 16, 3).float()
    numbers = torch.arange(len(NAMES)).repeat(3)
    amounts = torch.tensor([AMOUNTS[name][1] for name in NAMES]).repeat(3) * 0.9
    how = None if resampling is None else torch.full_like(numbers, resampling)
    picked = operate(images, numbers, amounts, how, FILL)

    def for_all(y, chosen, function, *inputs):
        return torch.where(chosen[:, None, None, None], function(*inputs), y)

    monkeypatch.setattr("longtail.data.operations._put", for_all)
    assert torch.equal(operate(images, numbers, amounts, how, FILL), picked)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_images_of_the_cpu_without_waiting():
    images = as_tensor(photographs(4 * len(NAMES), 32)).float()
    numbers, how = torch.arange(len(NAMES)).repeat(4), torch.arange(len(images)) % 3
    amounts = torch.tensor([AMOUNTS[name][1] for name in NAMES]).repeat(4) * 0.9
    expected = operate(images, numbers, amounts, how, FILL)
    moved = [value.cuda() for value in (images, numbers, amounts, how)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = operate(*moved, FILL)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    difference = (found.cpu() - expected).abs()
    assert (difference > 0).float().mean() < 1e-3  # multiplications and additions at once round otherwise
