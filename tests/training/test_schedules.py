from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.study import catalog as catalogue
from longtail.training.schedules import SCHEDULES, schedule_of

PARTS = catalogue.load().schedules


def rate(name, update, updates_per_epoch, clock, *, peak, warmup=None, final=None, milestones=(), decay=1.0):
    schedule, _ = SCHEDULES[name]
    settings = SimpleNamespace(
        learning_rate=peak, warmup_epochs=warmup, final_learning_rate=final, milestones=milestones, decay=decay
    )
    return schedule(update, updates_per_epoch, clock, settings)


def test_warmup_cosine_at_chosen_updates():
    """SDCLR on CIFAR-10 at ratio 10: 40 updates per epoch, 10 epochs of warm-up, 1000 in all."""
    settings = {"peak": 0.5, "warmup": 10, "final": 1e-6}
    assert rate("warmup_cosine", 1, 40, 1000, **settings) == 0.5 / 400
    assert rate("warmup_cosine", 399, 40, 1000, **settings) == pytest.approx(0.5 * 399 / 400)
    assert rate("warmup_cosine", 400, 40, 1000, **settings) == pytest.approx(0.5)
    assert rate("warmup_cosine", 20200, 40, 1000, **settings) == pytest.approx(1e-6 + 0.5 * (0.5 - 1e-6))
    assert rate("warmup_cosine", 40000, 40, 1000, **settings) == pytest.approx(1e-6)
    s = 8001  # the first update of ConMix after 200 epochs of SDCLR: no restart
    expected = 1e-6 + (0.5 - 1e-6) * 0.5 * (1 + math.cos(math.pi * (s - 400) / (40000 - 400)))
    assert rate("warmup_cosine", s, 40, 1000, **settings) == pytest.approx(expected)
    assert expected > 0.45


def test_byol_cosine_at_chosen_updates():
    settings = {"peak": 0.05, "warmup": 10}
    assert rate("byol_warmup_cosine", 1, 79, 1000, **settings) == pytest.approx(0.05 * (1 + 1 / 79) / 10)
    assert rate("byol_warmup_cosine", 9 * 79, 79, 1000, **settings) == pytest.approx(0.05)
    # The cosine is divided by the clock, not by what is left of it after the warm-up: it does not end at 0.
    assert rate("byol_warmup_cosine", 79 * 1000, 79, 1000, **settings) == pytest.approx(1.0e-5, rel=0.02)
    assert rate("byol_warmup_cosine", 79 * 800, 79, 1000, **settings) == pytest.approx(0.0052, abs=5e-5)


def test_propos_cosine_at_chosen_updates():
    settings = {"peak": 0.1, "warmup": 50}
    assert rate("propos_cosine", 1, 40, 1000, **settings) == pytest.approx(0.1 / 40 / 50)
    assert rate("propos_cosine", 25 * 40, 40, 1000, **settings) == pytest.approx(0.05)
    assert rate("propos_cosine", 50 * 40, 40, 1000, **settings) == pytest.approx(0.1)
    assert rate("propos_cosine", 550 * 40, 40, 1000, **settings) == pytest.approx(0.05)
    assert rate("propos_cosine", 1000 * 40, 40, 1000, **settings) == pytest.approx(
        0.05 * (1 + math.cos(math.pi * 950 / 1000))
    )


@given(per_epoch=st.integers(1, 50), clock=st.integers(1, 1000), share=st.floats(0, 1))
def test_epoch_cosine_counts_epochs_from_one_as_the_demo_of_moco(per_epoch, clock, share):
    """Its loop is ``for epoch in range(1, epochs + 1)``, and it sets the rate at the start of each epoch."""
    epoch = 1 + int(share * (clock - 1))
    expected = 0.06 * 0.5 * (1.0 + math.cos(math.pi * epoch / clock))
    updates = {(epoch - 1) * per_epoch + 1, epoch * per_epoch}
    assert {rate("epoch_cosine", update, per_epoch, clock, peak=0.06) for update in updates} == {expected}


