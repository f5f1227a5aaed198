"""What a figure must be to go into a paper and onto a page: size, type, colours, files."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from PIL import Image

from longtail.reporting.figures import pictures, style
from longtail.reporting.figures.draw import KINDS, draw
from longtail.reporting.figures.figure import write_figure
from longtail.study.study import load_study

from .made_up import made_up

STUDY = load_study({"targets": ["digits"]})
FIGURES = [(paper, name) for paper, spec in STUDY.catalog.papers.items() for name in spec.get("figures", {})]


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A figure with rasters and two of lines, as files."""
    folder = tmp_path_factory.mktemp("figures")
    for paper, name in (("miniclustering", "figure6"), ("conmix", "theorem1figure"), ("theory", "conmixfigure")):
        plan = STUDY.figure(paper, name)
        write_figure(plan, made_up(plan), folder, name)
    return folder


def test_every_kind_of_figure_is_among_those_of_the_catalogue() -> None:
    assert {STUDY.figure(*figure).kind for figure in FIGURES} == set(KINDS)


@pytest.mark.parametrize(("paper", "name"), FIGURES, ids=map("-".join, FIGURES))
def test_every_figure_of_the_catalogue_can_be_printed(paper: str, name: str) -> None:
    plan = STUDY.figure(paper, name)
    figure, drawn = draw(plan, made_up(plan))
    assert set(drawn["series"]) == {cell.label for cell in plan.cells}
    with style.applied():
        text = pictures.svg(figure, f"{paper}-{name}", plan.title)
        figure.draw_without_rendering()  # in the figure's own resolution
    assert figure.get_figwidth() in (style.COLUMN, style.PAGE)
    assert figure.get_figheight() < 9.5
    assert len(text) < 200_000

    shown = {part: part.get_window_extent() for part in texts(figure)}
    for part, box in shown.items():
        least = style.SMALLEST if part.axes and part.axes.images else style.SMALL
        assert part.get_fontsize() >= least, part
        assert contains(figure.bbox, box), f"{part.get_text()!r} is cut off"
    fixed = [part for part in shown if not isinstance(part, Annotation)]  # names of classes lie where these do
    for one, other in itertools.combinations(fixed, 2):
        assert not overlap(shown[one], shown[other]), f"{one.get_text()!r} lies over {other.get_text()!r}"
    legends = [*figure.legends, *filter(None, (axis.get_legend() for axis in figure.axes))]
    for legend, axis in itertools.product(legends, figure.axes):
        assert not overlap(legend.get_window_extent(), axis.get_window_extent()), "a legend lies over data"


def texts(figure: Figure) -> list[Text]:
    """All that can be read in a figure; ticks beyond an axis cannot."""
    hidden = set()
    for axis in figure.axes:
        for side, (low, high) in ((axis.xaxis, sorted(axis.get_xlim())), (axis.yaxis, sorted(axis.get_ylim()))):
            for tick in side.get_major_ticks() + side.get_minor_ticks():
                if not low - 1e-9 <= tick.get_loc() <= high + 1e-9 or not axis.axison:
                    hidden |= {tick.label1, tick.label2}
    found = figure.findobj(lambda part: isinstance(part, Text) and part.get_visible() and part.get_text().strip())
    return [part for part in dict.fromkeys(found) if part not in hidden]


def contains(outer: Bbox, inner: Bbox) -> bool:
    return outer.x0 <= inner.x0 and outer.y0 <= inner.y0 and inner.x1 <= outer.x1 and inner.y1 <= outer.y1


def overlap(one: Bbox, other: Bbox, slack: float = 1.0) -> bool:
    """Whether two boxes share more than a rim of some pixels."""
    shared = Bbox.intersection(one, other)
    return shared is not None and shared.width > slack and shared.height > slack


def test_text_is_text_in_vector_files(written: Path) -> None:
    for name in ("figure6", "theorem1figure"):
        content = pdf(written / f"{name}.pdf")
        assert b"/FontFile2" in content, "no TrueType font is embedded"
        assert b"/ToUnicode" in content, "text cannot be searched"
        assert b"/Type3" not in content, "glyphs are drawings"
        assert b"CreationDate" not in content
        picture = ElementTree.parse(written / f"{name}.svg")
        words = [part.text for part in picture.iter(f"{{{pictures.SVG}}}text")]
        assert {"figure6": "After (MiniClustering)", "theorem1figure": "imbalance ratio"}[name] in words
        (title,) = picture.iter(f"{{{pictures.SVG}}}title")
        assert title.text
        assert title.text.encode("utf-16-be") in content or title.text.encode() in content


