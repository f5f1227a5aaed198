"""Cells: what one entry of a table or figure is measured on, as the catalogue asks for it and as it is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from longtail.errors import unknown
from longtail.study.layout import Run
from longtail.study.phases import canonical


@dataclass(frozen=True)
class Cell:
    """What one entry of a table averages over its seeds.

    Attributes:
        method: name in the catalogue.
        settings: canonical JSON of overrides, objective -> setting -> value.
        backbone: name of the network; empty for a control.
        dataset: name in the catalogue.
        ratio: imbalance ratio.
        split: what is embedded: ``train``, ``test``, ...
        features: what of the network is embedded.
        readout: the clusterer or classifier whose output is scored; ``embeddings`` where they are scored themselves.
        scorer: where the metric comes from.
    """

    method: str
    settings: str
    backbone: str
    dataset: str
    ratio: int
    split: str
    features: str
    readout: str
    scorer: str

    def keys(self) -> dict[str, Any]:
        """The cell as columns of a merged table."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Measurement:
    """A metric file and the keys of the cell it belongs to; ``projection`` names what a file of points was made by."""

    path: str
    keys: Mapping[str, Any] = field(hash=False)
    run: Run
    projection: str | None = None


def asked_cells(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The cells that a paper's tables and figures ask for, as written."""
    for table in spec.get("tables", {}).values():
        for row in table["rows"]:
            for column in table["columns"]:
                yield {**column, **row}
    for figure in spec.get("figures", {}).values():
        yield from figure["cells"]


def key_of(asked: Mapping[str, Any]) -> str:
    """What makes two cells, as written, the same one."""
    return canonical({key: asked[key] for key in asked if key not in ("row", "label", "group", "published")})


def members_of(
    spec: Mapping[str, Any], row: Mapping[str, Any], column: Mapping[str, Any], where: str
) -> tuple[Mapping[str, Any], ...]:
    """The cells, as written, that stand behind a place of a table: those an average is over, or the one cell."""
    if "average_of" not in column:
        return ({**column, **row},)
    others = [other for other in spec["columns"] if "average_of" not in other]
    groups = {other.get("group", "") for other in others}
    for group in column["average_of"]:
        if group not in groups:
            raise unknown(f"group of columns ({where}, average_of)", group, groups)
    return tuple({**other, **row} for other in others if other.get("group") in column["average_of"])
