from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import AutoAugment as Reference
from torchvision.transforms import AutoAugmentPolicy

from longtail.data.operations import BICUBIC, NEAREST, OPERATIONS, operate
from longtail.data.policies import CIFAR10, FACTORS, SIGNED, AutoAugment

from ..photographs import as_tensor, photographs
from .pillow import pillow

TORCHVISIONS = {
    "AutoContrast": "autocontrast",
    "ShearX": "shear_x",
    "ShearY": "shear_y",
    "TranslateX": "translate_x",
    "TranslateY": "translate_y",
}


def uniform(count: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, columns, generator=torch.Generator().manual_seed(seed))


def test_the_pairs_of_autoaugment_are_those_of_torchvision():
    """But for the levels of operations that have no amount, where torchvision has none."""
    pairs = Reference(AutoAugmentPolicy.CIFAR10)._get_policies(AutoAugmentPolicy.CIFAR10)
    assert len(pairs) == len(CIFAR10) == 25
    for ours, theirs in zip(CIFAR10, pairs, strict=True):
        for (name, probability, level), (known, expected, magnitude) in zip(ours, theirs, strict=True):
            assert name == TORCHVISIONS.get(known, known.lower())
            assert probability == expected
            assert magnitude in (None, level)


def slow_amount(name: str, level: int, sign: int) -> float:
    """The amount at one of ten levels, as the official port's tables give it."""
    if name.startswith("shear"):
        return sign * np.linspace(0, 0.3, 10)[level]
    if name.startswith("translate"):
        return sign * np.linspace(0, 150 / 331, 10)[level]
    if name in ("color", "contrast", "brightness", "sharpness"):
        return 1 + sign * np.linspace(0, 0.9, 10)[level]
    if name == "rotate":
        return np.linspace(0, 30, 10)[level]
    if name == "solarize":
        return np.linspace(256, 0, 10)[level]
    return [8, 8, 7, 7, 6, 6, 5, 5, 4, 4][level] if name == "posterize" else 0.0


def slow_choices(u: list[float]) -> list[tuple[str, float]]:
    """What happens to an image of which these numbers were drawn: operations and their amounts."""
    chosen = []
    for slot, (name, probability, level) in enumerate(CIFAR10[int(25 * u[0])]):
        if u[1 + slot] < np.float32(probability):
            chosen.append((name, slow_amount(name, level, -1 if u[3 + slot] < 0.5 else 1)))
    return chosen


def test_autoaugment_does_what_the_draws_say():
    u = uniform(4000, AutoAugment.columns)
    steps = AutoAugment().steps(u)
    for i, draws in enumerate(u.tolist()):
        found = []
        for step in steps:
            name = OPERATIONS[step.operation[i]]
            assert step.resampling[i] == (BICUBIC if name.startswith("shear") else NEAREST) or name == "identity"
            if name != "identity":
                found.append((name, float(step.amount[i])))
        assert found == slow_choices(draws)


def test_autoaugment_draws_pairs_alike_and_signs_apart():
    steps = AutoAugment().steps(uniform(100_000, AutoAugment.columns, 1))
    counts = [Counter(step.operation.tolist()) for step in steps]
    for slot, found in enumerate(counts):
        for number, name in enumerate(OPERATIONS):
            share = sum(pair[slot][1] for pair in CIFAR10 if pair[slot][0] == name) / 25
            if name != "identity":
                assert found[number] / 100_000 == pytest.approx(share, abs=0.004)
    signs = []
    for step in steps:
        signed = torch.isin(step.operation, torch.tensor([OPERATIONS.index(name) for name in SIGNED]))
        factor = torch.isin(step.operation, torch.tensor([OPERATIONS.index(name) for name in FACTORS]))
        signs.append(torch.where(signed, (step.amount - factor.double()).sign(), torch.nan))
    assert torch.nanmean(signs[0]).abs() < 0.01
    assert torch.nanmean(signs[0] * signs[1]).abs() < 0.02


def turned_on_grey(image: Image.Image, degrees: float) -> Image.Image:
    """How the official port turns an image: with transparent corners, laid on grey."""
    turned = image.convert("RGBA").rotate(degrees)
    return Image.composite(turned, Image.new("RGBA", turned.size, (128,) * 4), turned).convert(image.mode)


@pytest.mark.parametrize("size", [32, 64, 224])
def test_autoaugment_gives_pillows_photographs(size):
    pictures = photographs({32: 400, 64: 100}.get(size, 12), size)
    u = uniform(len(pictures), AutoAugment.columns, size)
    policy, x = AutoAugment(), as_tensor(pictures).float()
    for step in policy.steps(u):
        x = operate(x, *step, fill=policy.fill)
    for picture, found, draws in zip(pictures, x, u.tolist(), strict=True):
        image = Image.fromarray(picture)
        for name, amount in slow_choices(draws):
            smooth = 2 if name.startswith("shear") else 0
            turned = name == "rotate"
            image = turned_on_grey(image, amount) if turned else pillow(image, name, amount, smooth, (128,) * 3)
        np.testing.assert_array_equal(
            found.permute(1, 2, 0).numpy(), np.asarray(image), err_msg=str(slow_choices(draws))
        )
