"""``python -m longtail job fetch``: a sentence encoder's files, from the Hugging Face hub or a local folder.

They are brought into one form (safetensors, ``tokenizer.json``) and one place, from which all jobs that need the
encoder read them: none of those needs a connection, and none opens a pickle.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from longtail.data.places import expanded
from longtail.data.watch import noting
from longtail.errors import LongtailError

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""What an encoder's folder holds."""

UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError)
"""What transformers raises for files that are missing, broken or of another kind of network."""


def fetch(name: str, folder: str | None, out: Path) -> None:
    """Write the encoder's files into a folder.

    Args:
        name: on the hub, or whatever the encoder of a local folder is called.
        folder: with the files as the hub has them (weights, configuration, tokenizer); None downloads them.
        out: the folder to write.

    Raises:
        LongtailError: if they cannot be had, or are no encoder with a fast tokenizer.
    """
    place = local_folder(folder)
    from transformers import AutoModel, AutoTokenizer

    quiet()
    try:
        tokenizer = AutoTokenizer.from_pretrained(place or name, local_files_only=place is not None)
        network = AutoModel.from_pretrained(place or name, local_files_only=place is not None)
    except UNREADABLE as error:
        source = place.absolute() if place else "the Hugging Face hub"
        raise LongtailError(
            f"Cannot obtain the sentence encoder {name!r} from {source}: {str(error).splitlines()[0]} Without a "
            f"connection, get its files elsewhere (config.json, model.safetensors, tokenizer.json), put them into a "
            f"folder, and name that in the configuration: "
            f"`sentence_encoder: {{name: {name}, folder: /path/of/the/folder}}`."
        ) from error
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", suffix=".tmp", dir=out) as temporary:
        network.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        missing = [file for file in FILES if not (Path(temporary) / file).is_file()]
        if missing:
            raise LongtailError(f"The sentence encoder {name!r} comes without {', '.join(missing)}. Choose another.")
        for file in FILES:
            (Path(temporary) / file).replace(out / file)


def local_folder(folder: str | None) -> Path | None:
    """The folder on this machine that an encoder is read from; None where it is downloaded.

    Raises:
        LongtailError: if it is an address, or there is no configuration of a network in it.
    """
    if folder is None:
        return None
    place = expanded(folder, "The `folder` of `sentence_encoder`")
    if not (place / "config.json").is_file():
        raise LongtailError(
            f"{place.absolute()} holds no sentence encoder: there is no config.json in it. Correct "
            f"`sentence_encoder: {{folder: ...}}` in the configuration."
        )
    return place


def inputs(folder: str | None) -> list[Path]:
    """The folder that an encoder is read from, whether or not it exists; none where it is downloaded."""
    return [] if folder is None else [expanded(folder, "The `folder` of `sentence_encoder`")]


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer in an encoder's folder.

    Raises:
        LongtailError: if there is none, or none that knows which word a token is of.
    """
    from transformers import AutoTokenizer

    quiet()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except UNREADABLE as error:
        raise LongtailError(
            f"{folder} has no readable tokenizer ({str(error).splitlines()[0]}). Delete it and run the workflow again."
        ) from error
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise LongtailError(f"The tokenizer in {folder} has no word boundaries or no padding. Choose another encoder.")
    return tokenizer


def quiet() -> None:
    """Keep transformers' progress bars and remarks out of the logs."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m longtail job fetch``."""
    parser.add_argument("--name", required=True, help="of the sentence encoder, on the hub")
    parser.add_argument("--folder", help="local folder with its files")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the folder to write")


def run(arguments: argparse.Namespace) -> None:
    """Write one encoder's files."""
    with noting(arguments.out, lambda: inputs(arguments.folder)):
        fetch(arguments.name, arguments.folder, arguments.out)
