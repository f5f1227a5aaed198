"""The targets that people ask for: what a mistyped one was probably meant to be, and what a plan of one is a plan of.

Snakemake takes any file whose name fits the pattern of a rule, and says of all others that no rule makes them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import PurePosixPath

from longtail.errors import LongtailError, closest
from longtail.study import layout, phases
from longtail.study.study import Study

RENDERED = {"tables": layout.TABLE_FORMATS, "figures": layout.FIGURE_FORMATS, "metrics": ("parquet",)}
KINDS = {"tables": "table", "figures": "figure", "metrics": "table or figure"}
CELL = layout.cell("", "<method>", "<dataset>-ir<ratio>", "<seed>")
LARGEST_SEED = 2**31 - 1


def check(study: Study, target: str, names: Collection[str], made: Callable[[str], bool]) -> None:
    """Make sure that a target is one.

    Args:
        study: what there is.
        target: as typed; a path as seen from the working directory.
        names: of the rules that may be asked for.
        made: whether a file fits the pattern of a rule.

    Raises:
        LongtailError: saying what is wrong with the target, and what was probably meant.
    """
    if target in names:
        return
    within = layout.within_view(target, (*RENDERED, "cells"))
    if within is not None:
        wrong, meant = _read(study, *within[1:])
        if within[0] != study.config.view:
            made_with = f"budget {study.config.budget.name}, protocol {study.config.protocol}"
            here, there = layout.view(within[0]), layout.view(study.config.view)
            wrong.insert(0, f"it lies in {here}/, but what this configuration ({made_with}) makes lies in {there}/")
        if wrong:
            raise LongtailError(f"There is no target {target!r}: {wrong[0]}. Did you mean {meant!r}?")
    elif not made(target):
        close = _close(study, os.path.relpath(target or "."), names, made)
        hint = f" Did you mean {close!r}?" if close else ""
        raise LongtailError(
            f"There is no target {target!r}.{hint} Targets are papers ({', '.join(study.catalog.papers)}), their "
            f"tables and figures (conmix_table2), their files (results/tables/conmix/table2.md) and cells ({CELL})."
        )


def of_overview(study: Study, targets: Iterable[str]) -> list[str]:
    """What a plan or status is to speak of: papers, tables and figures.

    Args:
        study: what there is.
        targets: those asked for beside ``plan`` or ``status``, names or files; none stands for the configuration's.

    Raises:
        LongtailError: for a target that is neither a paper, table or figure, nor a file of one.
    """
    found: dict[str, None] = {}
    for target in targets:
        within = layout.within_view(target, (*RENDERED, "cells"))
        if target == "all":
            found.update(dict.fromkeys(study.config.targets))
        elif within is not None and within[1] in RENDERED:
            check(study, target, (), lambda path: True)
            paper, file = within[2]
            found[f"{paper}_{PurePosixPath(file).stem}"] = None
        elif within is None and "/" not in target:
            study.artefacts(target)
            found[target] = None
        else:
            raise LongtailError(
                f"There is neither a plan nor a status of {target!r}: they speak of papers, tables and figures, as in "
                "`snakemake --cores 1 plan conmix_table2`."
            )
    return list(found) or list(study.config.targets)


def of_page(study: Study, targets: Iterable[str]) -> list[str]:
    """What the page of all results begins with: those of the targets that are papers, tables and figures.

    Args:
        study: what there is.
        targets: of a run, names or files; without any it is the configuration's.
    """
    found: list[str] = []
    for target in targets:
        with suppress(LongtailError):
            found += of_overview(study, [target])
    return list(dict.fromkeys(found)) or list(study.config.targets)


def _read(study: Study, place: str, parts: Sequence[str]) -> tuple[list[str], str]:
    """What is wrong with a path within a view, the worst first, and which target was meant."""
    return _read_cell(study, parts) if place == "cells" else _read_rendered(study, place, parts)


def _read_rendered(study: Study, place: str, parts: Sequence[str]) -> tuple[list[str], str]:
    by_paper = {
        paper: {place: [*spec.get(place, {})] for place in ("tables", "figures")}
        | {"metrics": [*spec.get("tables", {}), *spec.get("figures", {})]}
        for paper, spec in study.catalog.papers.items()
    }
    paper, file, *more = (*parts, "")[: max(2, len(parts))]
    name, _, suffix = file.partition(".")
    wrong: list[str] = []
    right_paper = _or_closest("paper", paper, [one for one, names in by_paper.items() if names[place]], wrong)
    names = by_paper[right_paper]
    if not file:
        return [*wrong, "it is a folder"], right_paper
    if name not in names[place] and name in names["metrics"]:
        other = "figures" if place == "tables" else "tables"
        wrong.append(f"{name} of {right_paper} is a {KINDS[other]}")
        place = other
    right_name = _or_closest(f"{KINDS[place]} of {right_paper}", name, names[place], wrong)
    right_suffix = _or_closest(f"format of {place}", suffix, RENDERED[place], wrong)
    if more:
        wrong.append(f"{file} is no folder")
    return wrong, f"{layout.view(study.config.view)}/{place}/{right_paper}/{right_name}.{right_suffix}"


def _read_cell(study: Study, parts: Sequence[str]) -> tuple[list[str], str]:
    method, cut, file, *more = (*parts, "", "")[: max(3, len(parts))]
    wrong = [f"the file of a cell is {CELL}"] if more or not file else []
    if method in study.catalog.planned["methods"]:
        study.catalog.method(method)
    right_method = _or_closest("method", method, study.catalog.methods, wrong)
    match = re.fullmatch(r"(?P<dataset>.*?)(?:-h\d+)?-ir(?P<ratio>.*)", cut)
    named, ratio = (match["dataset"], match["ratio"]) if match else (cut, "")
    if named in study.catalog.planned["datasets"]:
        study.catalog.dataset(named)
    reads = study.catalog.method(right_method).reads
    fitting = [one for one, dataset in study.catalog.datasets.items() if reads in (None, dataset.holds)]
    dataset = study.catalog.dataset(_or_closest(f"dataset for {right_method}", named, fitting, wrong))
    right_ratio = max(1, _whole(ratio, 10))
    if not re.fullmatch("[0-9]+", ratio) or int(ratio[:20]) < 1:
        wrong.append(f"an imbalance ratio is a whole number, at least 1, and not {ratio!r}")
    right_cut = phases.cut_name(dataset, right_ratio, study.config.budget)
    if cut != right_cut:
        wrong.append(f"under this budget the split is called {right_cut!r}")
    seed = min(_whole(file, 0), LARGEST_SEED)
    if file != f"seed{seed}.parquet":
        wrong.append(f"the file of a cell is {CELL}, with a seed that is a whole number from 0 on")
    return wrong, layout.cell(study.config.view, right_method, right_cut, seed)


def _or_closest(kind: str, name: str, known: Iterable[str], wrong: list[str]) -> str:
    """The name, or the one that comes nearest to it where it does not exist, which is then added to what is wrong."""
    names = list(known)
    if name in names:
        return name
    wrong.append(f"there is no {kind} {name!r}")
    return closest(name, names, cutoff=0) or names[0]


def _whole(text: str, otherwise: int) -> int:
    """The whole number that comes nearest to what a text says."""
    match = re.search(r"[0-9]{1,12}(\.[0-9]{1,12})?", text)
    return round(float(match[0])) if match else otherwise


def _close(study: Study, path: str, names: Collection[str], made: Callable[[str], bool]) -> str | None:
    """The target that comes nearest to what is none and lies in no view."""
    if made(path):
        return path
    for target in study.config.targets:
        if f"{target}_{path}" in names:  # many papers have a Table 2; that of the configured study is meant
            return f"{target}_{path}"
    parts = path.split("/")
    for number, part in enumerate(parts[:-1]):
        place = closest(part, (*RENDERED, "cells"), cutoff=0.75)
        if place is not None:
            return _read(study, place, parts[number + 1 :])[1]
    return closest(path, (*_files(study), *names), cutoff=0.6 if "/" in path else 0.5)


def _files(study: Study) -> Iterator[str]:
    """The files that can be listed."""
    for files in study.targets().values():
        yield from files
    yield from (f"{layout.DISCREPANCIES}.{form}" for form in ("md", "html"))
    for dataset in study.catalog.datasets.values():
        for part in dataset.images["parts"]:
            yield study.stored(dataset, part)
            yield layout.labels(dataset.images["name"], part)
    for encoder in study.encoders().values():
        yield from layout.encoder_files(str(encoder["name"]))
    yield from map(layout.image_weights, study.image_weights())
