"""Cells: what one entry of a table or figure is measured on, as the catalogue asks for it and as it is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from longtail.errors import LongtailError, unknown
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
        readout: the clusterer or classifier whose output is scored; ``embeddings``, ``weights`` or ``history`` where
            these are scored themselves.
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

    @property
    def cell(self) -> Cell:
        """The cell that the keys describe."""
        return Cell(**{name: self.keys[name] for name in Cell.__dataclass_fields__})


def asked_cell(row: Mapping[str, Any], column: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The cell, as written, at which a row and a column of a table meet: what either says, mappings key by key.

    Args:
        row: of the table.
        column: likewise.
        where: the table, for the message.

    Raises:
        LongtailError: if they say different things of one key.
    """

    def merged(ours: Mapping[str, Any], theirs: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
        found = {**theirs, **ours}
        for key in sorted(ours.keys() & theirs.keys()):
            values, name = (ours[key], theirs[key]), (*inside, key)
            if all(isinstance(value, Mapping) for value in values):
                found[key] = merged(*values, name)
            elif values[0] != values[1]:
                raise LongtailError(
                    f"{where}: the row {row.get('row', '')!r} has {values[0]!r} for {'.'.join(name)}, but a column "
                    f"that it meets has {values[1]!r}. Say it in one of the two, or in all rows or columns."
                )
        return found

    return merged(row, column, ())


def places(table: Mapping[str, Any], where: str) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The rows and columns of a table that meet: all, but where a row says that the paper prints a dash.

    A dash may also be in place of a metric, in all columns; whoever goes through the metrics leaves that out.

    Raises:
        LongtailError: if a row has a dash where no column is, and which is no metric of the table.
    """
    names = {f"{column['dataset']}-ir{column['ratio']}" for column in table["columns"] if "ratio" in column}
    names |= set(table.get("metrics", ()))
    for row in table["rows"]:
        dashes = row.get("dashes", ())
        for dash in dashes:
            if dash not in names:
                raise unknown(f"column or metric ({where}, row {row['row']!r}, dashes)", dash, names)
        for column in table["columns"]:
            if f"{column.get('dataset')}-ir{column.get('ratio')}" not in dashes:
                yield row, column


def asked_cells(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The cells that a paper's tables and figures ask for, as written.

    Raises:
        LongtailError: if a row and a column contradict each other, or a dash is where no column is.
    """
    for name, table in spec.get("tables", {}).items():
        where = " ".join(filter(None, [spec.get("paper"), name]))
        for row, column in places(table, where):
            yield asked_cell(row, column, where)
    for figure in spec.get("figures", {}).values():
        yield from figure["cells"]


NOT_OF_A_CELL = ("row", "label", "group", "published", "cited", "dashes", "departs", "seeds", "metrics", "over")
"""What a row or column says that is not about the cells it asks for."""


def key_of(asked: Mapping[str, Any]) -> str:
    """What makes two cells, as written, the same one."""
    return canonical({key: asked[key] for key in asked if key not in NOT_OF_A_CELL})


def members_of(
    spec: Mapping[str, Any], row: Mapping[str, Any], column: Mapping[str, Any], where: str
) -> tuple[Mapping[str, Any], ...]:
    """The cells, as written, that stand behind a place of a table: those an average is over, or the one cell."""
    if "average_of" not in column:
        return (asked_cell(row, column, where),)
    others = [other for other in spec["columns"] if "average_of" not in other]
    groups = {other.get("group", "") for other in others}
    for group in column["average_of"]:
        if group not in groups:
            raise unknown(f"group of columns ({where}, average_of)", group, groups)
    return tuple(asked_cell(row, other, where) for other in others if other.get("group") in column["average_of"])
