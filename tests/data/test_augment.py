from __future__ import annotations

import colorsys
import math
from collections import Counter

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import ColorJitter, InterpolationMode, RandomResizedCrop

from longtail.data.augment import Augmentation, Normalization, Parameters, luma, shift_hue, unaugmented
from longtail.errors import LongtailError

CONMIX = {
    "crop_scale": [0.1, 1.0],
    "crop_ratio": [0.75, 4 / 3],
    "interpolation": "bicubic",
    "flip": 0.5,
    "jitter": {"probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "grayscale": 0.2,
}
CROP = {**CONMIX, "jitter": None, "grayscale": 0.0}
COLOUR = {"jitter": {**CONMIX["jitter"], "probability": 1.0}, "grayscale": 0.2}


def photos(batch=24, size=32, channels=3, seed=0):
    """Smooth shapes with hard edges and some noise, uint8 (batch, channels, size, size)."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(0, 1, size)
    waves = [
        np.sin(2 * np.pi * (a * grid[:, None] + b * grid[None, :]) + c)
        for a, b, c in rng.uniform(-2, 2, (batch * channels, 3))
    ]
    images = np.stack(waves).reshape(batch, channels, size, size) * 160 + 128
    images[:, :, size // 3 : size // 2, size // 4 :] = rng.integers(0, 256, (batch, channels, 1, 1))
    images += rng.normal(0, 8, images.shape)
    return torch.from_numpy(images.clip(0, 255).astype(np.uint8))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def jitter_order(drawn: Parameters, i: int) -> list[int]:
    """The order of 0 brightness, 1 contrast, 2 saturation and 3 hue in image i."""
    order = drawn.order[i].tolist()
    order.insert(int(drawn.hue_position[i]), 3)
    return order


# --- crop, resize, flip -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [32, 64])
def test_crops_are_those_of_pillow(interpolation, size):
    """To Pillow's rounding to 8 bits, which it does after each of its two passes."""
    augment = Augmentation({**CROP, "interpolation": interpolation}, size)
    images = photos()
    drawn = augment.draw(len(images), 32, 32, generator())
    views = augment.apply(images, drawn)
    assert views.shape == (len(images), 3, size, size)
    assert views.dtype == torch.float32
    for i, image in enumerate(images):
        box = [int(value[i]) for value in (drawn.top, drawn.left, drawn.height, drawn.width)]
        view = reference.resized_crop(
            reference.to_pil_image(image), *box, [size, size], InterpolationMode(interpolation)
        )
        view = reference.hflip(view) if drawn.flip[i] else view
        difference = (views[i] - reference.to_tensor(view)).abs() * 255
        assert difference.max() < 1.3
        assert difference.mean() < 0.5


@pytest.mark.parametrize("size", [5, 12, 32, 40])
def test_crops_are_those_of_torchvision(size):
    augment = Augmentation({**CROP, "interpolation": "bilinear"}, size)
    images = photos()
    drawn = augment.draw(len(images), 32, 32, generator(1))
    views = augment.apply(images, drawn)
    for i, image in enumerate(images.float() / 255):
        box = [int(value[i]) for value in (drawn.top, drawn.left, drawn.height, drawn.width)]
        view = reference.resized_crop(image, *box, [size, size], InterpolationMode.BILINEAR, antialias=True)
        view = reference.hflip(view) if drawn.flip[i] else view
        torch.testing.assert_close(views[i], view, atol=1e-5, rtol=0)


def boxes(draws):
    """Relative frequency of each (height, width)."""
    return {box: count / len(draws) for box, count in Counter(draws).items()}


@pytest.mark.parametrize(
    ("height", "width", "scale", "ratio"),
    [
        (8, 8, (0.1, 1.0), (3 / 4, 4 / 3)),
        (6, 6, (0.08, 1.0), (3 / 4, 4 / 3)),
        (5, 9, (0.5, 1.0), (3 / 4, 4 / 3)),  # often none of ten boxes fits: too wide
        (9, 5, (0.5, 1.0), (3 / 4, 4 / 3)),  # too tall
        (4, 40, (0.5, 1.0), (3 / 4, 4 / 3)),  # never one fits
        (6, 6, (0.9, 1.0), (0.5, 0.51)),  # never one fits, and the image is wider than allowed
    ],
)
def test_boxes_are_distributed_as_in_torchvision(height, width, scale, ratio):
    torch.manual_seed(0)
    image = torch.zeros(1, height, width)
    expected = [RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(3000)]
    augment = Augmentation({"crop_scale": scale, "crop_ratio": ratio})
    drawn = augment.draw(40_000, height, width, generator())
    found = [
        tuple(map(int, box)) for box in torch.stack([drawn.top, drawn.left, drawn.height, drawn.width], 1).tolist()
    ]
    assert {(h, w) for _, _, h, w in expected} <= {(h, w) for _, _, h, w in found}
    for part in (lambda box: box[2:], lambda box: (box[0], box[2]), lambda box: (box[1], box[3])):
        ours, theirs = boxes([part(box) for box in found]), boxes([part(box) for box in expected])
        distance = sum(abs(ours.get(key, 0) - theirs.get(key, 0)) for key in ours.keys() | theirs.keys()) / 2
        assert distance < 0.06  # of two samples from one distribution of up to 30 outcomes


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_boxes_lie_within_the_image(height, width, seed):
    drawn = Augmentation(CONMIX).draw(20, height, width, generator(seed))
    assert (drawn.top >= 0).all()
    assert (drawn.left >= 0).all()
    assert (drawn.height >= 1).all()
    assert (drawn.width >= 1).all()
    assert (drawn.top + drawn.height <= height).all()
    assert (drawn.left + drawn.width <= width).all()


def test_without_a_crop_only_the_size_changes():
    images = photos(4)
    views = Augmentation({})(images, generator())
    torch.testing.assert_close(views, images / 255)
    assert Augmentation({}, size=20)(images, generator()).shape == (4, 3, 20, 20)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("height", "width", "size", "pad"), [(32, 32, 32, 4), (8, 8, 8, 1), (5, 9, 6, 3), (6, 4, None, 9)]
)
def test_windows_of_padded_images_are_those_of_torchvision(height, width, size, pad, channels):
    images = photos(60, 40, channels)[:, :, :height, :width]
    augment = Augmentation({"pad": pad, "flip": 0.5}, size)
    drawn = augment.draw(len(images), height, width, generator())
    views = augment.apply(images, drawn)
    assert 0 < drawn.flip.sum() < len(images)
    shape = (size or height, size or width)
    assert views.shape == (len(images), channels, *shape)
    assert views.dtype == torch.float32
    for i, image in enumerate(images):
        padded = reference.pad(reference.to_pil_image(image), pad)
        view = reference.crop(padded, int(drawn.top[i]) + pad, int(drawn.left[i]) + pad, *shape)
        assert torch.equal(views[i], reference.to_tensor(reference.hflip(view) if drawn.flip[i] else view))


