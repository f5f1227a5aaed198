from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as reference
from PIL import Image
from torchvision.transforms import RandomRotation

from longtail.data.augment import Augmentation
from longtail.data.operations import OPERATIONS, operate
from longtail.data.policies import SCAN, AutoAugment
from longtail.data.strong_augment import StrongAugmentation, cut_out, cut_square, new_augmentation
from longtail.errors import LongtailError

from ..photographs import SIZES, as_tensor, photographs
from .pillow import pillow

NAMES = list(OPERATIONS)
RANDAUGMENT = {"operations": 2, "magnitude": 10, "deviation": 0.5}


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


@pytest.mark.parametrize("size", SIZES)
def test_operations_drawn_one_after_the_other_are_pillows(size, monkeypatch):
    """Whole views of SCAN, but for the square that is cut out: each operation works on what the one before it left."""
    steps = []

    def spy(x, operation, amount, resampling, fill):
        assert resampling is None
        assert fill == (0, 0, 0)
        steps.append((x, operation.tolist(), amount.tolist()))
        return operate(x, operation, amount, resampling, fill)

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


def test_operations_are_drawn_alike_and_with_replacement(monkeypatch):
    seen: list[torch.Tensor] = []
    real = operate

    def spy(x, operation, amount, *rest, **fill):
        seen.append(operation)
        limits = torch.tensor(list(SCAN.values()))[operation]
        assert (amount >= limits[:, 0]).all()
        assert (amount <= limits[:, 1]).all()
        return real(x, operation, amount, *rest, **fill)

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


def test_a_hole_is_that_of_cutout():
    """Rows and columns [c - 8, c + 8) of the official code, c being any pixel, and what NumPy's seed 0 gives."""
    centres = torch.cartesian_prod(torch.arange(32), torch.arange(32))
    found = cut_square(torch.ones(1024, 1, 32, 32), torch.full((1024,), 8), (centres + 0.5) / 32, [0.0])
    for hole, (row, column) in zip(found, centres.tolist(), strict=True):
        expected = torch.ones(1, 32, 32)
        expected[:, max(row - 8, 0) : row + 8, max(column - 8, 0) : column + 8] = 0
        assert torch.equal(hole, expected)
    draws = np.random.RandomState(0)
    hole = 1 - found[32 * draws.randint(32) + draws.randint(32), 0]
    assert hole.any(1).nonzero().flatten().tolist() == list(range(4, 20))
    assert hole.any(0).nonzero().flatten().tolist() == list(range(7, 23))


def test_holes_are_black_and_everywhere_alike():
    images = torch.full((20_000, 3, 8, 8), 255, dtype=torch.uint8)
    views = StrongAugmentation({"hole": 4}, 8, [0.5] * 3)(images, torch.Generator().manual_seed(0))
    assert set(views.unique().tolist()) == {0, 1}
    assert torch.equal(views[:, 0], views[:, 2])
    rows = (views[:, 0] == 0).any(2)
    assert rows.sum(1).unique().tolist() == [2, 3, 4]  # centre 0 leaves two rows, the last one three
    covered = (views[:, 0] == 0).float().mean(0)
    along = torch.tensor([3.0, 4, 4, 4, 4, 4, 3, 2]) / 8  # of eight centres, those that reach a row
    torch.testing.assert_close(covered, along[:, None] * along, atol=0.015, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_strong_list_is_a_window_then_autoaugment_then_a_hole(channels, monkeypatch):
    steps = []

    def spy(x, *step, fill):
        steps.append(x)
        return operate(x, *step, fill=fill)

    monkeypatch.setattr("longtail.data.strong_augment.operate", spy)
    images = as_tensor(photographs(64, 32))[:, :channels]
    spec = {"pad": 4, "flip": 0.5, "autoaugment": "cifar10", "hole": 16}
    views = StrongAugmentation(spec, 32, [0.5] * channels)(images, torch.Generator().manual_seed(0))
    base = Augmentation({"pad": 4, "flip": 0.5}, 32)(images, torch.Generator().manual_seed(0))
    assert torch.equal(steps[0] / 255, base)
    draws = torch.Generator().manual_seed(0)
    Augmentation({"pad": 4}, 32).draw(64, 32, 32, draws)
    u = torch.rand(64, AutoAugment.columns + 3, generator=draws)
    x = 255 * base
    for step in AutoAugment().steps(u[:, : AutoAugment.columns]):
        x = operate(x.round(), *step, fill=(128, 128, 128))
    assert torch.equal(views, cut_square(x / 255, torch.full((64,), 8), u[:, -2:], [0.0] * channels))
    assert len(steps) == 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 64])
