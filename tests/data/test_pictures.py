"""Views of whole photographs that differ in size, against torchvision's of the Pillow images."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, RandomResizedCrop, Resize

from longtail.data import resampling
from longtail.data.augment import Augmentation, unaugmented
from longtail.data.pictures import Pictures
from longtail.data.strong_augment import new_augmentation
from longtail.errors import LongtailError
from longtail.study.catalog import load

from ..photographs import as_tensor, photographs

LISTS = {name: dict(spec) for name, spec in load().augmentations.items() if "replaced" not in spec}  # but for texts
CROPPING = [name for name, spec in LISTS.items() if spec and "pad" not in spec]
SIZES = [(427, 640), (640, 427), (300, 301), (256, 256), (40, 300), (333, 60), (97, 64), (20, 15), (427, 427), (7, 90)]
MEAN = (0.4, 0.5, 0.6)
TRANSFORM = {"resize": 256, "crop": 224}
RANDOM_CROP = {"crop_scale": [0.08, 1.0], "crop_ratio": [3 / 4, 4 / 3], "flip": 0.5}


def as_pillow(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[2] == 1 else image))


def scenes(sizes: Sequence[tuple[int, int]] = SIZES, channels: int = 3) -> list[np.ndarray]:
    """Photographs of a temple and a flower, or parts of them, uint8 (h, w, C); portraits are turned."""
    found = []
    for number, (height, width) in enumerate(sizes):
        scene = load_sample_images().images[number % 2]
        scene = scene.transpose(1, 0, 2) if height > len(scene) else scene
        top, left = (scene.shape[0] - height) // 3, (scene.shape[1] - width) // 2
        part = scene[top : top + height, left : left + width]
        grey = np.asarray(as_pillow(part).convert("L"))[..., None]
        found.append(grey if channels == 1 else part)
    return found


def packed(found: Sequence[np.ndarray], beyond: Callable[[tuple[int, ...]], np.ndarray] = np.zeros) -> Pictures:
    """The images in one batch, with ``beyond`` of a shape where they do not reach."""
    sizes = np.array([image.shape[:2] for image in found])
    frames = beyond((len(found), *sizes.max(0), found[0].shape[2])).astype(np.uint8)
    for frame, image in zip(frames, found, strict=True):
        frame[: image.shape[0], : image.shape[1]] = image
    return Pictures(as_tensor(frames), *torch.from_numpy(sizes).unbind(1))


def garbage(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=["cpu", "gpu"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Cut on the CPU as there, and as on a GPU."""
    if request.param == "gpu":
        monkeypatch.setattr("longtail.data.augment.cut_each_box", resampling.cut_boxes)
        monkeypatch.setattr("longtail.data.resampling._each_centre", resampling._centres)
    return request.param


# --- the batch --------------------------------------------------------------------------------------------------------


def test_pictures_know_their_frames_and_whether_they_fill_them():
    pictures = packed(scenes())
    assert len(pictures) == len(SIZES)
    assert pictures.shape == (len(SIZES), 3, 640, 640)
    assert pictures.device == torch.device("cpu")
    assert pictures.whole is False
    assert packed(scenes([(9, 20)] * 3)).whole is True
    assert packed(scenes([(9, 20), (9, 19)])).whole is False
    assert packed(scenes([(9, 20), (8, 20)])).whole is False


def test_pictures_move_without_a_look_at_their_sizes():
    pictures = packed(scenes(SIZES[:3]))
    moved = pictures.to("meta", non_blocking=True)  # which has no values
    assert moved.device == torch.device("meta")
    assert moved.heights.device == moved.widths.device == moved.device
    assert moved.whole is False
    assert moved.shape == pictures.shape


# --- random views -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
def test_pictures_of_one_size_have_the_views_of_plain_images(name):
    images = as_tensor(photographs(9, 64))
    side = torch.full((len(images),), 64)
    augment = new_augmentation(LISTS[name], 64 if "pad" in LISTS[name] else 32, MEAN)
    assert torch.equal(augment(Pictures(images, side, side), generator()), augment(images, generator()))


def test_frames_filled_by_all_need_not_be_squares():
    images = as_tensor(np.stack(scenes([(300, 200)] * 4)))
    pictures, augment = packed(scenes([(300, 200)] * 4)), Augmentation(LISTS["imagenet-base"], 32)
    assert pictures.whole
    assert torch.equal(augment(pictures, generator()), augment(images, generator()))


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(1, 400)), min_size=1, max_size=8), st.integers(0, 9999))
def test_each_picture_is_cut_as_a_batch_of_its_own_size(sizes, seed):
    """From the same numbers, to the last bit; and within its own size."""
    augment = Augmentation(LISTS["imagenet-base"], 32)
    heights, widths = torch.tensor(sizes).unbind(1)
    drawn = augment.draw(len(sizes), heights, widths, generator(seed))
    assert (torch.stack([*drawn.box[:2], *(value - 1 for value in drawn.box[2:])]) >= 0).all()
    assert (drawn.top + drawn.height <= heights).all()
    assert (drawn.left + drawn.width <= widths).all()
    for i, (height, width) in enumerate(sizes):
        alone = augment.draw(len(sizes), height, width, generator(seed))
        for name, value in vars(drawn).items():
            assert torch.equal(value[i], vars(alone)[name][i]), name