@pytest.mark.parametrize(
    ("height", "width", "size", "pad"), [(8, 8, 8, 1), (6, 9, 7, 2), (32, 32, 32, 4), (6, 6, 8, 1)]
)
def test_windows_are_everywhere_alike_as_in_torchvision(height, width, size, pad):
    """As RandomCrop(size, padding=pad), which draws both places alike, from 0 to the last that fits."""
    drawn = Augmentation({"pad": pad}, size).draw(40_000, height, width, generator())
    for found, length in ((drawn.top, height), (drawn.left, width)):
        places = Counter((found + pad).int().tolist())
        assert sorted(places) == list(range(length + 2 * pad - size + 1))
        for count in places.values():
            assert count / len(found) == pytest.approx(1 / len(places), abs=0.01)
    assert (drawn.height == size).all()
    assert (drawn.width == size).all()
    assert torch.corrcoef(torch.stack([drawn.top, drawn.left]))[0, 1].nan_to_num().abs() < 0.02
    assert not drawn.flip.any()


def test_a_padded_image_must_hold_the_window():
    with pytest.raises(LongtailError, match=r"Images of 8x12 with pad 1 hold no window of 11 pixels\. Raise pad"):
        Augmentation({"pad": 1}, 11)(torch.zeros(2, 3, 8, 12, dtype=torch.uint8), generator())


def test_a_window_in_the_middle_is_the_image():
    images = photos(4)
    drawn = Augmentation({"pad": 4}).draw(4, 32, 32, generator())
    centred = Parameters(**{**vars(drawn), "top": torch.zeros(4), "left": torch.zeros(4)})
    assert torch.equal(Augmentation({"pad": 4}).apply(images, centred), images / 255)


# --- colour -----------------------------------------------------------------------------------------------------------


