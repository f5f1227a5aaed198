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
    ("rsg", 200): ((0, 1, 4, 5, 158, 159, 178, 179, 199), (0.2, 0.4, 1, 1, 1, 0.01, 0.01, 1e-4, 1e-4)),
    ("rsg-imagenet", 100): ((0, 1, 4, 58, 59, 78, 79, 93, 94), (0.2, 0.4, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.001)),
    ("rsg-inaturalist", 180): ((0, 4, 98, 99, 138, 139, 168, 169), (0.2, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.001)),
    ("rsg-places", 30): ((0, 8, 9, 18, 19, 29), (1, 1, 0.1, 0.1, 0.01, 0.01)),
    ("ride-large", 100): ((0, 1, 4, 5, 59, 60, 79, 80, 99), (0.2, 0.4, 1, 1, 1, 0.1, 0.1, 0.01, 0.01)),
    ("ride-distilled", 200): ((0, 1, 18, 19, 20, 159, 160, 179, 180), (0.05, 0.1, 0.95, 1, 1, 1, 0.01, 0.01, 1e-4)),
    ("bbn", 200): (
        (0, 1, 4, 5, 119, 120, 159, 160, 180), (0.333333, 0.466667, 0.866667, 1, 1, 0.01, 0.01, 1e-4, 1e-4),
    ),
    ("bbn-large", 180): ((0, 119, 120, 159, 160, 179), (1, 1, 0.1, 0.1, 0.01, 0.01)),
    ("bbn-large", 90): ((0, 59, 60, 79, 80, 89), (1, 1, 0.1, 0.1, 0.01, 0.01)),
    ("lade-places", 30): ((0, 9, 10, 19, 20, 29), (1, 1, 0.1, 0.1, 0.01, 0.01)),
    ("bcl-cosine", 90): ((0, 45, 89), (0.9997021, 0.4913697, 2.979e-4)),
    ("reslt", 200): ((0, 1, 4, 5, 119, 120, 159, 160, 180), (0.466667, 0.6, 1, 1, 1, 1, 1, 0.1, 0.01)),
    ("warmup-steps", 200): ((0, 1, 3, 4, 5, 159, 160, 179, 180), (0.2, 0.4, 0.8, 1, 1, 1, 0.1, 0.1, 0.01)),
    ("rescom-step", 400): ((0, 8, 9, 319, 320, 359, 360, 399), (0.1, 0.9, 1, 1, 0.1, 0.1, 0.01, 0.01)),
    ("rescom-step-cold", 400): ((0, 319, 320, 359, 360, 399), (1, 1, 0.1, 0.1, 0.01, 0.01)),
    ("rescom-cosine", 400): (
        (0, 9, 10, 204, 398, 399), (0.1, 1, 0.05999903 / 0.06, 0.0300003 / 0.06, 1.57e-6 / 0.06, 1e-5),
    ),
    ("rescom-cosine", 30): ((0, 8, 9, 19, 29), (0.1, 0.9, 1, 0.0100001 / 0.02, 1e-5)),
    ("paco-step", 400): ((0, 9, 10, 11, 320, 321, 360, 361), (0.1, 1, 1.1, 1, 1, 0.1, 0.1, 0.01)),
    ("paco-cosine", 400): (
        (0, 8, 9, 10, 399), (0.1, 0.9, 1, *(0.5 * (1 + math.cos(math.pi * e / 391)) for e in (1, 390))),
    ),
    ("paco-cosine-places", 30): (
        (0, 3, 4, 5, 17, 29), (0.2, 0.8, 1, *(0.5 * (1 + math.cos(math.pi * e / 26)) for e in (1, 13, 25))),
    ),
    ("reslt-cosine", 180): ((0, 4, 5, 90, 179), (0.2, 1, 0.999920, 0.517846, 0.000080)),
    ("cosine", 5): (range(5), (1, 0.904508, 0.654508, 0.345492, 0.095492)),
    ("cosine", 10): (
        range(10), (1, 0.975528, 0.904508, 0.793893, 0.654508, 0.5, 0.345492, 0.206107, 0.095492, 0.024472),
    ),
    ("supcon-cosine", 1000): (
        (0, 1, 9, 10, 99, 499, 500, 998, 999),
        (0.999997535, 0.99999014, 0.999753527, 0.999701773, 0.97555273, 0.5005, 0.498930777, 0.001002465, 0.001),
    ),
    ("supcon-cosine", 40): ((0, 1, 19, 38, 39), (0.998460208, 0.993850326, 0.5005, 0.002539792, 0.001)),
    ("supcon-cosine-warm", 1000): ((10, 99, 998, 999), (0.999701773, 0.97555273, 0.001002465, 0.001)),
}  # fmt: skip


