"""Rows of Parquet files: images, and texts, with their labels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from longtail.data.columns import (
    IMAGE,
    LABEL,
    TEXT,
    Role,
    bounds,
    class_names,
    column_of,
    is_binary,
    is_text,
    nulls,
    require_type,
)
from longtail.data.places import expanded, files_below, require_file
from longtail.data.rows import Expected, Sample, listed, note
from longtail.errors import LongtailError, unknown

MOST_ROWS = 256
BATCH_BYTES = 64 * 2**20
"""What is read at a time: so many rows, or fewer where they are large."""


class Text(NamedTuple):
    """One text: what an error message calls it (a file and its row), what it says, and its class in the source."""

    name: str
    text: str
    label: int


@dataclass(frozen=True)
class ParquetFiles:
    """Rows of Parquet files; subclasses say what is in them.

    Attributes:
        files: file or files of each part, in order, or patterns; relative to ``root``.
        expected: what the catalogue says there is.
        root: folder of the files.
        label: name of the label column, if it is none of the usual ones (:mod:`longtail.data.columns`).
        obtain: where to get the files, for the message when they are missing.
    """

    files: Mapping[str, str | Sequence[str]]
    expected: Expected
    root: str = "data"
    label: str | None = None
    obtain: str = ""

    holds: ClassVar[str]
    """What the rows are, as messages call them."""
    content: ClassVar[Role]
    """What the column is that holds them."""

    def samples(self, part: str) -> Iterator[Any]:
        """Yield the rows in their order, file after file."""
        paths = self.inputs(part)
        columns = self._columns(part, paths)
        taken = [f"{name!r} for the {role.name}" for role, name in columns.items() if getattr(self, role.name) is None]
        if taken:
            note(f"{listed(map(str, paths))}: of the columns, {' and '.join(taken)} is taken.")
        for path in paths:
            with self._opened(path) as file:
                yield from self._rows(path, file, columns[self.content], columns[LABEL])

    def inputs(self, part: str) -> list[Path]:
        """The Parquet files of the part, in order."""
        if part not in self.files:
            raise unknown("part in the files of this source", part, self.files)
        named = self.files[part]
        names = [named] if isinstance(named, str) else named
        return [path for name in names for path in files_below(self.root, name, self.obtain)]

    def check(self, part: str) -> None:
        """Look at each file's columns, and at what its footer says of the rows and labels."""
        paths = self.inputs(part)
        columns = self._columns(part, paths)
        for path in paths:
            with self._opened(path) as file:
                extremes = bounds(file, columns[LABEL])
                if extremes and not 0 <= extremes[0] <= extremes[1] < self.expected.classes:
                    raise self.expected.wrong_label(
                        f"Column {columns[LABEL]!r} of {path}", f"{extremes[0]}..{extremes[1]}"
                    )
                for column in columns.values():
                    if count := nulls(file, column):
                        raise self._lacking(
                            f"{count:,} of {file.metadata.num_rows:,} rows of {path} lack", column, "null"
                        )
                self._check_content(path, file, columns[self.content])

    def labels(self, part: str) -> tuple[list[int], list[str]]:
        """The label of each row, in order, and the names of the classes where a file has noted them."""
        paths = self.inputs(part)
        column = self._columns(part, paths)[LABEL]
        found: list[int] = []
        names: list[str] = []
        for path in paths:
            with self._opened(path) as file:
                found += file.read(columns=[column]).column(column).to_pylist()
                names = names or class_names(file.schema_arrow, column)
        return found, names

    def _columns(self, part: str, paths: Sequence[Path]) -> dict[Role, str]:
        """The columns of all files by role; also checks their types and the number of rows."""
        columns: dict[Role, str] = {}
        classes: dict[Path, list[str]] = {}
        rows = 0
        for path in paths:
            first = paths[0] if classes else None
            with self._opened(path) as file:
                schema = file.schema_arrow
                for role in (self.content, LABEL):
                    named = columns.get(role, getattr(self, role.name))
                    decides = partial(self._has_classes, paths)
                    columns[role] = column_of(role, named, path, schema, decides, first)
                    require_type(role, columns[role], path, schema)
                classes[path] = class_names(schema, columns[LABEL])
                rows += file.metadata.num_rows
        self.expected.require_rows(part, rows, self.holds, listed(map(str, paths)), self.obtain)
        _require_same_classes({**classes, **self._classes_elsewhere(part, columns)})
        return columns

    def _classes_elsewhere(self, part: str, columns: Mapping[Role, str]) -> dict[Path, list[str]]:
        """What files of the other parts call the classes; what is wrong with one of them is told when it is read."""
        found: dict[Path, list[str]] = {}
        for other in {*self.files} & {*self.expected.parts} - {part}:
            with suppress(LongtailError):
                for path in self.inputs(other):
                    with self._opened(path) as file:
                        found[path] = class_names(file.schema_arrow, columns[LABEL])
        return found

    def _has_classes(self, paths: Sequence[Path], column: str) -> bool:
        """Whether the labels in a column are those of as many classes as the set has, by the greatest of all files."""
        greatest = -1
        for path in paths:
            with self._opened(path) as file:
                schema = file.schema_arrow
                if schema.names.count(column) != 1 or not LABEL.fits(schema.field(column).type):
                    continue  # which is told when it is this file's turn
                known = bounds(file, column)
                values = file.read(columns=[column]).column(column) if known is None else None
                greatest = max(greatest, known[1] if known else pc.max(values).as_py() or 0)
        return greatest + 1 == self.expected.classes

    @contextmanager
    def _opened(self, path: Path) -> Iterator[pq.ParquetFile]:
        require_file(path, self.obtain)
        try:
            with pq.ParquetFile(path) as file:
                yield file
        except pa.ArrowNotImplementedError as error:
            raise LongtailError(
                f"{path} is Parquet of a kind that pyarrow {pa.__version__} cannot read ({error}). Write it anew."
            ) from error
        except (OSError, pa.ArrowException) as error:
            raise LongtailError(
                f"{path} is not a readable Parquet file ({error}). Get it again. {self.obtain}".rstrip()
            ) from error

    def _lacking(self, what: str, column: str, why: str) -> LongtailError:
        """The error for rows that lack their image or text, or their label."""
        return LongtailError(f"{what} {column!r} ({why}). Every row needs {self.content.name} and label.")

    def _check_content(self, path: Path, file: pq.ParquetFile, content: str) -> None:
        """What more can be said of a file before its rows are read; nothing, of most."""

    def _rows(self, path: Path, file: pq.ParquetFile, content: str, label: str) -> Iterator[Any]:
        raise NotImplementedError


