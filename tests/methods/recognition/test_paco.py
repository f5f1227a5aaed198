"""PaCo as an objective: what its queries are contrasted with, and its two networks."""

from __future__ import annotations

import copy
import functools

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.losses.numerics import unit
from longtail.methods.losses.parametric_contrast import paco
from longtail.methods.recognition.paco import PaCo
from longtail.models.backbones import new_backbone
from longtail.models.classifiers import Linear
from longtail.models.headed import HeadedEncoder
from longtail.models.splitnorm import unsplit
from tests.methods.pieces import step_without_values, updates
from tests.methods.recognition.pieces import SIZES, labelled_batch, made, unlearned

SETTINGS = {
    "temperature": 0.1, "projection_width": 3, "queue_size": 12, "target_momentum": 0.9, "alpha": 0.05, "divided": True,
}  # fmt: skip


@pytest.mark.parametrize("divided", [True, False])
def test_the_loss_is_of_queries_keys_queue_and_centres(divided):
    objective = made(PaCo, **{**SETTINGS, "divided": divided})
    updates(objective, [labelled_batch(1)])
    before, batch = copy.deepcopy(objective), labelled_batch(2)
    parts = objective.loss(batch)
    before.move_keys()
    h = before.backbone(batch.views[0])
    y, past, logits = batch.labels[0], before.queue, before.classifier(h)
    query, key = unit(before.projector(h)), before.key(batch.views[1], batch.generator)
    expected = paco(query, key, y, past.keys, past.labels, logits, SIZES, 0.05, 0.1, divided)
    torch.testing.assert_close(parts["loss"], expected)
    assert parts["accuracy"] == pytest.approx(100 * (logits.argmax(1) == y).double().mean().item())
    parts["loss"].backward()
    assert all(name.startswith("key_") for name in unlearned(objective))


def test_groups_of_a_batch_are_dealt_out_anew_for_the_keys():
    """As the official code on two GPUs: each has a half of the queries, and of the keys another half."""
    objective = made(PaCo, **SETTINGS, batch_groups=2)
    updates(objective, [labelled_batch(1)])
    objective.zero_grad()
    before, batch = copy.deepcopy(objective), labelled_batch(2)
    order = torch.randperm(8, generator=labelled_batch(2).generator)
    before.move_keys()
    networks = [unsplit(before) for _ in range(2)]
    y, past, key = batch.labels[0], before.queue, torch.empty(8, 3, dtype=torch.float64)
    for gpu, network in enumerate(networks):
        dealt = order[gpu::2]
        key[dealt] = unit(network.key_projector(network.key_backbone(batch.views[1][dealt]))).detach()
    total = 0
    for gpu, network in enumerate(networks):
        h, k, own = network.backbone(batch.views[0][gpu::2]), key[gpu::2], y[gpu::2]
        q, logits = unit(network.projector(h)), network.classifier(h)
        total = total + paco(q, k, own, past.keys, past.labels, logits, SIZES, 0.05, 0.1) / 2
    total.backward()

    loss = objective.loss(batch)["loss"]
    torch.testing.assert_close(loss, total)
    torch.testing.assert_close(objective.queue.keys[(8 + torch.arange(8)) % 12], key)
    loss.backward()
    parts = [dict(network.named_parameters()) for network in networks]
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, sum(part[name].grad for part in parts), msg=name)
    found, parts = dict(objective.named_buffers()), [dict(network.named_buffers()) for network in networks]
    for name in (name for name in found if "running" in name):
        torch.testing.assert_close(found[name], sum(part[name] for part in parts) / 2, msg=name)


def test_on_places_all_convolutions_but_the_last_block_s_stay_and_all_else_moves():
    """Bit by bit, in the network of the keys, too, where convolutions follow what does not move."""
    objective = made(
        PaCo,
        new_backbone=functools.partial(new_backbone, "resnet_small", "cifar", 2),
        **SETTINGS,
        frozen_parts="convolutions_but_last_block",
    ).train()
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    updates(objective, [labelled_batch(seed) for seed in range(2)])
    frozen = {
        f"{network}.{name}.weight"
        for network in ("backbone", "key_backbone")
        for name, module in objective.backbone.named_modules()
        if isinstance(module, torch.nn.Conv2d) and not name.startswith("layer3")
    }
    assert len(frozen) == 2 * 6
    stayed = {name for name, value in objective.state_dict().items() if torch.equal(value, before[name])}
    normalised_away = {"projector.0.bias", "key_projector.0.bias"}  # it moves by rounding, if at all
    assert stayed - normalised_away == {*frozen, "class_sizes"}
    learning = {id(parameter) for group in objective.parameter_groups() for parameter in group["params"]}
    assert not learning & {id(objective.get_parameter(name)) for name in frozen}
    with pytest.raises(LongtailError, match="frozen_parts"):
        PaCo.Settings(**SETTINGS, frozen_parts="all")


def test_the_readout_is_the_classifier_of_raw_logits():
    """Trap 16: log pi is added by the loss alone."""
    objective = made(PaCo, **SETTINGS).eval()
    network, images = objective.encoder("backbone"), labelled_batch().views[0]
    assert isinstance(network, HeadedEncoder)
    assert isinstance(network.head, Linear)
    torch.testing.assert_close(network(images)[1], objective.classifier(objective.backbone(images)))
    assert objective.encoder("projection").width == 3
    with pytest.raises(LongtailError, match="features of PaCo"):
        objective.encoder("logits")


def test_the_head_starts_as_in_the_code():
    """Its last layer is that of the network, with a normal start; the one before is PyTorch's."""
    torch.manual_seed(0)
    first, _, _, last = PaCo.new_projector(made(PaCo, **{**SETTINGS, "projection_width": 64}), 256)
    assert first.weight.abs().max() <= 1 / 16
    assert last.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.02)
    plain = made(PaCo, **{**SETTINGS, "projection_width": 64}, projector_init="default")
    assert PaCo.new_projector(plain, 256)[-1].weight.abs().max() <= 1 / 16


def test_a_step_waits_for_no_value():
    step_without_values(made(PaCo, **SETTINGS), 8, 2, 5, 5, labels=torch.arange(8) % 4)


def test_settings_that_make_no_sense():
    with pytest.raises(LongtailError, match="alpha is -1"):
        PaCo.Settings(**{**SETTINGS, "alpha": -1})
    with pytest.raises(LongtailError, match="batch_groups is 0"):
        PaCo.Settings(**SETTINGS, batch_groups=0)
