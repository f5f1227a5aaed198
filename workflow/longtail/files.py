"""How the stages write and read files: whole or not at all, and with their provenance."""

from __future__ import annotations

import datetime
import functools
import itertools
import json
import os
import platform
import secrets
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from longtail import __version__
from longtail.errors import LongtailError

PROVENANCE_KEY = b"longtail"


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name when the block ends well.

    The suffix is kept, so that writers which choose a format by it work. If the block raises, the temporary
    file is removed and what stood at ``path`` before is untouched.

    Raises:
        LongtailError: when the folder cannot be written or the disk is full.
    """
    target = Path(path)
    # Named before it is made, and made where it is sure to be removed: a signal may end the job between any two lines.
    temporary = target.with_name(f".{target.stem}-{secrets.token_hex(4)}.tmp{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.filename is not None and Path(error.filename) not in {temporary, *target.parents}:
            raise  # another file of the block's failed, this one is not to blame
        raise LongtailError(
            f"Cannot write {target}: {error.strerror or error}. Check the folder's permissions and the free space."
        ) from error
    finally:
        with suppress(OSError):  # the folder may not be one
            temporary.unlink()


@functools.cache
def _revision() -> str:
    """The git revision of the package's checkout, or ``unknown`` outside one, as where the package is installed."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # an environment may lie within another repository
        return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def provenance(**facts: Any) -> dict[str, Any]:
    """What every result says about its making, with ``facts`` (phase identity, device, ...) added."""
    versions = {}
    for package in ("numpy", "pyarrow", "scikit-learn", "torch"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "longtail": __version__,
        "revision": _revision(),
        "python": platform.python_version(),
        "versions": versions,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **facts,
    }


def write_table(path: str | os.PathLike[str], table: pa.Table, **facts: Any) -> None:
    """Write ``table`` as zstd Parquet, complete or not at all, with ``provenance(**facts)`` in its metadata."""
    write_described(path, table, provenance(**facts))


def write_described(path: str | os.PathLike[str], table: pa.Table, facts: Mapping[str, Any]) -> None:
    """The same with nothing but ``facts`` in place of the provenance: equal contents make equal files."""
    # Metadata of a schema stand in the file twice, those that are added to the file once.
    with replacing(path) as temporary, _writing(temporary, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({PROVENANCE_KEY.decode(): json.dumps(facts, sort_keys=True)})


def _writing(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # Pages of values carry a checksum, pages of dictionaries do not; zstd makes up for the dictionaries.
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False, write_page_checksum=True)


def write_tables(
    path: str | os.PathLike[str], tables: Iterable[pa.Table], facts: Callable[[], Mapping[str, Any]]
) -> None:
    """Write tables one after the other into one file, as :func:`write_table` does, of which only one is in memory.

    Args:
        path: the file.
        tables: at least one, all of one schema.
        facts: called when all tables are written, for what only then is known of their making.
    """
    remaining = iter(tables)
    first = next(remaining)
    schema = first.schema.remove_metadata()
    with replacing(path) as temporary, _writing(temporary, schema) as writer:
        for table in itertools.chain([first], remaining):
            writer.write_table(table.replace_schema_metadata(None))
        described = json.dumps(provenance(**facts()), sort_keys=True)
        writer.add_key_value_metadata({PROVENANCE_KEY.decode(): described})


def read_json(text: str, what: str) -> dict[str, Any]:
    """The JSON object that an option gives, or names as the file after an ``@``.

    Args:
        text: the option's value.
        what: it is, for the error.

    Raises:
        LongtailError: if the file cannot be read, or holds anything but one JSON object.
    """
    try:
        if text.startswith("@"):
            what = f"{what} in {text[1:]}"
            text = Path(text[1:]).read_text(encoding="utf-8")
        value = json.loads(text)
    except OSError as error:
        raise LongtailError(f"{what} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise LongtailError(f"{what} is not valid JSON ({error}): {text[:200]}") from error
    if not isinstance(value, dict):
        raise LongtailError(f"{what} must be a JSON object, not {text[:200]}")
    return value


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[pq.ParquetFile]:
    """The Parquet file at ``path``, with a ``LongtailError`` for all that can be wrong with it."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except FileNotFoundError as error:
        raise LongtailError(f"{path} does not exist.") from error
    except (PermissionError, IsADirectoryError) as error:
        raise LongtailError(f"{path} cannot be read: {error.strerror}.") from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise LongtailError(
            f"{path} is not a readable Parquet file ({error}). Delete it and run the workflow again to rebuild it."
        ) from error


def read_table(
    path: str | os.PathLike[str], columns: Sequence[str] | None = None, null: Sequence[str] = ()
) -> pa.Table:
    """Read a Parquet file, or say what is wrong with it.

    Args:
        path: the file.
        columns: the columns needed; all when None.
        null: columns of which only the lines are wanted that hold nothing in any of them; the others are never all in
            memory.

    Raises:
        LongtailError: if the file is missing, truncated, damaged, no Parquet, or lacks one of ``columns``.
    """
    with _opened(path) as file:
        present = file.schema_arrow.names
        missing = [name for name in columns or () if name not in present]
        if missing:
            raise LongtailError(
                f"{path} has no column {', '.join(map(repr, missing))}; it has {', '.join(map(repr, present))}."
            )
        wanted = list(columns) if columns is not None else None
        if not set(null) & set(present):
            return file.read(columns=wanted)
        batches = [batch.filter(_empty(batch, null)) for batch in file.iter_batches(columns=wanted)]
        return pa.Table.from_batches(batches, schema=None if batches else file.schema_arrow)


def _empty(batch: pa.RecordBatch, names: Sequence[str]) -> pa.Array:
    """Which lines of a batch hold nothing in the columns of these names."""
    return functools.reduce(pc.and_, [batch.column(name).is_null() for name in names if name in batch.schema.names])


def read_provenance(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """The provenance that :func:`write_table` stored, empty if the file carries none.

    Raises:
        LongtailError: if the file is missing or no Parquet.
    """
    with _opened(path) as file:
        return _provenance(file)


def read_with_provenance(path: str | os.PathLike[str]) -> tuple[pa.Table, Mapping[str, Any]]:
    """:func:`read_table` and :func:`read_provenance`, of a file that is opened once.

    Raises:
        LongtailError: if the file is missing, truncated, damaged or no Parquet.
    """
    with _opened(path) as file:
        return file.read(), _provenance(file)


def _provenance(file: pq.ParquetFile) -> Mapping[str, Any]:
    stored = (file.metadata.metadata or {}).get(PROVENANCE_KEY)
    try:
        facts = json.loads(stored) if stored else {}
    except ValueError as error:  # another program's, or damaged
        raise OSError(f"its metadata is no JSON: {error}") from error
    return facts if isinstance(facts, dict) else {}
