from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from longtail.methods.base import Batch, Context
from longtail.methods.clustering.conmix import ConMix, synthesize
from longtail.methods.losses.nt_xent import nt_xent
from longtail.methods.losses.numerics import unit
from longtail.models.backbones import new_backbone


def conmix_by_hand(v1: Tensor, v2: Tensor, tags: list[int], count: int, temperature: float) -> Tensor:
    """ConMix Eqs. 3 and 4, term by term, with the tags that occur."""
    occurring = [m for m in range(count) if m in tags]
    z = []
    for v in (v1, v2):
        for m in occurring:
            members = [v[k] for k in range(len(v)) if tags[k] == m]
            mean = sum(members) / len(members)
            z.append(mean / mean.norm())
    rows = len(occurring)
    total = torch.zeros((), dtype=v1.dtype)
    for i in range(2 * rows):
        partner = (i + rows) % (2 * rows)
        others = sum(torch.exp(z[i] @ z[k] / temperature) for k in range(2 * rows) if k != i)
        total = total - torch.log(torch.exp(z[i] @ z[partner] / temperature) / others)
    return total / (2 * rows)


def l_cm(v1: Tensor, v2: Tensor, tags: Tensor, count: int, temperature: float = 0.2) -> Tensor:
    z1, present = synthesize(v1, tags, count)
    z2, _ = synthesize(v2, tags, count)
    return nt_xent(z1, z2, temperature, present)