def slow_colour(image: np.ndarray, drawn: Parameters, i: int, jitter: bool, grayscale: bool) -> np.ndarray:
    """What an image goes through, pixel by pixel, from the definitions of Pillow's ImageEnhance and of HSV."""
    pixels = image.reshape(3, -1).T.astype(float) / 255

    def grey(pixel):
        return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]

    for operation in jitter_order(drawn, i) if jitter else ():
        mean = np.mean([grey(pixel) for pixel in pixels])
        for n, pixel in enumerate(pixels.copy()):
            if operation == 3:
                hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
                pixels[n] = colorsys.hsv_to_rgb((hue + float(drawn.hue[i])) % 1, saturation, value)
            else:
                factor = float(drawn.factors[i, operation])
                target = [0, mean, grey(pixel)][operation]
                pixels[n] = np.clip(factor * pixel + (1 - factor) * target, 0, 1)
    if grayscale:
        pixels = np.repeat([[grey(pixel)] for pixel in pixels], 3, axis=1)
    return pixels.T.reshape(image.shape)


def test_colours_are_those_of_the_definitions():
    images = photos(40, 6)
    augment = Augmentation(COLOUR)
    drawn = augment.draw(len(images), 6, 6, generator())
    views = augment.apply(images, drawn)
    assert len({tuple(jitter_order(drawn, i)) for i in range(len(images))}) > 12  # of 24 orders
    for i, image in enumerate(images.numpy()):
        expected = slow_colour(image, drawn, i, jitter=True, grayscale=bool(drawn.grayscale[i]))
        np.testing.assert_allclose(views[i].numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("as_pillow", [False, True])
def test_colours_are_those_of_torchvision(as_pillow):
    """On tensors to its coarser grey weights; on Pillow images to 8 bits in hue and rounding down in each blend."""
    images = photos(32)
    augment = Augmentation(COLOUR)
    drawn = augment.draw(len(images), 32, 32, generator(2))
    views = augment.apply(images, drawn)
    adjust = (reference.adjust_brightness, reference.adjust_contrast, reference.adjust_saturation, reference.adjust_hue)
    for i, image in enumerate(images):
        view = reference.to_pil_image(image) if as_pillow else image.float() / 255
        amounts = [*drawn.factors[i].tolist(), float(drawn.hue[i])]
        for operation in jitter_order(drawn, i):
            view = adjust[operation](view, amounts[operation])
        view = reference.rgb_to_grayscale(view, 3) if drawn.grayscale[i] else view
        difference = (views[i] - (reference.to_tensor(view) if as_pillow else view)).abs()
        assert difference.max() < (20 / 255 if as_pillow else 1e-3)
        assert difference.mean() < (2.5 / 255 if as_pillow else 1e-4)


@pytest.mark.parametrize("operations", [("brightness",), ("contrast", "hue"), ("saturation", "brightness"), ("hue",)])
def test_strengths_of_zero_change_nothing(operations):
    jitter = {"probability": 1.0, **{name: COLOUR["jitter"][name] for name in operations}}
    augment, images = Augmentation({"jitter": jitter}), photos(12, 6)
    drawn = augment.draw(len(images), 6, 6, generator())
    views = augment.apply(images, drawn)
    for i, image in enumerate(images.numpy()):
        np.testing.assert_allclose(views[i].numpy(), slow_colour(image, drawn, i, True, False), atol=2e-5)


def test_jitter_is_distributed_as_in_torchvision():
    drawn = Augmentation(CONMIX).draw(60_000, 8, 8, generator())
    jittered = drawn.factors[:, 0] != 1
    assert jittered.float().mean() == pytest.approx(0.8, abs=0.01)
    assert ((drawn.factors != 1).any(1) == jittered).all()
    assert (drawn.hue[~jittered] == 0).all()
    for name, values in [*zip("bcs", drawn.factors[jittered].T, strict=True), ("h", drawn.hue[jittered])]:
        low, high = {"h": (-0.1, 0.1)}.get(name, (0.6, 1.4))
        assert low <= values.min() < low + 0.01
        assert high - 0.01 < values.max() <= high
        assert values.std() == pytest.approx((high - low) / math.sqrt(12), rel=0.02)
        assert values.mean() == pytest.approx((high + low) / 2, abs=0.01)
    orders = Counter(tuple(jitter_order(drawn, i)) for i in range(24_000))
    assert len(orders) == 24
    assert min(orders.values()) > 850
    assert drawn.flip.float().mean() == pytest.approx(0.5, abs=0.01)
    assert drawn.grayscale.float().mean() == pytest.approx(0.2, abs=0.01)
    corner = torch.corrcoef(torch.stack([jittered, drawn.flip, drawn.grayscale, drawn.top > 0]).float())
    assert (corner - torch.eye(4)).abs().max() < 0.02


def test_strong_brightness_is_cut_at_zero_as_in_torchvision():
    drawn = Augmentation({"jitter": {"probability": 1.0, "brightness": 1.5}}).draw(5000, 4, 4, generator())
    low, high = ColorJitter(brightness=1.5).brightness
    assert low <= drawn.factors[:, 0].min() < low + 0.01
    assert high - 0.01 < drawn.factors[:, 0].max() <= high


def test_one_channel_knows_brightness_and_contrast_only():
    images = photos(16, 8, channels=1)
    augment = Augmentation({**COLOUR, "grayscale": 1.0})
    drawn = augment.draw(len(images), 8, 8, generator())
    views = augment.apply(images, drawn)
    assert views.shape == (16, 1, 8, 8)
    for i, image in enumerate(images.double() / 255):
        expected = image
        for operation in drawn.order[i].tolist():
            factor = float(drawn.factors[i, operation])
            if operation < 2:
                expected = (factor * expected + (1 - factor) * (expected.mean() if operation else 0)).clamp(0, 1)
        torch.testing.assert_close(views[i].double(), expected, atol=1e-5, rtol=0)


@given(st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 3), min_size=1, max_size=9), st.floats(-0.5, 0.5))
def test_hue_turns_and_keeps_value_and_saturation(pixels, turns):
    image = torch.tensor(pixels).T.reshape(1, 3, 1, -1)
    turned = shift_hue(image, torch.tensor([turns]))
    assert torch.allclose(turned.amax(1), image.amax(1), atol=1e-5)
    assert torch.allclose(turned.amin(1), image.amin(1), atol=1e-5)
    assert torch.allclose(shift_hue(turned, torch.tensor([-turns])), image, atol=1e-4)


