"""Weights that a network for images starts from, out of a file of :mod:`longtail.data.image_weights`."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from longtail.errors import LongtailError

COUNTERS = "num_batches_tracked"
"""Which batch normalisation has since PyTorch 0.4.1, and older files have not; with a momentum nothing reads it."""


def load_pretrained(backbone: nn.Module, path: Path) -> None:
    """Give a backbone all of the weights and statistics in a file, whatever it started from.

    Raises:
        LongtailError: if the file cannot be read, or does not hold those of this backbone, name by name and in their
            shapes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise LongtailError(
            f"{path} holds no readable weights ({str(error).splitlines()[0]}). Delete it and run the workflow again."
        ) from error
    own = backbone.state_dict()
    wanted = {name: value.shape for name, value in own.items() if not name.endswith(COUNTERS)}
    given = {name: value.shape for name, value in weights.items() if not name.endswith(COUNTERS)}
    wrong = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
    if wrong:
        there, here = (list(shapes[wrong[0]]) if wrong[0] in shapes else "absent" for shapes in (given, wanted))
        raise LongtailError(
            f"The weights in {path} are not those of this backbone: {wrong[0]} is {there} in the file and {here} in "
            f"the network, and {len(wrong) - 1} more differ. Pre-trained weights are for the whole network with the "
            f"stem imagenet and three channels, without experts."
        )
    backbone.load_state_dict(weights, strict=False)


def digest_of(path: Path) -> str:
    """The SHA-256 of what the file was made from."""
    from safetensors import safe_open

    with safe_open(path, "pt") as opened:
        return str((opened.metadata() or {}).get("sha256", ""))
