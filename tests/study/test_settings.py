from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.errors import LongtailError
from longtail.study import catalog as catalogue
from longtail.study.settings import choices, is_pair, of_step, resolve, resolved, selectors, speaks

CATALOG = catalogue.load()
PROTOCOLS = ("official", "paper")
KEYS = ("cifar20-ir5", "cifar20", "cifar10", "digits")

pairs = st.fixed_dictionaries({protocol: st.integers(0, 5) for protocol in PROTOCOLS})
values = st.one_of(st.integers(0, 5), st.lists(st.integers(0, 5)), st.fixed_dictionaries({"mean": st.integers()}))
entries = st.builds(
    lambda own, by_key: {**own, "for": by_key},
    st.one_of(pairs, st.fixed_dictionaries({"value": values})),
    st.dictionaries(st.sampled_from(KEYS), st.one_of(values, pairs)),
)


def under(entry: dict[str, Any], protocol: str) -> dict[str, Any]:
    """The entry as it would be written if there were this protocol only."""
    plain = {key: value[protocol] if is_pair(value) else value for key, value in entry["for"].items()}
    return {"value": entry["value"] if "value" in entry else entry[protocol], "for": plain}


@given(entry=entries, keys=st.permutations(KEYS).map(tuple), protocol=st.sampled_from(PROTOCOLS))
def test_a_pair_is_one_value_under_each_protocol(entry, keys, protocol):
    alone = under(entry, protocol)
    expected = next((alone["for"][key] for key in keys if key in alone["for"]), alone["value"])
    assert resolve(entry, keys, protocol) == resolve(alone, keys, protocol) == expected


@given(entry=entries, keys=st.sets(st.sampled_from(KEYS)))
def test_choices_are_told_of_the_datasets_that_matter(entry, keys):
    told = {name: (official, paper) for name, official, paper, _ in choices({"rate": {**entry, "where": "here"}}, keys)}
    expected = {"rate": (entry["official"], entry["paper"])} if "official" in entry else {}
    for key in keys & entry["for"].keys():
        if is_pair(entry["for"][key]):
            expected[f"rate for {key}"] = (entry["for"][key]["official"], entry["for"][key]["paper"])
    assert told == expected


def test_a_setting_without_a_value_of_its_own_is_there_for_the_datasets_that_it_names():
    own = {
        "batch_groups": {"for": {"imagenet_lt": 8, "digits-ir5": {"official": 2, "paper": 3}}, "where": "here"},
        "batch_size": {"value": 64},
    }

    def of(dataset, ratio, protocol="official", **overrides):
        return resolved("rescom", own, overrides, CATALOG.dataset(dataset), ratio, protocol, CATALOG)

    assert of("imagenet_lt", 256) == {"batch_groups": 8, "batch_size": 64}
    assert of("digits", 5, "paper") == {"batch_groups": 3, "batch_size": 64}
    assert of("digits", 10) == {"batch_size": 64}
    assert of("digits", 10, batch_groups=4) == {"batch_groups": 4, "batch_size": 64}
    keys = selectors(CATALOG.dataset("digits"), 10)
    assert not speaks(own["batch_groups"], keys)
    with pytest.raises(LongtailError, match="given for imagenet_lt, digits-ir5 alone, and asked for on digits: add it"):
        resolve(own["batch_groups"], keys, "official")


def test_a_step_s_setting_stands_in_place_of_the_objective_s_where_it_says_anything():
    own = {"temperature": {"value": 0.2}, "batch_size": {"value": 64}}
    step = {"settings": {"temperature": {"for": {"imagenet_lt": 0.07}}, "batch_size": {"value": 32}}}
    for dataset, expected in [("imagenet_lt", (0.07, 32)), ("digits", (0.2, 32))]:
        keys = selectors(CATALOG.dataset(dataset), 256)
        found = of_step(own, step, keys)
        assert tuple(resolve(found[name], keys, "official") for name in own) == expected


@pytest.mark.parametrize("value", [256, None, [1, 2], {"official": 1}, {"mean": 0, "std": 1}, "official"])
def test_what_is_no_pair(value):
    assert not is_pair(value)


def test_a_pair_of_the_catalogue_says_what_it_is_about():
    """Its reader sees the page of differences, which shows nothing else of it."""
    found = 0
    for objective in CATALOG.objectives.values():
        for name, entry in objective.settings.items():
            keys = [key for key, value in entry.get("for", {}).items() if is_pair(value)]
            found += len(keys)
            if keys:
                assert entry.keys() >= {"point", "in_paper", "in_code", "for_where"}, (objective.name, name)
                assert not {*keys} & {*entry.get("for_chosen", ())}, (objective.name, name)
    assert found


def test_a_footnote_tells_a_pair_where_its_dataset_is_shown():
    settings = CATALOG.objectives["byol-p"].settings
    told = {
        dataset: {name for name, *_ in choices(settings, selectors(CATALOG.dataset(dataset), 10))}
        for dataset in ("cifar10", "cifar20-full")
    }
    assert told["cifar10"] == {"target_update"}
    assert told["cifar20-full"] == {"target_update", "batch_size for cifar20", "learning_rate for cifar20"}


def test_one_name_is_the_list_of_all_views_and_several_are_those_of_each():
    lists, own = CATALOG.augmentations, CATALOG.objectives["secu"].settings

    def of(overrides):
        cut = CATALOG.dataset("digits")
        return resolved("secu", own, overrides, cut, 10, "official", CATALOG)["augmentation"]

    assert of({}) == lists["digits"]
    assert of({"augmentation": ["base", "digits", "base"]}) == [lists["base"], lists["digits"], lists["base"]]
    for wrong in (["base", "bass"], "bass"):
        with pytest.raises(LongtailError, match=r"augmentation \(objective 'secu'\) 'bass'. Did you mean 'base'"):
            of({"augmentation": wrong})
