from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from longtail.errors import LongtailError
from longtail.methods.base import Batch, Context
from longtail.methods.clustering.moco import MoCo, info_nce
from longtail.models.splitnorm import SplitBatchNorm2d
from tests.methods.pieces import TinyBackbone, step_without_values

SETTINGS = MoCo.Settings(temperature=0.1, projection_width=5, queue_size=12, target_momentum=0.9, batchnorm_splits=2)


def objective(settings: MoCo.Settings = SETTINGS) -> MoCo:
    torch.manual_seed(0)
    return MoCo(settings, Context(new_backbone=TinyBackbone, classes=3, rows=20)).double()


def a_batch(size: int = 8, seed: int = 0) -> Batch:
    torch.manual_seed(seed)
    views = tuple(torch.randn(size, 2, 5, 5, dtype=torch.float64) for _ in range(2))
    return Batch(views, (torch.arange(size),) * 2, torch.Generator().manual_seed(seed))


def unit_rows(rows: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(rows, width, dtype=torch.float64, generator=generator), dim=1)


@given(
    batch=st.integers(1, 6), queue=st.integers(1, 9), width=st.integers(2, 5),
    temperature=st.floats(0.05, 2.0), seed=st.integers(0, 10**6),
)  # fmt: skip
def test_info_nce_is_the_formula(batch, queue, width, temperature, seed):
    query = unit_rows(batch, width, seed).requires_grad_()
    key, negatives = unit_rows(batch, width, seed + 1), unit_rows(queue, width, seed + 2)
    total = 0.0
    for i in range(batch):
        positive = sum(query[i, d] * key[i, d] for d in range(width)) / temperature
        others = [sum(query[i, d] * negatives[j, d] for d in range(width)) / temperature for j in range(queue)]
        total = total - torch.log(torch.exp(positive) / (torch.exp(positive) + sum(torch.exp(o) for o in others)))
    expected = total / batch
    (expected_gradient,) = torch.autograd.grad(expected, query)
    loss = info_nce(query, key, negatives, temperature)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, query)[0], expected_gradient)


def test_info_nce_of_a_query_that_equals_all_keys_is_the_log_of_their_number():
    same = unit_rows(1, 4, 0)
    loss = info_nce(same.expand(3, 4), same.expand(3, 4), same.expand(7, 4), 0.07)
    assert loss.item() == pytest.approx(math.log(8))


def test_a_step_moves_the_keys_first_and_enqueues_them_afterwards():
    moco, batch = objective(), a_batch()
    with torch.no_grad():
        for parameter in moco.backbone.parameters():
            parameter.add_(0.5)
    before = copy.deepcopy(moco)
    loss = moco.loss(batch)["loss"]

    for name, parameter in moco.key_backbone.named_parameters():
        old, online = before.key_backbone.get_parameter(name), moco.backbone.get_parameter(name)
        torch.testing.assert_close(parameter, 0.9 * old + 0.1 * online)

    # the reference: groups of rows i mod 2 of the shuffled keys, each with its own statistics
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0)).tolist()
    reference = copy.deepcopy(moco)
    keys = torch.empty(8, 5, dtype=torch.float64)
    queries = torch.empty(8, 5, dtype=torch.float64)
    for network in (reference.key_backbone, reference.backbone):
        network[1].splits = 1
    for group in range(2):
        rows = [order[position] for position in range(group, 8, 2)]
        keys[rows] = reference.key_head(reference.key_backbone(batch.views[1][rows])).detach()
        queries[group::2] = reference.head(reference.backbone(batch.views[0][group::2]))
    keys, queries = functional.normalize(keys, dim=1), functional.normalize(queries, dim=1)
    torch.testing.assert_close(loss, info_nce(queries, keys, before.queue.keys, 0.1))
    torch.testing.assert_close(moco.queue.keys[:8], keys)
    assert torch.equal(moco.queue.keys[8:], before.queue.keys[8:])
    assert moco.queue.pointer == 8


def test_the_gradient_reaches_all_of_the_query_network_and_nothing_else():
    moco = objective()
    for seed in range(3):  # the queue is written to between forward and backward
        moco.loss(a_batch(seed=seed))["loss"].backward()
    trained = {parameter for group in moco.parameter_groups() for parameter in group["params"]}
    for name, parameter in moco.named_parameters():
        assert (parameter in trained) == (not name.startswith("key_")) == (parameter.grad is not None), name


def test_a_step_never_asks_for_a_value():
    moco = objective()
    step_without_values(moco, 8, 2, 5, 5)


def test_keys_are_shuffled_by_the_generator_of_the_batch():
    def enqueued(seed):
        moco, batch = objective(), a_batch()
        moco.loss(Batch(batch.views, batch.rows, torch.Generator().manual_seed(seed)))
        return moco.queue.keys

    assert torch.equal(enqueued(1), enqueued(1))
    assert not torch.allclose(enqueued(1), enqueued(2))


def test_the_encoder_is_the_query_network_with_plain_batch_normalisation():
    moco = objective()
    moco.loss(a_batch())
    encoder, images = moco.encoder("projection"), a_batch(7).views[0]
    assert encoder.width == 5
    expected = moco.eval().head(moco.backbone(images))
    torch.testing.assert_close(encoder.eval()(images), expected)
    assert encoder.train()(images).shape == (7, 5)  # 7 images are no two groups of one size
    assert all(m.splits == 2 for m in moco.modules() if isinstance(m, SplitBatchNorm2d))
    with pytest.raises(LongtailError, match="features of MoCo 'backbone'"):
        moco.encoder("backbone")


def test_the_checkpoint_continues_exactly():
    moco = objective()
    moco.loss(a_batch())
    restored = objective(MoCo.Settings(**vars(SETTINGS)))
    restored.load_state_dict(moco.state_dict())
    assert torch.equal(moco.loss(a_batch(seed=3))["loss"], restored.loss(a_batch(seed=3))["loss"])
    assert torch.equal(moco.queue.keys, restored.queue.keys)


@pytest.mark.parametrize(
    ("name", "value"), [("temperature", 0.0), ("target_momentum", 1.5), ("queue_size", 0), ("batchnorm_splits", 0)]
)
def test_impossible_settings_are_named(name, value):
    with pytest.raises(LongtailError, match=name):
        MoCo.Settings(**{**vars(SETTINGS), name: value})
