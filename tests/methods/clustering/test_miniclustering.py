from __future__ import annotations

import copy
import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from longtail.clusterers.kmeans import spherical_kmeans
from longtail.errors import LongtailError
from longtail.methods.base import Batch, Context
from longtail.methods.clustering.byol import BYOL
from longtail.methods.clustering.miniclustering import (
    MiniClustering,
    contingency,
    maxi_cluster_weights,
    mini_cluster_weights,
    mini_loss,
    plain_mean,
    reweighted_loss,
    similarity_loss,
    weighted_mean,
)
from longtail.methods.clustering.moco import MoCo
from longtail.methods.clustering.simclr import SimCLR
from tests.methods.pieces import MINI_CLUSTERS as M
from tests.methods.pieces import MINICLUSTERING, TinyBackbone, step_without_values

K, B = 3, 9
SEEDS = st.integers(0, 10**6)
OFFICIAL = dataclasses.replace(
    MINICLUSTERING, features="target_projection", confidence_threshold=0.5, alpha=0.2, beta=0.7, head_scale=100.0
)


def changed(**settings) -> MiniClustering.Settings:
    return MiniClustering.Settings(**{**vars(OFFICIAL), **settings})


PAPER = changed(
    confidence_view=1,
    count_view=2,
    reweighting="plain_mean",
    mini_balance="plain",
    similarity="inner",
    empty_mask="zero",
)
PROTOCOLS = {"official": OFFICIAL, "paper": PAPER}


# the loss, written from Eqs. 1 to 9 with loops over images and clusters


def softmax_row(z):
    total = sum(torch.exp(value) for value in z)
    return [torch.exp(value) / total for value in z]


def slow_weights(target_labels, mini_labels, targets, minis, delta, direction):
    weights = []
    for k in range(targets):
        held = 0
        for j in range(minis):
            both = sum(1 for a, b in zip(target_labels, mini_labels, strict=True) if (a, b) == (k, j))
            whole = sum(1 for b in mini_labels if b == j) if direction == "mini" else sum(a == k for a in target_labels)
            if whole and both / whole > delta:
                held += 1
        weights.append(minis / max(held, 0.5) if direction == "mini" else max(held, 0.5))
    return weights


def slow_target_loss(settings, logits, labels, members, weights):
    s, sizes = settings, [settings.mini_clusters / w for w in weights]
    total = norm = torch.zeros((), dtype=torch.float64)
    for i in members:
        z, y = logits[i], labels[i]
        weight, probability = 1.0, softmax_row(z)[y]
        if s.target_loss == "reweighted":
            weight = weights[y]
        elif s.target_loss == "cb_softmax":
            weight = (1 - s.cb_gamma) / (1 - s.cb_gamma ** sizes[y])
        elif s.target_loss == "balms":
            shares = [size / sum(sizes) for size in sizes]
            probability = shares[y] * torch.exp(z[y]) / sum(p * torch.exp(v) for p, v in zip(shares, z, strict=True))
        elif s.target_loss == "eql":
            probability = torch.exp(z[y]) / sum(w * torch.exp(v) for w, v in zip(weights, z, strict=True))
        total = total - weight * torch.log(probability)
        norm = norm + (weight if s.reweighting == "weighted_mean" else 1.0)
    return total / norm if members else total


def slow_mini_loss(settings, logits, labels, members):
    if not members:
        return torch.zeros((), dtype=torch.float64)
    losses = {i: -torch.log(softmax_row(logits[i])[labels[i]]) for i in members}
    if settings.mini_balance == "plain":
        return sum(losses.values()) / len(losses)
    means = []
    for j in sorted({labels[i] for i in members}):
        own = [losses[i] for i in members if labels[i] == j]
        means.append(sum(own) / len(own))
    return sum(means) / len(means)


