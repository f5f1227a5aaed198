"""The page as text: complete, well-formed, without anything from elsewhere, whatever the texts that it shows."""

from __future__ import annotations

import html.parser
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.reporting.markup import PALETTE
from longtail.results_page.render import SHADES, render, shade, signed

from .makers import clustering, errors, page, rendered

VOID = {"meta", "input", "img", "br"}


class Parsed(html.parser.HTMLParser):
    """The tags with their attributes and the text of a page in which every tag is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute stands twice: {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + data


def block_of(text: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(found)


def test_it_is_one_file_that_needs_no_other():
    text = rendered()
    parsed = Parsed(text)
    assert not {"link", "iframe", "object"} & {tag for tag, _ in parsed.tags}
    sources = [attributes["src"] for _, attributes in parsed.tags if "src" in attributes]
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert not re.findall(r"url\(|@import|https?:", re.sub(r"http://www\.w3\.org/[\w/]+", "", text))
    identities = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(set(identities)) == len(identities)
    named = {
        attributes[name]
        for _, attributes in parsed.tags
        for name in ("aria-labelledby", "aria-controls", "for")
        if name in attributes
    }
    named |= {attributes["href"][1:] for _, attributes in parsed.tags if (attributes.get("href") or "").startswith("#")}
    assert named - {*identities, "drawer-title"} == set(), "what is pointed at is there"


def test_the_block_is_read_as_it_was_given():
    content, block = page([clustering(), errors()])
    text = render(content, block)
    parsed, read = Parsed(text), block_of(text)
    shades = {read["places"].pop("shade")[0], read["places"].pop("recorded_shade")[0]}
    assert shades == {2, 0}, "4.0 more than printed are two spreads, 1.0 less are within one"
    assert read == json.loads(json.dumps(block))
    cells = [attributes for tag, attributes in parsed.tags if tag == "td"]
    assert sorted(int(each["data-i"]) for each in cells if "data-i" in each) == [*range(len(block["places"]["table"]))]


def test_a_number_that_json_does_not_know_is_an_error():
    content, block = page([errors()])
    block["places"]["computed"][0] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        render(content, block)


def test_a_study_without_tables_has_a_page():
    content, block = page([])
    content.figures, content.discrepancies = [], None
    content.notices = ("a record is damaged",)
    content.others = {"": "../index.html", "smoke": "smoke/index.html"}
    shown = Parsed(render(content, block)).texts
    assert "No table was asked for." in shown["p"]
    assert "a record is damaged" in shown["div"]
    assert "Results of the papers" in shown["a"]
    assert "Results: smoke" in shown["a"]


@settings(max_examples=50)
@given(text=st.text())
def test_whatever_text_is_shown_stays_text(text: str):
    content, block = page([errors()])
    block["study"]["label"] = content.title = content.tables[0].paper_title = content.figures[0].caption = text
    block["strings"][0] = text
    content.figures[0].svg = f"<svg>{text}</svg>"
    page_text = render(content, block)
    parsed = Parsed(page_text)
    assert text in parsed.texts["h2"]
    assert block_of(page_text)["strings"][0] == text
    assert next(attributes["alt"] for tag, attributes in parsed.tags if tag == "img") == f"Figure 1: {text}"


numbers = st.floats(-1e6, 1e6)


@given(difference=numbers, scale=st.floats(1e-3, 1e6), better=st.sampled_from([1, -1]))
def test_colour_follows_the_size_relative_to_the_spread(difference, scale, better):
    step = shade(difference, scale, better)
    assert abs(step) <= SHADES
    assert shade(-difference, scale, better) == shade(difference, scale, -better) == -step
    assert step * difference * better >= 0
    assert (step == 0) == (abs(difference) < scale * (1 - 1e-9))
    assert abs(shade(2 * difference, scale, better)) >= abs(step)


def test_without_a_spread_there_is_no_colour():
    assert shade(None, 1.0, 1) == shade(3.0, None, 1) == shade(0.0, 1.0, 1) == shade(3.0, 0.0, 1) == 0


@given(difference=numbers, decimals=st.integers(0, 4))
def test_the_sign_is_always_written(difference, decimals):
    text = signed(difference, decimals)
    assert text[0] in "+−±"
    assert float(text.translate({ord("−"): "-", ord("±"): None})) == pytest.approx(difference, abs=0.51 * 10**-decimals)
    assert (text[0] == "±") == (round(abs(difference), decimals) == 0)


def test_no_tint_hides_what_stands_on_it():
    deepest = [float(opacity) for opacity in re.findall(r"rgb\(var\(--\w+\) / ([.\d]+)\)", rendered())]
    assert len(deepest) == 2 * SHADES
    assert max(deepest) <= 0.45
    assert {"--better", "--worse"} <= set(re.findall(r"--\w+", PALETTE))
