from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from longtail.errors import LongtailError
from longtail.methods.base import Batch, Context
from longtail.methods.clustering.scan import (
    LEAST_SHARE,
    SCAN,
    SCANPretext,
    SelfLabelling,
    cluster_entropy,
    consistency_loss,
    nearest_neighbours,
    one_sided_nt_xent,
    self_label_loss,
)
from longtail.methods.losses.nt_xent import nt_xent
from tests.methods.pieces import step_without_values


class Normed(nn.Sequential):
    """A backbone in which train and eval mode differ."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.BatchNorm1d(12))
        self.width = 12


class Images:
    """A split of random images, encoded as the loop encodes it."""

    def __init__(self, rows: int, dtype=torch.float64):
        self.raw = torch.randn(rows, 3, 2, 2, dtype=dtype, generator=torch.Generator().manual_seed(5))

    @torch.no_grad()
    def encode(self, encoder):
        return encoder.eval()(self.raw)


CONTEXT = Context(Normed, classes=4, rows=15)
PRETEXT = SCANPretext.Settings(temperature=0.1, projection_width=5, anchors="first")
CLUSTER = SCAN.Settings(features="backbone", neighbour_features="projection", neighbours=3, entropy_weight=5.0)
LABEL = SelfLabelling.Settings(features="cluster_head", confidence_threshold=0.3)


def pretext(settings=PRETEXT) -> SCANPretext:
    torch.manual_seed(0)
    return SCANPretext(settings, CONTEXT).double()


def scan(prepared: bool = True) -> SCAN:
    objective = SCAN(CLUSTER, CONTEXT, pretext()).double()
    if prepared:
        objective.prepare(Images(15))
    return objective.train()


def self_labelling(settings=LABEL) -> SelfLabelling:
    return SelfLabelling(settings, CONTEXT, scan()).double()


def a_batch(size: int = 6, seed: int = 0) -> Batch:
    draws = torch.Generator().manual_seed(seed)
    views = tuple(torch.randn(size, 3, 2, 2, dtype=torch.float64, generator=draws) for _ in range(2))
    return Batch(views, (torch.arange(size),) * 2, torch.Generator())


def logits(batch: int, clusters: int, seed: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(batch, clusters, dtype=torch.float64, generator=draws)).requires_grad_()


def probabilities(x: torch.Tensor) -> list[list[torch.Tensor]]:
    exponentials = [[torch.exp(value) for value in row] for row in x]
    return [[value / sum(row) for value in row] for row in exponentials]


def assert_same(found, expected, *inputs):
    """Value and gradients."""
    torch.testing.assert_close(found, expected)
    gradients = (torch.autograd.grad(value, inputs, retain_graph=True) for value in (found, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


# --- the losses, from their formulas ----------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(2, 4), st.floats(0.1, 1.0), st.integers(0, 10**6))
def test_the_one_sided_contrast_is_the_formula(batch, width, temperature, seed):
    a, b = logits(batch, width, seed), logits(batch, width, seed + 1)

    def cosine(u, v):
        return (u * v).sum() / (u.square().sum().sqrt() * v.square().sum().sqrt())

    expected = 0.0
    for i in range(batch):
        others = [torch.exp(cosine(a[i], b[j]) / temperature) for j in range(batch)]
        others += [torch.exp(cosine(a[i], a[j]) / temperature) for j in range(batch) if j != i]
        expected = expected - torch.log(torch.exp(cosine(a[i], b[i]) / temperature) / sum(others)) / batch
    assert_same(one_sided_nt_xent(a, b, temperature), expected, a, b)


def test_both_sides_make_the_whole_contrast():
    a, b = logits(6, 4, 0), logits(6, 4, 1)
    halves = one_sided_nt_xent(a, b, 0.3) + one_sided_nt_xent(b, a, 0.3)
    torch.testing.assert_close(halves / 2, nt_xent(a, b, 0.3))


@given(st.integers(1, 5), st.integers(2, 5), st.integers(0, 10**6))
def test_consistency_and_entropy_are_the_formulas(batch, clusters, seed):
    a, n = logits(batch, clusters, seed), logits(batch, clusters, seed + 1)
    p, q = probabilities(a), probabilities(n)
    agreement = [sum(p[i][k] * q[i][k] for k in range(clusters)) for i in range(batch)]
    assert_same(consistency_loss(a, n), -sum(torch.log(value) for value in agreement) / batch, a, n)
    means = [sum(p[i][k] for i in range(batch)) / batch for k in range(clusters)]
    assert_same(cluster_entropy(a), -sum(m * torch.log(m) for m in means), a)


@given(
    batch=st.integers(1, 7), clusters=st.integers(2, 4), threshold=st.floats(0.0, 0.999), seed=st.integers(0, 10**6)
)  # fmt: skip
def test_self_labelling_is_the_mean_over_clusters_of_their_mean(batch, clusters, threshold, seed):
    strong, weak = logits(batch, clusters, seed), logits(batch, clusters, seed + 1)
    p, q = probabilities(strong), probabilities(weak)
    by_cluster: dict[int, list] = {}
    for i in range(batch):
        label = max(range(clusters), key=lambda k: q[i][k])
        if q[i][label] > threshold:
            by_cluster.setdefault(label, []).append(-torch.log(p[i][label]))
    found, share = self_label_loss(strong, weak, threshold)
    assert share.item() == pytest.approx(sum(map(len, by_cluster.values())) / batch)
    if by_cluster:
        expected = sum(sum(losses) / len(losses) for losses in by_cluster.values()) / len(by_cluster)
        assert_same(found, expected, strong)
        # as in the official code: cross-entropy with the weights n / n_c
        n = sum(map(len, by_cluster.values()))
        counted = torch.tensor([max(row) > threshold for row in q])
        weights = torch.tensor([n / len(by_cluster.get(k, [None])) for k in range(clusters)], dtype=torch.float64)
        official = functional.cross_entropy(strong[counted], weak.argmax(1)[counted], weight=weights)
        torch.testing.assert_close(found, official)
    else:
        assert found == 0
        assert torch.autograd.grad(found, strong)[0].abs().max() == 0


def test_a_collapse_stays_finite():
    a = (1e4 * torch.eye(3)[[0, 0, 0]]).requires_grad_()
    n = (1e4 * torch.eye(3)[[1, 1, 1]]).requires_grad_()
    for loss in (consistency_loss(a, n), cluster_entropy(a), self_label_loss(a, n, 0.99)[0]):
        assert loss.isfinite()
        assert torch.autograd.grad(loss, a)[0].isfinite().all()
    assert cluster_entropy(a).item() == pytest.approx(-2 * LEAST_SHARE * math.log(LEAST_SHARE), abs=1e-9)


# --- neighbours -------------------------------------------------------------------------------------------------------


@given(rows=st.integers(1, 12), width=st.integers(1, 4), seed=st.integers(0, 10**6), chunk=st.integers(1, 40))
def test_neighbours_are_the_most_similar_rows_after_the_row_itself(rows, width, seed, chunk):
    v = functional.normalize(logits(rows, width, seed).detach(), dim=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("longtail.methods.clustering.scan.CHUNK", chunk)
        found = nearest_neighbours(v, rows)
    for i in range(rows):
        assert found[i, 0] == i
        similar = [float(v[i] @ v[j]) for j in found[i, 1:]]
        assert similar == pytest.approx(sorted((float(v[i] @ v[j]) for j in range(rows) if j != i), reverse=True))


def test_more_neighbours_than_images_are_refused():
    with pytest.raises(LongtailError, match="Lower the setting neighbours"):
        nearest_neighbours(torch.eye(4), 5)


def test_neighbours_are_mined_once_by_the_pretext_projection_in_eval_mode():
    parent = pretext()
    parent.backbone[1].running_mean.normal_()
    objective = SCAN(CLUSTER, CONTEXT, parent).double()
    images = Images(15)
    projected = functional.normalize(images.encode(parent.encoder("projection")), dim=1)
    objective.prepare(images)
    assert torch.equal(objective.neighbours, nearest_neighbours(projected, 4))
    assert not any("head.2" in name for name in objective.state_dict())  # the pretext head is gone


def test_an_image_is_shown_with_one_of_its_neighbours_or_itself():
    objective = scan()
    rows = torch.tensor([3, 9, 0]).repeat(200)
    draws = torch.Generator().manual_seed(0)
    anchors, neighbours = objective.shown(rows, 2, draws)
    assert anchors is rows
    for row in (3, 9, 0):
        drawn = neighbours[rows == row]
        assert set(drawn.tolist()) == set(objective.neighbours[row].tolist())
        assert max(torch.bincount(drawn, minlength=15)) < 80  # of 200, of which each of four expects 50
    assert torch.equal(neighbours, objective.shown(rows, 2, torch.Generator().manual_seed(0))[1])


# --- steps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("anchors", "contrast"), [("first", one_sided_nt_xent), ("both", nt_xent)])
def test_the_pretext_task_takes_both_views_in_one_forward(anchors, contrast):
    objective = pretext(SCANPretext.Settings(**{**vars(PRETEXT), "anchors": anchors}))
    batch = a_batch()
    z = objective.head(functional.batch_norm(torch.cat(batch.views).flatten(1), None, None, training=True))
    assert_same(objective.loss(batch)["loss"], contrast(z[:6], z[6:], 0.1), *objective.head.parameters())


def test_the_clustering_step_is_consistency_and_entropy():
    objective, batch = scan(), a_batch()
    anchor, neighbour = (
        objective.network.head(functional.batch_norm(view.flatten(1), None, None, training=True))
        for view in batch.views
    )
    expected = consistency_loss(anchor, neighbour) - 5.0 * cluster_entropy(anchor)
    parts = objective.loss(batch)
    assert_same(parts["loss"], expected, *objective.network.head.parameters())
    torch.testing.assert_close(parts["loss"], parts["consistency"] - 5.0 * parts["entropy"])


def test_self_labelling_learns_on_view_1_from_view_2():
    objective, batch = self_labelling(), a_batch()
    head = objective.network.head
    strong, weak = (head(functional.batch_norm(v.flatten(1), None, None, training=True)) for v in batch.views)
    expected, confident = self_label_loss(strong, weak, 0.3)
    parts = objective.loss(batch)
    assert_same(parts["loss"], expected, *head.parameters())
    assert parts["confident"] == confident > 0
    assert parts["skipped"] == 0


def test_a_batch_without_a_confident_image_is_skipped():
    objective = self_labelling(SelfLabelling.Settings(features="cluster_head", confidence_threshold=0.999999))
    parts = objective.loss(a_batch())
    assert parts["loss"] == parts["confident"] == 0
    assert parts["skipped"] == 1
    assert parts["skipped"].dtype == torch.float32
    parts["loss"].backward()
    assert all(weight.grad.abs().max() == 0 for weight in objective.network.head.parameters())


@pytest.mark.parametrize("make", [pretext, scan, self_labelling])
def test_a_step_never_asks_for_a_value(make):
    objective = make()
    step_without_values(objective, 6, 3, 2, 2)


def test_each_training_takes_over_what_the_one_before_has_trained():
    first = pretext()
    second = SCAN(CLUSTER, CONTEXT, first).double()
    assert second.network.embedder is first.backbone
    third = SelfLabelling(LABEL, CONTEXT, second)
    assert third.network is second.network
    embedding, predicted = third.eval().encoder("cluster_head")(a_batch().views[0])
    assert (embedding.shape, predicted.shape) == ((6, 12), (6, 4))
    assert all(weight.requires_grad for weight in third.parameters())


def test_the_checkpoint_holds_the_neighbours():
    restored = scan(prepared=False)
    assert restored.neighbours.sum() == 0
    restored.load_state_dict(scan().state_dict())
    assert torch.equal(restored.neighbours, scan().neighbours)


def test_what_a_step_needs_before_it_is_named():
    with pytest.raises(LongtailError, match="with a cluster head"):
        SelfLabelling(SelfLabelling.Settings("backbone", 0.9), CONTEXT, scan())


@pytest.mark.parametrize("make", [pretext, scan, self_labelling])
def test_unknown_features_are_named(make):
    objective = make()
    assert {"backbone"} <= set(objective.features)
    for name in objective.features:
        assert objective.encoder(name) is not None
    with pytest.raises(LongtailError, match="'memory'"):
        objective.encoder("memory")


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (PRETEXT, "temperature", 0.0),
        (PRETEXT, "projection_width", 0),
        (PRETEXT, "anchors", "second"),
        (CLUSTER, "neighbours", -1),
        (LABEL, "confidence_threshold", 1.0),
    ],
)
def test_impossible_settings_are_named(settings, name, value):
    with pytest.raises(LongtailError, match=name):
        type(settings)(**{**vars(settings), name: value})
