"""``python -m longtail job weights``: weights that a network for images comes with, from torchvision's site or a file.

Published are pickles, with the beginning of their digest in their names. A file that fits it is read once, by what
opens tensors alone, and written as safetensors, without the classifier: from there all trainings start, and none needs
a connection.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import re
import urllib.error
from pathlib import Path
from typing import Any

from longtail.data.downloads import cached_weights
from longtail.data.places import expanded, require_file
from longtail.errors import LongtailError
from longtail.files import replacing

CHUNK = 2**20
UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, KeyError, pickle.UnpicklingError)
"""What torch raises for files that are none of its own, or hold more than tensors."""


def fetch(url: str, file: str | None, out: Path) -> None:
    """Write the weights as safetensors, with the SHA-256 of what they were read from under ``sha256``.

    Args:
        url: where they are published; the name ends with the first digits of the SHA-256, ``-394f9c45.pth``.
        file: a copy on this machine; None takes the one in torch's cache, or downloads it there.
        out: the file to write.

    Raises:
        LongtailError: if they cannot be had, are incomplete or others, or hold anything but tensors.
    """
    wanted = digest_in_name(url)
    place = local_file(file) or _downloaded(url)
    found = sha256(place)
    if not found.startswith(wanted):
        raise LongtailError(
            f"{place.absolute()} is not what {url} is: its SHA-256 begins with {found[: len(wanted)]}, not {wanted}. "
            f"It is incomplete, or another file. Delete it and get it again."
        )
    import torch
    from safetensors.torch import save_file

    try:
        weights = torch.load(place, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise LongtailError(f"{place.absolute()} holds no weights ({str(error).splitlines()[0]}).") from error
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise LongtailError(f"{place.absolute()} holds no weights: a dictionary of tensors is meant.")
    kept = {name: value.detach().contiguous() for name, value in weights.items() if not name.startswith("fc.")}
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        save_file(kept, temporary, metadata={"sha256": found, "from": Path(url).name})


def digest_in_name(url: str) -> str:
    """The first digits of the SHA-256 that the name of a file has.

    Raises:
        LongtailError: if it has none.
    """
    found = re.search(r"-([0-9a-f]{8,64})\.[a-z]+$", url)
    if found is None:
        raise LongtailError(f"{url} has no digest in its name, such as resnet152-394f9c45.pth, to be checked by.")
    return found[1]


def sha256(path: Path) -> str:
    """64 hexadecimal digits for the bytes of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def local_file(file: str | None) -> Path | None:
    """The file on this machine that weights are read from; None where they are downloaded.

    Raises:
        LongtailError: if it is an address, or there is no such file.
    """
    if file is None:
        return None
    place = expanded(file, "A file of `image_weights`")
    require_file(place, "Correct `image_weights` in the configuration.")
    return place


def _downloaded(url: str) -> Path:
    place: Any = cached_weights(url)
    if place.is_file():
        return place
    from torch.hub import download_url_to_file

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        download_url_to_file(url, str(place), hash_prefix=digest_in_name(url), progress=False)
    except (OSError, urllib.error.URLError, RuntimeError) as error:
        name = Path(url).name
        raise LongtailError(
            f"Cannot download {url}: {getattr(error, 'reason', error)}. Without a connection, get {name} elsewhere and "
            f"name it in the configuration: `image_weights: {{{name.partition('-')[0]}: /path/of/{name}}}`."
        ) from error
    return place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m longtail job weights``."""
    parser.add_argument("--url", required=True, help="where they are published, with a digest in the name")
    parser.add_argument("--file", help="a copy on this machine")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the file to write, as safetensors")


def run(arguments: argparse.Namespace) -> None:
    """Write one network's weights."""
    fetch(arguments.url, arguments.file, arguments.out)
