"""The classifier of De-confound-TDE against loops over images, classes and groups, and the numbers of its code."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.errors import LongtailError
from longtail.models.deconfounded import Deconfounded


def length(v):
    return sum(x**2 for x in v) ** 0.5


def dot(u, v):
    return sum(u[i] * v[i] for i in range(len(u)))


def slow(classifier, h, direction=None):
    """The logits, group by group; ``direction`` is c, whose effect is removed."""
    groups, rows = classifier.groups, []
    size = h.shape[1] // groups
    for image in h:
        rows.append([])
        for weights in classifier.weight:
            total = 0
            for g in range(groups):
                part = slice(g * size, (g + 1) * size)
                x = image[part] / length(image[part])
                w = weights[part] / (length(weights[part]) + classifier.gamma)
                total = total + dot(x, w)
                if direction is not None:
                    c = direction[part] / length(direction[part])
                    total = total - classifier.alpha * dot(x, c) * dot(c, w)
            rows[-1].append(classifier.scale / groups * total)
    return torch.stack([torch.stack(row) for row in rows])


@given(batch=st.integers(1, 3), groups=st.integers(1, 3), classes=st.integers(1, 4), seed=st.integers(0, 99))
def test_logits_and_gradients_are_the_formula_in_both_modes(batch, groups, classes, seed):
    torch.manual_seed(seed)
    h = torch.randn(batch, 2 * groups, dtype=torch.float64, requires_grad=True)
    classifier = Deconfounded(2 * groups, classes, groups, 16.0, 1 / 32, 1.5, 0.9).double()
    towards = torch.randn(batch, classes, dtype=torch.float64)
    leaves = [h, classifier.weight]
    for training in (True, False):
        found = classifier.train(training)(h)
        expected = slow(classifier, h, None if training else classifier.direction)
        torch.testing.assert_close(found, expected)
        pairs = zip(*(torch.autograd.grad((s * towards).sum(), leaves) for s in (found, expected)), strict=True)
        for ours, theirs in pairs:
            torch.testing.assert_close(ours, theirs)


def golden():
    classifier = Deconfounded(4, 2, 2, 16.0, 1 / 32, 1.5, 0.9)
    weight = [[0.1, -0.2, 0.3, 0.05], [0.2, 0.1, -0.1, 0.4], [-0.3, 0.2, 0.1, 0.1]]
    classifier.weight.data = torch.tensor(weight, dtype=torch.float64)
    return classifier, torch.tensor([[1, 2, -1, 0.5], [0.3, -0.7, 2, 1]], dtype=torch.float64)


def test_golden_logits():
    """In evaluation those of the code in float32: in float64, it has -0.1031788 in place of -0.103180."""
    classifier, h = golden()
    found = classifier.double()(h).flatten().tolist()
    assert found == pytest.approx([-10.078487, 10.454777, -1.158841, 13.940734, 1.201004, 0.049499], abs=6e-7)
    classifier.direction = torch.tensor([0.5, 1, 0.2, 0.8], dtype=torch.float64)
    found = classifier.eval()(h).flatten().tolist()
    assert found == pytest.approx([-4.702574, -0.103180, -4.356757, 7.036504, 0.236428, -4.550395], abs=2e-6)


def test_the_direction_is_the_decayed_sum_of_mean_features_and_stands_still_in_evaluation():
    classifier, _ = golden()
    classifier = classifier.double()
    batches = [torch.randn(rows, 4, dtype=torch.float64) for rows in (3, 5, 2)]
    for batch in batches:
        classifier(batch)
    expected = sum(0.9 ** (2 - n) * batch.mean(0) for n, batch in enumerate(batches))
    torch.testing.assert_close(classifier.direction, expected)
    classifier.eval()(batches[0])
    torch.testing.assert_close(classifier.direction, expected)
    assert "direction" in classifier.state_dict()


def test_the_length_of_the_direction_plays_no_part():
    classifier, h = golden()
    classifier(h.float())
    before = classifier.double().eval()(h)
    classifier.direction *= 0.1
    torch.testing.assert_close(classifier(h), before)


@pytest.mark.parametrize("training", [True, False])
def test_groups_of_zeros_add_nothing(training):
    """Neither images nor, before the first step, the direction."""
    classifier, h = golden()
    classifier = classifier.double().train(training)
    h[0, :2] = 0
    h.requires_grad_()
    logits = classifier(h)
    weight = classifier.weight[:, 2:]
    own = 8 * (weight / (weight.norm(dim=1, keepdim=True) + 1 / 32)) @ (h[0, 2:] / h[0, 2:].norm())
    if training:
        torch.testing.assert_close(logits[0], own)
    logits.sum().backward()
    assert bool(logits.isfinite().all())
    assert bool(h.grad.isfinite().all())


def test_how_it_starts_and_what_it_tells_readouts():
    torch.manual_seed(0)
    classifier = Deconfounded(64, 1000, 2, 16.0, 1 / 32, 1.0, 0.9)
    bound = 1 / math.sqrt(64)
    assert classifier.weight.shape == (1000, 64)
    assert 0.95 * bound < classifier.weight.abs().max() <= bound
    assert classifier.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert classifier.bias is None


def test_it_computes_in_full_precision():
    classifier, h = golden()
    classifier, h = classifier.float().eval(), h.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(classifier(h), classifier(h))
        assert classifier(h.bfloat16()).dtype is torch.float32


def test_groups_divide_the_feature():
    with pytest.raises(LongtailError, match="width 7 cannot be cut into 2 groups: set groups to a divisor of 7"):
        Deconfounded(7, 3, 2, 16.0, 1 / 32, 1.0, 0.9)
