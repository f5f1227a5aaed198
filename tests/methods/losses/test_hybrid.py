"""The contrast of Hybrid-PSC against its formula in float64."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.methods.losses.centroid_contrast import centroid_contrast
from longtail.methods.losses.hybrid import prototypical
from longtail.methods.losses.numerics import unit
from tests.methods.golden import waves
from tests.methods.losses.test_key_contrast import assert_same, classes


def slow_prototypical(z, prototypes, labels, temperature):
    total = 0.0
    for row, y in zip(z, labels.tolist(), strict=True):
        cosines = [row @ p / (row.norm() * p.norm()) / temperature for p in prototypes]
        others = sum(torch.exp(value) for k, value in enumerate(cosines) if k != y)
        total = total - torch.log(torch.exp(cosines[y]) / others)
    return total / len(z)


@settings(max_examples=30)
@given(offset=st.integers(0, 999), rows=st.integers(1, 5), temperature=st.floats(0.1, 2))
def test_the_loss_is_the_formula(offset, rows, temperature):
    """Vectors of any length, classes that are absent, an image alone."""
    z, prototypes, y = waves(rows, 4, offset), waves(3, 4, offset + 50), classes(offset, rows)
    found = prototypical(z, prototypes, y, temperature)
    assert_same(found, slow_prototypical(z, prototypes, y, temperature), z, prototypes)


def test_it_is_the_log_odds_of_the_contrast_in_which_the_own_prototype_competes():
    z, prototypes, y = waves(1, 4, 0), waves(3, 4, 300), torch.tensor([2])
    p = torch.exp(-centroid_contrast(unit(z), unit(prototypes), torch.eye(3)[y], 0.3))
    torch.testing.assert_close(prototypical(z, prototypes, y, 0.3), torch.log((1 - p) / p))


def test_half_precision_is_left_for_full():
    z = waves(3, 4, 0).detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert prototypical(z, z, torch.arange(3), 0.1).dtype == torch.float32
