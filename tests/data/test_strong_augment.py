from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from longtail.data.augment import Augmentation
from longtail.data.strong_augment import OPERATIONS, StrongAugmentation, cut_out, new_augmentation, operate
from longtail.errors import LongtailError

from ..photographs import SIZES, as_tensor, grey, photographs

NAMES = list(OPERATIONS)


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


def pillow(image: Image.Image, name: str, v: float) -> Image.Image:
    """The operation as Pillow has it."""
    affine = {
        "shear_x": (1, v, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, v, 1, 0),
        "translate_x": (1, 0, v * image.size[0], 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, v * image.size[1]),
    }
    if name in affine:
        return image.transform(image.size, Image.Transform.AFFINE, affine[name])
    match name:
        case "identity":
            return image
        case "autocontrast":
            return ImageOps.autocontrast(image)
        case "equalize":
            return ImageOps.equalize(image)
        case "rotate":
            return image.rotate(v)
        case "solarize":
            return ImageOps.solarize(image, v)
        case "posterize":
            return ImageOps.posterize(image, int(v))
    return getattr(ImageEnhance, name.capitalize())(image).enhance(v)


def assert_pillows(pictures: np.ndarray, names: Sequence[str], seed: int = 1) -> None:
    """One operation on each of the pictures (B, H, W, C), by an amount that is drawn, exactly as Pillow has it."""
    low, high = torch.tensor([OPERATIONS[name] for name in names]).unbind(1)
    amounts = low + (high - low) * torch.rand(len(names), generator=torch.Generator().manual_seed(seed))
    operation = torch.tensor([NAMES.index(name) for name in names])
    found = operate(as_tensor(pictures).float(), operation, amounts).permute(0, 2, 3, 1).numpy()
    for picture, result, name, amount in zip(pictures, found, names, amounts.tolist(), strict=True):
        image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
        expected = np.asarray(pillow(image, name, amount)).reshape(picture.shape)
        np.testing.assert_array_equal(result, expected, err_msg=f"{name} by {amount}")


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


@pytest.mark.parametrize("size", SIZES)
def test_operations_drawn_one_after_the_other_are_pillows(size, monkeypatch):
    """Whole views of SCAN, but for the square that is cut out: each operation works on what the one before it left."""
    steps = []

    def spy(x, operation, amount):
        steps.append((x, operation.tolist(), amount.tolist()))
        return operate(x, operation, amount)

    monkeypatch.setattr("longtail.data.strong_augment.operate", spy)
    images = as_tensor(photographs({32: 128, 64: 32, 96: 16}.get(size, 4), size))
    views = StrongAugmentation({"flip": 0.5, "operations": 4}, size, [0.5] * 3)(
        images, torch.Generator().manual_seed(0)
    )
    for i, image in enumerate(images):
        start = steps[0][0][i]
        assert torch.equal(start, image.float()) or torch.equal(start, image.float().flip(2))
        expected = Image.fromarray(start.permute(1, 2, 0).byte().numpy())
        for _, operations, amounts in steps:
            expected = pillow(expected, NAMES[operations[i]], amounts[i])
        assert torch.equal(views[i], torch.from_numpy(np.array(expected)).permute(2, 0, 1).float() / 255)


def test_images_of_one_batch_are_operated_on_apart():
    images = photos(len(NAMES), 16, 3).float()
    numbers = torch.arange(len(NAMES))
    amounts = torch.tensor([sum(limits) / 2 + 0.05 for limits in OPERATIONS.values()])
    together = operate(images, numbers, amounts)
    for i in range(len(NAMES)):
        assert torch.equal(together[i : i + 1], operate(images[i : i + 1], numbers[i : i + 1], amounts[i : i + 1]))


def test_operations_are_drawn_alike_and_with_replacement(monkeypatch):
    seen: list[torch.Tensor] = []
    real = operate

    def spy(x, operation, amount):
        seen.append(operation)
        limits = torch.tensor(list(OPERATIONS.values()))[operation]
        assert (amount >= limits[:, 0]).all()
        assert (amount <= limits[:, 1]).all()
        return real(x, operation, amount)

    monkeypatch.setattr("longtail.data.strong_augment.operate", spy)
    StrongAugmentation({"operations": 2}, 8, [0.5])(photos(2800, 8, 1), torch.Generator().manual_seed(0))
    counts = Counter(torch.cat(seen).tolist())
    assert sorted(counts) == list(range(14))
    assert all(330 < count < 470 for count in counts.values())  # of 5600 draws
    assert (seen[0] == seen[1]).float().mean() == pytest.approx(1 / 14, abs=0.02)


def slow_cut(image: np.ndarray, length: int, y: int, x: int) -> np.ndarray:
    """The square of the official code: half the length to each side of the centre."""
    cut = image.copy()
    top, left = max(y - length // 2, 0), max(x - length // 2, 0)
    cut[:, top : y + length // 2, left : x + length // 2] = 0.25
    return cut


def test_the_square_is_cut_where_the_draws_say():
    images = torch.rand(5, 2, 6, 7)
    u = torch.tensor([[0.0, 0.5, 0.5], [0.26, 0.0, 0.0], [0.999, 0.999, 0.999], [0.51, 0.4, 0.9], [0.8, 0.2, 0.5]])
    found = cut_out(images, u, 4, [0.25, 0.25])
    for i, (length, y, x) in enumerate([(1, 3, 3), (2, 0, 0), (4, 5, 6), (3, 2, 6), (4, 1, 3)]):
        np.testing.assert_array_equal(found[i], slow_cut(images[i].numpy(), length, y, x))


def test_a_cut_square_is_nothing_once_normalised():
    images = torch.full((40, 3, 8, 8), 255, dtype=torch.uint8)
    views = StrongAugmentation({"cutout": 8}, 8, [0.1, 0.2, 0.3])(images, torch.Generator().manual_seed(0))
    covered = views[:, 0] != 1
    assert covered.any()
    assert (views.permute(0, 2, 3, 1)[covered] == torch.tensor([0.1, 0.2, 0.3])).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_views_are_within_range_and_depend_on_the_generator_only(channels):
    augment = StrongAugmentation({"flip": 0.5, "operations": 4, "cutout": 4}, 8, [0.5] * channels)
    images = photos(50, 8, channels)
    views = augment(images, torch.Generator().manual_seed(3))
    assert views.shape == (50, channels, 8, 8)
    assert views.dtype == torch.float32
    assert (views >= 0).all()
    assert (views <= 1).all()
    assert torch.equal(views, augment(images, torch.Generator().manual_seed(3)))
    assert not torch.equal(views, augment(images, torch.Generator().manual_seed(4)))


def test_without_operations_it_is_the_plain_augmentation():
    images = photos(9, 8, 3)
    plain = Augmentation({"flip": 0.5}, 8)(images, torch.Generator().manual_seed(0))
    strong = StrongAugmentation({"flip": 0.5}, 8, [0.5] * 3)(images, torch.Generator().manual_seed(0))
    torch.testing.assert_close(strong, plain)
    assert isinstance(new_augmentation({"flip": 0.5}, 8, [0.5] * 3), Augmentation)
    assert isinstance(new_augmentation({"operations": 1}, 8, [0.5] * 3), StrongAugmentation)


@pytest.mark.parametrize("spec", [{"operations": -1}, {"operations": 1.5}, {"cutout": -2}, {"cutoff": 3}, {"flip": 2}])
def test_impossible_lists_are_named(spec):
    with pytest.raises(LongtailError, match=str(next(iter(spec)))):
        StrongAugmentation(spec, 8, [0.5])
