"""ICCL's first stage: the losses of its networks, and what moves the centroids."""

from __future__ import annotations

import copy

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.base import Batch
from longtail.methods.losses.centroid_contrast import image_by_image, shares
from longtail.methods.losses.classification import cross_entropy
from longtail.methods.losses.numerics import unit
from longtail.methods.mixing import beta_variate
from longtail.methods.recognition.iccl import ICCL, ICCLWarmup
from longtail.study import phases
from longtail.study.study import load_study
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import CLASSES, labelled_batch, made, unlearned

WARMUP = {
    "classifier_init": "default", "temperature": 0.3, "projection_width": 3, "centroid_momentum": 0.9,
    "centroid_update": "image_by_image", "centroid_norm": False, "contrast_weight": 1.0,
}  # fmt: skip
BRANCHES = {**WARMUP, "interpolation": (1.0, 1.0), "uniform_weight": 0.0, "interpolated_weight": 1.0}
KINDS = pytest.mark.parametrize(("kind", "settings"), [(ICCLWarmup, WARMUP), (ICCL, BRANCHES)])


def two_streams(seed: int = 0, rows: int = 8) -> Batch:
    """A batch whose views show different images of different classes."""
    batch = labelled_batch(seed, rows)
    return Batch(batch.views, batch.rows, batch.generator, (batch.labels[0], batch.labels[0].flip(0)))


def started(kind, **settings):
    """After an update, so that centroids have been seen."""
    objective = made(kind, **settings).train()
    updates(objective, [two_streams(9)])
    return objective


def embedded(network, images):
    h, logits = network.network(images)
    return unit(network.projector(h)), logits


def by_hand(logits, own, other, share):
    """Mean over images of the negative logarithms of the shares of both classes, image by image."""
    p = torch.softmax(logits, dim=1)
    return sum(-share * p[i, own[i]].log() - (1 - share) * p[i, other[i]].log() for i in range(len(logits))) / len(
        logits
    )


def test_the_warm_up_is_equation_6_and_the_contrast_with_centroids():
    objective, batch = started(ICCLWarmup, **WARMUP), two_streams()
    twin, y = copy.deepcopy(objective), batch.labels[0]
    z, logits = embedded(twin, batch.views[0])
    expected = by_hand(logits, y, y, 1) + by_hand(z @ twin.centroids.weight.T / 0.3, y, y, 1)
    torch.testing.assert_close(objective.loss(batch)["loss"], expected)


@pytest.mark.parametrize("uniform", [0.0, 1.0, 0.5])
def test_the_interpolative_branch_is_equation_8(uniform):
    objective, batch = started(ICCL, **{**BRANCHES, "uniform_weight": uniform}), two_streams()
    twin, (y, other) = copy.deepcopy(objective), batch.labels
    share = beta_variate(1.0, 1.0, torch.Generator().set_state(batch.generator.get_state()))
    _, logits = embedded(twin, batch.views[0])
    z, mixed = embedded(twin, share * batch.views[0] + (1 - share) * batch.views[1])
    contrast = by_hand(z @ twin.centroids.weight.T / 0.3, y, other, share)
    expected = uniform * by_hand(logits, y, y, 1) + by_hand(mixed, y, other, share) + contrast
    loss = objective.loss(batch)["loss"]
    torch.testing.assert_close(loss, expected)
    weights = [*objective.parameters()]
    found = torch.autograd.grad(loss, weights)
    torch.testing.assert_close(found, torch.autograd.grad(expected, [*twin.parameters()]))
    for name, value in twin.named_buffers():  # both passes have moved the statistics, x^h first
        if not name.startswith("centroids"):
            torch.testing.assert_close(value, objective.get_buffer(name))


def test_of_images_of_the_uniform_sampler_alone_it_is_twice_the_cross_entropy_and_the_contrast(monkeypatch):
    """Identity: with lambda 1, Eq. 8 is 2 CE + L_cc, and the warm-up with CE once more."""
    monkeypatch.setattr("longtail.methods.recognition.iccl.beta_variate", lambda a, b, draws: torch.tensor(1.0))
    warm, both = started(ICCLWarmup, **WARMUP), started(ICCL, **{**BRANCHES, "uniform_weight": 1.0})
    both.load_state_dict(warm.state_dict())
    batch = two_streams()
    _, logits = embedded(copy.deepcopy(warm), batch.views[0])
    once = warm.loss(batch)["loss"]
    torch.testing.assert_close(both.loss(batch)["loss"], once + cross_entropy(logits, batch.labels[0]))


@KINDS
def test_centroids_follow_the_uniform_sampler_after_the_loss(kind, settings):
    objective, batch = started(kind, **settings), two_streams()
    twin = copy.deepcopy(objective)
    z, _ = embedded(twin, batch.views[0])
    expected = image_by_image(twin.centroids.weight, z.detach(), batch.labels[0], 0.9)
    objective.loss(batch)["loss"].backward()
    torch.testing.assert_close(objective.centroids.weight, expected)
    assert not objective.centroids.weight.requires_grad


@KINDS
def test_centroids_are_scaled_where_that_is_asked_for(kind, settings):
    lengths = started(kind, **{**settings, "centroid_norm": True}).centroids.weight.norm(dim=1)
    seen = two_streams(9).labels[0].bincount(minlength=CLASSES) > 0
    torch.testing.assert_close(lengths, seen.double())


@KINDS
def test_everything_learns_from_the_first_step_on(kind, settings):
    """Also while a centroid is of zeros, and with a class that is absent."""
    objective = started(kind, **settings)
    assert objective.loss(two_streams())["loss"].isfinite()
    objective.loss(two_streams(1, rows=5))["loss"].backward()
    assert unlearned(objective) == []


