"""Pictures in files: PDF, SVG and PNG, whose bytes depend on what they show and the library versions alone."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree

from matplotlib.figure import Figure
from PIL import Image

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

FONT = ("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
"""matplotlib's own font, and what is nearly as wide where it is not installed."""

ON_SCREEN = 150
"""Dots per inch of images within an SVG."""

_IMAGE = "data:image/png;base64,"
_COORDINATE = re.compile(r"\d+\.\d{3,}")
_REFERENCE = re.compile(r"(?<=url\(#)[^)]+|(?<=^#).+")
_LEVEL = re.compile(r"rotate\(-?0 .*\)")  # by no angle


def save(figure: Figure, path: Path, name: str, title: str) -> None:
    """Write a picture.

    Args:
        figure: drawn under ``style.applied``, as it still is.
        path: whose suffix tells the format: ``.pdf``, ``.png`` or ``.svg``.
        name: that no other picture has which may stand in one page with this.
        title: for those who cannot see it, and for lists of files.
    """
    if path.suffix == ".svg":
        path.write_text(svg(figure, name, title), encoding="utf-8")
    else:
        dates = {"CreationDate": None} if path.suffix == ".pdf" else {}
        figure.savefig(path, metadata={"Title": title, **dates})


def svg(figure: Figure, name: str, title: str) -> str:
    """A picture as an element that may stand in a page beside others, or alone in a file.

    In matplotlib's own every part has a name, the same ones in all pictures, and a style sheet is about the whole page.
    Here only that has a name which is referred to, and begins with the picture's.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", dpi=ON_SCREEN, metadata={"Title": title, **nothing})
    picture = ElementTree.fromstring(buffer.getvalue())
    for parent in list(picture.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    parts = list(picture.iter())
    referred = {name for part in parts for value in part.attrib.values() for name in _REFERENCE.findall(value)}
    for part in parts:
        if part.get("id") not in referred:
            part.attrib.pop("id", None)
        if _LEVEL.fullmatch(part.get("transform", "")):
            del part.attrib["transform"]
        for key, value in part.attrib.items():
            if key in ("d", "x", "y"):
                part.set(key, _COORDINATE.sub(lambda found: f"{float(found[0]):z.2f}", " ".join(value.split())))
            elif key == "id":
                part.set(key, f"{name}-{value}")
            elif value.startswith(_IMAGE):
                part.set(key, _IMAGE + _smaller(value.removeprefix(_IMAGE)))
            else:
                part.set(key, _REFERENCE.sub(rf"{name}-\g<0>", value).replace(*FONT))
    picture.attrib |= {"role": "img", "style": "stroke-linejoin: round; stroke-linecap: butt"}
    for prefix, space in (("", SVG), ("xlink", XLINK)):
        ElementTree.register_namespace(prefix, space)
    lines = ElementTree.tostring(picture, encoding="unicode").splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _smaller(encoded: str) -> str:
    """An image within a picture, in 256 colours and shades of transparency."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        image.convert("RGBA").quantize(256, Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
