"""What people type on a command line for a configuration, taken for what it means where that can only be one thing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from longtail.errors import LongtailError

LISTS = ("targets", "methods", "datasets", "seeds", "catalog")
VALUES = ("seeds", "pretraining_seed", "budget", "partial", "figures")


def meant(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as its words mean it: ``methods=simclr`` is a list of one name, ``seeds=0,1`` one of two numbers.

    Args:
        config: plain data as Snakemake merged it, which leaves ``true`` and ``null`` on its command line as text, and
            numbers and truths within lists and mappings, too.

    Returns:
        A new mapping. What cannot be taken for anything stays as it is, for the schema to refuse.

    Raises:
        LongtailError: for a number alone as ``seeds`` or ``budget``, since nobody can know what it counts.
    """
    found = {key: None if value == "null" else value for key, value in config.items()}
    for key in found.keys() & set(VALUES):
        found[key] = _with_values(found[key])
    seeds, budget = found.get("seeds"), found.get("budget")
    if type(seeds) is int and seeds >= 0:
        raise LongtailError(f"seeds: {seeds} alone may be a seed or how many there are. {_seeds(seeds)}")
    if type(budget) in (int, float):
        raise LongtailError(
            f"budget: {budget} is no budget. Did you mean 'budget={{epochs: {budget}}}', that share of all epochs, "
            "or the name of a budget, as in budget=tenth?"
        )
    for key in found.keys() & set(LISTS):
        value = found[key]
        if isinstance(value, str) and not value.startswith("["):
            parts = [part for part in re.split(r"[,\s]+", value) if part]
            found[key] = _with_values(parts) if key in VALUES else parts
    return found


def _seeds(number: int) -> str:
    if number in range(1, 11):
        several = ", ".join(map(str, range(number)))
        return f"Did you mean 'seeds=[{number}]', that seed, or 'seeds=[{several}]', so many of them?"
    return f"Did you mean 'seeds=[{number}]', that seed?"


def _with_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_values(item) for item in value]
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value