def slow_similarity_loss(settings, target_logits, mini_logits):
    total = 0.0
    rows = [(softmax_row(t), softmax_row(m)) for t, m in zip(target_logits, mini_logits, strict=True)]
    for one in rows:
        for two in rows:
            similar = []
            for p, q in zip(one, two, strict=True):
                value = sum(a * b for a, b in zip(p, q, strict=True))
                if settings.similarity == "cosine":
                    value = value / (sum(a * a for a in p).sqrt() * sum(b * b for b in q).sqrt())
                similar.append(value)
            total = total + (similar[0] - similar[1]) ** 2
    return total / len(rows) ** 2


def slow_loss(settings, target_1, mini_1, target_2, mini_2):
    s = settings
    labels_t, labels_m = target_2.argmax(1).tolist(), mini_2.argmax(1).tolist()
    sure_t, sure_m = (target_1, mini_1) if s.confidence_view == 1 else (target_2, mini_2)
    members_t = [i for i, z in enumerate(sure_t) if max(softmax_row(z)) > s.confidence_threshold]
    members_m = [i for i, z in enumerate(sure_m) if max(softmax_row(z)) > s.confidence_threshold]
    counted_t, counted_m = (target_1, mini_1) if s.count_view == 1 else (target_2, mini_2)
    weights = slow_weights(
        counted_t.argmax(1).tolist(), counted_m.argmax(1).tolist(), target_1.shape[1], mini_1.shape[1],
        s.assignment_threshold, s.direction,
    )  # fmt: skip
    loss_r = slow_target_loss(s, target_1, labels_t, members_t, weights)
    loss_m = slow_mini_loss(s, mini_1, labels_m, members_m)
    loss_s = slow_similarity_loss(s, target_1, mini_1)
    skipped = s.empty_mask == "skip" and ((s.target_weight and not members_t) or (s.alpha and not members_m))
    total = s.target_weight * loss_r + s.alpha * loss_m + s.beta * loss_s
    return {"loss": 0 * total if skipped else total, "L_r": loss_r, "L_m": loss_m, "L_s": loss_s}


# an objective whose encoder hands its input through, so that the heads see chosen embeddings


class Through(nn.Module):
    width = 4

    def forward(self, images):
        return images


class Pretrained(nn.Module):
    def encoder(self, features):
        assert features == "target_projection"
        return Through()


CONTEXT = Context(new_backbone=Through, classes=K, rows=30)


def on_embeddings(settings: MiniClustering.Settings, seed: int = 0) -> tuple[MiniClustering, Batch]:
    torch.manual_seed(seed)
    mini = MiniClustering(settings, CONTEXT, Pretrained()).double()
    for head in (mini.target_head, mini.mini_head):
        nn.init.normal_(head.weight, std=1.0)
    views = tuple(torch.randn(B, 4, dtype=torch.float64).requires_grad_() for _ in range(2))
    return mini, Batch(views, (torch.arange(B),) * 2, torch.Generator())


def heads_of(mini: MiniClustering) -> list[nn.Parameter]:
    return [*mini.target_head.parameters(), *mini.mini_head.parameters()]


VARIANTS = [
    {},
    {"confidence_threshold": 0.0},
    {"confidence_threshold": 0.9},
    {"alpha": 0.0, "beta": 0.0},
    {"target_weight": 0.0},
    {"alpha": 0.0},
    {"beta": 0.0},
    {"target_loss": "unweighted", "alpha": 0.0, "beta": 0.0},
    {"target_loss": "cb_softmax"},
    {"target_loss": "balms"},
    {"target_loss": "eql"},
    {"direction": "maxi", "mini_clusters": 2},
    {"assignment_threshold": 0.7},
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_loss_is_the_formulas(protocol, variant, seed):
    settings = MiniClustering.Settings(**{**vars(PROTOCOLS[protocol]), **variant})
    mini, batch = on_embeddings(settings, seed)
    view_1, view_2 = batch.views
    logits = [head(view) for view in (view_1, view_2.detach()) for head in (mini.target_head, mini.mini_head)]
    expected = slow_loss(settings, *logits[:2], *(z.detach() for z in logits[2:]))
    parts = mini.loss(batch)
    for name, value in expected.items():
        torch.testing.assert_close(parts[name], value, msg=lambda text, name=name: f"{name}: {text}")
    sources = [view_1, *heads_of(mini)]
    gradients = torch.autograd.grad(parts["loss"], sources, retain_graph=True)
    slow = torch.autograd.grad(expected["loss"], sources, allow_unused=True)
    for gradient, other in zip(gradients, slow, strict=True):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient) if other is None else other)
    # the loss is a function of view 1 alone; view 2 gives labels
    assert torch.autograd.grad(parts["loss"], view_2, allow_unused=True)[0] is None


