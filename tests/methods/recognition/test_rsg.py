"""RSG as an objective: what goes on to the last stage, what is learned from it, and what is not."""

from __future__ import annotations

import copy
import dataclasses
import functools

import pytest
import torch
from torch import nn

from longtail.errors import LongtailError
from longtail.methods.base import Batch
from longtail.methods.losses.classification import ldam
from longtail.methods.losses.long_tailed import class_balanced_weights
from longtail.methods.losses.rare_samples import center_estimation, maximized_vector, sample_contrast
from longtail.methods.recognition.reweighting import LDAM
from longtail.methods.recognition.rsg import RSG, GeneratingRSG
from longtail.models.backbones import new_backbone
from longtail.models.recomputation import recompute_activations
from longtail.models.spreading import spread_batches
from tests.methods.pieces import step_without_values
from tests.methods.recognition.pieces import made, unlearned
from tests.models.test_rare_samples import slow_pairs

MARGINS = {"scale": 30.0, "largest_margin": 0.5}
MODULE = {"head_share": 0.3, "centers": 3, "contrast_width": 8, "center_weight": 0.1}
GENERATING = {"beta": 0.9, "vector_weight": 0.01}
BACKBONE = functools.partial(new_backbone, "resnet_small", "cifar", 2)
RARE = [0, 1, 0, 2, 0, 3, 0, 0, 1]
"""Five images of the head class and four of others."""


def an_rsg(**changes):
    return with_centers(made(RSG, new_backbone=BACKBONE, **{**MARGINS, **MODULE, **changes}))


def a_generating_rsg(**changes):
    return with_centers(made(GeneratingRSG, new_backbone=BACKBONE, **{**MARGINS, **MODULE, **GENERATING, **changes}))


def with_centers(objective):
    nn.init.normal_(objective.generator.centers, generator=torch.Generator().manual_seed(1))
    return objective


def a_batch(labels):
    views = torch.randn(len(labels), 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return Batch((views,), (torch.arange(len(labels)),), torch.Generator(), (torch.tensor(labels),))


def gradients(loss, network, *others):
    """With respect to all of a network, and to other weights, of which some may have none."""
    return torch.autograd.grad(loss, [*network.parameters(), *others], allow_unused=True, materialize_grads=True)


def maps_before_the_last_stage(backbone, images):
    return backbone.layer2(backbone.layer1(backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(images))))))


def test_the_largest_classes_are_head_classes():
    assert an_rsg().is_head.tolist() == [True, False, False, False]
    assert an_rsg(head_share=0.99).is_head.tolist() == [True, True, True, False]


@pytest.mark.parametrize("labels", [RARE, RARE[:8]])
def test_at_first_it_is_ldam_with_a_module_beside_it(labels):
    """An image of an odd batch has no pair. The network learns from LDAM alone."""
    objective, batch = an_rsg(), a_batch(labels)
    parts, y = objective.loss(batch), batch.labels[0]
    plain = made(LDAM, new_backbone=BACKBONE, **MARGINS)
    plain.network.load_state_dict(objective.network.state_dict())
    maps = maps_before_the_last_stage(plain.network.embedder, batch.views[0]).detach()
    generator = objective.generator
    centers = center_estimation(maps, generator.centers[y], generator.assignments(maps, y))
    judged = sample_contrast(generator.scores(maps[:4], maps[4:8]), y[:4], y[4:8])
    torch.testing.assert_close(parts["centers"], centers + judged)
    expected = plain.loss(batch)["loss"]
    torch.testing.assert_close(parts["loss"], expected + 0.1 * (centers + judged))
    torch.testing.assert_close(gradients(parts["loss"], objective.network), gradients(expected, plain.network))


