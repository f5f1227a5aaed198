"""RSG's losses against loops over maps, centres and pixels in float64."""

from __future__ import annotations

import math

import pytest
import torch

from longtail.methods.losses.rare_samples import center_estimation, maximized_vector, sample_contrast
from longtail.models.rare_samples import RareSampleGenerator, pairs
from tests.methods.golden import golden, waves
from tests.methods.losses.test_classification import slow_ce

COUNT, CHANNELS, HEIGHT, WIDTH = 4, 3, 2, 4


def maps(seed, count=COUNT):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, CHANNELS, HEIGHT, WIDTH, dtype=torch.float64, generator=generator).requires_grad_()


def assert_same(found, expected, *inputs):
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    for one, other in zip(*(torch.autograd.grad(value, inputs) for value in (found, expected)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


def test_center_estimation_is_the_formula():
    torch.manual_seed(0)
    centers = 3
    images, points = maps(0), torch.randn(COUNT, centers, CHANNELS, dtype=torch.float64, requires_grad=True)
    scores = torch.randn(COUNT, centers, dtype=torch.float64, requires_grad=True)
    gamma = scores.softmax(1)
    expected = 0.0
    for i in range(COUNT):
        for n in range(centers):
            for y in range(HEIGHT):
                for x in range(WIDTH):
                    distance = sum((images[i, c, y, x] - points[i, n, c]) ** 2 for c in range(CHANNELS))
                    expected = expected + gamma[i, n] * distance / COUNT
    assert_same(center_estimation(images, points, scores.softmax(1)), expected, images, points, scores)


def test_pairs_are_judged_by_whether_they_are_of_one_class():
    scores = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    first, second = torch.tensor([0, 1, 2, 2]), torch.tensor([0, 2, 2, 1])
    assert_same(sample_contrast(scores, first, second), slow_ce(scores, torch.tensor([1, 0, 1, 0])), scores)


def test_golden_values():
    """Those of the module of Jianf-Wang/RSG on waves, before and after maps are generated."""
    generator = RareSampleGenerator(classes=3, channels=4, centers=2, contrast_width=5).double()
    labels = torch.tensor([0, 1, 0, 2, 0, 1])
    own = (generator.centers, generator.linear, generator.bias)
    modules = (generator.transformation, *generator.contrast.children())
    weights = [*own, *(p for module in modules for p in module.parameters())]
    for number, parameter in enumerate(weights):
        parameter.data = waves(1, parameter.numel(), 100 * number).detach().view_as(parameter)
    images = waves(6, 16, 7).detach().view(6, 4, 2, 2)

    def estimated():
        return center_estimation(images, generator.centers[labels], generator.assignments(images, labels))

    judged = sample_contrast(generator.scores(images[:3], images[3:]), labels[:3], labels[3:])
    learning = [*own, *generator.contrast.parameters()]
    assert golden(estimated() + judged, *learning) == pytest.approx((15.8912181, 6.5835957))

    heads, rare, counted = pairs(labels == 0)
    displacements = generator.displacements(images, labels)
    moves = generator.transformation(displacements[heads])
    scores = generator.scores(images[heads], moves)
    vectors = maximized_vector(moves, displacements[heads], displacements[rare], scores, counted)
    left_out = 4 * (4 - 1)  # pixels, and what is left out of each vector
    assert (estimated().item(), vectors.item() + left_out) == pytest.approx((15.5100192, 36.4225713))
    learning = [*own, *generator.transformation.parameters()]
    assert golden(estimated() + vectors, *learning)[1] == pytest.approx(9.5097650)
    assert labels[rare[counted]].tolist() == [1, 2, 1]
    assert (images[rare] + moves)[counted].norm().item() == pytest.approx(25.6490080)


def slow_maximized_vector(moves, displacements, targets, scores, counted):
    """As the code has it: rows of C values in the order of memory, and every entry of a product against 1."""
    total, count = 0.0, sum(counted)
    for i in range(len(moves)):
        if not counted[i]:
            continue
        m, d, t = (list(of[i].reshape(-1)) for of in (moves, displacements, targets))
        for at in range(0, len(m), CHANNELS):
            length, given, target = (sum(v**2 for v in values[at : at + CHANNELS]) ** 0.5 for values in (m, d, t))
            total = total + abs(length - given)
            for entry in range(at, at + CHANNELS):
                total = total + abs(m[entry] / length * t[entry] / target - 1)
            total = total - (CHANNELS - 1)  # the constant that is left out
        total = total + torch.logsumexp(scores[i], 0) - scores[i, 0]
    return total / count


@pytest.mark.parametrize("counted", [[True] * COUNT, [True, False, True, False], [False, False, False, True]])
def test_the_maximized_vector_loss_is_that_of_the_code(counted):
    moves, displacements, targets = maps(1), maps(2), maps(3)
    scores = torch.randn(COUNT, 2, dtype=torch.float64, requires_grad=True)
    found = maximized_vector(moves, displacements, targets, scores, torch.tensor(counted))
    expected = slow_maximized_vector(moves, displacements, targets, scores, counted)
    assert_same(found, expected, moves, targets, scores)


def test_vectors_lie_along_the_pixels_of_a_channel_whatever_the_memory_format():
    pairs = [maps(seed) for seed in (1, 2, 3)]
    scores, counted = torch.zeros(COUNT, 2, dtype=torch.float64), torch.ones(COUNT, dtype=torch.bool)
    other = [one.detach().contiguous(memory_format=torch.channels_last) for one in pairs]
    torch.testing.assert_close(maximized_vector(*pairs, scores, counted), maximized_vector(*other, scores, counted))


def test_a_move_in_the_right_direction_and_of_the_right_length_costs_the_judge_alone():
    moves = maps(1).detach()
    scores = torch.zeros(COUNT, 2, dtype=torch.float64)
    found = maximized_vector(moves, -moves, 3 * moves, scores, torch.ones(COUNT, dtype=torch.bool))
    assert found.item() == pytest.approx(math.log(2))


def test_nothing_is_to_be_learned_from_no_pair_or_from_maps_of_zeros():
    moves = torch.zeros(COUNT, CHANNELS, HEIGHT, WIDTH, requires_grad=True)
    scores = torch.zeros(COUNT, 2)
    for counted in (torch.zeros(COUNT, dtype=torch.bool), torch.ones(COUNT, dtype=torch.bool)):
        loss = maximized_vector(moves, torch.zeros_like(moves), torch.zeros_like(moves), scores, counted)
        (gradient,) = torch.autograd.grad(loss, moves)
        assert bool(loss.isfinite())
        assert not gradient.any()
        assert (loss == 0) == (not counted.any())
