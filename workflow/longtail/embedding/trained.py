"""A trained network as its training left it."""

from __future__ import annotations

from pathlib import Path

from longtail.errors import unknown
from longtail.methods.base import Objective
from longtail.training import checkpoint
from longtail.training.build import build
from longtail.training.specification import Specification, read_spec


def trained_objective(
    spec_path: Path, checkpoint_path: Path, features: str, encoder: Path | None = None
) -> tuple[Specification, Objective, int]:
    """The specification of a training, its objective with the weights of the end, and how many rows it was trained on.

    What is built is what was asked for: the checkpoint's own specification is data, and names no code to be run.

    Args:
        spec_path: specification that the training wrote.
        checkpoint_path: its checkpoint.
        features: that the objective must have.
        encoder: folder of the sentence encoder, for texts.

    Raises:
        LongtailError: if the two are not of one training, or there are no such features.
    """
    spec = read_spec(f"@{spec_path}")
    trained = checkpoint.read(checkpoint_path)
    checkpoint.require_phase(trained, spec, checkpoint_path)
    rows, class_sizes = checkpoint.trained_rows(trained, checkpoint_path)
    spec = spec.with_rows(rows, class_sizes)
    objective = build(spec, encoder=encoder)
    checkpoint.load_same(objective, trained, checkpoint_path)
    if features not in objective.features:
        raise unknown(f"kind of features of {spec.last.objective!r}", features, objective.features)
    return spec, objective, rows
