from __future__ import annotations

import pytest
import torch
from torch import nn

from longtail.models.rare_samples import RareSampleGenerator, pairs


def slow_pairs(head):
    """By the loops of the code over segments of the larger group."""
    heads, rare = [i for i, one in enumerate(head) if one], [i for i, one in enumerate(head) if not one]
    found = []
    if heads and rare:
        for segment in range(max(len(heads), len(rare)) // min(len(heads), len(rare))):
            if len(heads) >= len(rare):
                part = heads[segment * len(rare) : (segment + 1) * len(rare)]
                found += list(zip(part, rare, strict=True))
            else:
                part = rare[segment * len(heads) : (segment + 1) * len(heads)]
                found += list(zip(heads, part, strict=True))
    return found


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("rows", [1, 2, 7, 16])
def test_maps_are_paired_as_in_the_code(rows, share):
    for seed in range(5):
        head = torch.rand(rows, generator=torch.Generator().manual_seed(seed)) < share
        heads, rare, counted = pairs(head)
        assert heads.shape == rare.shape == counted.shape == (rows,)
        found = list(zip(heads[counted].tolist(), rare[counted].tolist(), strict=True))
        assert found == slow_pairs(head.tolist())


def a_generator():
    torch.manual_seed(0)
    generator = RareSampleGenerator(classes=3, channels=4, centers=5, contrast_width=6).double()
    nn.init.normal_(generator.centers)
    return generator


def test_maps_are_displaced_from_the_centre_of_their_class_that_fits_best():
    generator = a_generator()
    maps, labels = torch.randn(6, 4, 2, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    gamma, moved = generator.assignments(maps, labels), generator.displacements(maps, labels)
    for i, y in enumerate(labels.tolist()):
        logits = [
            sum(maps[i, c].mean() * generator.linear[y, c, n] for c in range(4)) + generator.bias[y, n]
            for n in range(5)
        ]
        expected = torch.stack(logits).exp()
        torch.testing.assert_close(gamma[i], expected / expected.sum())
        center = generator.centers[y, max(range(5), key=lambda n, logits=logits: logits[n].item())]
        torch.testing.assert_close(moved[i], maps[i] - center[:, None, None].expand(4, 2, 3))
    assert not moved.requires_grad


def test_where_it_starts():
    torch.manual_seed(0)
    generator = RareSampleGenerator(classes=20, channels=32, centers=15, contrast_width=256)
    assert not generator.centers.any()
    assert (generator.bias == 1).all()
    assert generator.linear.std().item() == pytest.approx(1, rel=0.05)
    judge = [module for module in generator.contrast if isinstance(module, nn.Conv2d | nn.Linear)]
    for convolution in (generator.transformation, *judge[:2]):
        fan_in = convolution.weight[0].numel()
        assert convolution.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
    assert judge[2].weight.std().item() == pytest.approx(1, rel=0.1)
    assert not any(module.bias.any() for module in (generator.transformation, *judge))


def test_the_judge_sees_both_maps_of_a_pair():
    generator = a_generator()
    first, second = torch.randn(2, 3, 4, 2, 3, dtype=torch.float64)
    scores = generator.scores(first, second)
    assert scores.shape == (3, 2)
    assert not torch.allclose(scores, generator.scores(second, first))