@dataclass(frozen=True)
class ParquetSource(ParquetFiles):
    """Images in Parquet files: a column of struct<bytes, path> or of bytes, encoded, and one of integer labels.

    Rows without bytes are read from the file that their path names, relative to the Parquet file or to ``root``.

    Attributes:
        image: name of the image column, if it is none of the usual ones.
    """

    image: str | None = None

    holds = "images"
    content = IMAGE

    def _rows(self, path: Path, file: pq.ParquetFile, content: str, label: str) -> Iterator[Sample]:
        row = 0
        for batch in batches(file, [content, label]):
            images, paths = _fields(batch.column(content))
            for data, name, number in zip(images, paths, batch.column(label).to_pylist(), strict=True):
                if number is None or not (data or name):
                    column, what = (label, "null") if number is None else (content, "null" if data is None else "empty")
                    raise self._lacking(f"Row {row} of {path} has no", column, what)
                yield Sample(f"{path}, row {row}", data or self._beside(path, row, os.fsdecode(name or b"")), number)
                row += 1

    def _check_content(self, path: Path, file: pq.ParquetFile, content: str) -> None:
        """Whether the images lie outside, and the first of them is there."""
        leaves = {file.schema.column(index).path: index for index in range(len(file.schema))}
        if f"{content}.path" not in leaves or f"{content}.bytes" not in leaves or not file.metadata.num_rows:
            return
        statistics = file.metadata.row_group(0).column(leaves[f"{content}.bytes"]).statistics
        if statistics is not None and statistics.null_count:
            images, paths = _fields(next(file.iter_batches(1, columns=[content])).column(content))
            if images[0] is None and paths[0]:
                self._beside(path, 0, os.fsdecode(paths[0]))

    def _beside(self, path: Path, row: int, name: str) -> Path:
        """The file that a row names in place of an image."""
        places = list(dict.fromkeys(folder / name for folder in (path.parent, expanded(self.root))))
        for place in places:
            if os.path.isfile(place):  # noqa: PTH113 - which takes any text
                return place
        raise LongtailError(
            f"Row {row} of {path} holds no image, only the path {name!r} of a file, which is not there as "
            f"{' nor as '.join(map(str, places))}. Put the files there, or write the Parquet file with images in it."
        )


