"""Every value that recognition trains with, against the official codes, written down a second time on purpose.

One module per family, and in it, by name of the objective or method:

* ``ON_CIFAR``: the settings on CIFAR-LT at ratio 100, under the official protocol.
* ``OF_THE_PAPERS``, ``ON_CIFAR100``: what is otherwise under the paper's protocol, or on CIFAR-100-LT.
* ``ON_LARGE``, ``LARGE_RECIPES``, ``NOT_ON``: settings and steps on the large sets, and where a method has none.
* ``RECIPES``: the steps as (objective, epochs on CIFAR-LT, epochs on digits-lt).
* ``READOUTS``, ``FEATURES``: where they are not ``classifier`` and ``backbone``.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

FAMILIES = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]


def gathered(name: str) -> dict[str, Any]:
    """The tables called ``name`` of all families as one."""
    entries = [item for family in FAMILIES for item in getattr(family, name, {}).items()]
    assert len(dict(entries)) == len(entries), f"two families have the same key in {name}"
    return dict(entries)
