"""A configuration as it is typed: taken for what it means, or refused with the form that is wanted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.errors import LongtailError
from longtail.study.catalog import load
from longtail.study.study import load_study
from longtail.study.typed import meant

CATALOG = load()
NAMES = {"methods": sorted(CATALOG.methods), "datasets": sorted(CATALOG.datasets), "targets": sorted(CATALOG.papers)}


def study(**config):
    return load_study(meant({"targets": ["digits"], **config}))


@pytest.mark.parametrize("key", NAMES)
@given(data=st.data())
def test_names_are_a_list_however_they_are_separated(key, data):
    names = data.draw(st.lists(st.sampled_from(NAMES[key]), min_size=1, max_size=4, unique=True))
    separator = data.draw(st.sampled_from([",", ", ", " ", " , "]))
    assert getattr(study(**{key: separator.join(names)}).config, key) == tuple(names)
    assert getattr(study(**{key: names}).config, key) == tuple(names)


@given(st.lists(st.integers(0, 2**31 - 1), min_size=2, max_size=5, unique=True), st.sampled_from([",", ", ", " "]))
def test_several_seeds_are_a_list(seeds, separator):
    assert study(seeds=separator.join(map(str, seeds))).config.seeds == tuple(seeds)
    assert study(seeds=list(map(str, seeds))).config.seeds == tuple(seeds)


@pytest.mark.parametrize("text", [3, "3"])
def test_a_number_alone_may_be_a_seed_or_how_many_there_are(text):
    with pytest.raises(LongtailError) as caught:
        study(seeds=text)
    assert "Did you mean 'seeds=[3]', that seed, or 'seeds=[0, 1, 2]', so many of them?" in str(caught.value)


@given(st.integers(0, 2**40))
def test_every_form_that_is_offered_for_seeds_is_one(number):
    with pytest.raises(LongtailError) as caught:
        study(seeds=number)
    offered = [part for part in str(caught.value).split("'") if part.startswith("seeds=")]
    assert offered[0] == f"seeds=[{number}]"
    for form in offered:
        assert meant({"seeds": form.removeprefix("seeds=[").removesuffix("]").split(", ")})["seeds"]


@pytest.mark.parametrize("number", [0.1, "0.1", 1, 5])
def test_a_number_is_no_budget(number):
    with pytest.raises(LongtailError, match=r"'budget=\{epochs: .*\}'.* budget=tenth\?"):
        study(budget=number)


@pytest.mark.parametrize("key", ["seeds", "methods", "datasets", "precision", "pretraining_seed", "wordnet"])
def test_null_is_nothing(key):
    assert getattr(study(**{key: "null"}).config, key) is None


def test_values_of_the_command_line_are_text_within_lists_and_mappings():
    config = study(partial="true", budget={"epochs": "0.1", "head_class_rows": "50"}, pretraining_seed="2").config
    assert config.partial is True
    assert study(figures={"titles": "false"}).config.figures.titles is False
    assert (config.budget.epochs, config.budget.head_class_rows) == (0.1, 50)
    assert config.pretraining_seed == 2


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"seeds": -1}, "It is written as in 'seeds=[0, 1, 2]'."),
        ({"seeds": 1.5}, "It is written as in 'seeds=[0, 1, 2]'."),
        ({"seeds": "0-2"}, "It is written as in 'seeds=[0, 1, 2]'."),
        ({"seeds": "[0,1"}, "It is written as in 'seeds=[0, 1, 2]'."),
        ({"seeds": [0, 0]}, "It is written as in 'seeds=[0, 1, 2]'."),
        ({"seeds": {"a": 1}}, "It is written as in 'seeds=[0, 1, 2]'."),
        ({"pretraining_seed": "x"}, "It is written as in 'pretraining_seed=0'."),
        ({"partial": "yes"}, "It is written as in 'partial=true'."),
        ({"methods": "SimCLR"}, "Did you mean 'simclr'?"),
        ({"methods": "ConMix, SimCLR"}, "Did you mean 'conmix'?"),
        ({"methods": ""}, "It is written as in 'methods=[simclr, conmix]'."),
        ({"datasets": "CIFAR-10"}, "Did you mean 'cifar10'?"),
        ({"targets": "conmix_tabel2"}, "Did you mean 'conmix_table2'?"),
        ({"budget": "Smoke"}, "Did you mean 'smoke'?"),
        ({"budget": {"epoch": 0.1}}, "Did you mean 'epochs'?"),
        ({"budget": {"epochs": 2}}, "budget.epochs: 2 is greater than the maximum of 1."),
        ({"budget": ["smoke"]}, "It is written as in 'budget=smoke' or 'budget={epochs: 0.1}'."),
        ({"protocol": "Paper"}, "Did you mean 'paper'?"),
        ({"precision": "fp32"}, "Did you mean 'float32'?"),
        ({"data": {"CIFAR-10": {"kind": "parquet", "name": "mine"}}}, "Did you mean 'cifar10'?"),
        ({"data": {"cifar10": {"kind": "parquet"}}}, "'name' is a required property. It is written as in 'data={"),
        ({"buget": "smoke"}, "Did you mean 'budget'?"),
        ({"Seeds": [0]}, "Did you mean 'seeds'?"),
        ({"data-root": "/data"}, "Did you mean 'data_root'?"),
    ],
)
def test_what_is_wrong_names_the_form_that_is_wanted(config, message):
    with pytest.raises(LongtailError) as caught:
        study(**config)
    assert message in str(caught.value)
    assert "given schemas" not in str(caught.value)


WORDS = st.text("abcdefghij0123456789,.[]{}: -=", max_size=8)


@given(
    st.dictionaries(
        st.sampled_from(["seeds", "methods", "budget", "partial", "data", "targets"]), WORDS | st.integers()
    )
)
def test_any_words_are_a_study_or_one_clear_error(config):
    try:
        study(**config)
    except LongtailError as error:
        assert "given schemas" not in str(error)  # noqa: PT017 - either outcome is fine, anything else is a crash