# Eq. 2 and Eq. 6


def test_contingency_counts():
    counts = contingency(torch.tensor([0, 2, 2, 0]), torch.tensor([1, 0, 0, 1]), 3, 2)
    assert counts.tolist() == [[0, 2], [0, 0], [2, 0]]


def test_weights_of_a_hand_made_table():
    counts = torch.tensor([[4.0, 6, 0, 1], [0.0, 4, 0, 2], [0.0, 0, 0, 0]])
    # target 0 has all of mini 0, 60 % of mini 1, a third of mini 3; target 1 has 40 % and two thirds; mini 2 is empty
    assert mini_cluster_weights(counts, 0.5).tolist() == [4 / 2, 4 / 1, 4 / 0.5]
    assert mini_cluster_weights(counts, 0.3).tolist() == pytest.approx(
        [4 / 3, 4 / 2, 4 / 0.5]
    )  # both hold minis 1 and 3
    assert mini_cluster_weights(counts, 0.99).tolist() == [4 / 1, 4 / 0.5, 4 / 0.5]


def test_a_share_of_exactly_delta_is_not_enough():
    counts = torch.tensor([[3.0, 7], [7.0, 3]])
    assert mini_cluster_weights(counts, 0.3).tolist() == [2.0, 2.0]
    assert mini_cluster_weights(counts, 0.7).tolist() == [4.0, 4.0]


def test_maxi_weights_of_a_hand_made_table():
    counts = torch.tensor([[5.0, 0], [2.0, 2], [0.0, 0], [7.0, 3]])
    assert maxi_cluster_weights(counts, 0.3).tolist() == [1.0, 2.0, 0.5, 1.0]


@given(seed=SEEDS, rows=st.integers(0, 40), delta=st.floats(0.0, 0.99), direction=st.sampled_from(["mini", "maxi"]))
def test_weights_are_the_formula_and_in_range(seed, rows, delta, direction):
    generator = torch.Generator().manual_seed(seed)
    targets, minis = (torch.randint(n, (rows,), generator=generator) for n in (K, M))
    rule = mini_cluster_weights if direction == "mini" else maxi_cluster_weights
    weights = rule(contingency(targets, minis, K, M).double(), delta)
    expected = slow_weights(targets.tolist(), minis.tolist(), K, M, delta, direction)
    assert weights.tolist() == pytest.approx(expected)
    assert (weights >= (1 if direction == "mini" else 0.5)).all()
    assert (weights <= (2 * M if direction == "mini" else M)).all()


# invariants of the parts


def random_case(seed: int):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(B, K, dtype=torch.float64, generator=generator)
    labels = torch.randint(K, (B,), generator=generator)
    confident = (torch.rand(B, generator=generator) < 0.7).double()
    return logits, labels, confident, torch.rand(K, dtype=torch.float64, generator=generator) + 0.1


@given(seed=SEEDS, scale=st.floats(0.01, 100))
def test_only_ratios_of_weights_matter_as_in_the_code(seed, scale):
    logits, labels, confident, weights = random_case(seed)
    one = reweighted_loss(logits, labels, confident, weights, "weighted_mean")
    torch.testing.assert_close(one, reweighted_loss(logits, labels, confident, scale * weights, "weighted_mean"))


