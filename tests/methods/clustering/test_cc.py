from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from longtail.errors import LongtailError
from longtail.methods.base import Batch, Context
from longtail.methods.clustering.cc import CC, cluster_loss, imbalance
from longtail.methods.losses.nt_xent import nt_xent
from tests.methods.pieces import step_without_values


class Flat(nn.Flatten):
    width = 12


SETTINGS = CC.Settings(instance_temperature=0.5, cluster_temperature=1.0, projection_width=5)


def objective(seed: int = 0) -> CC:
    torch.manual_seed(seed)
    return CC(SETTINGS, Context(Flat, classes=3, rows=20)).double()


def a_batch(size: int = 6, seed: int = 0) -> Batch:
    draws = torch.Generator().manual_seed(seed)
    views = tuple(torch.randn(size, 3, 2, 2, dtype=torch.float64, generator=draws) for _ in range(2))
    return Batch(views, (torch.arange(size),) * 2, torch.Generator())


def slow_nt_xent(vectors: list, partner: list[int], temperature: float):
    """The contrast of vectors with their partners, from its formula."""

    def cosine(u, v):
        return (u * v).sum() / (u.square().sum().sqrt() * v.square().sum().sqrt())

    total = 0.0
    for i, v in enumerate(vectors):
        others = sum(torch.exp(cosine(v, u) / temperature) for j, u in enumerate(vectors) if j != i)
        total = total - torch.log(torch.exp(cosine(v, vectors[partner[i]]) / temperature) / others)
    return total / len(vectors)


def slow_cluster_loss(a: torch.Tensor, b: torch.Tensor, temperature: float):
    """L_clu, probability by probability."""
    B, K = a.shape
    views = []
    for logits in (a, b):
        exponentials = [[torch.exp(logits[i, k]) for k in range(K)] for i in range(B)]
        views.append([[e / sum(row) for e in row] for row in exponentials])
    columns = [torch.stack([p[i][k] for i in range(B)]) for p in views for k in range(K)]
    loss = slow_nt_xent(columns, [(i + K) % (2 * K) for i in range(2 * K)], temperature)
    for p in views:
        means = [sum(p[i][k] for i in range(B)) / B for k in range(K)]
        loss = loss + math.log(K) + sum(m * torch.log(m) for m in means)
    return loss


@given(
    batch=st.integers(1, 5), clusters=st.integers(2, 5), temperature=st.floats(0.2, 2.0), seed=st.integers(0, 10**6)
)  # fmt: skip
def test_the_cluster_loss_is_the_formula(batch, clusters, temperature, seed):
    draws = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(batch, clusters, dtype=torch.float64, generator=draws).requires_grad_() for _ in range(2))
    expected, found = slow_cluster_loss(a, b, temperature), cluster_loss(a, b, temperature)
    torch.testing.assert_close(found, expected)
    for one, other in zip(torch.autograd.grad(found, (a, b)), torch.autograd.grad(expected, (a, b)), strict=True):
        torch.testing.assert_close(one, other)


def test_the_loss_is_the_sum_of_both_heads_losses():
    cc, batch = objective(), a_batch()
    h = [view.flatten(1) for view in batch.views]
    z, logits = [cc.instance_head(x) for x in h], [cc.cluster_head(x) for x in h]
    instance = slow_nt_xent([*z[0], *z[1]], [*range(6, 12), *range(6)], 0.5)
    cluster = slow_cluster_loss(*logits, 1.0)
    parts = cc.loss(batch)
    torch.testing.assert_close(parts["instance"], instance)
    torch.testing.assert_close(parts["cluster"], cluster)
    weights = list(cc.parameters())
    found, wanted = torch.autograd.grad(parts["loss"], weights), torch.autograd.grad(instance + cluster, weights)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_neither_the_order_of_clusters_nor_that_of_images_matters():
    a, b = torch.randn(2, 7, 4, dtype=torch.float64)
    clusters, images = torch.randperm(4), torch.randperm(7)
    loss = cluster_loss(a, b, 1.0)
    torch.testing.assert_close(cluster_loss(a[:, clusters], b[:, clusters], 1.0), loss)
    torch.testing.assert_close(cluster_loss(a[images], b[images], 1.0), loss)
    torch.testing.assert_close(cluster_loss(b, a, 1.0), loss)


def test_imbalance_is_between_none_and_the_log_of_the_clusters():
    assert imbalance(torch.full((5, 4), 0.25)).item() == pytest.approx(0, abs=1e-6)
    assert imbalance(torch.eye(4)[[2, 2]]).item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("scale", [100.0, 1e30])
def test_a_collapse_stays_finite(scale):
    """All images in one cluster, the others underflow to 0."""
    a = (scale * torch.eye(5)[[1] * 8]).requires_grad_()
    b = (scale * torch.eye(5)[[1] * 8]).requires_grad_()
    loss = cluster_loss(a, b, 1.0)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, (a, b)))


def test_a_step_never_asks_for_a_value():
    cc = objective()
    step_without_values(cc, 6, 3, 2, 2)


def test_the_encoders_are_what_is_trained():
    cc, images = objective(), a_batch().views[0]
    embedding, logits = cc.encoder("cluster_head")(images)
    torch.testing.assert_close(embedding, images.flatten(1))
    torch.testing.assert_close(logits, cc.cluster_head(images.flatten(1)))
    torch.testing.assert_close(
        nt_xent(cc.encoder("projection")(images), cc.encoder("projection")(a_batch().views[1]), 0.5),
        cc.loss(a_batch())["instance"],
    )
    assert (cc.encoder("projection").width, cc.encoder("backbone").width) == (5, 12)
    with pytest.raises(LongtailError, match="features of CC 'memory'"):
        cc.encoder("memory")


@pytest.mark.parametrize("name", ["instance_temperature", "cluster_temperature", "projection_width"])
def test_impossible_settings_are_named(name):
    with pytest.raises(LongtailError, match=name):
        CC.Settings(**{**vars(SETTINGS), name: 0})