@given(st.integers(1, 600), st.integers(1, 600), st.floats(0.3, 1.0), st.floats(1.0, 3.0))
def test_the_box_that_always_fits_is_torchvisions(height, width, slim, wide):
    """Where none of ten does, it is in the centre: none of two images' area is, and torchvision is given the same."""
    augment = Augmentation({"crop_scale": [1.0, 1.0], "crop_ratio": [slim, wide]}, 8)
    augment.scale = (2.0, 2.0)
    drawn = augment.draw(1, torch.tensor([height]), torch.tensor([width]), generator())
    expected = RandomResizedCrop.get_params(torch.empty(1, height, width), [2.0, 2.0], [slim, wide])
    assert tuple(int(value) for value in drawn.box) == expected


@settings(max_examples=10, deadline=None)
@given(
    st.tuples(st.integers(4, 9), st.integers(4, 9)),
    st.tuples(st.floats(0.05, 0.5), st.floats(0.5, 1.0)),
    st.sampled_from([(3 / 4, 4 / 3), (0.5, 2.0), (0.9, 1.1)]),
)
def test_boxes_of_mixed_sizes_are_distributed_as_in_torchvision(shape, scale, ratio):
    """One of two pictures has ``shape``, and the other is larger."""
    torch.manual_seed(0)
    image = torch.zeros(1, *shape)
    expected = Counter(RandomResizedCrop.get_params(image, list(scale), list(ratio))[2:] for _ in range(2000))
    heights, widths = (torch.tensor([length, 30]).repeat(8000) for length in shape)
    drawn = Augmentation({"crop_scale": scale, "crop_ratio": ratio}).draw(16_000, heights, widths, generator())
    found = Counter((int(h), int(w)) for h, w in zip(drawn.height[::2], drawn.width[::2], strict=True))
    assert expected.keys() <= found.keys()
    distance = sum(abs(found[box] / 8000 - expected[box] / 2000) for box in found) / 2
    assert distance < 0.08  # of two samples from one distribution of up to 40 outcomes
    assert (drawn.height[1::2] > 9).any()


def pillow_view(image: np.ndarray, drawn: Tensor, size: int, filter_: str, flip: bool) -> Tensor:
    view = reference.resized_crop(as_pillow(image), *drawn, [size, size], InterpolationMode(filter_))
    return reference.to_tensor(reference.hflip(view) if flip else view)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_crops_of_pictures_are_those_of_pillow(interpolation, channels, way):
    """To Pillow's two roundings, of whole photographs and of pictures smaller than the view.

    Where a box shrinks along one axis and grows along the other, Pillow's bicubic values overshoot, and are clipped,
    in the other order.
    """
    found = scenes(channels=channels) * 2
    augment = Augmentation({**RANDOM_CROP, "interpolation": interpolation}, 112)
    pictures = packed(found, garbage)
    drawn = augment.draw(len(found), pictures.heights, pictures.widths, generator())
    assert 0 < drawn.flip.sum() < len(found)
    views = augment.apply(pictures, drawn)
    assert views.shape == (len(found), channels, 112, 112)
    assert views.dtype == torch.float32
    assert views.is_contiguous()
    for i, image in enumerate(found):
        box = [int(value[i]) for value in drawn.box]
        view = pillow_view(image, box, 112, interpolation, bool(drawn.flip[i]))
        if interpolation == "bilinear" or (box[2] > 112) == (box[3] > 112):
            assert (views[i] - view).abs().max() < 1.3 / 255
        assert (views[i] - view).abs().mean() < 0.5 / 255