@pytest.mark.parametrize("labels", [RARE, [1, 0, 2, 3, 1, 0, 2], [0] * 4, [2] * 4])
def test_generated_maps_are_appended(labels):
    """By a batch that has as many maps as there are pairs, through torch's batch normalisation."""
    objective, batch = a_generating_rsg(), a_batch(labels)
    plain = made(LDAM, new_backbone=BACKBONE, **MARGINS)
    plain.network.load_state_dict(objective.network.state_dict())
    y, backbone, generator = batch.labels[0], plain.network.embedder, objective.generator
    maps = maps_before_the_last_stage(backbone, batch.views[0])
    seen, known, together, vectors = maps.detach(), y, maps, 0.0
    paired = slow_pairs([label == 0 for label in labels])
    if paired:
        heads, rare = map(list, zip(*paired, strict=True))
        displacements = generator.displacements(seen, y)
        moves = generator.transformation(displacements[heads])
        scores = generator.scores(seen[heads], moves)
        counted = torch.ones(len(paired), dtype=torch.bool)
        vectors = maximized_vector(moves, displacements[heads], displacements[rare], scores, counted)
        together, known = torch.cat([maps, seen[rare] + moves]), torch.cat([y, y[rare]])
    logits = plain.network.head(backbone.avgpool(backbone.layer3(together)).flatten(1))
    centers = center_estimation(seen, generator.centers[y], generator.assignments(seen, y))
    weights = class_balanced_weights(objective.class_sizes, 0.9)
    expected = ldam(logits, known, plain.margins(), weights) + 0.1 * centers + 0.01 * vectors

    loss = objective.loss(batch)["loss"]
    torch.testing.assert_close(loss, expected)
    for name, value in plain.network.named_buffers():
        torch.testing.assert_close(objective.network.get_buffer(name), value, msg=name)
    learning = [p for p in generator.parameters() if p.requires_grad]
    ours = gradients(loss, objective.network, *learning)
    theirs = gradients(expected, plain.network, *learning)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_the_network_and_half_of_the_module_learn():
    """What judges pairs learns first, what moves maps learns then; neither decays meanwhile."""
    first, then = an_rsg(), a_generating_rsg()
    for objective, idle in ((first, "transformation"), (then, "contrast")):
        objective.loss(a_batch(RARE))["loss"].backward()
        names = {name for name, _ in objective.named_parameters() if name.startswith(f"generator.{idle}.")}
        assert names
        assert set(unlearned(objective)) == names
        (group,) = objective.parameter_groups()
        assert len(group["params"]) == len(list(objective.parameters())) - len(names)
    assert first.state_dict().keys() == then.state_dict().keys()


@pytest.mark.parametrize("make", [an_rsg, a_generating_rsg])
def test_a_step_waits_for_no_value(make):
    step_without_values(make(), 9, 2, 8, 8, labels=torch.tensor(RARE), views=1)


@pytest.mark.parametrize("labels", [RARE, [3] * 4])
@pytest.mark.parametrize("make", [an_rsg, a_generating_rsg])
def test_a_step_in_half_precision(make, labels):
    objective, batch = make().float(), a_batch(labels)
    batch = dataclasses.replace(batch, views=(batch.views[0].float(),))
    expected = copy.deepcopy(objective).loss(batch)["loss"].item()
    with torch.autocast("cpu", torch.bfloat16):
        loss = objective.loss(batch)["loss"]
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=0.05)
    assert all(p.grad.isfinite().all() for p in objective.parameters() if p.grad is not None)


def test_recomputed_activations_count_the_same_maps():
    plain, again = a_generating_rsg(), a_generating_rsg()
    assert recompute_activations(again) == 3
    found = [gradients(one.loss(a_batch(RARE))["loss"], one.network) for one in (again, plain)]
    torch.testing.assert_close(*found)
    torch.testing.assert_close(again.state_dict(), plain.state_dict())


def test_the_module_is_gone_when_images_are_embedded():
    objective, images = a_generating_rsg(), a_batch(RARE).views[0]
    objective.loss(a_batch(RARE))
    h, logits = objective.eval().encoder("backbone")(images)
    assert (h.shape, logits.shape) == ((9, 64), (9, 4))
    assert not any(layer._forward_hooks for layer in objective.modules())


def test_several_gpus_are_refused():
    """A displacement may be lent to an image of another process."""
    objective = a_generating_rsg()
    spread_batches(objective)
    with pytest.raises(LongtailError, match="inside the backbone"):
        objective.loss(a_batch(RARE))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head_share": 0.2}, ["head_share", "4 classes"]),
        ({"head_share": 1.0}, ["head_share", "4 classes"]),
        ({"centers": 0}, ["centers", "at least 1"]),
        ({"contrast_width": 0}, ["contrast_width", "at least 1"]),
        ({"center_weight": -0.1}, ["center_weight", "at least 0"]),
        ({"vector_weight": -0.1}, ["vector_weight", "at least 0"]),
        ({"beta": 1.0}, ["beta", "below 1"]),
    ],
)
def test_settings_that_make_no_sense(changes, words):
    with pytest.raises(LongtailError) as error:
        a_generating_rsg(**changes)
    assert all(word in str(error.value) for word in words)
