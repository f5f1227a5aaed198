"""A specification is parsed once, and says what its document says."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longtail.errors import LongtailError
from longtail.training.specification import Backbone, parse, read_spec

from ..mutations import mutated


def lineage(tools):
    """Two objectives on one clock, and a third that takes over from another seed."""
    moved = tools.stretch("moved", start="transfer", momentum=0.5)
    return (
        tools.stretch(last=2),
        tools.stretch("next", start="continue", first=2, noise=0.3),
        {**moved, "parent_seed": 7},
        tools.stretch("on", start="continue", first=1, last=3),
    )


def test_it_says_what_the_document_says(tools):
    document = tools.spec(*lineage(tools), seed=3)
    spec = read_spec(json.dumps(document))
    assert (spec.identity, spec.seed, spec.precision) == (document["identity"], 3, "float32")
    assert spec.backbone == Backbone("resnet_small", "cifar")
    assert (spec.data.holds, spec.data.image_size, spec.data.channels, spec.data.classes) == ("images", 6, 1, 3)
    assert (spec.data.rows, spec.data.class_sizes) == (None, None)
    assert [stretch.objective for stretch in spec.lineage] == ["toy", "next", "moved", "on"]
    assert [stretch.own for stretch in spec.lineage] == [{"noise": 0.1}, {"noise": 0.3}, {"noise": 0.1}, {"noise": 0.1}]
    assert [stretch.settings.momentum for stretch in spec.lineage] == [0.9, 0.9, 0.5, 0.9]
    assert [stretch.parent_seed for stretch in spec.lineage] == [None, None, 7, None]
    assert spec.last is spec.lineage[-1]
    assert (spec.last.first_epoch, spec.last.last_epoch, spec.last.clock) == (1, 3, 4)
    assert spec.document == document


def test_networks_are_made_where_the_lineage_last_does_not_continue(tools):
    stretches = lineage(tools)
    found = [parse(tools.spec(*stretches[:length])).opening for length in range(1, 5)]
    assert found == [0, 0, 2, 2]


def test_what_a_transfer_starts_from_has_the_seed_of_that(tools):
    spec = parse(tools.spec(*lineage(tools), seed=3))
    assert spec.before(2) == parse({**spec.document, "lineage": spec.document["lineage"][:2], "seed": 7})
    assert spec.before(-1) == parse({**spec.document, "lineage": spec.document["lineage"][:3]})


def test_a_split_adds_its_rows_and_leaves_what_was_read(tools):
    document = tools.spec()
    before = copy.deepcopy(document)
    spec = parse(document).with_split([0, 0, 2], "train.parquet")
    assert (spec.data.rows, spec.data.class_sizes) == (3, (2, 0, 1))
    assert document == before
    expected = {**before, "data": {**before["data"], "rows": 3, "class_sizes": [2, 0, 1]}}
    assert json.dumps(spec.document) == json.dumps(expected)
    assert spec.with_split([0, 0, 2], "train.parquet") == spec
    with pytest.raises(LongtailError, match=r"train\.parquet has 2 rows, but the specification says 3"):
        spec.with_split([0, 2], "train.parquet")


def test_other_settings_and_epochs_of_the_last_stretch(tools):
    document = tools.spec(*lineage(tools))
    spec = parse(document).with_last({"batch_size": 3}, last_epoch=2)
    assert (spec.last.settings.batch_size, spec.last.last_epoch) == (3, 2)
    assert spec.lineage[:-1] == parse(document).lineage[:-1]
    assert document["lineage"][-1]["settings"]["batch_size"] == 16


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"settings": {}}, ["lacks lineage[0].settings.normalization"]),
        ({"start": "continue"}, ["The lineage toy begins with nothing to continue", "fresh"]),
        ({"start": "frehs"}, ["lineage[0].start 'frehs'", "fresh, continue, transfer"]),
        ({"parent_seed": "x"}, ["lineage[0].parent_seed 'x'"]),
        ({"last_epoch": 5}, ["first_epoch < last_epoch <= clock"]),
        ({"implementation": 3}, ["lineage[0].implementation '3'; text is meant"]),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tools, change, words):
    with pytest.raises(LongtailError) as error:
        parse(tools.spec({**tools.stretch(), **change}))
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": 10**9}, ["data.classes '1000000000'", "up to 1000000"]),
        ({"classes": 0}, ["data.classes '0'"]),
        ({"rows": "all"}, ["data.rows 'all'"]),
        ({"class_sizes": [3, -1, 2]}, ["data.class_sizes[1] '-1'"]),
        ({"test_transform": {"resize": "x"}}, ["data.test_transform.resize 'x'"]),
    ],
)
def test_wrong_data_are_named_with_their_place(tools, change, words):
    document = tools.spec()
    with pytest.raises(LongtailError) as error:
        parse({**document, "data": {**document["data"], **change}})
    for word in words:
        assert word in str(error.value)


def test_a_setting_of_any_stretch_is_checked(tools):
    with pytest.raises(LongtailError, match=r"'toy'.*'batch_size' is 0"):
        parse(tools.spec(tools.stretch(last=2, batch_size=0), tools.stretch("next", start="continue", first=2)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_almost_right_is_parsed_or_refused_with_one_error(tools, data):
    document = data.draw(mutated(tools.spec(tools.stretch())))
    try:
        spec = parse(document)
    except LongtailError:
        return
    assert spec.document is document