@given(seed=SEEDS, scale=st.floats(0.01, 100))
def test_weights_scale_the_loss_as_in_the_paper(seed, scale):
    logits, labels, confident, weights = random_case(seed)
    one = reweighted_loss(logits, labels, confident, weights, "plain_mean")
    torch.testing.assert_close(scale * one, reweighted_loss(logits, labels, confident, scale * weights, "plain_mean"))


@pytest.mark.parametrize("similarity", ["cosine", "inner"])
def test_heads_of_one_partition_agree(similarity):
    labels = torch.tensor([0, 1, 1, 2, 0])
    target = 1e4 * functional.one_hot(labels, 3).double()
    mini = 1e4 * functional.one_hot(torch.tensor([4, 0, 0, 3, 4]), 5).double()
    assert similarity_loss(target, mini, similarity) == 0
    assert similarity_loss(target, mini.roll(1, dims=0), similarity) > 0


@pytest.mark.parametrize("mean", [weighted_mean, plain_mean])
def test_a_mean_over_nothing_is_zero_with_a_zero_gradient(mean):
    values = torch.tensor([1.0, 50.0], requires_grad=True)
    result = mean(values, torch.zeros(2))
    assert result == 0
    assert torch.autograd.grad(result, values)[0].tolist() == [0, 0]


@pytest.mark.parametrize("balance", ["class_balanced", "plain"])
def test_mini_loss_of_no_confident_image_is_zero(balance):
    logits, labels, confident, _ = random_case(0)
    assert mini_loss(logits, labels, 0 * confident, balance) == 0


# batches without a confident image


def test_a_batch_without_confident_images_is_skipped_whole():
    mini, batch = on_embeddings(changed(confidence_threshold=0.999999))
    parts = mini.loss(batch)
    assert parts["skipped"] == 1
    assert parts["L_s"] > 0
    assert parts["loss"] == 0
    for gradient in torch.autograd.grad(parts["loss"], [batch.views[0], *heads_of(mini)]):
        assert torch.count_nonzero(gradient) == 0


@pytest.mark.parametrize("unsure", ["target_head", "mini_head"])
def test_one_unsure_head_is_enough_unless_its_loss_is_off(unsure):
    def skipped(**settings):
        mini, batch = on_embeddings(changed(**settings))
        with torch.no_grad():
            for head in (mini.target_head, mini.mini_head):
                head.weight.mul_(100)
            mini.get_submodule(unsure).weight.zero_()
            mini.get_submodule(unsure).bias.zero_()
        return mini.loss(batch)["skipped"].item()

    assert skipped() == 1
    assert skipped(empty_mask="zero") == 0
    assert skipped(target_weight=0.0) == (unsure == "mini_head")
    assert skipped(alpha=0.0) == (unsure == "target_head")


def test_a_confidence_of_exactly_tau_is_not_enough():
    mini, batch = on_embeddings(changed(mini_clusters=2, confidence_threshold=0.5, target_weight=0.0))
    with torch.no_grad():
        mini.mini_head.weight.zero_()
        mini.mini_head.bias.zero_()
    assert mini.loss(batch)["skipped"] == 1
    with torch.no_grad():
        mini.mini_head.bias[0] = 1e-6
    assert mini.loss(batch)["skipped"] == 0


def test_or_only_its_own_loss_is_zero():
    mini, batch = on_embeddings(changed(confidence_threshold=0.999999, empty_mask="zero"))
    parts = mini.loss(batch)
    assert parts["skipped"] == 0
    torch.testing.assert_close(parts["loss"], 0.7 * parts["L_s"])


