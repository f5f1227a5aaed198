"""The contrast of ResCom against its equations term by term, its identities, and numbers of the official code."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from longtail.methods.losses.classification import logit_adjusted
from longtail.methods.losses.contrastive import supcon
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.siamese_mining import contrast_weights, hardest, rebalanced_contrast
from tests.methods.golden import directions, golden, near, tensor, waves

# --- The equations, term by term --------------------------------------------------------------------------------------


def slow_contrast(z, labels, keys, key_labels, weights, temperature, anchors, in_batch, mined):
    """Of each anchor: exp u of all columns, those of its class apart; mined ones by sorting."""
    total = torch.zeros((), dtype=z.dtype)
    for i in range(anchors):
        near = [z[i] @ key / temperature for key, k in zip(keys, key_labels, strict=True) if k == labels[i]]
        far = [z[i] @ key / temperature for key, k in zip(keys, key_labels, strict=True) if k != labels[i]]
        if mined:
            near = sorted(near, key=Tensor.item)[: mined[0]]
            far = sorted(far, key=Tensor.item)[::-1][: mined[1]]
        for j in range(len(z)) if in_batch else ():
            if j != i:
                (near if labels[j] == labels[i] else far).append(z[i] @ z[j] / temperature)
        below = sum(torch.exp(u) for u in near + far)
        logs = [torch.log(torch.exp(u) / below) for u in near]
        total = total - weights[labels[i]] * sum(logs) / max(len(near), 1)
    return total / anchors


def assert_same(found, expected, *inputs):
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        torch.autograd.grad(found, inputs), torch.autograd.grad(expected, inputs), rtol=1e-8, atol=1e-10
    )


def a_case(seed, rows, classes, per_class):
    """Raw embeddings of 2B views, their labels, and a balanced queue."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(2 * rows, 4, dtype=torch.float64, generator=random).requires_grad_()
    labels = torch.randint(classes, (rows,), generator=random).repeat(2)
    keys = unit(torch.randn(classes * per_class, 4, dtype=torch.float64, generator=random))
    weights = 0.5 + torch.rand(classes, dtype=torch.float64, generator=random)
    return x, labels, keys, torch.arange(classes).repeat_interleave(per_class), weights


@given(
    seed=st.integers(0, 999),
    rows=st.integers(1, 3),
    both=st.booleans(),
    in_batch=st.booleans(),
    mined=st.sampled_from([None, (1, 1), (1, 3), (2, 4)]),
    temperature=st.sampled_from([0.1, 0.2, 1.0]),
)
def test_the_contrast_is_the_formula(seed, rows, both, in_batch, mined, temperature):
    x, *rest = a_case(seed, rows, classes=3, per_class=2)
    arguments = (*rest, temperature, rows * (1 + both), in_batch, mined)
    assert_same(rebalanced_contrast(unit(x), *arguments), slow_contrast(unit(x), *arguments), x)


@given(
    seed=st.integers(0, 999),
    groups=st.integers(2, 3),
    rows=st.integers(1, 2),
    both=st.booleans(),
    mined=st.sampled_from([None, (1, 3)]),
)
def test_groups_are_contrasted_as_batches_of_their_own(seed, groups, rows, both, mined):
    """As on so many GPUs of dvlab-research/ResCom, each of which has some pairs of views and the whole queue."""
    x, labels, *queue_and_weights = a_case(seed, groups * rows, classes=3, per_class=2)
    anchors = rows * (1 + both)
    expected = torch.zeros((), dtype=x.dtype)
    for gpu in range(groups):
        own = unit(x)[gpu::groups], labels[gpu::groups]
        expected = expected + slow_contrast(*own, *queue_and_weights, 0.2, anchors, True, mined) / groups
    found = rebalanced_contrast(unit(x), labels, *queue_and_weights, 0.2, groups * anchors, True, mined, groups=groups)
    assert_same(found, expected, x)


def test_mined_positives_keep_their_sign():
    """Algorithm 1 leaves the minus of its top-k in the positives; with it, mining would push them apart."""
    similarities = torch.tensor([[0.9, -0.4, 0.3, 0.8, -0.7]])
    same = torch.tensor([[True, True, True, False, False]])
    found, are_same = hardest(similarities, same, 2, 1)
    assert found.tolist() == similarities[:, [1, 2, 3]].tolist()
    assert are_same.tolist() == [[True, True, False]]