def test_the_last_epoch_of_moco_trains_at_nothing():
    assert rate("epoch_cosine", 1, 39, 1000, peak=0.06) < 0.06
    assert rate("epoch_cosine", 999 * 39, 39, 1000, peak=0.06) == pytest.approx(0.03 * (1 + math.cos(0.999 * math.pi)))
    assert rate("epoch_cosine", 1000 * 39, 39, 1000, peak=0.06) == 0.0


def test_floored_epoch_cosine_is_that_of_scan():
    """lr_end + (lr - lr_end) (1 + cos(pi e / E)) / 2 in epoch e, with lr_end a thousandth of lr."""
    for epoch in (0, 1, 250, 499):
        expected = 4e-4 + (0.4 - 4e-4) * (1 + math.cos(math.pi * epoch / 500)) / 2
        for update in (39 * epoch + 1, 39 * epoch + 39):
            assert rate("floored_epoch_cosine", update, 39, 500, peak=0.4, final=4e-4) == pytest.approx(expected)


def test_steps_are_those_of_torch():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.05)
    marks = [100, 190, 270, 410, 470, 550, 670, 750, 850, 910]
    reference = torch.optim.lr_scheduler.MultiStepLR(optimizer, marks, gamma=0.5)
    for epoch in range(1000):
        expected = optimizer.param_groups[0]["lr"]
        for update in (3 * epoch + 1, 3 * epoch + 3):
            found = rate("steps", update, 3, 1000, peak=0.05, milestones=[m / 1000 for m in marks], decay=0.5)
            assert found == pytest.approx(expected)
        optimizer.step()
        reference.step()


@given(
    name=st.sampled_from(sorted(SCHEDULES)),
    per_epoch=st.integers(1, 200),
    clock=st.integers(1, 1000),
    warmup=st.floats(0, 60),
    share=st.floats(0, 1),
)
def test_rates_lie_between_nothing_and_the_peak(name, per_epoch, clock, warmup, share):
    update = 1 + int(share * (clock * per_epoch - 1))
    value = rate(name, update, per_epoch, clock, peak=0.3, warmup=warmup, final=1e-6, milestones=(0.2, 0.7), decay=0.1)
    assert 0 <= value <= 0.3 * (1 + 1e-12)
    if name == "constant":
        assert value == 0.3


def test_a_budget_too_short_for_its_warmup_still_has_rates():
    assert rate("warmup_cosine", 1, 1, 1, peak=0.5, warmup=1, final=0.0) == 0.5


def test_secu_cosine_rests_warms_up_and_falls():
    settings = {"peak": 0.2, "warmup": 11}
    rates = [rate("secu_cosine", update, 4, 21, **settings) for update in range(1, 85)]
    assert rates[:4] == [0.0] * 4
    assert rates[4] == rates[5] == pytest.approx(0.2 / 40)
    assert rates[4:44] == pytest.approx([0.2 * max(1, i) / 40 for i in range(40)])
    assert rates[44:] == pytest.approx([0.1 * (1 + math.cos(math.pi * i / 40)) for i in range(40)])


def test_secu_cosine_of_a_toy_length_is_defined():
    rates = [rate("secu_cosine", update, 4, 2, peak=0.2, warmup=0.05) for update in range(1, 9)]
    assert rates[:4] == [0.0] * 4
    assert all(0 < value < 0.2 for value in rates[4:])


def test_lfss_cosine_is_byols_with_a_floor():
    for update in (1, 399, 400, 5000, 40000):
        byol = rate("byol_warmup_cosine", update, 40, 1000, peak=0.05, warmup=10)
        assert rate("lfss_cosine", update, 40, 1000, peak=0.05, warmup=10, final=0.0) == pytest.approx(byol)
        floored = rate("lfss_cosine", update, 40, 1000, peak=0.05, warmup=10, final=0.025)
        assert floored == pytest.approx(byol if update / 40 + 1 < 10 else 0.025 + byol / 2)


def factor(name, epoch, clock, update_of_epoch=1, per_epoch=97):
    """What a schedule of the catalogue makes of a learning rate of 1 in an epoch counted from 0."""
    update = epoch * per_epoch + update_of_epoch
    return schedule_of(PARTS[name])(update, per_epoch, clock, SimpleNamespace(learning_rate=1.0))


