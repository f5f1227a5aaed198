"""Which rows an epoch visits, and in which order, where a supervised training does not visit each once.

A sampler, as data, is ``uniform`` or a mapping with one key:

* ``{power: g}``: class k with probability p_k in proportion to n_k^-g, then any of its images (ICCL Eq. 2): 0 shows all
  classes equally often, 1 is the reversed sampler of BBN (Megvii-Nanjing/BBN).
* ``{effective_number: b}``: an image of class k in proportion to 1 / E_k, E_k = (1 - b^n_k) / (1 - b) (CE-DRS in
  kaidic/LDAM-DRW).
* ``{class_aware: m}``: the classes in shuffled cycles, and of each in its turn the next m images of a shuffled cycle of
  its own (``ClassAwareSampler`` of facebookresearch/classifier-balancing). A class of fewer than m images shows some of
  them twice in a turn.
* ``{class_drawn: m}``: the same with a class drawn for each turn, all equally likely, whatever came before
  (frank-xwang/RIDE-LongTailRecognition, where m is 1).

The last two go on with their cycles from epoch to epoch in those codes. Here every epoch begins new ones, as all that
is random must follow from seed and epoch alone. Within an epoch all is as there: no image is shown again before all of
its class were, and with ``class_aware`` no class has two turns more than another. Lost is that the images of a large
class which one epoch left out come first in the next; there, too, the loader loses those that it had fetched ahead when
the epoch was cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Sampler = str | Mapping[str, Any]


def sampled(sampler: Sampler, labels: Tensor, draws: torch.Generator) -> Tensor:
    """The rows of an epoch.

    Args:
        sampler: see above, already checked.
        labels: true class of each row, (N,) int64 on the CPU; a class without rows is never drawn.
        draws: a generator on the CPU.

    Returns:
        Positions of rows, (N,) int64 on the CPU.
    """
    if isinstance(sampler, str):
        return torch.randperm(len(labels), generator=draws)
    ((kind, value),) = sampler.items()
    if kind in ("class_aware", "class_drawn"):
        return _in_turns(labels, value, draws, each_drawn=kind == "class_drawn")
    return torch.multinomial(row_weights(sampler, labels), len(labels), replacement=True, generator=draws)


def row_weights(sampler: Mapping[str, float], labels: Tensor) -> Tensor:
    """How often ``power`` or ``effective_number`` draws each row relative to the others, (N,) float64.

    A class drawn in proportion to n^-g, and any of its n rows then, is a row drawn in proportion to n^-(g + 1).
    """
    ((kind, value),) = sampler.items()
    sizes = torch.bincount(labels)[labels].double()
    if kind == "power":
        return (sizes / sizes.max()) ** -(value + 1)
    return (1 - value) / (1 - value**sizes)


def _in_turns(labels: Tensor, images: int, draws: torch.Generator, *, each_drawn: bool) -> Tensor:
    """``images`` of a class in each turn; classes come in cycles, or each is drawn."""
    members = _members(labels)
    turns, classes = -(-len(labels) // images), len(members)
    shown = torch.randint(classes, (turns,), generator=draws) if each_drawn else _cycles(classes, turns, draws)
    order = torch.empty(turns, images, dtype=torch.int64)
    own = shown.argsort(stable=True).split(torch.bincount(shown, minlength=classes).tolist())  # the turns of each class
    for rows, places in zip(members, own, strict=True):
        order[places] = rows[_cycles(len(rows), len(places) * images, draws)].view(-1, images)
    return order.flatten()[: len(labels)]


def _members(labels: Tensor) -> tuple[Tensor, ...]:
    """The positions of each label that there is, ascending."""
    counts = torch.unique(labels, return_counts=True)[1]
    return labels.argsort(stable=True).split(counts.tolist())


def _cycles(length: int, wanted: int, draws: torch.Generator) -> Tensor:
    """The first ``wanted`` of permutations of 0 to ``length`` - 1 one after another, (wanted,) int64."""
    permutations = [torch.randperm(length, generator=draws) for _ in range(-(-wanted // length))]
    return torch.cat(permutations or [torch.empty(0, dtype=torch.int64)])[:wanted]
