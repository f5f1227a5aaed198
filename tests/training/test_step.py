"""What an objective is given in a step, and what becomes of its answer."""

from __future__ import annotations

import pytest
import torch
import toys

from longtail.training import train


@pytest.fixture
def seen(monkeypatch):
    """The batches of a training, and whether every part of the objective was in train mode for them."""
    found, real = [], toys.Toy.loss

    def loss(self, batch):
        found.append((batch, all(part.training for part in self.modules())))
        return real(self, batch)

    monkeypatch.setattr(toys.Toy, "loss", loss)
    return found


def test_views_are_the_normalised_images_of_their_rows(desk, tools, seen):
    assert desk.train(tools.spec(tools.stretch(last=2, augmentation={}))) == 0
    assert [len(batch.rows[0]) for batch, _ in seen] == [16, 16, 8] * 2
    for batch, _ in seen:
        images = torch.from_numpy(desk.images[desk.source_rows[batch.rows[0].numpy()]]).permute(0, 3, 1, 2)
        for view in batch.views:
            torch.testing.assert_close(view, (images.float() / 255 - 0.5) / 0.25)
    epochs = [torch.cat([batch.rows[0] for batch, _ in seen[first : first + 3]]) for first in (0, 3)]
    assert all(epoch.sort().values.tolist() == list(range(40)) for epoch in epochs)
    assert not torch.equal(*epochs)


def test_views_and_epochs_are_drawn_apart(desk, tools, seen):
    assert desk.train(tools.spec(tools.stretch(last=2, batch_size=40))) == 0
    (first, _), (second, _) = seen
    views = [view[batch.rows[0].argsort()] for batch in (first, second) for view in batch.views]
    assert len(views) == 4
    for i, one in enumerate(views):
        assert not any(torch.allclose(one, other) for other in views[:i])
    draws = [torch.rand(3, generator=batch.generator) for batch in (first, second)]
    assert not torch.equal(*draws)


def test_every_view_may_have_a_list_of_its_own(desk, tools, seen):
    assert desk.train(tools.spec(tools.stretch(last=1, augmentation=[{}, {"solarize": 1.0}]))) == 0
    for batch, _ in seen:
        first, second = (view * 0.25 + 0.5 for view in batch.views)
        bright = first >= 128 / 255 - 1e-6
        torch.testing.assert_close(second, torch.where(bright, 1 - first, first), atol=1e-6, rtol=0)


def test_a_group_may_have_a_learning_rate_of_its_own(desk, tools, monkeypatch):
    def parameter_groups(self):
        return [
            {"params": list(self.body.parameters()), "learning_rate_scale": 0.0},
            {"params": list(self.head.parameters()), "learning_rate": 0.5},
        ]

    monkeypatch.setattr(toys.Toy, "parameter_groups", parameter_groups)
    spec = tools.spec(tools.stretch(schedule="constant", warmup_epochs=None, final_learning_rate=None))
    run = train.start(desk.read(spec), None, torch.device("cpu"))
    assert [group.rate(0.1) for group in run.optimizer.groups] == [0.0, 0.5]
    before = {name: parameter.clone() for name, parameter in run.objective.named_parameters()}
    assert desk.train(spec) == 0
    after = desk.checkpoint()["objective"]
    assert torch.equal(before["body.0.weight"], after["body.0.weight"])
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_steps_are_taken_in_train_mode(desk, tools, seen, monkeypatch):
    monkeypatch.setattr(toys.Toy, "start_epoch", lambda self, epoch, images: self.eval())
    assert desk.train(tools.spec(tools.stretch(last=2))) == 0
    assert [training for _, training in seen] == [True] * 6


def test_progress_is_the_share_of_the_clock_before_and_after_each_step(desk, tools, monkeypatch):
    calls, loss = [], toys.Toy.loss
    monkeypatch.setattr(toys.Toy, "before_step", lambda self, progress: calls.append(("before", progress)))
    monkeypatch.setattr(toys.Toy, "loss", lambda self, batch: (calls.append(("loss", 0.0)), loss(self, batch))[1])
    monkeypatch.setattr(toys.Toy, "after_step", lambda self, progress: calls.append(("after", progress)))
    assert desk.train(tools.spec(tools.stretch(last=2, clock=5))) == 0
    assert [name for name, _ in calls] == ["before", "loss", "after"] * 6
    for name in ("before", "after"):
        assert [share for called, share in calls if called == name] == [update / 15 for update in range(1, 7)]


@pytest.mark.parametrize("change", [{}, {"optimizer": "adam", "momentum": None}])
def test_a_step_that_is_skipped_leaves_weights_and_moments_alone(desk, tools, monkeypatch, change):
    real, steps = toys.Toy.loss, 0

    def loss(self, batch):
        nonlocal steps
        steps += 1
        return {**real(self, batch), "skipped": torch.tensor(float(steps > 3))}

    spec = tools.spec(tools.stretch(last=2, weight_decay=0.1, **change))
    assert desk.train(tools.spec(tools.stretch(last=1, weight_decay=0.1, **change)), "first") == 0
    monkeypatch.setattr(toys.Toy, "loss", loss)
    assert desk.train(spec, "skipped") == 0
    first, skipped = desk.checkpoint("first"), desk.checkpoint("skipped")
    run = train.start(desk.read(spec), None, torch.device("cpu"))
    for name, parameter in run.objective.named_parameters():
        if parameter.requires_grad:
            assert torch.equal(skipped["objective"][name], first["objective"][name])
    assert tools.same(skipped["moments"], first["moments"])
    assert desk.history("skipped")["skipped"].to_pylist() == [0.0, 1.0]
