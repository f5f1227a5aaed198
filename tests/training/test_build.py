from __future__ import annotations

import pytest
import torch

from longtail.errors import LongtailError
from longtail.study.study import load_study
from longtail.training.build import build, implementation, require_start
from longtail.training.specification import parse


def ready(spec):
    return parse(spec).with_rows(40, [20, 15, 5])


def state(tools, *lineage, **options):
    return build(ready(tools.spec(*lineage, **options))).state_dict()


def test_objectives_with_the_same_networks_start_alike(tools):
    plain, other = state(tools, tools.stretch()), state(tools, tools.stretch("other", "Successor", noise=0.5))
    names = [name for name in plain if name.startswith(("body", "head", "drifting"))]
    assert names
    assert all(torch.equal(plain[name], other[name]) for name in names)


def test_the_seed_and_the_place_in_the_lineage_decide_the_draws(tools):
    fresh = state(tools, tools.stretch())
    assert tools.same(fresh, state(tools, tools.stretch()))
    assert not torch.equal(fresh["head.weight"], state(tools, tools.stretch(), seed=1)["head.weight"])
    transferred = state(tools, tools.stretch(), tools.stretch("then", start="transfer"))
    assert not torch.equal(fresh["head.weight"], transferred["head.weight"])
    assert torch.equal(fresh["body.0.weight"], transferred["body.0.weight"])


def test_draws_before_do_not_matter_and_are_not_disturbed(tools):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = state(tools, tools.stretch())
    assert torch.equal(torch.rand(3), expected)
    assert tools.same(first, state(tools, tools.stretch()))


def test_a_continuation_is_built_alone(tools):
    spec = tools.spec(tools.stretch(last=2), tools.stretch("next", "Successor", start="continue", first=2))
    assert type(build(ready(spec))).__name__ == "Successor"


def test_a_continued_transfer_builds_the_objective_before_it(tools):
    lineage = (
        tools.stretch("first", last=2, clock=2),
        tools.stretch("moved", start="transfer", last=1),
        tools.stretch("on", "Successor", start="continue", first=1),
    )
    on, moved = state(tools, *lineage), state(tools, *lineage[:2])
    assert torch.equal(on["body.0.weight"], state(tools, lineage[0])["body.0.weight"])
    assert torch.equal(on["head.weight"], moved["head.weight"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"implementation": "toys:Nothing"}, ["'toy'", "toys:Nothing", "module:Class"]),
        ({"implementation": "nowhere:Toy"}, ["nowhere"]),
        ({"implementation": ""}, ["module:Class"]),
        ({"implementation": "toys:Pair"}, ["Objective"]),
        ({"start": "continue"}, ["fresh"]),
    ],
)
def test_mistakes(tools, change, words):
    with pytest.raises(LongtailError) as error:
        build(ready(tools.spec({**tools.stretch(), **change})))
    for word in words:
        assert word in str(error.value)


def test_an_unknown_setting_names_objective_and_key(tools):
    with pytest.raises(LongtailError, match=r"'toy'.*'noize'.*Did you mean 'noise'"):
        build(ready(tools.spec(tools.stretch(noize=1.0))))
    with pytest.raises(LongtailError, match=r"'toy' lacks the setting 'noise'"):
        build(ready(tools.spec(tools.stretch(noise=None))))


def implementations():
    objectives = load_study({"targets": ["digits"]}).catalog.objectives.values()
    return {
        objective.implementation: implementation(objective.name, objective.implementation) for objective in objectives
    }


@pytest.mark.parametrize("start", ["fresh", "transfer"])
@pytest.mark.parametrize("kind", implementations().values(), ids=lambda kind: kind.__name__)
def test_an_objective_opens_a_clock_as_it_says(kind, start):
    if kind.starts in (start, "either"):
        require_start(kind, start, "one")
    else:
        with pytest.raises(LongtailError, match=r"'one' starts from .*`start: transfer`"):
            require_start(kind, start, "one")


def test_where_a_clock_may_open_is_asked_before_anything_is_built(tools):
    lineage = (tools.stretch(), tools.stretch("next", "Fresh", "transfer"))
    with pytest.raises(LongtailError, match="The objective 'next' starts from a new network"):
        build(ready(tools.spec(*lineage)))
    with pytest.raises(LongtailError, match="The objective 'next' starts from a trained encoder"):
        build(ready(tools.spec(tools.stretch("next", "Transferred"))))