def test_grey_has_no_hue():
    image = torch.full((1, 3, 2, 2), 0.3)
    torch.testing.assert_close(shift_hue(image, torch.tensor([0.3])), image)
    torch.testing.assert_close(luma(image), image[:, :1])


# --- blur -------------------------------------------------------------------------------------------------------------


def test_blur_is_that_of_torchvision():
    images = photos(20)
    augment = Augmentation({"blur": {"kernel": 9, "sigma": [0.1, 2.0], "probability": 0.5}})
    drawn = augment.draw(len(images), 32, 32, generator())
    blurred = drawn.sigma > 0
    assert 0 < blurred.sum() < len(images)
    views = augment.apply(images, drawn)
    torch.testing.assert_close(views[~blurred], images[~blurred] / 255, atol=1e-6, rtol=0)
    for i in blurred.nonzero().flatten().tolist():
        expected = reference.gaussian_blur(images[i].float() / 255, [9, 9], [float(drawn.sigma[i])] * 2)
        torch.testing.assert_close(views[i], expected, atol=1e-5, rtol=0)


def test_a_blur_must_fit_the_image():
    augment = Augmentation({"blur": {"kernel": 23, "sigma": [0.1, 2.0], "probability": 0.5}})
    with pytest.raises(LongtailError, match="blur of 23 pixels does not fit images of 8x8"):
        augment(photos(2, 8), generator())


def test_solarisation_inverts_what_is_bright():
    images = photos(20)
    augment = Augmentation({"solarize": 0.5})
    drawn = augment.draw(len(images), 32, 32, generator())
    assert 0 < drawn.solarize.sum() < len(images)
    views = augment.apply(images, drawn)
    for image, view, solarized in zip(images, views, drawn.solarize, strict=True):
        expected = reference.solarize(image, 128) if solarized else image
        torch.testing.assert_close(view, expected / 255, atol=1e-6, rtol=0)


# --- the whole --------------------------------------------------------------------------------------------------------


@given(st.sampled_from([1, 3]), st.integers(4, 12), st.integers(0, 50))
@settings(max_examples=40)
def test_views_are_in_range_and_the_same_for_the_same_generator(channels, size, seed):
    images = photos(7, size, channels, seed)
    augment = Augmentation(CONMIX)
    views = augment(images, generator(seed))
    assert views.shape == images.shape
    assert views.is_contiguous()
    assert ((views >= 0) & (views <= 1)).all()
    torch.testing.assert_close(views, augment(images, generator(seed)), atol=0, rtol=0)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(views, augment(channels_last, generator(seed)), atol=0, rtol=0)
    assert not torch.equal(views, augment(images, generator(seed + 1)))


def test_images_of_a_batch_do_not_touch_each_other():
    images, augment = photos(6), Augmentation({**CONMIX, "blur": {"kernel": 5, "sigma": [0.1, 2], "probability": 0.5}})
    drawn = augment.draw(6, 32, 32, generator())
    views = augment.apply(images, drawn)
    for i in range(6):
        alone = Parameters(**{name: value[i : i + 1] for name, value in vars(drawn).items()})
        torch.testing.assert_close(augment.apply(images[i : i + 1], alone)[0], views[i], atol=1e-6, rtol=0)