def test_without_a_crop_a_whole_picture_is_brought_to_the_size(way):
    found = scenes(SIZES[:5])
    views = Augmentation({}, 64)(packed(found, garbage), generator())
    for view, image in zip(views, found, strict=True):
        expected = pillow_view(image, [0, 0, *image.shape[:2]], 64, "bilinear", False)
        assert (view - expected).abs().max() < 1.3 / 255


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=2, max_size=6),
    st.sampled_from(["bilinear", "bicubic"]),
    st.sampled_from([1, 3]),
    st.integers(0, 999),
)
def test_both_ways_to_cut_are_one(sizes, interpolation, channels, seed):
    noise = [np.random.default_rng(seed).integers(0, 256, (*size, channels), np.uint8) for size in sizes]
    pictures = packed(noise, garbage)
    augment = Augmentation({**RANDOM_CROP, "interpolation": interpolation}, 16)
    drawn = augment.draw(len(sizes), pictures.heights, pictures.widths, generator(seed))
    cut = (pictures.images, drawn.box, drawn.flip, (16, 16), interpolation)
    torch.testing.assert_close(resampling.cut_each_box(*cut), resampling.cut_boxes(*cut), atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", CROPPING)
def test_nothing_beyond_a_picture_is_seen(name, way):
    found, augment = scenes(SIZES[2:]), new_augmentation(LISTS[name], 48, MEAN)
    views = augment(packed(found, garbage), generator())
    assert views.shape == (len(found), 3, 48, 48)
    assert ((views >= 0) & (views <= 1)).all()  # which NaN is not
    assert torch.equal(views, augment(packed(found), generator()))


def test_an_image_does_not_depend_on_the_others_nor_on_its_frame(way):
    """But for the rounding of sums over a wider frame."""
    found, augment = scenes(SIZES[2:]), Augmentation(LISTS["imagenet-sim"], 48)
    larger = packed([*found, *scenes([(427, 600)])], garbage)
    drawn = augment.draw(len(larger), larger.heights, larger.widths, generator())
    views = augment.apply(larger, drawn)
    alone = augment.apply(packed(found), drawn.part(slice(len(found))))
    torch.testing.assert_close(views[: len(found)], alone, atol=1e-5, rtol=0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=2, max_size=5),
    st.sampled_from(["imagenet-base", "conmix", "imagenet-sim", "imagenet-strong", "unaugmented"]),
    st.integers(0, 999),
)
def test_what_lies_beyond_any_pictures_is_never_seen(sizes, name, seed):
    noise = [np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    seen = []
    for pictures in (packed(noise), packed(noise, garbage)):
        if name == "unaugmented":
            for centres in (resampling._centres, resampling._each_centre):
                seen.append(centres(pictures, 9, 8, "bicubic"))
        else:
            seen.append(new_augmentation(LISTS[name], 12, MEAN)(pictures, generator(seed)))
    half = len(seen) // 2
    for one, other in zip(seen[:half], seen[half:], strict=True):
        assert torch.equal(one, other)


def test_autocast_around_it_changes_nothing(way):
    pictures, augment = packed(scenes(SIZES[3:])), Augmentation(LISTS["conmix"], 32)
    expected = augment(pictures, generator())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(pictures, generator()), expected)


def test_memory_formats_of_the_batch_make_no_difference(way):
    pictures, augment = packed(scenes(SIZES[3:])), Augmentation(LISTS["conmix"], 32)
    planes = Pictures(pictures.images.contiguous(), pictures.heights, pictures.widths)
    assert torch.equal(augment(planes, generator()), augment(pictures, generator()))
    assert torch.equal(unaugmented(planes, TRANSFORM, 224), unaugmented(pictures, TRANSFORM, 224))


