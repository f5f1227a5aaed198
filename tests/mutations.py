"""Documents that are almost right: a valid one with a value or two changed, so that what is wrong lies deep in it."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

WRONG = [
    None, True, False, 0, -1, 3.0, 1.5, float("nan"), float("inf"), 10**9, 10**30,
    "", "x", "../x", "/x", "a/b", "a\n", "a\x07", "a b", "{input}", "\ud800", "x" * 300, b"x",
    datetime.date(2020, 1, 1), [], {}, [None], [1, "a"], [[]], {"x": 1}, {1: 2}, {"value": 1},
    {"value": "x", "origin": "paper", "where": "App. A"},
]  # fmt: skip
"""What may come to stand where something else should."""


def places(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys and indices that lead to every value of a document."""
    yield place
    if isinstance(document, dict):
        for key in document:
            yield from places(document[key], (*place, key))
    elif isinstance(document, list):
        for index in range(len(document)):
            yield from places(document[index], (*place, index))


@st.composite
def mutated(draw: st.DrawFn, document: Any, most: int = 2) -> Any:
    """``document`` with one to ``most`` values replaced, removed, renamed or repeated."""
    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, most))):
        inner = list(places(found))[1:]
        if not inner:
            return draw(st.sampled_from(WRONG))
        *way, last = draw(st.sampled_from(inner))
        around = found
        for key in way:
            around = around[key]
        change = draw(st.sampled_from(["replace", "replace", "replace", "remove", "move"]))
        if change == "replace":
            around[last] = copy.deepcopy(draw(st.sampled_from(WRONG)))
        elif change == "remove":
            del around[last]
        elif isinstance(around, dict):
            around[draw(st.sampled_from([key for key in WRONG if not isinstance(key, list | dict)]))] = around.pop(last)
        else:
            around.append(copy.deepcopy(around[last]))
    return found
