"""The page of all datasets, for readers, out of the catalogue alone: what they are, and what must lie where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from longtail.reporting.markup import escape_markdown, joined, markdown_table
from longtail.reporting.reference.places import appearances, listed
from longtail.study.catalog import Catalog, Dataset
from longtail.study.cells import asked_cells

HEAD = """# Datasets

What each set of images or texts is, what must lie where before it can be read, and which datasets are cut out of it.
Paths are seen from `data_root` of the [configuration](configuration.md), which is `data/` unless given; `data` there
names other files for a set. Normalisation, test transforms and resources stand in the files under
[`workflow/catalog/datasets`](../workflow/catalog/datasets). Written by `make docs` from the catalogue; a test holds
it up to date.

A dataset is asked for together with an imbalance ratio, the number of images of the largest class over that of the
smallest: `cifar10-ir10` in the names of cells.
"""
CONSTRUCTIONS = {
    "longtail": "long tail, the first of each class",
    "shuffled-longtail": "long tail, drawn",
    "list": "published list",
}
_ADDRESS = re.compile(r"https?://[^\s)]*[^\s).,]")
BY_PART = ("folders", "lists", "files")
"""Options of a source that give a path, or several, for each part."""
_IS = {
    "folders": ", images",
    "lists": ", a line `path label` for each image, paths seen from the list's folder",
    "files": "",
}


def page(catalog: Catalog) -> str:
    """The page in Markdown, sets in the order of their titles, and last what is only planned."""
    sets: dict[str, list[Dataset]] = {}
    for dataset in catalog.datasets.values():
        sets.setdefault(dataset.images["name"], []).append(dataset)
    parts = [HEAD]
    for cuts in sorted(sets.values(), key=lambda cuts: cuts[0].images["title"].casefold()):
        parts.append("\n".join(_section(catalog, cuts)))
    planned = [(one.title, one.reason) for one in catalog.planned["datasets"].values()]
    if planned:
        parts.append("## Not implemented\n\n" + markdown_table(("dataset", "why"), planned))
    return "\n".join(parts)


def _section(catalog: Catalog, cuts: list[Dataset]) -> Iterator[str]:
    images, holds = cuts[0].images, cuts[0].holds
    yield f"## {escape_markdown(images['title'])}\n"
    counts = joined(f"{count:,} {part}" for part, count in images["parts"].items())
    size = f"{images['image_size']} pixels" if holds == "images" else f"up to {images['max_tokens']} tokens"
    colours = {1: ", grey", 3: ", colour"}[images["channels"]] if holds == "images" else ""
    stays = ", which stay the files that they are" if images.get("storage") == "files" else ""
    yield f"{images['classes']:,} classes; {counts} {holds}, {size}{colours}{stays}.\n"
    yield f"{_obtaining(images['source'])}\n"
    needed = [*_needed(images["source"])]
    if needed:
        yield "    " + "\n    ".join(f"{path:44} {what}".rstrip() for path, what in needed) + "\n"
    if "corruptions" in images:
        more = images["corruptions"]
        yield (
            f"Its test images corrupted, {more['title']}: {len(more['corruptions'])} corruptions of "
            f"{more['severities']} severities in `{more['source']['folder']}`. {_obtaining(more['source'])}\n"
        )
    ratios, shown = _ratios(catalog), appearances(catalog, "dataset")
    lines = [
        (
            f"{escape_markdown(cut.title)}<br>`{cut.name}`",
            CONSTRUCTIONS[cut.construction],
            joined(cut.pool),
            f"{cut.head_class_rows:,}" if cut.head_class_rows else "",
            _tested(cut),
            " / ".join(map(str, cut.shots or ())),
            _network(cut),
            ", ".join(map(str, sorted(ratios.get(cut.name, ())))),
            listed(shown.get(cut.name, {})),
        )
        for cut in cuts
    ]
    header = (
        "dataset",
        "cut",
        "out of",
        "largest class",
        "tested on",
        "many / medium / few",
        "network",
        "ratios",
        "shown in",
    )
    yield markdown_table(header, lines)


def _obtaining(source: Mapping[str, Any]) -> str:
    """How the files come to where they are read."""
    if "obtain" in source:
        return "".join(
            f"<{part}>" if _ADDRESS.fullmatch(part) else escape_markdown(f".{part}.")[1:-1]
            for part in re.split(f"({_ADDRESS.pattern})", source["obtain"])
        )
    return {
        "sklearn": "Comes with scikit-learn: nothing is downloaded.",
        "torchvision": "Downloaded by torchvision on first use, and checked.",
    }.get(source["kind"], f"Read by `{source['kind']}`.")


def _needed(source: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The paths that must be there, and what each is."""
    for option in BY_PART:
        for part, paths in source.get(option, {}).items():
            for path in [paths] if isinstance(paths, str) else paths:
                yield f"{path}/<class>/" if option == "folders" else path, part + _IS[option]


def _tested(cut: Dataset) -> str:
    if cut.held_out:
        return f"the last {cut.held_out} of each class"
    return joined(cut.test or ()) + (f", chosen by {joined(cut.val)}" if cut.val else "")


def _network(cut: Dataset) -> str:
    backbone = cut.images["backbone"]
    words = [
        backbone["name"],
        *([f"stem {backbone['stem']}"] if "stem" in backbone else []),
        backbone.get("weights", ""),
    ]
    return escape_markdown(", ".join(filter(None, words)))


def _ratios(catalog: Catalog) -> dict[str, set[int]]:
    """The imbalance ratios at which tables and figures ask for each dataset."""
    found: dict[str, set[int]] = {}
    for spec in catalog.papers.values():
        for asked in asked_cells(spec):
            if "dataset" in asked and "ratio" in asked:
                found.setdefault(asked["dataset"], set()).add(asked["ratio"])
    return found