def test_an_optimiser_told_of_it_leaves_a_skipped_step_out():
    mini, batch = on_embeddings(OFFICIAL)
    optimizer = torch.optim.Adam(heads_of(mini), lr=0.1, fused=True)
    mini.loss(batch)["loss"].backward()
    optimizer.step()
    before, moments = copy.deepcopy(mini.state_dict()), copy.deepcopy(optimizer.state_dict())
    mini.settings = changed(confidence_threshold=0.999999)
    optimizer.zero_grad()
    parts = mini.loss(batch)
    parts["loss"].backward()
    optimizer.found_inf = parts["skipped"].float()
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in mini.state_dict().items())
    for index, state in optimizer.state_dict()["state"].items():
        assert all(torch.equal(value, moments["state"][index][name]) for name, value in state.items())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_step_never_asks_for_a_value(protocol, variant):
    mini, _ = on_embeddings(MiniClustering.Settings(**{**vars(PROTOCOLS[protocol]), **variant}))
    step_without_values(mini, B, 4)


# transfer, K-means start, checkpoint


TINY = Context(new_backbone=TinyBackbone, classes=K, rows=40)


def parents():
    torch.manual_seed(0)
    byol = BYOL.Settings(
        hidden_width=7, projection_width=4, target_momentum=0.9, target_schedule="constant", target_update="after_step",
        predictor_learning_rate_scale=10.0,
    )  # fmt: skip
    moco = MoCo.Settings(temperature=0.1, projection_width=5, queue_size=12, target_momentum=0.9, batchnorm_splits=2)
    simclr = SimCLR.Settings(temperature=0.2, projection_width=4)
    return {
        "byol": (BYOL(byol, TINY), "target_projection"),
        "byol-backbone": (BYOL(byol, TINY), "target_backbone"),
        "moco": (MoCo(moco, TINY), "projection"),
        "simclr": (SimCLR(simclr, TINY), "projection"),
    }


class FewImages:
    """A split of forty images, encoded in eval mode."""

    def __init__(self):
        self.images = torch.randn(40, 2, 5, 5, generator=torch.Generator().manual_seed(4))

    def encode(self, encoder):
        training = encoder.training
        with torch.no_grad():
            embeddings = encoder.eval()(self.images)
        encoder.train(training)
        return embeddings


@pytest.mark.parametrize("name", parents())
def test_every_parents_encoder_is_trained_whole_with_an_odd_batch(name):
    parent, features = parents()[name]
    mini = MiniClustering(changed(features=features, confidence_threshold=0.0), TINY, parent)
    mini.prepare(FewImages())
    before = copy.deepcopy(mini.state_dict())
    (group,) = mini.parameter_groups()
    optimizer = torch.optim.Adam(group["params"], lr=1e-3)
    views = tuple(torch.randn(7, 2, 5, 5) for _ in range(2))
    mini.loss(Batch(views, (torch.arange(7),) * 2, torch.Generator()))["loss"].backward()
    optimizer.step()
    moved = {key for key, value in mini.state_dict().items() if not torch.equal(value, before[key])}
    frozen = {key for key in before if key not in moved}
    assert all("pruned" in key or "mask" in key for key in frozen), frozen
    statistics = [key for key in moved if key.endswith("num_batches_tracked")]
    assert statistics
    assert all(mini.state_dict()[key] - before[key] == 2 for key in statistics)  # one forward per view, in train mode