@dataclass(frozen=True)
class ParquetTexts(ParquetFiles):
    """Texts in Parquet files: a column of strings, and one of integer labels.

    Attributes:
        text: name of the text column, if it is none of the usual ones.
    """

    text: str | None = None

    holds = "texts"
    content = TEXT

    def _rows(self, path: Path, file: pq.ParquetFile, content: str, label: str) -> Iterator[Text]:
        row = 0
        for batch in batches(file, [content, label]):
            texts = batch.column(content).cast(pa.large_binary()).to_pylist()
            for text, number in zip(texts, batch.column(label).to_pylist(), strict=True):
                if text is None or number is None:
                    raise self._lacking(f"Row {row} of {path} has no", content if text is None else label, "null")
                try:
                    decoded = text.decode()
                except UnicodeDecodeError as error:
                    raise LongtailError(
                        f"Row {row} of {path} has a {content!r} that is not UTF-8 ({error}). Write the file anew, with "
                        f"texts that are."
                    ) from error
                yield Text(f"{path}, row {row}", decoded, number)
                row += 1


def batches(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a file in their order, some at a time: no more than a moderate number of bytes, or a single row.

    How large rows are is told by the sizes of their group, on average. A batch whose values are much larger than that,
    beyond the 2 GiB that Arrow can have in one array, is read again in smaller ones.
    """
    for group in range(file.num_row_groups):
        facts = file.metadata.row_group(group)
        rows = max(1, min(MOST_ROWS, BATCH_BYTES * facts.num_rows // max(1, facts.total_byte_size)))
        done = 0
        while done < facts.num_rows:
            try:
                begin = 0
                for batch in file.iter_batches(rows, row_groups=[group], columns=list(columns)):
                    if begin + len(batch) > done:
                        yield batch.slice(max(0, done - begin))
                        done = begin + len(batch)
                    begin += len(batch)
                break
            except pa.ArrowNotImplementedError:
                if rows == 1:
                    raise
                rows = max(1, rows // 8)


def _fields(column: pa.Array) -> tuple[list[bytes | None], list[bytes | None]]:
    """What the rows of an image column hold, and the paths that they name, of which any bytes may be made."""
    paths: list[bytes | None] = [None] * len(column)
    if not pa.types.is_struct(column.type):
        return column.to_pylist(), paths
    position = column.type.get_field_index("path")
    if position >= 0 and (is_text(kind := column.type.field(position).type) or is_binary(kind)):
        paths = pc.struct_field(column, "path").cast(pa.large_binary()).to_pylist()
    return pc.struct_field(column, "bytes").to_pylist(), paths


def _require_same_classes(named: Mapping[Path, Sequence[str]]) -> None:
    """Check that the files that tell what the classes 0, 1, ... are called tell the same."""
    telling = [(path, names) for path, names in named.items() if names]
    for path, again in telling[1:]:
        first, names = telling[0]
        for number, (one, other) in enumerate(zip(names, again, strict=False)):
            if one != other:
                raise LongtailError(
                    f"{first} and {path} number classes differently: {number} is {one!r} in the former, and {other!r} "
                    f"in the latter. Write one of them anew, with the numbers of the other."
                )
