"""From what people write for a path to files: ``~``, ``$VARIABLE``, patterns (``train-*.parquet``), addresses."""

from __future__ import annotations

import glob
import os
import re
from contextlib import suppress
from pathlib import Path

from longtail.data.rows import listed
from longtail.errors import LongtailError

ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
HUB = re.compile(
    r"(?:(?P<type>datasets|spaces)/)?(?P<repository>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?(?:/(?P<file>.*))?"
)
COPY = {"s3": "aws s3 cp", "gs": "gcloud storage cp", "http": "curl -LO", "https": "curl -LO"}
"""The command that copies from an address of each kind."""


def expanded(path: str, what: str = "") -> Path:
    """The path on this machine that ``path`` stands for, with ``~`` and variables of the environment filled in.

    Args:
        path: as it was written.
        what: it is, for the error.

    Raises:
        LongtailError: if it is the address of something elsewhere.
    """
    if found := ADDRESS.match(path):
        raise LongtailError(
            f"{what or 'The path'} {path} is an address; what is read are files on this machine. "
            f"{_way_to_get(path, *found.groups())}"
        )
    return Path(os.path.expandvars(os.path.expanduser(path)))  # noqa: PTH111 - Path raises where there is no such user


def _way_to_get(path: str, scheme: str, rest: str) -> str:
    kind = scheme.lower()
    if kind == "file":
        return f"Write /{rest.lstrip('/')}."
    if kind == "hf" and (found := HUB.fullmatch(rest)):
        options = [
            *([f"--repo-type {found['type'][:-1]}"] if found["type"] else []),
            *([f"--revision {found['revision']}"] if found["revision"] else []),
        ]
        wanted = f" --include '{found['file']}'" if found["file"] else ""
        command = " ".join(["hf download", found["repository"], *options]) + f"{wanted} --local-dir FOLDER"
        return f"Get them, for instance with `{command}`, and name the files in FOLDER."
    if kind in COPY:
        return f"Get it, for instance with `{COPY[kind]} {path}`, and name the file that it becomes."
    return "Copy it here, and name the copy."


def place_of(path: str | Path) -> str:
    """A path for a message that it cannot be read, and where it leads if it is a link."""
    with suppress(OSError, ValueError):
        return f"{path} is a link to {os.readlink(path)}"  # noqa: PTH115 - which takes any text
    return str(path)


def below(root: str, name: str) -> Path:
    """A file or folder as an option of a source names it: relative to ``root`` unless it begins elsewhere.

    Raises:
        LongtailError: if either is an address, or the name is a pattern.
    """
    path = expanded(root) / expanded(name)
    if glob.has_magic(name) and not os.path.lexists(path):
        raise LongtailError(f"{path} does not exist. Patterns are for the 'files' of Parquet: name one folder or file.")
    return path


def files_below(root: str, name: str, obtain: str) -> list[Path]:
    """The files that an option names, one as it stands, or all that fit a pattern, in order.

    Numbers in names count as numbers, so that ``train-10`` comes after ``train-9``; how they are padded is one with
    how they are sorted.

    Args:
        root: the folder that relative names start from.
        name: of a file, or a pattern (``*``, ``?``, ``[...]``; ``**`` for folders of any depth).
        obtain: where to get the files, for the message.

    Raises:
        LongtailError: if either is an address, or no file fits the pattern.
    """
    folder, path = expanded(root), expanded(root) / expanded(name)
    if not glob.has_magic(name) or os.path.lexists(path):
        return [path]
    pattern = os.path.join(glob.escape(str(folder)), expanded(name))  # noqa: PTH118 - Path drops a trailing slash
    found = sorted(map(Path, glob.glob(pattern, recursive=True)), key=_natural)  # noqa: PTH207 - as above
    if not found:
        raise LongtailError(f"No file fits {path}. {_what_is_in(path.parent)} {obtain}".rstrip())
    return found


def _natural(path: Path) -> list[tuple[int, int, str]]:
    return [(1, int(run), run) if run.isdecimal() else (0, 0, run) for run in re.split(r"([0-9]{1,18})", str(path))]


def _what_is_in(folder: Path) -> str:
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except (OSError, ValueError):
        return f"{folder} is no folder."
    return f"In {folder} there is {listed(names) or 'nothing'}."


def require_file(path: Path, obtain: str) -> None:
    """Nothing but a file is opened: reading a named pipe would wait for ever, and a device never end.

    Raises:
        LongtailError: if it is none, or cannot be looked at.
    """
    try:
        exists, is_file, is_folder = path.exists(), path.is_file(), path.is_dir()
    except OSError as error:  # such as a name that is too long
        raise LongtailError(f"{path} cannot be read: {error.strerror}. {obtain}".rstrip()) from error
    if not is_file:
        what = "is a folder, and no file" if is_folder else "is no file" if exists else "does not exist"
        raise LongtailError(f"{path} {what}. {obtain}".rstrip())
    if not os.access(path, os.R_OK):
        raise LongtailError(f"{path} cannot be read: permission denied. Ask its owner, or name a copy.")