def test_autocast_around_it_changes_nothing():
    images, augment = photos(4), Augmentation(CONMIX)
    expected = augment(images, generator())
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(augment(images, generator()), expected, atol=0, rtol=0)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(
    "spec", [{**CONMIX, "blur": {"kernel": 5, "sigma": [0.1, 2], "probability": 0.5}}, {"pad": 4, "flip": 0.5}]
)
def test_cuda_gives_the_views_of_the_cpu_without_waiting(spec):
    images, augment = photos(), Augmentation(spec)
    drawn = augment.draw(len(images), 32, 32, generator())
    moved = Parameters(**{name: value.cuda() for name, value in vars(drawn).items()})
    torch.testing.assert_close(
        augment.apply(images.cuda(), moved).cpu(), augment.apply(images, drawn), atol=1e-5, rtol=0
    )
    on_device, draws = images.cuda(), torch.Generator("cuda").manual_seed(0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        augment(on_device, draws)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"crop": [0.1, 1]}, "no key in an augmentation 'crop'"),
        ({"crop_scale": [0.5, 0.1]}, "crop_scale"),
        ({"crop_scale": [0.1, 1.5]}, "crop_scale"),
        ({"crop_ratio": [0, 1]}, "crop_ratio"),
        ({"pad": 0}, "pad .* positive number of pixels"),
        ({"pad": 1.5}, "pad .* positive number of pixels"),
        ({"pad": 4, "crop_scale": [0.1, 1], "interpolation": "bicubic"}, "Remove crop_scale and interpolation"),
        ({"interpolation": "lanczos"}, "no interpolation 'lanczos'"),
        ({"flip": 1.5}, "flip .* probability"),
        ({"grayscale": -1}, "grayscale .* probability"),
        ({"jitter": {"brightness": 0.4}}, "lacks probability"),
        ({"jitter": {"probability": 2}}, "jitter.probability"),
        ({"jitter": {"probability": 1, "hue": 0.6}}, "jitter.hue"),
        ({"jitter": {"probability": 1, "contrast": -0.1}}, "jitter.contrast"),
        ({"blur": {"kernel": 4, "sigma": [0.1, 2], "probability": 1}}, "odd number"),
        ({"blur": {"kernel": 5, "sigma": [0, 2], "probability": 1}}, "sigma"),
        ({"blur": {"kernel": 5, "probability": 1}}, "lacks sigma"),
    ],
)
def test_a_wrong_list_is_an_error(spec, message):
    with pytest.raises(LongtailError, match=message):
        Augmentation(spec)


# --- without augmentation ---------------------------------------------------------------------------------------------


def test_unaugmented_images_are_only_scaled():
    images = photos(3)
    torch.testing.assert_close(unaugmented(images, {"resize": None, "crop": None}, 32), images / 255)
    torch.testing.assert_close(unaugmented(images, {}, 32), images / 255)


def test_unaugmented_images_must_be_square_and_large_enough():
    with pytest.raises(LongtailError, match="squares"):
        unaugmented(torch.zeros(1, 3, 4, 5, dtype=torch.uint8), {}, 4)
    with pytest.raises(LongtailError, match="cuts 6 pixels out of images of 5"):
        unaugmented(torch.zeros(1, 3, 5, 5, dtype=torch.uint8), {"crop": 6}, 4)


@pytest.mark.parametrize("named", [{}, {"interpolation": "lanczos"}])
def test_a_resize_without_a_filter_is_an_error(named):
    images = torch.zeros(1, 3, 5, 5, dtype=torch.uint8)
    with pytest.raises(LongtailError, match=r"of 5 pixels to 6 with interpolation .*bilinear, bicubic"):
        unaugmented(images, {"resize": 6, **named}, 6)
    with pytest.raises(LongtailError, match="of 5 pixels to 6 with final_interpolation None"):
        unaugmented(images, named, 6)
    with pytest.raises(LongtailError, match="cuts 8 pixels out of images of 4"):
        unaugmented(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), {"crop": 8}, 4)


def test_normalization_is_per_channel():
    images = torch.rand(2, 3, 4, 4)
    normalized = Normalization([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])(images)
    expected = reference.normalize(images, [0.1, 0.2, 0.3], [0.5, 0.6, 0.7])
    torch.testing.assert_close(normalized, expected)
    with pytest.raises(LongtailError, match="positive std"):
        Normalization([0.1], [0.0])
