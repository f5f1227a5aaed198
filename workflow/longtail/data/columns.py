"""Which column of a Parquet file holds what: the names that are usual, one candidate at a time.

A column that the source names is taken. Otherwise the usual names are looked for, and the only one that is there, and
holds what can be read, is taken. Where there are several, the source must say which, save for fine and coarse labels of
the same images (CIFAR-100 and its 20 superclasses): there the number of classes decides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longtail.errors import LongtailError


@dataclass(frozen=True)
class Role:
    """What a column may be.

    Attributes:
        name: of the option that names the column.
        usual: names that it usually has, in small letters.
        fits: whether a type can be read.
        wanted: how messages call such a type.
    """

    name: str
    usual: Sequence[str]
    fits: Callable[[pa.DataType], bool]
    wanted: str


def is_binary(kind: pa.DataType) -> bool:
    """Whether a column of this type holds bytes."""
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_image(kind: pa.DataType) -> bool:
    """Whether a column of this type holds encoded images: bytes, or a struct with such a field ``bytes``."""
    if not pa.types.is_struct(kind):
        return is_binary(kind)
    position = kind.get_field_index("bytes")
    return position >= 0 and is_binary(kind.field(position).type)


LEVELS = ("fine_label", "fine_labels", "coarse_label", "coarse_labels")
"""Labels of the same images that differ in how many classes there are."""

IMAGE = Role(
    "image",
    ("image", "images", "img", "imgs", "picture", "photo", "png", "jpg", "jpeg", "webp"),
    is_image,
    "images must be struct<bytes: binary, path: string>, or binary, and encoded",
)
LABEL = Role(
    "label",
    (
        *("label", "labels", "target", "targets", "class", "class_id", "class_label", "category", "category_id", "cls"),
        *LEVELS,
    ),
    pa.types.is_integer,
    "labels must be integers",
)
TEXT = Role("text", ("text", "texts", "sentence", "sentences", "content"), is_text, "it must be text")


def column_of(
    role: Role,
    named: str | None,
    path: Path,
    schema: pa.Schema,
    decides: Callable[[str], bool],
    first: Path | None = None,
) -> str:
    """The name of the column that plays a role.

    Args:
        role: which.
        named: the column that the source names or an earlier file has, if any.
        path: of the file, for messages.
        schema: of the file.
        decides: whether a column of labels has as many classes as the set; asked of fine and coarse labels only.
        first: the earlier file.

    Raises:
        LongtailError: if there is none, or more than one.
    """
    present = schema.names
    column = named if named is not None else _recognised(role, path, schema, decides)
    if (count := present.count(column)) == 1:
        return column
    if count:
        raise LongtailError(
            f"{path} has {count} columns {column!r}, and one cannot be told from the other. Write it with one of them."
        )
    way_out = f"{first} has it, and the files of a part must have the same columns." if first else _way_out(role)
    raise LongtailError(f"{path} has no {role.name} column {column!r}; it has {', '.join(present)}. {way_out}")


def _recognised(role: Role, path: Path, schema: pa.Schema, decides: Callable[[str], bool]) -> str:
    """The only column that has a usual name, and can be read if any such column can."""
    present = schema.names
    found = [position for position, name in enumerate(present) if name.lower() in role.usual]
    readable = [position for position in found if role.fits(schema.types[position])]
    candidates = sorted({present[position] for position in readable or found})
    if len(candidates) > 1 and {name.lower() for name in candidates} <= {*LEVELS}:
        candidates = [name for name in candidates if decides(name)] or candidates
    if not candidates:
        raise LongtailError(
            f"{path} has no {role.name} column of a usual name ({', '.join(role.usual)}); it has {', '.join(present)}. "
            f"{_way_out(role)}"
        )
    if len(candidates) > 1:
        raise LongtailError(
            f"{path} has several columns that may be the {role.name} column: {', '.join(candidates)}. {_way_out(role)}"
        )
    return candidates[0]


def require_type(role: Role, column: str, path: Path, schema: pa.Schema) -> None:
    """Check that a column can be read as what it is to be.

    Raises:
        LongtailError: if it cannot.
    """
    kind = schema.field(column).type
    if not role.fits(kind):
        raise LongtailError(f"Column {column!r} of {path} is {kind}; {role.wanted}.")


def _way_out(role: Role) -> str:
    return f"Name the right one as {role.name!r} in the source: `{role.name}: COLUMN`."


def bounds(file: pq.ParquetFile, column: str) -> tuple[int, int] | None:
    """The smallest and the greatest value of a column of integers, as the file's footer has them, or None."""
    found = _statistics(file, column)
    if not found or any(group is None or not group.has_min_max for group in found):
        return None
    return min(group.min for group in found), max(group.max for group in found)


def nulls(file: pq.ParquetFile, column: str) -> int:
    """The rows that have no value in a column, as far as the file's footer tells."""
    return sum(group.null_count for group in _statistics(file, column) if group is not None and group.has_null_count)


def _statistics(file: pq.ParquetFile, column: str) -> list[Any]:
    """What the footer says of a column in each group of rows, None where it says nothing; empty if it is nested."""
    leaves = {file.schema.column(index).path: index for index in range(len(file.schema))}
    if column not in leaves:
        return []
    return [file.metadata.row_group(group).column(leaves[column]).statistics for group in range(file.num_row_groups)]


def class_names(schema: pa.Schema, column: str) -> list[str]:
    """What the classes 0, 1, ... of a column of labels are called, if Hugging Face's `datasets` noted it."""
    try:
        names = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return []
    return names if isinstance(names, list) else []