def test_a_rotated_list_is_a_window_then_torchvisions_rotation(size, channels):
    """RandomRotation of the official loader: nearest pixels, about the centre, nothing grows, black from outside."""
    images = as_tensor(photographs({32: 256, 64: 128}[size], size))[:, :channels]
    draws = torch.Generator().manual_seed(0)
    windows = Augmentation({"pad": 4, "flip": 0.5}, size)(images, draws)
    angles = torch.rand(len(images), 1 + 3, generator=draws)[:, 0] * 30 - 15
    views = StrongAugmentation({"pad": 4, "flip": 0.5, "rotation": 15}, size, [0.5] * channels)(
        images, torch.Generator().manual_seed(0)
    )
    transform = RandomRotation(15)
    assert not transform.expand
    for window, view, angle in zip(windows, views, angles.tolist(), strict=True):
        image = reference.to_pil_image(window)
        expected = reference.rotate(image, angle, transform.interpolation, center=transform.center, fill=transform.fill)
        assert torch.equal(view, reference.to_tensor(expected))


def test_a_rotation_is_by_any_angle_within_its_bounds(monkeypatch):
    seen = []
    monkeypatch.setattr("longtail.data.strong_augment.operate", lambda x, *step, fill: seen.append(step) or x)
    images = torch.zeros(20_000, 1, 8, 8, dtype=torch.uint8)
    StrongAugmentation({"rotation": 15}, 8, [0.5])(images, torch.Generator().manual_seed(0))
    ((operation, angle, resampling),) = seen
    assert (operation == NAMES.index("rotate")).all()
    assert resampling is None
    assert angle.abs().max() <= 15
    tenths = torch.histc(angle, 10, -15, 15) / len(angle)
    torch.testing.assert_close(tenths, torch.full((10,), 0.1), atol=0.01, rtol=0)


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


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(
    "spec",
    [
        {"operations": 4, "cutout": 16},
        {"autoaugment": "cifar10", "hole": 16},
        {"randaugment": RANDAUGMENT},
        {"rotation": 15},
    ],
)
def test_cuda_draws_strong_views_without_waiting(spec):
    images, draws = as_tensor(photographs(64, 32)).cuda(), torch.Generator("cuda").manual_seed(0)
    augment = StrongAugmentation({"pad": 4, "flip": 0.5, **spec}, 32, [0.5] * 3)
    torch.cuda.set_sync_debug_mode("error")
    try:
        views = augment(images, draws)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert ((views >= 0) & (views <= 1)).all()


@pytest.mark.parametrize(
    "spec", [{"operations": -1}, {"operations": 1.5}, {"cutout": -2}, {"hole": 1.5}, {"cutoff": 3}, {"flip": 2}]
)
def test_impossible_lists_are_named(spec):
    with pytest.raises(LongtailError, match=str(next(iter(spec)))):
        StrongAugmentation(spec, 8, [0.5])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"operations": 2, "autoaugment": "cifar10"}, "both operations and autoaugment"),
        ({"cutout": 16, "hole": 16}, "both cutout and hole"),
        ({"operations": 2, "rotation": 15}, "both operations and rotation"),
        ({"rotation": 0}, r"rotation of an augmentation is 0; it must lie in \(0, 180\] degrees"),
        ({"rotation": 181}, "rotation of an augmentation is 181"),
        ({"rotation": "15"}, "rotation of an augmentation is '15'"),
        ({"autoaugment": "svhn"}, "no policy of AutoAugment 'svhn'"),
        ({"randaugment": 2}, "randaugment .* must be a mapping"),
        ({"randaugment": {"operations": 2}}, "RandAugment lacks magnitude, deviation"),
        ({"randaugment": {**RANDAUGMENT, "probability": 1}}, "no key in a RandAugment 'probability'"),
        ({"randaugment": {**RANDAUGMENT, "operations": 0}}, "operations is 0"),
        ({"randaugment": {**RANDAUGMENT, "magnitude": 11}}, r"magnitude is 11; it must lie in \[0, 10\]"),
        ({"randaugment": {**RANDAUGMENT, "deviation": -1}}, "deviation is -1"),
    ],
)
def test_lists_that_contradict_themselves_are_refused(spec, message):
    with pytest.raises(LongtailError, match=message):
        new_augmentation(spec, 8, [0.5])