def representations(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    v1, v2 = (unit(torch.randn(rows, 5, dtype=torch.float64, generator=draws)) for _ in range(2))
    return v1.requires_grad_(), v2.requires_grad_()


tagged = st.integers(1, 6).flatmap(
    lambda count: st.tuples(st.just(count), st.lists(st.integers(0, count - 1), min_size=1, max_size=8))
)


@given(tagged=tagged, seed=st.integers(0, 99))
def test_loss_and_its_gradient_are_those_of_the_formulas(tagged: tuple[int, list[int]], seed: int) -> None:
    count, tags = tagged
    v1, v2 = representations(len(tags), seed)
    loss, expected = l_cm(v1, v2, torch.tensor(tags), count), conmix_by_hand(v1, v2, tags, count, 0.2)
    torch.testing.assert_close(loss, expected, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(
        torch.autograd.grad(loss, (v1, v2)), torch.autograd.grad(expected, (v1, v2)), rtol=1e-8, atol=1e-10
    )


@given(rows=st.integers(2, 8), spare=st.integers(0, 5), seed=st.integers(0, 99))
def test_with_a_tag_for_each_image_it_is_simclr(rows: int, spare: int, seed: int) -> None:
    v1, v2 = representations(rows, seed)
    tags = torch.randperm(rows + spare, generator=torch.Generator().manual_seed(seed))[:rows]
    torch.testing.assert_close(l_cm(v1, v2, tags, rows + spare), nt_xent(v1, v2, 0.2))


@given(seed=st.integers(0, 99), count=st.integers(1, 7))
def test_with_one_tag_for_all_images_there_is_nothing_to_tell_apart(seed: int, count: int) -> None:
    v1, v2 = representations(6, seed)
    loss = l_cm(v1, v2, torch.full((6,), count - 1), count)
    assert loss.item() == 0.0
    assert all(bool((g.abs() < 1e-12).all()) for g in torch.autograd.grad(loss, (v1, v2)))


@given(seed=st.integers(0, 99))
def test_order_of_images_and_of_views_does_not_matter(seed: int) -> None:
    v1, v2 = representations(9, seed)
    draws = torch.Generator().manual_seed(seed)
    tags, order = torch.randint(4, (9,), generator=draws), torch.randperm(9, generator=draws)
    loss = l_cm(v1, v2, tags, 4)
    torch.testing.assert_close(l_cm(v2, v1, tags, 4), loss)
    torch.testing.assert_close(l_cm(v1[order], v2[order], tags[order], 4), loss)


def test_opposite_representations_cancel_without_nan() -> None:
    v = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    loss = l_cm(v, v, torch.tensor([0, 0, 1]), 2)
    (gradient,) = torch.autograd.grad(loss, v)
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(gradient).all())


@pytest.fixture
def conmix() -> ConMix:
    torch.manual_seed(0)
    context = Context(functools.partial(new_backbone, "resnet_small", "cifar", 1), classes=4, rows=24)
    return ConMix(ConMix.Settings(temperature=0.2, projection_width=8, tags=5), context)


def test_one_draw_of_tags_serves_both_views(conmix: ConMix) -> None:
    conmix.double()
    x1, x2 = torch.randn(2, 24, 1, 8, 8, dtype=torch.float64)
    loss = conmix.loss(Batch((x1, x2), (torch.arange(24),) * 2, torch.Generator().manual_seed(7)))["loss"]
    tags = torch.randint(5, (24,), generator=torch.Generator().manual_seed(7))
    v1, v2 = (torch.stack([v / v.norm() for v in conmix.network(x)]) for x in (x1, x2))
    expected = conmix_by_hand(v1, v2, tags.tolist(), 5, 0.2)
    torch.testing.assert_close(loss, expected)
    used = [p for name, p in conmix.named_parameters() if ".pruned." not in name]
    torch.testing.assert_close(torch.autograd.grad(loss, used), torch.autograd.grad(expected, used))


def test_tags_are_drawn_anew_for_every_batch(conmix: ConMix) -> None:
    x1, x2 = torch.randn(2, 24, 1, 8, 8)
    draws = torch.Generator().manual_seed(7)
    first, second = (conmix.loss(Batch((x1, x2), (torch.arange(24),) * 2, draws))["loss"] for _ in range(2))
    assert not torch.equal(first, second)


# Theorem 1 -----------------------------------------------------------------------------------------------------------


def long_tailed_representations(sizes: list[int], within: float, between: float) -> tuple[Tensor, Tensor]:
    """Unit vectors of both views, (2N, d), with exactly the similarities that Theorem 1 assumes, and their classes."""
    labels = torch.cat([torch.full((size,), c) for c, size in enumerate(sizes)]).repeat(2)
    common = torch.full((len(labels), 1), between**0.5, dtype=torch.float64)
    shared = (within - between) ** 0.5 * torch.nn.functional.one_hot(labels, len(sizes)).double()
    own = (1 - within) ** 0.5 * torch.eye(len(labels), dtype=torch.float64)
    return torch.cat([common, shared, own], dim=1), labels


def h_cl(v: Tensor, i: int) -> float:
    """ConMix Eq. 6."""
    rows = len(v)
    partner = v[(i + rows // 2) % rows]
    return sum(float(v[i] @ (v[k] - partner)) for k in range(rows) if k != i)


def h_cm(v: Tensor, tags: Tensor, count: int, i: int) -> float:
    """ConMix Eq. 8, last line; tags of both views, (2N,)."""
    rows = len(v)
    view = (torch.arange(rows) >= rows // 2) == (i >= rows // 2)
    together = tags == tags[i]
    similarity = v @ v[i]
    mixed, mixed_partner = similarity[together & view].sum(), similarity[together & ~view].sum()
    return float(similarity.sum() - mixed - (2 * count + 1) * mixed_partner)


def test_theorem_1_holds_to_rounding_for_mixes_like_the_whole() -> None:
    # M = 4 mixes with the class shares of all images: 8, 4 and 2 of each class in every one.
    count, within, between = 4, 0.7, 0.2
    v, labels = long_tailed_representations([32, 16, 8], within, between)
    tags = (torch.arange(56) % count).repeat(2)
    for m in range(count):
        assert torch.bincount(labels[:56][tags[:56] == m]).tolist() == [8, 4, 2]
    head, tail = 0, 55
    cl = h_cl(v, head) - h_cl(v, tail)
    cm = h_cm(v, tags, count, head) - h_cm(v, tags, count, tail)
    assert cl == pytest.approx(2 * (32 - 8) * (within - between))
    # The proof says cm < cl; with equal mixes its Eq. 13 gives more, a surplus of the head that is turned around.
    assert cm == pytest.approx(-cl / count)


def test_theorem_1_holds_on_average_for_random_tags() -> None:
    v, _ = long_tailed_representations([32, 16, 8], 0.7, 0.2)
    cl = h_cl(v, 0) - h_cl(v, 55)
    differences = []
    for seed in range(200):
        tags = torch.randint(4, (56,), generator=torch.Generator().manual_seed(seed)).repeat(2)
        differences.append(h_cm(v, tags, 4, 0) - h_cm(v, tags, 4, 55))
    assert sum(differences) / len(differences) < cl
