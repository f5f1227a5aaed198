"""What the commands of this room share."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from longtail.errors import LongtailError
from longtail.files import read_provenance, read_table

if TYPE_CHECKING:
    from longtail.study.artefacts import FigurePlan, TablePlan

Plan = TypeVar("Plan", "TablePlan", "FigurePlan")


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every command that renders something."""
    parser.add_argument("--paper", required=True, help="name of the paper or study, e.g. conmix")
    parser.add_argument("--config", required=True, help="the run's configuration as JSON, or @FILE with that JSON")
    parser.add_argument("--metrics", required=True, help="merged metrics (Parquet)")
    parser.add_argument("--out-dir", required=True, help="folder that the finished files go to")


def read_metrics(path: str, columns: Sequence[str], null: Sequence[str] = ()) -> pd.DataFrame:
    """Merged metrics; a file without any column, which is what merging no cell gives, becomes an empty frame.

    Args:
        path: the file.
        columns: that it must have, if it has any.
        null: columns of which only the lines are read that hold nothing in any of them.

    Raises:
        LongtailError: if the file is missing, unreadable, or lacks one of ``columns``.
    """
    merged = read_table(path, null=null)
    missing = [name for name in columns if name not in merged.column_names]
    if missing and merged.column_names:
        raise LongtailError(f"{path} lacks the column {', '.join(map(repr, missing))}; merge it again.")
    return merged.to_pandas()


def as_merged(plan: Plan, path: str) -> Plan:
    """The plan, with what the merged metrics at ``path`` know of their making (:func:`described`).

    Raises:
        LongtailError: if the metrics are of a budget, protocol or data that the plan's label does not tell of, so that
            they would pass for a reproduction as printed.
    """
    facts = read_provenance(path)
    if (made := facts.get("label", "")) not in plan.label:
        raise LongtailError(
            f"{path} was made with another configuration than the one given: {made}. Give that one as --config, or "
            f"merge the metrics anew."
        )
    return described(plan, facts)


def described(plan: Plan, facts: Mapping[str, Any]) -> Plan:
    """The plan, with what is known of the making of its metrics (``merge.facts_of``).

    Footnotes say on what the networks were trained or timed, and in which number format. The label says so if the
    metrics lack cells that were not computed yet.
    """
    trained = [f"{each['device']} in {each['precision']} ({each['trainings']})" for each in facts.get("trained", ())]
    if trained:
        plan = replace(plan, footnotes=(*plan.footnotes, f"Trained on {', '.join(trained)}."))
    timed = [f"{each['device']} in {each['precision']} ({each['networks']})" for each in facts.get("timed", ())]
    if timed:
        apart = " Times on different devices do not compare, nor do increases over them." if len(timed) > 1 else ""
        plan = replace(plan, footnotes=(*plan.footnotes, f"Networks timed on {', '.join(timed)}.{apart}"))
    cells = facts.get("cells", {})
    if cells.get("merged") == cells.get("wanted"):
        return plan
    partial = f"partial: {cells['merged']} of {cells['wanted']} cells"
    return replace(plan, label="; ".join(filter(None, [plan.label, partial])))
