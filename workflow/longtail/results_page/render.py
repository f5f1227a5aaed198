"""The page of all results as one file: what was collected, put into the templates beside this module."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from longtail.reporting import formats
from longtail.reporting.grid import PARTS
from longtail.reporting.markup import SERIES

if TYPE_CHECKING:
    from longtail.results_page.content import Content

SHADES = 4
"""Steps of the colour of a difference, for either sign."""

_FOLDER = Path(__file__).parent
_SIDES = {"recorded": ("recorded_difference", "recorded_shade"), "computed": ("difference", "shade")}
_URI = " !$&'()*+,-./:;=?@[]^_`{|}~"  # what a data URI between double quotes holds as it is, letters and digits apart


def shade(difference: float | None, scale: float | None, better: int) -> int:
    """How deeply, and in which of the two colours, a difference from a printed number is shown.

    Args:
        difference: ours minus the printed number, None without one of them.
        scale: the spread that it is held against, None where none is known.
        better: 1 if more is better, -1 if less is.

    Returns:
        0 for none (within one ``scale``, or nothing to go by), else a step per ``scale`` up to :data:`SHADES`, negative
        for what is worse than printed.
    """
    if not difference or not scale:
        return 0
    steps = min(SHADES, int(abs(difference) / scale + 1e-9))
    return steps if difference * better > 0 else -steps


def signed(difference: float, decimals: int) -> str:
    """A difference with its sign, which zero shares: ``+1.2``, ``−0.3``, ``±0.0``."""
    text = f"{difference:+z.{decimals}f}"
    return ("±" if not float(text) else text[0].replace("-", "−")) + text[1:]


def render(content: Content, block: Mapping[str, Any]) -> str:
    """The page.

    Args:
        content: what stands in it without a script: summary, tables, figures.
        block: what its script reads, plain JSON.

    Raises:
        ValueError: if the block holds a number that JSON cannot hold.
    """
    places = dict(block["places"])
    for difference, name in _SIDES.values():
        places[name] = [*map(shade, places[difference], places["scale"], places["better"])]
    environment = formats.templates(_FOLDER)
    environment.filters |= {"uri": _uri, "base64": lambda data: base64.b64encode(data).decode()}
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False, "ensure_ascii": False}
    return environment.get_template("page.html.jinja").render(
        content=content,
        block={**block, "places": places},
        differences={side: _differences(places, *names) for side, names in _SIDES.items()},
        there={side: any(value is not None for value in places[side]) for side in PARTS},
        colours=len(SERIES),
        shades=range(-SHADES, SHADES + 1),
        style=formats.table_style() + _series() + _read("page.css"),
        script=_read("charts.js") + _read("page.js"),
    )


def _differences(places: Mapping[str, Sequence[Any]], difference: str, shaded: str) -> list[dict[str, Any] | None]:
    lines = zip(places[difference], places["decimals"], places[shaded], strict=True)
    return [
        None if value is None else {"text": signed(value, decimals), "shade": step} for value, decimals, step in lines
    ]


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _series() -> str:
    """The colours of the lines of a chart, which are those of the figures; by dark they are mixed with white."""
    return "\n".join(f".series{number} {{ --series: {colour}; }}" for number, colour in enumerate(SERIES)) + "\n"


def _uri(svg: str) -> str:
    return quote(svg, safe=_URI)