# What the functions of HobbitLong/SupContrast give by update, counted from 1: warmed up to 120, epoch 11 from 121 on.
SUPCON = {
    1: 0.01, 2: 0.014082306, 12: 0.05490537, 13: 0.058987676, 61: 0.254938382, 119: 0.491712151, 120: 0.495794457,
    121: 0.499850886, 132: 0.499850886, 133: 0.499822546, 6001: 0.249465389, 11988: 0.000501232, 12000: 0.0005,
}  # fmt: skip


@pytest.mark.parametrize(("name", "clock"), GOLDEN)
def test_parts_give_the_factors_of_the_official_codes_in_the_whole_epoch(name, clock):
    for epoch, expected in zip(*GOLDEN[name, clock], strict=True):
        for update in (1, 50, 97):
            assert factor(name, epoch, clock, update) == pytest.approx(expected, rel=2e-5, abs=5e-7), epoch


def slow_supcon(peak, epochs, per_epoch, warm=10, least=0.01):
    """The rate of every update of HobbitLong/SupContrast with a large batch, epochs counted from 1 as there."""
    final = peak * 0.1**3

    def cosine(epoch):
        return final + (peak - final) * (1 + math.cos(math.pi * epoch / epochs)) / 2

    rates = []
    for epoch in range(1, epochs + 1):
        for batch in range(per_epoch):
            share = ((epoch - 1) * per_epoch + batch) / (warm * per_epoch)
            rates.append(cosine(epoch) if epoch > warm else least + share * (cosine(warm) - least))
    return rates


def test_supcon_warms_up_by_update_to_where_its_cosine_has_come():
    """Its own functions with the README's learning rate, 12 updates per epoch and 1000 epochs."""
    found = [schedule_of(PARTS["supcon-cosine-warm"])(s, 12, 1000, SimpleNamespace(learning_rate=0.5)) for s in SUPCON]
    assert found == pytest.approx(list(SUPCON.values()), abs=6e-10)
    assert [slow_supcon(0.5, 1000, 12)[s - 1] for s in SUPCON] == pytest.approx(list(SUPCON.values()), abs=6e-10)


@given(epochs=st.integers(11, 60), per_epoch=st.integers(1, 20))
def test_supcon_has_the_rates_of_its_code_on_every_clock(epochs, per_epoch):
    expected, schedule = slow_supcon(0.5, epochs, per_epoch), schedule_of(PARTS["supcon-cosine-warm"])
    peak = SimpleNamespace(learning_rate=0.5)
    found = [schedule(update, per_epoch, epochs, peak) for update in range(1, epochs * per_epoch + 1)]
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_linear_stage_of_supcon_steps_where_its_code_does():
    """main_linear.py multiplies by 0.2 for each of 60, 75 and 90 that an epoch, counted from 1, is above."""
    for epoch in range(1, 101):
        for update in (7 * epoch - 6, 7 * epoch):
            found = rate("steps", update, 7, 100, peak=5.0, milestones=[0.6, 0.75, 0.9], decay=0.2)
            assert found == pytest.approx(5.0 * 0.2 ** sum(epoch > mark for mark in (60, 75, 90)))


@pytest.mark.parametrize("epochs", [0.05, 0.5, 1.5])
def test_a_warmup_cut_short_meets_the_decay_in_its_last_epoch(epochs):
    parts = {"warmup": {"epochs": epochs, "start": 0.5}, "decay": PARTS["supcon-cosine"]["decay"]}
    peak = SimpleNamespace(learning_rate=1.0)
    cosine, whole = schedule_of(PARTS["supcon-cosine"]), schedule_of(parts)
    warm = math.ceil(20 * epochs)
    met = cosine(warm, 20, 5, peak)
    rates = [whole(update, 20, 5, peak) for update in range(1, 101)]
    assert rates[:warm] == pytest.approx([0.5 + (met - 0.5) * i / (20 * epochs) for i in range(warm)])
    assert rates[warm:] == [cosine(update, 20, 5, peak) for update in range(warm + 1, 101)]


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