def test_an_anchor_whose_class_is_nowhere_has_no_loss():
    """As long as a queue of all classes holds random vectors alone, which are nobody's."""
    x, labels, keys, _, weights = a_case(0, 2, classes=3, per_class=2)
    nobody = torch.full((6,), -1)
    loss = rebalanced_contrast(unit(x), labels, keys, nobody, weights, 0.2, anchors=4, in_batch=False)
    assert loss == 0
    assert not torch.autograd.grad(loss, x)[0].any()


def test_half_precision_is_left_for_full():
    x, labels, keys, key_labels, weights = a_case(0, 2, classes=3, per_class=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z, keys = unit(x).bfloat16(), keys.bfloat16()
        assert rebalanced_contrast(z, labels, keys, key_labels, weights, 0.2, 4, True, (1, 2)).dtype == torch.float32


# --- Identities -------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 999), rows=st.integers(1, 3), in_batch=st.booleans())
def test_mining_all_pairs_is_mining_none(seed, rows, in_batch):
    """Eq. 5 with Q_p = Q and Q_n = (K - 1) Q is Eq. 3; Sec. 4.3.3 misprints the latter as K (Q - 1)."""
    x, *rest = a_case(seed, rows, classes=3, per_class=2)
    arguments = (*rest, 0.2, 2 * rows, in_batch)
    assert_same(rebalanced_contrast(unit(x), *arguments, (2, 4)), rebalanced_contrast(unit(x), *arguments), x)


@given(seed=st.integers(0, 999), rows=st.integers(1, 3))
def test_equal_weights_leave_supervised_contrast(seed, rows):
    """Eq. 3 is Eq. 1 with weights of 1; and with the batch and no queue it is SupCon."""
    x, labels, keys, key_labels, _ = a_case(seed, rows, classes=3, per_class=2)
    ones = contrast_weights(torch.tensor([5, 3, 2]), 0.0, "mean_normalised")
    nothing = keys[:0], key_labels[:0]
    found = rebalanced_contrast(unit(x), labels, *nothing, ones, 0.1, anchors=2 * rows, in_batch=True)
    assert_same(found, supcon(x[:rows], x[rows:], labels[:rows], 0.1), x)


@pytest.mark.parametrize("scaling", ["raw", "mean_normalised"])
def test_the_ends_of_beta(scaling):
    sizes = torch.tensor([500, 30, 5])
    assert contrast_weights(sizes, 0.0, scaling).tolist() == [1, 1, 1]
    rarest = contrast_weights(sizes, 1 - 1e-9, scaling)
    torch.testing.assert_close(rarest / rarest[0], 500 / sizes.double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("classes", "largest", "ratio", "factor"),
    [
        (10, 5000, 100, 85.943),
        (10, 5000, 50, 93.016),
        (10, 5000, 10, 99.916),
        (100, 500, 100, 46.333),
        (100, 500, 50, 53.325),
        (100, 500, 10, 75.682),
    ],
)
def test_what_the_paper_writes_is_a_hundredth_of_what_its_code_trains(classes, largest, ratio, factor):
    """For all classes alike: the raw weights with lambda times the mean of E are the same loss."""
    sizes = torch.tensor([math.floor(largest * ratio ** -(k / (classes - 1))) for k in range(classes)])
    official, literal = (contrast_weights(sizes, 0.99, scaling) for scaling in ("mean_normalised", "raw"))
    torch.testing.assert_close(
        official / literal, torch.full((classes,), factor, dtype=torch.float64), rtol=1e-5, atol=0
    )
    if ratio == 100:
        first, last = (0.859429, 2.175802) if classes == 10 else (0.466393, 9.453772)
        assert (official[0].item(), official[-1].item()) == near(first, last)
        mean = ((official * sizes).sum() / sizes.sum()).item()
        assert mean == pytest.approx(0.874670 if classes == 10 else 0.741150, abs=1e-6)


# --- Golden values of dvlab-research/ResCom (G8) and of the paper's equations (G9) ------------------------------------

Y, SIZES, KEY_LABELS = torch.tensor([0, 0, 1]), torch.tensor([5, 3, 2]), torch.tensor([0, 0, 1, 1, 2, 2])


@pytest.fixture
def views():
    return directions(3, 4, 0), directions(3, 4, 100)


def official(z1, z2, beta, mined):
    z, keys = unit(torch.cat([z1, z2])), directions(6, 4, 200).detach()
    weights = contrast_weights(SIZES, beta, "mean_normalised")
    return rebalanced_contrast(z, Y.repeat(2), keys, KEY_LABELS, weights, 0.2, anchors=6, in_batch=True, mined=mined)


@pytest.mark.parametrize(
    ("beta", "mined", "values"),
    [
        (0.9, (1, 2), (3.481612, 1.338598, 1.062273)),
        (0.0, (1, 2), (4.324454, 1.471465, 1.180803)),
        (0.9, (2, 4), (3.256392, 0.942898, 0.765978)),
    ],
)
def test_golden_official(views, beta, mined, values):
    loss = official(*views, beta, mined)
    assert (loss.item(), *(grad.norm().item() for grad in torch.autograd.grad(loss, views))) == near(*values)


def test_golden_official_weights():
    assert tuple(contrast_weights(SIZES, 0.9, "mean_normalised").tolist()) == near(0.708579, 1.070738, 1.527211)
    assert tuple(contrast_weights(SIZES, 0.9, "raw").reciprocal().tolist()) == near(4.0951, 2.71, 1.9)


def test_golden_siamese_balanced_softmax_and_total(views):
    """The classifier sees features as they are, the contrast their directions (the projector is the identity)."""
    weight, bias = waves(3, 4, 500).detach(), torch.tensor([0.1, 0, -0.1], dtype=torch.float64)
    features = torch.cat(views)
    siamese = logit_adjusted(features @ weight.T + bias, Y.repeat(2), SIZES)
    halves = [logit_adjusted(x @ weight.T + bias, Y, SIZES) for x in views]
    torch.testing.assert_close(siamese, (halves[0] + halves[1]) / 2)
    keys, weights = directions(6, 4, 200).detach(), contrast_weights(SIZES, 0.9, "mean_normalised")
    contrast = rebalanced_contrast(unit(features), Y.repeat(2), keys, KEY_LABELS, weights, 0.2, 6, True, (1, 2))
    for loss, values in [
        (siamese, (1.011467, 0.302648, 0.386011)),
        (siamese + 0.5 * contrast, (2.752273, 0.544924, 0.463951)),
    ]:
        grads = torch.autograd.grad(loss, views, retain_graph=True)
        assert (loss.item(), *(grad.norm().item() for grad in grads)) == near(*values)


@pytest.mark.parametrize(
    ("weights", "mined", "values"),
    [
        ("raw", (1, 2), (1.455035, 0.801385)),
        ("ones", (1, 2), (5.189992, 2.811524)),
        ("raw", (2, 4), (1.089676, 0.438434)),
        ("raw", None, (1.089676, 0.438434)),
        ("ones", None, (3.951496, 1.451260)),
    ],
)
def test_golden_of_the_paper(views, weights, mined, values):
    keys, z1 = directions(6, 4, 200).detach(), views[0]
    w = contrast_weights(SIZES, 0.9 if weights == "raw" else 0.0, "raw")
    loss = rebalanced_contrast(unit(z1), Y, keys, KEY_LABELS, w, 0.2, anchors=3, in_batch=False, mined=mined)
    assert golden(loss, z1) == near(*values)


def test_golden_terms_of_the_gradient(views):
    """Eq. 4: of anchor 0, what each key of the queue adds to the gradient is |P - 1/Q| or P."""
    keys, z = directions(6, 4, 200).detach(), views[0].detach()[:1]
    similarities = tensor((z @ keys.T / 0.2).tolist())
    loss = rebalanced_contrast(similarities, Y[:1], torch.eye(6).double(), KEY_LABELS, torch.ones(3), 1.0, 1, False)
    terms = torch.autograd.grad(loss, similarities)[0][0].abs()
    assert tuple(terms.tolist()) == near(0.499384, 0.433142, 0.056394, 0.006933, 0.384262, 0.484937)
