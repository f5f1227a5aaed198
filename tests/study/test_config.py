from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longtail.errors import LongtailError
from longtail.study.config import Config
from longtail.study.study import load_study

ROOT = Path(__file__).parents[2]


def test_the_default_configuration_is_valid():
    study = load_study(yaml.safe_load((ROOT / "config.yaml").read_text()))
    assert study.config.targets == ("digits",)
    assert study.config.view == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocl": "paper"}, "There is no setting 'protocl'. Did you mean 'protocol'"),
        ({"protocol": "papr"}, "protocol: 'papr' is none of official, paper"),
        ({"budget": "smok"}, "There is no budget 'smok'. Did you mean 'smoke'"),
        ({"budget": {"epochs": 0}}, "budget"),
        ({"budget": {"epoch": 0.5}}, "budget"),
        ({"seeds": 5}, "seeds"),
        ({"seeds": []}, "seeds"),
        ({"seeds": ["0", "1"]}, "seeds"),
        ({"seeds": [-1]}, "seeds"),
        ({"seeds": [0, 0]}, "seeds"),
        ({"methods": ["simcl"]}, "There is no method 'simcl'. Did you mean 'simclr'"),
        ({"sentence_encoder": {"folder": "/encoder"}}, "name"),
        ({"wordnet": 3}, "wordnet"),
        ({"trainings_per_gpu": 0}, "trainings_per_gpu"),
        ({"trainings_per_gpu": 1.5}, "trainings_per_gpu"),
        ({"figures": {"title": False}}, "There is no setting 'title'. Did you mean 'titles'"),
        ({"figures": {"titles": "no"}}, "titles"),
        ({"datasets": ["cifar11"]}, "There is no dataset 'cifar11'. Did you mean"),
        ({"targets": []}, "targets"),
        ({"targets": ["conmix_table22"]}, "Did you mean 'conmix_table2'"),
        ({"targets": "conmix"}, "targets"),
        ({"precision": "fp8"}, "precision"),
        ({"data": {"cifar1": {"kind": "parquet", "name": "own"}}}, "'cifar1'. Did you mean 'cifar10'"),
        ({"data": {"cifar10": {"kind": "parquet"}}}, "name"),
    ],
)
def test_a_bad_value_says_what_was_meant(change, message):
    with pytest.raises(LongtailError) as caught:
        load_study({"targets": ["digits"], **change})
    assert message in str(caught.value)


def test_a_configuration_is_a_mapping():
    with pytest.raises(LongtailError, match="mapping"):
        load_study(["digits"])


def test_budget_and_protocol_name_the_view():
    study = load_study({"targets": ["digits"], "budget": "smoke", "protocol": "paper"})
    assert study.config.view == "smoke-paper-protocol"
    assert "budget smoke" in study.config.budget.label


def test_how_many_trainings_share_a_gpu_changes_no_name():
    shared, alone = (load_study({"targets": ["digits"], "trainings_per_gpu": number}) for number in (8, 1))
    assert shared.config.trainings_per_gpu == 8
    assert shared.config.view == alone.config.view == ""
    assert shared.targets() == alone.targets()


def test_partial_tables_never_stand_where_whole_ones_do():
    views = {
        load_study({"targets": ["digits"], "budget": budget, "partial": partial}).config.view
        for budget in ("paper", "smoke")
        for partial in (False, True)
    }
    assert views == {"", "smoke", "partial", "smoke-partial"}


def test_own_numbers_are_a_budget_of_their_own():
    study = load_study({"targets": ["digits"], "budget": {"epochs": 0.05}})
    assert study.config.view == "custom"
    assert "0.05 of the epochs" in study.config.budget.label


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    ["targets", "protocol", "budget", "seeds", "methods", "datasets", "precision", "data", "data_root"]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(keys | st.text(max_size=6), values, max_size=5) | values)
def test_any_document_is_a_study_or_a_clear_error(document):
    try:
        study = load_study(document)
    except LongtailError as error:
        assert str(error)  # noqa: PT017 - either outcome is fine, anything else is a crash
    else:
        assert isinstance(study.config, Config)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(keys.filter(lambda key: key != "targets"), values, max_size=4))
def test_a_valid_target_does_not_hide_another_bad_value(document):
    try:
        study = load_study({"targets": ["digits"], **document})
    except LongtailError as error:
        assert str(error)  # noqa: PT017
    else:
        assert study.config.targets == ("digits",)
