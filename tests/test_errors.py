from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.errors import LongtailError, unknown


@pytest.mark.parametrize(
    ("given_name", "meant"),
    [("conmx", "conmix"), ("sdlcr", "sdclr"), ("mini-clustering", "miniclustering")],
)
def test_a_misspelt_name_is_recognised(given_name: str, meant: str) -> None:
    message = str(unknown("method", given_name, ["sdclr", "conmix", "miniclustering", "byol"]))
    assert f"There is no method '{given_name}'." in message
    assert f"Did you mean '{meant}'?" in message


def test_a_name_like_none_gets_no_suggestion() -> None:
    message = str(unknown("dataset", "zzz", ["cifar10", "cifar100"]))
    assert "Did you mean" not in message
    assert message.endswith("Known: cifar10, cifar100.")


def test_nothing_known_is_said() -> None:
    assert str(unknown("clusterer", 3, [])) == "There is no clusterer 3. Known: none."


@given(name=st.text() | st.integers() | st.none(), known=st.lists(st.text(min_size=1), max_size=5))
def test_every_known_name_is_listed(name: object, known: list[str]) -> None:
    error = unknown("method", name, iter(known))
    assert isinstance(error, LongtailError)
    assert repr(name) in str(error)
    assert all(one in str(error) for one in known)
