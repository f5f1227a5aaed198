"""What can be known before the first job, said before it. Imports no torch, and what costs time only when it is needed.

The Snakefile asks :func:`raw_data` of every set that a target rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from longtail.errors import LongtailError


def raw_data(folder: str, inputs: Callable[[], list[Path]], title: str) -> tuple[bool, str]:
    """Whether raw data have to be read again because they are not those that were decoded, and a word on it.

    Args:
        folder: of what was made from them.
        inputs: tells the files that would be read now.
        title: what messages call the data.

    Returns:
        Whether to read them again, and what to say; nothing where all is as it was.
    """
    if not Path(folder, "raw.json").exists():
        return False, ""
    from longtail.data.watch import Raw, state

    try:
        paths = inputs()
        found = state(folder, paths)
    except LongtailError as error:
        return False, f"The raw data of {title} cannot be looked at, so what was made from them is used. {error}"
    if found is Raw.GONE:
        places = ", ".join(map(str, paths[:2])) or "no file"
        return False, f"The raw data of {title} are no longer there ({places}); what was made from them is used."
    if found is Raw.CHANGED:
        return True, f"The raw data of {title} are not those that were read: they are read again, and all is redone."
    return False, ""


def inputs_of(spec: Mapping[str, Any], part: str) -> list[Path]:
    """What a part of a set would be read from, see :func:`longtail.data.raw.inputs`."""
    from longtail.data import raw

    return raw.inputs(spec, part)


def encoder_inputs(folder: str | None) -> list[Path]:
    """The folder that a sentence encoder would be read from, see :func:`longtail.data.encoder.inputs`."""
    from longtail.data import encoder

    return encoder.inputs(folder)
