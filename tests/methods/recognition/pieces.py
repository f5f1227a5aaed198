"""What tests of recognition share: objectives on a tiny backbone in float64, and a batch with labels."""

from __future__ import annotations

import torch

from longtail.methods.base import Batch, Context, Objective
from tests.methods.pieces import TinyBackbone, a_batch

CLASSES = 4
SIZES = torch.tensor([9, 6, 3, 2])


def context(new_backbone=TinyBackbone) -> Context:
    """Twenty images of four classes."""
    return Context(new_backbone, classes=CLASSES, rows=20, class_sizes=SIZES)


def made(kind: type[Objective], parent: Objective | None = None, new_backbone=TinyBackbone, **settings) -> Objective:
    """An objective in float64, the same at each call."""
    torch.manual_seed(0)
    return kind(kind.Settings(**settings), context(new_backbone), parent).double()


def labelled_batch(seed: int = 0, rows: int = 8) -> Batch:
    """Two views of some images, and the classes of those."""
    batch = a_batch(seed, rows)
    labels = torch.randint(CLASSES, (rows,), generator=torch.Generator().manual_seed(seed))
    return Batch(batch.views, batch.rows, batch.generator, (labels, labels))


def unlearned(objective: Objective) -> list[str]:
    """The parameters that the last backward did not reach, or with zeros alone."""
    return [name for name, p in objective.named_parameters() if p.grad is None or not p.grad.any()]