@KINDS
def test_each_loss_can_be_left_out(kind, settings):
    objective = started(kind, **{**settings, "contrast_weight": 0.0})
    objective.zero_grad()
    objective.loss(two_streams())["loss"].backward()
    assert {name.split(".")[0] for name in unlearned(objective)} == {"projector"}
    contrast_alone = started(ICCL, **{**BRANCHES, "interpolated_weight": 0.0})
    contrast_alone.zero_grad()
    contrast_alone.loss(two_streams())["loss"].backward()
    assert set(unlearned(contrast_alone)) == {"network.head.weight", "network.head.bias"}


@KINDS
def test_a_step_waits_for_no_value(kind, settings):
    step_without_values(made(kind, **settings).train(), 8, 2, 5, 5, labels=torch.arange(8) % 4)


@KINDS
def test_half_precision(kind, settings):
    objective = made(kind, **settings).float().train()
    batch = two_streams()
    batch = Batch(tuple(view.float() for view in batch.views), batch.rows, batch.generator, batch.labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = objective.loss(batch)["loss"]
    assert loss.dtype == objective.centroids.weight.dtype == torch.float32
    loss.backward()


def test_the_branch_goes_on_with_networks_and_centroids_of_the_warm_up():
    warm, both = made(ICCLWarmup, **WARMUP), made(ICCL, **BRANCHES)
    assert warm.state_dict().keys() == both.state_dict().keys()
    assert "centroids.weight" in warm.state_dict()
    assert both.continued == ("centroids",)


def test_features():
    objective, images = started(ICCL, **BRANCHES).eval(), two_streams().views[0]
    h, logits = objective.encoder("backbone")(images)
    torch.testing.assert_close(objective.network.head(h), logits)
    z, nearness = objective.encoder("projection")(images)
    assert objective.encoder("projection").head.weight is objective.centroids.weight
    torch.testing.assert_close(z, objective.projector(h))
    torch.testing.assert_close(nearness, unit(z) @ objective.centroids.weight.T / 0.3)
    with pytest.raises(LongtailError, match="features of ICCL"):
        objective.encoder("centroids")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0), ("projection_width", 0), ("centroid_momentum", 1.0), ("contrast_weight", -1.0),
        ("centroid_update", "never"), ("interpolation", (1.0,)), ("interpolation", (0.0, 1.0)),
        ("uniform_weight", -1.0), ("interpolated_weight", -1.0),
    ],
)  # fmt: skip
def test_settings_that_mean_nothing(name, value):
    with pytest.raises(LongtailError, match=name):
        ICCL.Settings(**{**BRANCHES, name: value})


def test_the_sampler_of_eq_2_balances_what_the_classifier_sees():
    """With omega_u 0 the classifier is trained on half pi and half 1 / K: what log pi then corrects is too much."""
    draws = torch.Generator().manual_seed(0)
    own, other = torch.zeros(4000, dtype=torch.int64), torch.randint(CLASSES, (4000,), generator=draws)
    seen = torch.stack([shares(own, other, beta_variate(1.0, 1.0, draws), CLASSES).mean(0) for _ in range(300)]).mean(0)
    torch.testing.assert_close(seen.float(), torch.tensor([0.625, 0.125, 0.125, 0.125]), rtol=0, atol=0.02)


# --- What is trained once ---------------------------------------------------------------------------------------------

STUDY = load_study({"targets": ["digits"]})


def trained(method="iccl", **settings):
    """The state that a method ends with, on CIFAR-100-LT at 100."""
    dataset = STUDY.catalog.dataset("cifar100-lt")
    overrides = {name.replace("_", "-"): values for name, values in settings.items()}
    chosen = STUDY.catalog.method(method)
    return phases.final_phase(chosen, overrides, "resnet32", dataset, 100, STUDY.config, STUDY.catalog)


def test_the_clock_is_one_of_200_epochs_and_rebalancing_comes_on_top():
    """Trap: T counts epochs of the first stage."""
    stretches = [(s.objective, s.start, s.first_epoch, s.last_epoch, s.clock) for s in trained().lineage]
    assert stretches == [
        ("iccl-warmup", "fresh", 0, 80, 200),
        ("iccl", "continue", 80, 200, 200),
        ("iccl-rebalancing", "transfer", 0, 10, 10),
    ]


def test_rebalancing_starts_from_one_first_stage():
    """Table 8, and Table 9 with its logit adjustment of the state before."""
    cells = [
        trained(iccl_rebalancing={"sampler": {"power": power}, "distillation_weight": weight})
        for power in (0, 1)
        for weight in (0.0, 0.5)
    ]
    assert len({cell.identity for cell in cells}) == 4
    assert {cell.parent.identity for cell in cells} == {trained("iccl-stage1").identity}
    assert cells[-1].identity == trained().identity


def test_interpolation_and_its_sampler_start_from_one_warm_up():
    """Tables 5 and 6: both act after it."""
    distributions = [{"interpolation": ab} for ab in ([0.2, 1.0], [0.2, 0.2], [1.0, 1.0], [2.0, 2.0])]
    samplers = [{"sampler": ["uniform", one]} for one in ("uniform", {"power": 0}, {"power": 0.5}, {"power": 1})]
    first_stages = [trained(iccl=changed).parent for changed in distributions + samplers]
    assert len({phase.identity for phase in first_stages}) == 7
    assert {phase.parent.identity for phase in first_stages} == {trained().parent.parent.identity}
    assert {trained("iccl-stage1").identity} < {phase.identity for phase in first_stages}
