"""M2m: which images give way, what they become, and what stays as it was."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn

from longtail.errors import LongtailError
from longtail.methods.base import Batch
from longtail.methods.losses.classification import ldam
from longtail.methods.recognition.m2m import LDAMBesideGenerator, M2mLDAM
from longtail.methods.recognition.reweighting import LDAM, CrossEntropy
from longtail.methods.recognition.supcon import SupCon
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import SIZES, context, labelled_batch, made, unlearned

PLAIN = {"scale": 30.0, "largest_margin": 0.5}
TRANSLATING = {
    **PLAIN, "beta": 0.5, "seed_weight": 0.5, "threshold": 0.0, "steps": 3, "step_size": 0.1, "noise_radius": 0.5,
    "noise_norm": "channel",
}  # fmt: skip
MEAN, STD = [0.4, 0.5], [0.2, 0.25]


def generator() -> CrossEntropy:
    """A network after some updates, so that its statistics and weights are its own."""
    trained = made(CrossEntropy, classifier_init="kaiming")
    updates(trained, [labelled_batch(seed) for seed in range(3)])
    trained.zero_grad()
    return trained


def m2m(**others) -> M2mLDAM:
    torch.manual_seed(0)
    known = dataclasses.replace(context(), normalization={"mean": MEAN, "std": STD})
    objective = M2mLDAM(M2mLDAM.Settings(**{**TRANSLATING, **others}), known, generator())
    return objective.double().train()


def batch_of(labels: list[int], seed: int = 0) -> Batch:
    """Images whose pixels are in [0, 1] before they are normalised, of these classes."""
    draws = torch.Generator().manual_seed(seed)
    pixels = torch.rand(len(labels), 2, 5, 5, dtype=torch.float64, generator=draws)
    rows = torch.arange(len(labels))
    return Batch((normalized(pixels),), (rows,), draws, (torch.tensor(labels),))


def normalized(pixels: Tensor) -> Tensor:
    mean, std = (torch.tensor(values, dtype=torch.float32).double()[:, None, None] for values in (MEAN, STD))
    return (pixels - mean) / std


def pixels_of(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(values, dtype=torch.float32).double()[:, None, None] for values in (MEAN, STD))
    return images * std + mean


def slow_translation(objective: M2mLDAM, x: Tensor, target: int, seed: int) -> tuple[Tensor, float]:
    """One image after the other through the steps, by networks in eval mode; f gives cosines."""
    g = copy.deepcopy(objective.generator).eval()
    f = copy.deepcopy(objective.network).eval()
    for _ in range(objective.settings.steps):
        x = x.detach().requires_grad_()
        h = f.embedder(normalized(x[None]))[0]
        w = f.head.weight[seed]
        cosine = h @ w / (h.norm() * w.norm())
        energy = -g(normalized(x[None]))[1].log_softmax(1)[0, target] + objective.settings.seed_weight * cosine
        (grad,) = torch.autograd.grad(energy, x)
        x = (x - objective.settings.step_size * grad / grad.square().sum().sqrt()).clamp(0, 1)
    return x.detach(), g(normalized(x[None]))[1].softmax(1)[0, target].item()


def test_images_move_as_one_by_one():
    objective, batch = m2m(), batch_of([0, 1, 2, 0])
    targets = torch.tensor([3, 2, 3, 1])
    start = pixels_of(batch.views[0])
    found, sureness = objective.translate(start, targets, batch.labels[0])
    for i in range(4):
        image, sure = slow_translation(objective, start[i], targets[i].item(), batch.labels[0][i].item())
        torch.testing.assert_close(found[i], image, rtol=1e-8, atol=1e-8)
        assert sureness[i].item() == pytest.approx(sure, rel=1e-7)


def test_images_that_move_become_surer_and_stay_pixels():
    objective, batch = m2m(steps=10), batch_of([0] * 6)
    targets = torch.tensor([1, 2, 3, 1, 2, 3])
    start = pixels_of(batch.views[0])
    before = objective.generator(batch.views[0])[1].softmax(1).gather(1, targets[:, None]).squeeze(1)
    found, sureness = objective.translate(start, targets, batch.labels[0])
    assert (sureness > before).all()
    assert found.min() >= 0
    assert found.max() <= 1
    assert ((found - start).flatten(1).norm(dim=1) <= 10 * 0.1 + 1e-9).all()


def test_no_image_of_the_largest_class_is_replaced_nor_one_without_a_larger_class_in_the_batch():
    objective = m2m(beta=0.0)
    for seed in range(20):
        batch = batch_of([0, 0, 3, 3], seed)
        assert not objective.translated(batch.views[0], batch.labels[0], batch.generator)[1][:2].any()
        alone = batch_of([3, 3, 3], seed)
        images, new = objective.translated(alone.views[0], alone.labels[0], alone.generator)
        assert not new.any()
        assert images is not alone.views[0]
        torch.testing.assert_close(images, alone.views[0], rtol=0, atol=0)


def test_images_that_are_kept_are_kept_bit_by_bit():
    objective, batch = m2m(beta=0.0), batch_of([0, 1, 2, 3] * 4)
    images, new = objective.translated(batch.views[0], batch.labels[0], batch.generator)
    assert 0 < new.sum() < 16
    assert torch.equal(images[~new], batch.views[0][~new])
    assert not (images[new] == batch.views[0][new]).flatten(1).all(1).any()


def test_a_share_is_marked_and_a_share_of_those_is_accepted():
    """Class y is marked with 1 - n_y / n_1, and made with the chance a of a seed that is drawn in proportion to a."""
    objective = m2m(beta=0.8, steps=1)
    labels = [0, 1, 2, 3]
    count = torch.zeros(4)
    for seed in range(400):
        batch = batch_of(labels, seed)
        count += objective.translated(batch.views[0], batch.labels[0], batch.generator)[1]
    sizes = SIZES.tolist()
    for y in labels:
        a = [1 - 0.8 ** max(sizes[j] - sizes[y], 0) for j in labels]
        mean = sum(value**2 for value in a) / sum(a) if sum(a) else 0.0
        assert count[y].item() / 400 == pytest.approx((1 - sizes[y] / sizes[0]) * mean, abs=0.06)


def test_the_generator_has_to_be_sure():
    batch = batch_of([0, 1, 2, 3] * 4)
    sure, unsure = m2m(beta=0.0), m2m(beta=0.0, threshold=1.0)
    assert sure.loss(batch)["translated"] > 0
    assert unsure.loss(batch_of([0, 1, 2, 3] * 4))["translated"] == 0


def test_the_loss_is_that_of_ldam_on_the_new_images_in_train_mode():
    objective, batch = m2m(beta=0.0), batch_of([0, 1, 2, 3] * 4)
    twin = copy.deepcopy(objective)
    images, _ = twin.translated(batch.views[0], batch.labels[0], batch_of([0, 1, 2, 3] * 4).generator)
    expected = ldam(twin.network(images)[1], batch.labels[0], twin.margins())
    torch.testing.assert_close(objective.loss(batch)["loss"], expected)
    assert objective.network.training


def test_translation_moves_no_statistics_and_leaves_no_gradient():
    objective, batch = m2m(beta=0.0), batch_of([0, 1, 2, 3] * 4)
    before = copy.deepcopy(objective.state_dict())
    objective.translated(batch.views[0], batch.labels[0], batch.generator)
    after = objective.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(p.grad is None for p in objective.parameters())
    assert objective.network.training
    assert not objective.generator.training


def test_the_generator_stays_bit_by_bit_and_all_else_learns():
    objective = m2m(beta=0.0)
    before = copy.deepcopy(objective.generator.state_dict())
    batches = [batch_of([0, 1, 2, 3] * 4, seed) for seed in range(3)]
    updates(objective, batches)
    assert all(torch.equal(value, before[name]) for name, value in objective.generator.state_dict().items())
    objective.loss(batches[0])["loss"].backward()
    assert {name.split(".")[0] for name in unlearned(objective)} == {"generator"}


def test_one_goes_on_from_the_other_with_the_generator():
    first = made(LDAMBesideGenerator, generator(), **PLAIN)
    assert first.state_dict().keys() == m2m().state_dict().keys()
    assert any(name.startswith("generator.") for name in first.state_dict())


def test_before_the_first_translation_it_is_ldam():
    first, plain, batch = made(LDAMBesideGenerator, generator(), **PLAIN), made(LDAM, **PLAIN), labelled_batch()
    torch.testing.assert_close(first.train().loss(batch)["loss"], plain.train().loss(batch)["loss"])
    assert first.encoder("backbone") is first.network


@pytest.mark.parametrize("noise_norm", ["image", "channel"])
def test_a_step_waits_for_no_value(noise_norm):
    step_without_values(m2m(noise_norm=noise_norm), 8, 2, 5, 5, labels=torch.arange(8) % 4, views=1)


@pytest.mark.parametrize("rows", [2, 3, 7])
def test_whatever_is_left_over_of_an_epoch_is_a_batch(rows):
    objective = m2m(beta=0.0)
    updates(objective, [batch_of([0, 3, 2, 1, 3, 3, 0][:rows])])
    assert all(p.isfinite().all() for p in objective.parameters())


def test_in_half_precision():
    objective = m2m(beta=0.0).float()
    batch = batch_of([0, 1, 2, 3] * 4)
    batch = dataclasses.replace(batch, views=tuple(view.float() for view in batch.views))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        parts = objective.loss(batch)
    parts["loss"].backward()
    assert parts["translated"] > 0
    assert all(p.grad.isfinite().all() for p in objective.network.parameters())


def test_a_generator_has_a_classifier():
    parent = made(SupCon, temperature=0.1, base_temperature=0.07, projection_width=3)
    with pytest.raises(LongtailError, match="generator with a classifier: put a step such as ce"):
        made(LDAMBesideGenerator, parent, **PLAIN)


@pytest.mark.parametrize(
    "wrong", [{"beta": 1.0}, {"steps": 0}, {"threshold": 1.5}, {"noise_norm": "batch"}, {"scale": 0.0}]
)
def test_settings_outside_their_range(wrong):
    with pytest.raises(LongtailError, match=next(iter(wrong))):
        M2mLDAM.Settings(**{**TRANSLATING, **wrong})


def test_they_start_from_a_trained_network():
    assert M2mLDAM.starts == "transfer"
    assert M2mLDAM.supervised
    assert issubclass(M2mLDAM, nn.Module)
