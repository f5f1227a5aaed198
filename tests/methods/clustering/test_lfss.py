from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from longtail.errors import LongtailError
from longtail.methods.base import Context
from longtail.methods.clustering.byol import regression_loss
from longtail.methods.clustering.lfss import LFSS, BatchStatistics, instance_stability, prototype_stability, unstable
from longtail.methods.clustering.propos import standard_normal
from tests.clusterers.test_kmeans import one_start
from tests.methods.pieces import ROWS, TheseImages, TinyBackbone, a_batch, step_without_values

OFFICIAL = LFSS.Settings(
    hidden_width=7, projection_width=4, target_momentum=0.9, target_schedule="constant", target_update="after_step",
    predictor_learning_rate_scale=10.0, noise=0.5, temperature=0.5, stability_weight=0.1, prototype_start_epochs=2,
    unstable_share=0.25, stability_between="equals", pseudo_label_statistics="batch",
    pseudo_label_batch=8, kmeans_seed=0,
)  # fmt: skip
CLASSES = 3


def changed(**settings) -> LFSS.Settings:
    return LFSS.Settings(**{**vars(OFFICIAL), **settings})


PAPER = changed(stability_between="epochs", pseudo_label_statistics="running")
PROTOCOLS = pytest.mark.parametrize("settings", [OFFICIAL, PAPER], ids=["official", "paper"])


def objective(settings=OFFICIAL) -> LFSS:
    torch.manual_seed(0)
    return LFSS(settings, Context(TinyBackbone, classes=CLASSES, rows=ROWS)).double()


# the formulas with loops


def dot(a, b):
    return sum(a[d] * b[d] for d in range(len(a)))


def cosine(a, b):
    return dot(a, b) / torch.sqrt(dot(a, a) * dot(b, b))


def draw(rows, width, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, width, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(2)]


@given(rows=st.integers(1, 6), width=st.integers(2, 4), seed=st.integers(0, 10**6))
def test_instance_stability_is_the_formula(rows, width, seed):
    q, old = draw(rows, width, seed)
    expected = torch.zeros((), dtype=torch.float64) * q.sum()
    for i in range(rows if rows > 1 else 0):
        s = [cosine(q[i], old[j].detach()) / 0.5 for j in range(rows)]
        expected = expected + (torch.log(sum(torch.exp(s[j]) for j in range(rows) if j != i)) - s[i]) / rows
    loss = instance_stability(q, old, 0.5)
    torch.testing.assert_close(loss, expected)
    gradient, into_snapshot = torch.autograd.grad(loss, (q, old), allow_unused=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, q)[0])
    assert into_snapshot is None


@given(rows=st.integers(1, 7), classes=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_prototype_stability_is_the_formula(rows, classes, seed):
    q, k = draw(rows, 3, seed)
    labels = torch.randint(-1, classes, (rows,), generator=torch.Generator().manual_seed(seed))
    z = []
    for v in (q, k.detach()):
        for c in range(classes):
            members = [v[i] for i in range(rows) if labels[i] == c]
            if members:
                z.append(sum(members) / len(members))
    expected, half = 0 * q.sum(), len(z) // 2
    for i in range(len(z)):
        s = [cosine(z[i], z[j]) / 0.5 for j in range(len(z))]
        total = torch.log(sum(torch.exp(s[j]) for j in range(len(z)) if j != i))
        expected = expected + (total - s[(i + half) % len(z)]) / len(z)
    loss = prototype_stability(q, k, labels, classes, 0.5)
    torch.testing.assert_close(loss, expected)
    gradient, into_target = torch.autograd.grad(loss, (q, k), allow_unused=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, q)[0])
    assert into_target is None


def test_a_batch_of_unstable_images_has_no_prototype_loss_and_no_gradient():
    q = torch.randn(4, 3, requires_grad=True)
    loss = prototype_stability(q, torch.randn(4, 3), torch.full((4,), -1), 3, 0.5)
    assert loss == 0
    (gradient,) = torch.autograd.grad(loss, q)
    assert torch.equal(gradient, torch.zeros(4, 3))


@given(rows=st.integers(1, 40), percent=st.integers(0, 100), seed=st.integers(0, 10**6))
def test_unstable_is_what_lies_below_the_rank(rows, percent, seed):
    stability = torch.rand(rows, generator=torch.Generator().manual_seed(seed))
    threshold = sorted(stability.tolist())[max(int(percent / 100 * rows), 1) - 1]
    assert unstable(stability, percent / 100).tolist() == [value < threshold for value in stability.tolist()]


@pytest.mark.parametrize("started", [0.0, 1.0])
def test_the_loss_is_the_sum_of_its_parts(started):
    lfss, batch = objective(), a_batch()
    lfss.labels.copy_(torch.arange(ROWS) % 3 - 1)
    lfss.prototypes_started.fill_(started)
    for parameter in lfss.snapshot.parameters():
        nn.init.normal_(parameter)
    reference, generator = copy.deepcopy(lfss), torch.Generator()
    generator.set_state(batch.generator.get_state())
    parts = lfss.loss(batch)
    labels = batch.rows[0] % 3 - 1
    q = [reference.projector(reference.backbone(view)) for view in batch.views]
    k = [reference.target_projector(reference.target_backbone(view)) for view in batch.views]
    expected = 0.0
    for i in range(2):
        predicted = reference.predictor(q[i] + 0.5 * standard_normal(q[i], generator))
        expected = expected + 0.5 * regression_loss(predicted, k[1 - i])
        expected = expected + 0.05 * instance_stability(q[i], reference.snapshot(batch.views[i]), 0.5)
        expected = expected + 0.05 * started * prototype_stability(q[i], k[1 - i], labels, CLASSES, 0.5)
    torch.testing.assert_close(parts["loss"], expected)
    parts["loss"].backward()
    still = ("target_", "snapshot")
    assert all((p.grad is None) == name.startswith(still) for name, p in lfss.named_parameters())
    assert {id(p) for group in lfss.parameter_groups() for p in group["params"]} == {
        id(p) for name, p in lfss.named_parameters() if not name.startswith(still)
    }