# What the official functions give in epochs counted from 0.
GOLDEN = {
    ("ldam", 200): ((0, 1, 4, 5, 119, 120, 159, 160, 180), (0.2, 0.4, 1, 1, 1, 1, 1, 0.01, 1e-4)),
    ("bbn", 200): (
        (0, 1, 4, 5, 119, 120, 159, 160, 180), (0.333333, 0.466667, 0.866667, 1, 1, 0.01, 0.01, 1e-4, 1e-4),
    ),
    ("reslt", 200): ((0, 1, 4, 5, 119, 120, 159, 160, 180), (0.466667, 0.6, 1, 1, 1, 1, 1, 0.1, 0.01)),
    ("warmup-steps", 200): ((0, 1, 3, 4, 5, 159, 160, 179, 180), (0.2, 0.4, 0.8, 1, 1, 1, 0.1, 0.1, 0.01)),
    ("rescom-step", 400): ((0, 8, 9, 319, 320, 359, 360, 399), (0.1, 0.9, 1, 1, 0.1, 0.1, 0.01, 0.01)),
    ("rescom-cosine", 400): (
        (0, 9, 10, 204, 398, 399), (0.1, 1, 0.05999903 / 0.06, 0.0300003 / 0.06, 1.57e-6 / 0.06, 1e-5),
    ),
    ("rescom-cosine", 30): ((0, 8, 9, 19, 29), (0.1, 0.9, 1, 0.0100001 / 0.02, 1e-5)),
    ("paco-step", 400): ((0, 9, 10, 11, 320, 321, 360, 361), (0.1, 1, 1.1, 1, 1, 0.1, 0.1, 0.01)),
    ("paco-cosine", 400): (
        (0, 8, 9, 10, 399), (0.1, 0.9, 1, *(0.5 * (1 + math.cos(math.pi * e / 391)) for e in (1, 390))),
    ),
    ("reslt-cosine", 180): ((0, 4, 5, 90, 179), (0.2, 1, 0.999920, 0.517846, 0.000080)),
    ("cosine", 5): (range(5), (1, 0.904508, 0.654508, 0.345492, 0.095492)),
    ("cosine", 10): (
        range(10), (1, 0.975528, 0.904508, 0.793893, 0.654508, 0.5, 0.345492, 0.206107, 0.095492, 0.024472),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "clock"), GOLDEN)
def test_parts_give_the_factors_of_the_official_codes_in_the_whole_epoch(name, clock):
    for epoch, expected in zip(*GOLDEN[name, clock], strict=True):
        for update in (1, 50, 97):
            assert factor(name, epoch, clock, update) == pytest.approx(expected, rel=2e-5, abs=5e-7), epoch


def test_every_schedule_of_the_catalogue_is_held_against_its_code():
    assert {name for name, _ in GOLDEN} == set(PARTS)
    assert not set(PARTS) & set(SCHEDULES), "a name must not mean both parts and a function"


@given(per_epoch=st.integers(1, 2000), hundreds=st.integers(1, 10), share=st.integers(1, 99))
def test_a_milestone_is_passed_with_the_first_update_of_its_epoch(per_epoch, hundreds, share):
    clock, epoch = 100 * hundreds, share * hundreds
    steps = schedule_of({"decay": {"steps": {"milestones": [share / 100], "factor": 0.5}}})
    peak = SimpleNamespace(learning_rate=1.0)
    assert steps(epoch * per_epoch, per_epoch, clock, peak) == 1.0
    assert steps(epoch * per_epoch + 1, per_epoch, clock, peak) == 0.5
    # What an objective defers to the same share of the clock begins with the same update.
    assert (epoch * per_epoch) / (clock * per_epoch) <= share / 100 < (epoch * per_epoch + 1) / (clock * per_epoch)


@given(
    name=st.sampled_from(sorted(PARTS)), clock=st.integers(1, 50), per_epoch=st.integers(1, 50), share=st.floats(0, 1)
)
def test_parts_have_a_rate_on_clocks_of_every_length(name, clock, per_epoch, share):
    update = 1 + int(share * (clock * per_epoch - 1))
    rate = schedule_of(PARTS[name])(update, per_epoch, clock, SimpleNamespace(learning_rate=0.1))
    assert 0 <= rate <= 0.11 + 1e-12