@pytest.mark.parametrize("name", parents())
def test_a_checkpoint_restores_it_on_an_untrained_parent(name):
    parent, features = parents()[name]
    settings = changed(features=features, confidence_threshold=0.0)
    mini = MiniClustering(settings, TINY, parent)
    mini.prepare(FewImages())
    views = tuple(torch.randn(7, 2, 5, 5) for _ in range(2))
    batch = Batch(views, (torch.arange(7),) * 2, torch.Generator())
    mini.loss(batch)
    torch.manual_seed(99)
    restored = MiniClustering(settings, TINY, parents()[name][0])
    assert restored.state_dict().keys() == mini.state_dict().keys()
    restored.load_state_dict(mini.state_dict())
    assert torch.equal(mini.loss(batch)["loss"], restored.loss(batch)["loss"])
    for one, other in zip(
        FewImages().encode(mini.encoder("target_head")),
        FewImages().encode(restored.encoder("target_head")),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_the_heads_start_from_k_means():
    parent, features = parents()["byol"]
    mini = MiniClustering(changed(features=features), TINY, parent)
    images = FewImages()
    mini.prepare(images)
    embedding, logits = images.encode(mini.encoder("target_head"))
    assert torch.equal(embedding, images.encode(mini.encoder("encoder")))
    assert torch.equal(logits.argmax(1), spherical_kmeans(embedding, K, seed=0).labels)
    assert torch.equal(mini.mini_head(embedding).argmax(1), spherical_kmeans(embedding, M, seed=0).labels)
    for head, clusters in ((mini.target_head, K), (mini.mini_head, M)):
        torch.testing.assert_close(head.weight.norm(dim=1), torch.full((clusters,), 100.0))
        assert torch.count_nonzero(head.bias) == 0
    cosine = functional.normalize(embedding, dim=1) @ functional.normalize(mini.target_head.weight, dim=1).T
    torch.testing.assert_close(logits, 100 * embedding.norm(dim=1, keepdim=True) * cosine, rtol=1e-4, atol=1e-3)


def test_k_means_has_the_seed_of_the_settings(monkeypatch):
    asked = []

    def recorded(embeddings, clusters, *, seed):
        asked.append((clusters, seed))
        return spherical_kmeans(embeddings, clusters, seed=seed)

    monkeypatch.setattr("longtail.methods.clustering.miniclustering.spherical_kmeans", recorded)
    parent, features = parents()["byol"]
    MiniClustering(changed(features=features, kmeans_seed=7), TINY, parent).prepare(FewImages())
    assert asked == [(K, 7), (M, 7)]


@pytest.mark.parametrize("name", parents())
def test_autocast_takes_no_gradient_away(name):
    """View 2 goes first and without gradient; the weights that autocast keeps from it must not serve view 1."""
    parent, features = parents()[name]
    mini = MiniClustering(changed(features=features, confidence_threshold=0.0), TINY, parent)
    views = tuple(torch.randn(8, 2, 5, 5) for _ in range(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = mini.loss(Batch(views, (torch.arange(8),) * 2, torch.Generator()))["loss"]
    loss.backward()
    without = {key for key, value in mini.named_parameters() if value.grad is None or not value.grad.any()}
    assert all("pruned" in key for key in without), without


def test_the_heads_compute_in_full_precision_under_autocast():
    mini = MiniClustering(OFFICIAL, CONTEXT, Pretrained())
    embedding = torch.randn(6, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = mini.target_head(embedding)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, mini.target_head(embedding))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        parts = mini.loss(Batch((embedding, embedding), (torch.arange(6),) * 2, torch.Generator()))
    again = mini.loss(Batch((embedding, embedding), (torch.arange(6),) * 2, torch.Generator()))
    assert all(torch.equal(parts[name], again[name]) for name in again)


def test_it_knows_its_features():
    with pytest.raises(LongtailError, match="Did you mean 'target_head'"):
        MiniClustering(OFFICIAL, CONTEXT, Pretrained()).encoder("target_heads")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("similarity", "euclid"),
        ("confidence_view", 3),
        ("cb_gamma", 1.0),
        ("mini_clusters", 0),
        ("confidence_threshold", 1.0),
    ],
)
def test_impossible_settings_are_named(name, value):
    with pytest.raises(LongtailError, match=name):
        changed(**{name: value})


def test_sharp_heads_stay_finite():
    mini, batch = on_embeddings(OFFICIAL)
    with torch.no_grad():
        for head in (mini.target_head, mini.mini_head):
            head.weight.mul_(1e4)
    parts = mini.loss(batch)
    assert all(math.isfinite(value.item()) for value in parts.values())
    for gradient in torch.autograd.grad(parts["loss"], [batch.views[0], *heads_of(mini)]):
        assert torch.isfinite(gradient).all()