def pdf(path: Path) -> bytes:
    """A PDF with its streams unpacked."""
    content = path.read_bytes()
    streams = re.findall(rb"/FlateDecode.*?stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
    assert streams
    return content + b"\n".join(zlib.decompressobj().decompress(stream) for stream in streams)


def test_pictures_for_screens_have_the_dots_of_print(written: Path) -> None:
    with Image.open(written / "figure6.png") as image:
        assert image.width == 300 * style.PAGE
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_pictures_in_one_page_do_not_meddle_with_each_other(written: Path) -> None:
    """Nor with the page: no names in common, no style sheet, nothing to fetch."""
    named = []
    for name in ("conmixfigure", "theorem1figure"):
        parts = list(ElementTree.parse(written / f"{name}.svg").iter())
        assert not [part for part in parts if part.tag.endswith(("style", "metadata", "script"))]
        names = {part.get("id") for part in parts} - {None}
        text = (written / f"{name}.svg").read_text()
        referred = set(re.findall(r'href="#([^"]+)|url\(#([^)]+)', text))
        assert {one or other for one, other in referred} == names
        assert not re.findall(r'href="(?!#|data:image/png;base64,)', text)
        named.append(names)
    assert named[0]
    assert not named[0] & named[1]


def test_dense_points_are_an_image_within_the_picture_and_few_are_not(written: Path) -> None:
    dense = list(ElementTree.parse(written / "figure6.svg").iter(f"{{{pictures.SVG}}}image"))
    assert len(dense) == 2
    assert not list(ElementTree.parse(written / "theorem1figure.svg").iter(f"{{{pictures.SVG}}}image"))


@pytest.mark.parametrize("label", ["budget smoke (toy length)", ""])
def test_a_figure_without_a_title_still_says_what_it_is_not(label: str) -> None:
    said = {}
    for titles in (True, False):
        given = {"targets": ["digits"], "figures": {"titles": titles}, **({"budget": "smoke"} if label else {})}
        plan = load_study(given).figure("digits", "figure1")
        figure, _ = draw(plan, made_up(plan).query("method != 'sdclr'"))
        said[titles] = [text.get_text() for text in figure.texts]
        assert any("Not drawn: SDCLR" in text for text in said[titles])
        assert any("standard deviations" in text for text in said[titles])
        assert any("budget smoke" in text for text in said[titles]) == bool(label)
    assert [text for text in said[True] if text not in said[False]] == ["Figure 1", "Digits: the default study"]
    assert set(said[False]) < set(said[True])


SIGHT = {
    "full": np.eye(3),
    "without red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "without green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "without blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""What is seen of linear RGB: Machado, Oliveira and Fernandes (IEEE TVCG 15(6), 2009), severity 1."""


def seen(colour: str, sight: str) -> np.ndarray:
    """Lightness, a and b in CIELAB (white D65) of a colour to some eyes; one distance is 2.3 where just noticeable."""
    given = np.array(to_rgb(colour))
    linear = np.where(given <= 0.04045, given / 12.92, ((given + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(SIGHT[sight]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ linear / (to_xyz @ np.ones(3))
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_sight_is_simulated_as_published() -> None:
    assert seen("white", "full") == pytest.approx([100, 0, 0], abs=0.01)
    assert seen("#ff0000", "full") == pytest.approx([53.24, 80.09, 67.20], abs=0.1)
    for sight in SIGHT:  # greys look the same to all
        assert np.linalg.norm(seen("#777777", sight) - seen("#777777", "full")) < 0.1
    red, green = (seen(colour, "without green") for colour in ("#aa3377", "#777777"))
    assert np.linalg.norm(red - green) < 10  # two of one scheme that one may not tell apart


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize(("colours", "least"), [(style.SERIES, 25), (style.CLASSES, 15)], ids=["series", "classes"])
def test_colours_are_apart_to_all_eyes(sight: str, colours: tuple[str, ...], least: float) -> None:
    looks = {colour: seen(colour, sight) for colour in (*colours, "white")}
    near = {pair: np.linalg.norm(looks[pair[0]] - looks[pair[1]]) for pair in itertools.combinations(looks, 2)}
    assert min(near.values()) > least, min(near, key=near.__getitem__)


def test_series_are_apart_in_grey() -> None:
    lightness = sorted(seen(colour, "full")[0] for colour in style.SERIES)
    assert min(np.diff(lightness)) > 6
    first = sorted(seen(colour, "full")[0] for colour in style.SERIES[:4])
    assert min(np.diff(first)) > 10  # bars have neither marker nor dashes
    lines = [(style.colour(place), style.marker(place)) for place in range(50)]
    assert len(set(lines)) == len(lines)
    assert len({(style.colour(place), style.dashes(place)) for place in range(28)}) == 28


@pytest.mark.parametrize("name", [style.SEQUENTIAL, style.CONTINUOUS])
def test_scales_grow_lighter_evenly(name: str) -> None:
    scale = plt.get_cmap(name)
    steps = np.diff([seen(scale(at), "full")[0] for at in np.linspace(0, 1, 33)])
    assert steps.min() > 0
    assert steps.max() < 2 * steps.mean()


def test_digits_can_be_read_on_every_field_of_a_heat_map() -> None:
    for at in np.linspace(0, 1, 65):
        field = plt.get_cmap(style.SEQUENTIAL)(at)
        light, dark = sorted(style.luminance(one) + 0.05 for one in (field, style.readable_on(field)))
        assert dark / light > 4.5  # as WCAG 2 asks of text