def move(lfss, seed):
    """What an epoch of training does to the target."""
    torch.manual_seed(seed)
    for parameter in lfss.target_projector.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))


@PROTOCOLS
def test_the_snapshot_is_the_target_at_the_end_of_the_last_epoch(settings):
    lfss, images = objective(settings), TheseImages()
    for epoch in range(4):
        lfss.start_epoch(epoch, images)
        assert lfss.prototypes_started == float(epoch >= 2)
        target = lfss.encoder("target_projection").state_dict()
        assert all(torch.equal(target[name], value) for name, value in lfss.snapshot.state_dict().items())
        move(lfss, epoch)
        assert not torch.equal(lfss.snapshot[1][0].weight, lfss.target_projector[0].weight)
    assert len(images.orders) == 4


def test_stability_across_epochs_finds_the_images_that_have_moved():
    lfss, images = objective(PAPER), TheseImages()
    lfss.start_epoch(1, images)
    assert (lfss.labels == -1).all()
    move(lfss, 0)
    before, now = (images.encode(network) for network in (lfss.snapshot, lfss.encoder("target_projection")))
    lfss.start_epoch(2, images)
    moved = unstable(nn.functional.cosine_similarity(before, now), 0.25)
    assert torch.equal(lfss.labels == -1, moved)
    assert moved.sum() == 4
    assert set(lfss.labels.tolist()) <= {-1, 0, 1, 2}


def test_the_official_code_compares_the_target_with_itself():
    lfss, images = objective(), TheseImages()
    move(lfss, 0)
    lfss.start_epoch(2, images)
    assert (lfss.labels == -1).sum() <= 4  # as rounding has it
    assert all(order.sort().values.tolist() == list(range(ROWS)) for order in images.orders)


@PROTOCOLS
def test_pseudo_labels_are_those_of_projections_as_long_as_they_are(settings):
    """By a slow version: nearest by cosine, while centres are means of projections that nothing has normalised."""
    lfss, images = objective(settings), TheseImages()
    lengths = torch.linspace(1, 30, ROWS, dtype=torch.float64).roll(7)
    images.images *= lengths[:, None, None, None]
    target = copy.deepcopy(lfss.encoder("target_projection"))
    now = images.encode(BatchStatistics(target, 8) if settings is OFFICIAL else target).double().numpy()
    starts = [one_start(now, CLASSES, seed, lengths_count=True) for seed in range(10)]
    expected = torch.from_numpy(min(starts, key=lambda start: start[0])[1])
    lfss.start_epoch(2, images)
    assert torch.equal(lfss.labels, expected.masked_fill(lfss.labels == -1, -1))
    assert (lfss.labels >= 0).sum() >= ROWS - 5


@given(rows=st.integers(1, 20), size=st.integers(1, 9), seed=st.integers(0, 10**6))
def test_batch_statistics_are_those_of_batches_also_in_eval_mode(rows, size, seed):
    norm = nn.BatchNorm1d(2)
    norm.running_mean.fill_(0.5)
    x = torch.randn(rows, 2, generator=torch.Generator().manual_seed(seed)) + 3
    reference, expected = copy.deepcopy(norm), []
    for first in range(0, rows, size):
        batch = x[first : first + size]
        expected.append(reference.train(len(batch) > 1)(batch))  # one image alone has no statistics
    torch.testing.assert_close(BatchStatistics(norm, size).eval()(x), torch.cat(expected))
    torch.testing.assert_close(norm.running_mean, reference.running_mean)


@PROTOCOLS
def test_the_checkpoint_continues_exactly(settings):
    lfss = objective(settings)
    lfss.start_epoch(2, TheseImages())
    move(lfss, 1)
    restored = objective(settings)
    restored.load_state_dict(lfss.state_dict())
    first, second = lfss.loss(a_batch(9)), restored.loss(a_batch(9))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_collapsed_network_gives_finite_losses_and_gradients():
    lfss = objective()
    for parameter in [*lfss.projector.parameters(), *lfss.target_projector.parameters()]:
        parameter.data.zero_()
    lfss.start_epoch(2, TheseImages())
    loss = lfss.loss(a_batch())["loss"]
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in lfss.parameters() if p.grad is not None)


def test_a_step_never_asks_for_a_value():
    own = objective()
    step_without_values(own, 8, 2, 5, 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0.0), ("noise", -1.0), ("stability_between", "views"), ("pseudo_label_batch", 0)],
)
def test_impossible_settings_are_named(name, value):
    with pytest.raises(LongtailError, match=name):
        changed(**{name: value})
