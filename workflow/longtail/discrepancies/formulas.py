"""What formulas of the papers come to on the datasets that they print numbers for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from longtail.discrepancies.numbers import Contradiction, Number, Row
from longtail.errors import unknown
from longtail.splits import class_sizes
from longtail.study.settings import resolve, selectors

if TYPE_CHECKING:
    from longtail.study.study import Study


def derive(study: Study, every: Sequence[Number]) -> Iterator[Contradiction]:
    """All that the catalogue points at.

    Raises:
        LongtailError: if it points at an objective, a dataset or a row that there is not.
    """
    for paper, listed in study.catalog.inconsistencies.items():
        own = [number for number in every if number.paper == paper]
        for entry in listed.get("class_weights", ()):
            yield literal_weights(study, paper, entry, own)


def literal_weights(study: Study, paper: str, entry: Mapping[str, Any], own: Sequence[Number]) -> Contradiction:
    """Class weights 1 / E_k, E_k = (1 - beta^n_k) / (1 - beta), beside the same times the mean of E over the classes.

    The two differ by one factor for all classes, the mean of E, so a loss with the former is that much smaller.
    """
    objective = study.catalog.objectives.get(entry["objective"])
    if objective is None:
        raise unknown(f"objective (class_weights of {paper})", entry["objective"], study.catalog.objectives)
    printed = [number for number in own if number.row == entry["row"] and number.metric == "accuracy"]
    if not printed:
        raise unknown(f"row (class_weights of {paper})", entry["row"], {number.row for number in own})
    rows: list[Row] = []
    shown = []
    for number in printed:
        assert number.cell is not None
        dataset = study.catalog.dataset(number.cell.dataset)
        if dataset.head_class_rows is None:  # the sizes stand in a list that is read when the split is cut
            continue
        shown.append(number)
        ratio = number.cell.ratio
        beta = resolve(objective.settings["beta"], selectors(dataset, ratio), "paper")
        sizes = class_sizes(dataset.head_class_rows, dataset.images["classes"], ratio, dataset.construction)
        effective = [(1 - beta**size) / (1 - beta) for size in sizes]
        mean = sum(effective) / len(effective)
        weights = f"{1 / effective[0]:z.4f} to {1 / effective[-1]:z.4f}"
        scaled = f"{mean / effective[0]:z.2f} to {mean / effective[-1]:z.2f}"
        rows.append((number.column, f"{beta:g}", weights, scaled, (f"{mean:z.1f}", True), number.printed))
    return Contradiction(
        paper,
        f"{entry['where']} makes the loss many times smaller than the code does",
        entry["says"],
        ("column", "β", "weights as printed", "weights of the code", "factor between them", "printed accuracy"),
        tuple(rows),
        tuple(shown),
    )