class Largest(TorchFunctionMode):
    """How many values the largest floating tensor has that anything returns."""

    values = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.is_floating_point():
            self.values = max(self.values, result.untyped_storage().nbytes() // result.element_size())
        return result


def test_a_batch_is_never_all_in_floats(way, monkeypatch):
    """Of 40 frames of 427x640 no more than 3 at a time, and of them the weights."""
    monkeypatch.setattr(resampling, "VALUES", 3 * 427 * 640 * 3)
    monkeypatch.setattr("longtail.data.augment.NEAR", 3)
    pictures = packed(scenes([(427, 640), (300, 500)] * 20))
    with Largest() as largest:
        views = Augmentation(LISTS["imagenet-base"], 32)(pictures, generator())
        shown = unaugmented(pictures, {"resize": 36, "crop": 32}, 32)
    assert views.shape == shown.shape == (40, 3, 32, 32)
    assert 0 < largest.values <= 3 * 427 * 640 * 3


@pytest.mark.parametrize("name", ["base", "strong", "base-rotated"])
def test_windows_of_padded_pictures_are_refused(name):
    with pytest.raises(
        LongtailError, match=r"different sizes have no windows of one size \(pad 4\)\. Give .*crop_scale"
    ):
        new_augmentation(LISTS[name], 32, MEAN)(packed(scenes(SIZES[:2])), generator())


def test_pictures_need_a_size_of_views():
    with pytest.raises(LongtailError, match="views of one size"):
        Augmentation(RANDOM_CROP)(packed(scenes(SIZES[:2])), generator())


# --- without augmentation ---------------------------------------------------------------------------------------------


def shown_by_torchvision(image: np.ndarray, transform: dict, size: int) -> np.ndarray:
    filters = InterpolationMode(transform.get("interpolation", "bilinear"))
    steps = [Resize(transform["resize"], filters)] if transform.get("resize") else []
    steps.append(CenterCrop(transform.get("crop") or transform["resize"]))
    shown = Compose(steps)(as_pillow(image))
    if shown.size != (size, size):
        shown = shown.resize((size, size), Image.Resampling[transform["final_interpolation"].upper()])
    return np.asarray(shown).reshape(size, size, -1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("transform", "size"),
    [
        (TRANSFORM, 224),
        ({**TRANSFORM, "interpolation": "bicubic"}, 224),
        ({**TRANSFORM, "final_interpolation": "bicubic"}, 64),
        ({"resize": 64}, 64),
        ({"resize": 100, "crop": 61}, 61),  # an odd margin
        ({"resize": None, "crop": 50}, 50),  # what some pictures lack is black
        ({"resize": None, "crop": 75, "final_interpolation": "bilinear"}, 32),
    ],
)
def test_pictures_are_embedded_as_by_torchvision_to_the_last_bit(transform, size, channels, way):
    found = scenes(channels=channels)
    views = unaugmented(packed(found, garbage), transform, size)
    assert views.shape == (len(found), channels, size, size)
    assert views.dtype == torch.float32
    expected = np.stack([shown_by_torchvision(image, transform, size) for image in found])
    assert torch.equal(views, as_tensor(expected).float() / 255)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=4),
    st.one_of(st.none(), st.integers(1, 50)),
    st.integers(1, 50),
    st.sampled_from(["bilinear", "bicubic"]),
)
def test_every_test_transform_of_pictures_is_torchvisions(sizes, resize, crop, interpolation):
    crop = min(crop, resize or crop)
    noise = [np.random.default_rng(crop).integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    transform = {"resize": resize, "crop": crop, "interpolation": interpolation}
    expected = as_tensor(np.stack([shown_by_torchvision(image, transform, crop) for image in noise]))
    for centres in (resampling._centres, resampling._each_centre):
        assert torch.equal(centres(packed(noise, garbage), resize, crop, interpolation), expected)


@pytest.mark.parametrize("transform", [TRANSFORM, {}, {"crop": 200}, {"resize": 250, "interpolation": "bicubic"}])
def test_pictures_of_one_size_are_embedded_as_plain_images(transform):
    images = as_tensor(photographs(3, 256))
    side, transform = torch.full((3,), 256), {**transform, "final_interpolation": "bilinear"}
    assert torch.equal(unaugmented(Pictures(images, side, side), transform, 64), unaugmented(images, transform, 64))


def test_pictures_that_are_neither_resized_nor_cut_are_refused():
    with pytest.raises(LongtailError, match="Give test_transform a crop"):
        unaugmented(packed(scenes(SIZES[:2])), {"resize": None, "crop": None}, 32)
    with pytest.raises(LongtailError, match="cuts 300 pixels out of images of 256"):
        unaugmented(packed(scenes(SIZES[:2])), {"resize": 256, "crop": 300}, 300)
    with pytest.raises(LongtailError, match="interpolation 'lanczos'"):
        unaugmented(packed(scenes(SIZES[:2])), {**TRANSFORM, "interpolation": "lanczos"}, 224)


@pytest.mark.parametrize("name", ["imagenet-base", "conmix", "randclsstack", "scan-strong-imagenet"])
def test_off_the_cpu_nothing_looks_at_values(name, monkeypatch):
    """So that a GPU is never waited for: tensors of the meta device have no values to look at."""
    monkeypatch.setattr(torch, "rand", lambda *shape, generator, device: torch.empty(shape, device="meta"))
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # which knows no such device
    pictures = packed(scenes()).to("meta")
    assert new_augmentation(LISTS[name], 64, MEAN)(pictures, generator()).shape == (len(SIZES), 3, 64, 64)
    assert unaugmented(pictures, TRANSFORM, 224).shape == (len(SIZES), 3, 224, 224)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["imagenet-base", "conmix", "randclsstack"])
def test_cuda_sees_the_pictures_of_the_cpu_without_waiting(name):
    pictures = packed(scenes())
    augment, draws = new_augmentation(LISTS[name], 64, MEAN), torch.Generator("cuda").manual_seed(0)
    moved = pictures.to("cuda")
    augment(moved, draws)
    torch.cuda.set_sync_debug_mode("error")
    try:
        augment(moved, draws)
        shown = unaugmented(moved, TRANSFORM, 224)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(shown.cpu(), unaugmented(pictures, TRANSFORM, 224))
    if isinstance(augment, Augmentation):
        drawn = augment.draw(len(pictures), moved.heights, moved.widths, draws)
        on_cpu = type(drawn)(**{key: value.cpu() for key, value in vars(drawn).items()})
        torch.testing.assert_close(
            augment.apply(moved, drawn).cpu(), augment.apply(pictures, on_cpu), atol=1e-5, rtol=0
        )
