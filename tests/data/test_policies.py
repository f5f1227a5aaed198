from __future__ import annotations

import statistics
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import AutoAugment as Reference
from torchvision.transforms import AutoAugmentPolicy

from longtail.data.operations import BICUBIC, BILINEAR, NEAREST, OPERATIONS, operate
from longtail.data.policies import CIFAR10, FACTORS, RANDOM, SIGNED, AutoAugment, RandAugment

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


def slow_random(u: list[float], magnitude: float, deviation: float) -> list[tuple[str, float, int]]:
    """What timm's RandAugment does to an image of which these numbers were drawn: operations, amounts, filters."""
    chosen = []
    for start in range(0, len(u), 5):
        which, happens, sign, how, normal = u[start : start + 5]
        name = list(RANDOM)[int(15 * which)]
        level = statistics.NormalDist(magnitude, deviation).inv_cdf(normal)
        level = min(10, max(0, level)) / 10
        sign = -1 if sign < 0.5 else 1
        if happens >= 0.5:
            continue
        if name in ("color", "contrast", "brightness", "sharpness"):
            amount = level * 1.8 + 0.1
        elif name == "rotate":
            amount = sign * level * 30
        elif name.startswith("shear"):
            amount = sign * level * 0.3
        elif name.startswith("translate"):
            amount = sign * level * 0.45
        else:
            amount = int(level * {"posterize": 4, "solarize": 256, "solarize_add": 110}.get(name, 0))
        chosen.append((name, amount, 1 if how < 0.5 else 2))
    return chosen


@pytest.mark.parametrize(("magnitude", "deviation"), [(10, 0.5), (5, 2.0)])
def test_randaugment_does_what_the_draws_say(magnitude, deviation):
    policy = RandAugment(3, magnitude, deviation)
    u = uniform(3000, policy.columns)
    steps = policy.steps(u)
    for i, draws in enumerate(u.tolist()):
        expected = slow_random(draws, magnitude, deviation)
        drawn = [step for step in steps if OPERATIONS[step.operation[i]] != "identity"]
        assert [OPERATIONS[step.operation[i]] for step in drawn] == [name for name, _, _ in expected]
        assert [float(step.amount[i]) for step in drawn] == pytest.approx([amount for _, amount, _ in expected])
        assert [int(step.resampling[i]) for step in drawn] == [how for _, _, how in expected]


def test_randaugment_draws_operations_alike_and_levels_around_its_magnitude():
    steps = RandAugment(2, 10, 0.5).steps(uniform(60_000, 10, 2))
    identity = OPERATIONS.index("identity")
    for step in steps:
        counts = Counter(step.operation.tolist())
        assert counts.pop(identity) / 60_000 == pytest.approx(0.5, abs=0.01)
        assert len(counts) == 15
        assert all(count / 60_000 == pytest.approx(1 / 30, abs=0.004) for count in counts.values())
        factors = step.amount[step.operation == OPERATIONS.index("color")]
        assert (factors > 1.9 - 1e-9).float().mean() == pytest.approx(0.5, abs=0.04)
        below = (1.9 - factors[factors < 1.9 - 1e-9]) / 0.18
        assert below.square().mean().sqrt() == pytest.approx(0.5, abs=0.03)
        assert (step.resampling == BICUBIC).float().mean() == pytest.approx(0.5, abs=0.01)
        assert ((step.resampling == BICUBIC) | (step.resampling == BILINEAR)).all()
    assert (steps[0].operation == steps[1].operation).float().mean() == pytest.approx(0.25 + 0.25 / 15, abs=0.01)


def test_a_draw_of_zero_is_the_lowest_level():
    u = torch.zeros(1, 5)
    u[0, 0] = list(RANDOM).index("color") / 15 + 0.01
    assert float(RandAugment(1, 10, 0.5).steps(u)[0].amount) == pytest.approx(0.1)


@pytest.mark.parametrize("size", [32, 64, 224])
def test_randaugment_gives_pillows_photographs(size):
    pictures = photographs({32: 400, 64: 100}.get(size, 12), size)
    policy, x = RandAugment(2, 10, 0.5), as_tensor(pictures).float()
    u = uniform(len(pictures), policy.columns, size)
    steps = policy.steps(u)
    for step in steps:
        x = operate(x, *step, fill=policy.fill)
    for i, (picture, found) in enumerate(zip(pictures, x, strict=True)):
        image = Image.fromarray(picture)
        for step in steps:
            name = OPERATIONS[step.operation[i]]
            image = pillow(image, name, float(step.amount[i]), int(step.resampling[i]), (124, 116, 104))
        np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), np.asarray(image), err_msg=str(i))
