"""GloCo as an objective: which images it shows, its temperatures, its base losses."""

from __future__ import annotations

import itertools

import pytest
import torch

from longtail.errors import LongtailError
from longtail.methods.base import Batch
from longtail.methods.losses.global_contrast import adaptive_temperatures, global_contrast
from longtail.methods.losses.key_contrast import drawn
from longtail.methods.losses.numerics import unit
from longtail.methods.recognition.gloco import GloCo, class_mates
from longtail.methods.recognition.kcl import KCL
from tests.methods.pieces import ROWS, step_without_values, updates
from tests.methods.recognition.pieces import SIZES, labelled_batch, made, unlearned

QUEUED = {"temperature": 0.1, "projection_width": 3, "queue_size": 12, "target_momentum": 0.9, "positives": 0}
SETTINGS = {**QUEUED, "adaptive": True, "negatives": "queue"}
LABELS = torch.repeat_interleave(torch.arange(4), SIZES)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shown_batch(seed: int, views: int = 4) -> Batch:
    """Two views of each image, and of as many others of its class as there are views more."""
    batch, more = labelled_batch(seed), (labelled_batch(seed + 100 * view).views[0] for view in range(1, views - 1))
    seen = (*batch.views, *more)
    return Batch(seen, batch.rows[:1] * views, batch.generator, batch.labels[:1] * views)


def met(**changes) -> GloCo:
    """One whose queue has keys of all classes, and whose networks differ."""
    objective = made(GloCo, **{**SETTINGS, **changes})
    updates(objective, [shown_batch(1), shown_batch(2)])
    return objective


# --- Which images -----------------------------------------------------------------------------------------------------


def test_global_positives_are_others_of_the_class_none_of_them_twice():
    rows = torch.arange(20).repeat(50)
    objective = made(GloCo, **SETTINGS)
    first, second, *mates = objective.shown(rows, 4, seeded())
    assert first is rows
    assert second is rows  # which spares the loop reading them again
    assert all(torch.equal(LABELS[mate], LABELS[rows]) for mate in mates)
    for row, one, other in zip(rows.tolist(), *(mate.tolist() for mate in mates), strict=True):
        assert one != row != other
        if SIZES[LABELS[row]] > 2:
            assert one != other
        else:
            assert one == other  # the smallest class has one other image only
    assert len(objective.shown(rows, 2, seeded())) == 2


def test_every_set_of_others_is_drawn_as_often():
    count = 20000
    positions, sizes = torch.full((count,), 1), torch.full((count,), 5)
    found = torch.stack(class_mates(positions, sizes, 3, seeded()), 1)
    orders = list(itertools.permutations([0, 2, 3, 4], 3))
    frequency = {order: (found == torch.tensor(order)).all(1).sum().item() / count for order in orders}
    assert sum(frequency.values()) == pytest.approx(1)
    assert list(frequency.values()) == pytest.approx([1 / 24] * 24, abs=0.006)


def test_a_class_that_is_too_small_shows_its_others_again_and_one_image_itself():
    positions, sizes = torch.tensor([0, 2] * 1000), torch.tensor([1, 3] * 1000)
    found = torch.stack(class_mates(positions, sizes, 4, seeded()), 1)
    assert not found[::2].any()
    assert found[1::2].double().mean(0).tolist() == pytest.approx([0.5] * 4, abs=0.05)
    assert found.max() == 1
    assert class_mates(positions, sizes, 0, seeded()) == []


# --- The loss ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positives", [0, 2, None])
@pytest.mark.parametrize("negatives", ["queue", "batch"])
def test_the_loss_is_of_queries_keys_and_global_positives(positives, negatives):
    objective = met(positives=positives, negatives=negatives)
    batch, y = shown_batch(7), labelled_batch(7).labels[0]
    past, past_labels = objective.queue.keys.clone(), objective.queue.labels.clone()
    query = unit(objective.projector(objective.backbone(batch.views[0])))
    loss = objective.loss(batch)["loss"]
    keys = [unit(objective.key_projector(objective.key_backbone(view))) for view in batch.views[1:]]
    itself = torch.eye(8, dtype=torch.bool)
    others, classes, competitors = (
        (past, past_labels, torch.ones(8, 12, dtype=torch.bool)) if negatives == "queue" else (query, y, ~itself)
    )
    same = drawn((y[:, None] == classes) & competitors, positives, labelled_batch(7).generator)
    tau = adaptive_temperatures(SIZES, 0.1)[y]
    torch.testing.assert_close(loss, global_contrast(query, keys, others, same, tau, competitors))
    loss.backward()
    assert all(name.startswith("key_") for name in unlearned(objective))


def test_own_keys_alone_enter_the_queue():
    objective = met()
    before, batch = objective.queue.keys.clone(), shown_batch(7)
    objective.loss(batch)
    key = unit(objective.key_projector(objective.key_backbone(batch.views[1])))
    assert (objective.queue.keys != before).any(1).sum() == 8
    torch.testing.assert_close(objective.queue.keys[[*range(4, 12)]], key)


def test_with_two_views_at_a_constant_temperature_it_trains_as_kcl():
    """The modules of GloCo are what is added to KCL, and MoCo is KCL without more positives."""
    for k in (0, 2):
        kcl, gloco = (
            made(KCL, **{**QUEUED, "positives": k}),
            made(GloCo, **{**SETTINGS, "positives": k, "adaptive": False}),
        )
        for objective in (kcl, gloco):
            updates(objective, [labelled_batch(seed) for seed in range(3)])
        for name, value in kcl.state_dict().items():
            torch.testing.assert_close(gloco.state_dict()[name], value, rtol=1e-10, atol=1e-12, msg=name)


def test_temperatures_grow_with_the_class():
    objective = made(GloCo, **SETTINGS)
    assert objective.temperatures(torch.tensor([0, 3])).tolist() == pytest.approx([1, 0.1 + 0.9 * 2 / 9])
    objective = made(GloCo, **{**SETTINGS, "adaptive": False})
    assert objective.temperatures(torch.tensor([0, 3])).tolist() == [0.1, 0.1]


@pytest.mark.parametrize("negatives", ["queue", "batch"])
def test_a_step_waits_for_no_value(negatives):
    objective = made(GloCo, **{**SETTINGS, "positives": 1, "negatives": negatives})
    step_without_values(objective, 8, 2, 5, 5, labels=torch.arange(8) % 4, views=4)


def test_which_images_waits_for_no_value():
    from torch._subclasses.fake_tensor import FakeTensorMode

    objective = made(GloCo, **SETTINGS)
    with FakeTensorMode(allow_non_fake_inputs=True):
        objective.shown(torch.arange(ROWS), 5, torch.Generator())


@pytest.mark.parametrize(("name", "value"), [("negatives", "both"), ("temperature", 1.5), ("positives", -1)])
def test_settings_that_make_no_sense(name, value):
    with pytest.raises(LongtailError, match=name):
        GloCo.Settings(**{**SETTINGS, name: value})
