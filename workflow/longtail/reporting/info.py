"""``longtail info``: what the catalogue says of a method, a dataset, a table or figure, on one screen."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from tabulate import tabulate

from longtail.errors import unknown
from longtail.reporting import finished
from longtail.reporting.estimate import Estimate
from longtail.reporting.inventory import Inventory, as_text
from longtail.reporting.reference.places import appearances
from longtail.study.catalog import Catalog, Dataset, Method
from longtail.study.settings import is_pair
from longtail.study.study import Study, load_study

WIDTH = 100


def page(study: Study, name: str) -> str:
    """What there is to say of a name; of all that bears it, where it is a method's and a paper's, too.

    Raises:
        LongtailError: if nothing has the name.
    """
    catalog = study.catalog
    parts = []
    if name in catalog.methods:
        parts.append("\n".join(_method(catalog, catalog.methods[name])))
    if name in catalog.datasets:
        parts.append("\n".join(_dataset(catalog.datasets[name])))
    if name in catalog.papers or name in catalog.artefacts:
        parts.append("\n".join(_target(study, name)))
    if not parts:
        raise unknown(
            "method, dataset, paper, table or figure",
            name,
            [*catalog.methods, *catalog.datasets, *catalog.papers, *catalog.artefacts],
        )
    return "\n\n".join(parts)


def _field(title: str, text: str) -> str:
    return textwrap.fill(f"{title}: {' '.join(text.split())}", WIDTH, subsequent_indent="  ")


def _method(catalog: Catalog, method: Method) -> Iterator[str]:
    yield f"{method.title} (method {method.name})"
    for title, text in (
        ("publication", method.source.get("paper", "")),
        ("official code", method.source.get("official", "")),
        ("catalogue", f"workflow/catalog/methods/{method.family}.yaml"),
        ("note", method.note),
        ("confidence", method.confidence),
        ("control", method.control or ""),
        ("read out", f"{method.features}, by {method.readout}"),
        ("not on", "; ".join(f"{dataset}: {reason}" for dataset, reason in method.unavailable.items())),
        (
            "shown in",
            "; ".join(
                f"{paper} {', '.join(titles)}"
                for paper, titles in appearances(catalog, "method").get(method.name, {}).items()
            ),
        ),
    ):
        if text:
            yield _field(title, text)
    steps = {"recipe": method.recipe, **{f"recipe on {name}": steps for name, steps in method.recipes.items()}}
    for title, recipe in steps.items():
        if recipe:
            yield _field(title, ", then ".join(_step(step) for step in recipe))
    for objective in dict.fromkeys(step["objective"] for step in method.steps):
        one = catalog.objectives[objective]
        yield f"\n{one.title} (objective {objective}, {one.implementation})"
        if one.loss:
            yield _field("minimises", one.loss)
        rows = [[*line] for setting, entry in one.settings.items() for line in _setting(setting, entry)]
        yield tabulate(
            rows,
            ["setting", "for", "value", "origin", "where"],
            disable_numparse=True,
            maxcolwidths=[None, 24, 40, 10, 50],
        )


def _step(step: Mapping[str, Any]) -> str:
    epochs = "; ".join(
        f"{value} epochs{f' on {on}' if on else ''} ({origin})"
        for _, on, value, origin, _ in _setting("", step["epochs"])
    )
    return f"{step['objective']}: {epochs}"


def _setting(name: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    """The values of a setting, one after the other: name, for what, value, origin and where."""
    where, origin = entry.get("where", ""), entry.get("origin", "")
    if "value" in entry:
        yield name, "", _flow(entry["value"]), origin, where
    for protocol in ("official", "paper"):
        if protocol in entry:
            yield name, "", _flow(entry[protocol]), protocol, where
    chosen = entry.get("for_chosen", ())
    for on, value in entry.get("for", {}).items():
        stated = "official, paper" if is_pair(value) else "chosen" if on in chosen else origin
        yield name, on, _flow(value), stated, entry.get("for_where", where)


def _flow(value: Any) -> str:
    return (
        yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True).removesuffix("\n...\n").strip()
    )


def _dataset(dataset: Dataset) -> Iterator[str]:
    images = dataset.images
    yield f"{dataset.title} (dataset {dataset.name}, of the set {images['name']})"
    parts = ", ".join(f"{part} {number:,}" for part, number in images["parts"].items())
    size = images.get("image_size")
    for title, text in (
        ("holds", f"{dataset.holds}, {images['classes']} classes" + (f", {size} pixels a side" if size else "")),
        ("parts", parts),
        ("cut", f"{dataset.construction} of {', '.join(dataset.pool)}"),
        (
            "tested on",
            ", ".join(dataset.test or ()) or (f"{dataset.held_out} of each class" if dataset.held_out else ""),
        ),
        ("validated on", ", ".join(dataset.val or ())),
        ("source", _flow(dict(images["source"]))),
        ("how to obtain it", str(images["source"].get("obtain", ""))),
    ):
        if text:
            yield _field(title, text)


def _target(study: Study, name: str) -> Iterator[str]:
    paper, kind, one = study.catalog.artefacts.get(name, (name, "", ""))
    spec = study.catalog.papers[paper]
    yield f"{spec['title']} (paper {paper})"
    for title, key in (("published", "venue"), ("address", "url"), ("official code", "repository")):
        if spec.get(key):
            yield _field(title, spec[key])
    if kind:
        artefact = spec[kind][one]
        yield _field(artefact["title"], artefact["caption"])
        if "rows" in artefact:
            yield _field("rows", ", ".join(dict.fromkeys(row["row"] for row in artefact["rows"])))
    yield _field("computed by", f"snakemake --cores all {name}")
    inventory = Inventory(study, Estimate(study, finished.read()))
    lines = [
        item
        for item in inventory.targets()
        if item["target"] == name or (not kind and str(item["target"]).startswith(f"{paper}_"))
    ]
    yield "\n" + as_text(lines, WIDTH)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("name", help="of a method, dataset, paper, table or figure, as `longtail list` has it")
    parser.add_argument("--catalog", nargs="+", default=[], metavar="FOLDER", help="folders with entries of your own")


def run(arguments: argparse.Namespace) -> None:
    """Print the page."""
    print(page(load_study({"targets": ["digits"], "catalog": arguments.catalog}), arguments.name))
