"""``python -m longtail record``: keep what finished cells of a folder of results have found, as records.

A cell is recognised by what was trained, not by how the workflow is configured now: its specification is looked up in
the catalogue under every budget and protocol, with images from wherever it had them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa

from longtail.errors import LongtailError
from longtail.files import read_json, read_with_provenance
from longtail.records.record import OVERLOOKED, SCHEMA, Measured, Record
from longtail.study import catalog as catalogue
from longtail.study import layout, phases
from longtail.study.config import Config, budget_of, own_catalogs
from longtail.study.layout import Run
from longtail.study.phases import Phase, canonical, identity_of, kinship
from longtail.study.study import Study, load_study

PACE = ("images_per_second", "seconds")
"""Columns of a history that are no curve of the training."""

MADE = ("device", "precision", "threads", "seconds", "images_per_second", "peak_memory_bytes")
"""What a history says of its training, besides of the code that it ran."""

CODE = ("revision", "longtail", "python", "versions", "created")


OF_THE_CATALOGUE = "corruptions"
"""Where corrupted test images come from unless a configuration says otherwise."""


class Refused(Exception):
    """Why a cell is no record, and under which word of :data:`OVERLOOKED` it would be one; empty if under none."""

    def __init__(self, reason: str, word: str = "") -> None:
        super().__init__(reason)
        self.word = word


@dataclass(frozen=True)
class Origin:
    """What the catalogue calls a training.

    Attributes:
        study: the catalogue under the configuration that it was trained under.
        phase: the training, as that study has it, but for the source of its images.
        methods: the cells that measure it.
    """

    study: Study
    phase: Phase
    methods: tuple[tuple[str, str, str], ...]


class Catalogued:
    """The catalogue, under every configuration that a training may have had."""

    def __init__(self, root: Path = catalogue.CATALOG, own: tuple[Path, ...] = ()) -> None:
        self.catalog = catalogue.load(root, own)
        budgets = self.catalog.budgets
        self.configs = [Config(targets=(), budget=budget_of(name, budgets)) for name in budgets]
        self._studies: dict[str, Study] = {}

    def find(self, cut: str, spec: Mapping[str, Any]) -> Origin | None:
        """What a specification trains; None if nothing in the catalogue does. The papers' own budget is tried first."""
        kin = kinship(spec)
        for config, protocol in product(self.configs, ("official", "paper")):
            study = self._study(config, protocol, spec)
            try:
                finals = study.finals(cut) if study is not None else {}
            except LongtailError:  # under another budget the split has another name
                continue
            seed = _pretraining_seed(spec)
            found = {
                key: final if seed is None else phases.pretrained_with(final, seed) for key, final in finals.items()
            }
            methods = tuple(key for key, final in found.items() if final.kin == kin)
            if study is not None and methods:
                return Origin(study, found[methods[0]], methods)
        return None

    def _study(self, plain: Config, protocol: str, spec: Mapping[str, Any]) -> Study | None:
        dataset = self.catalog.datasets.get(spec["data"]["dataset"])
        if dataset is None:
            return None
        images, source = dataset.images["name"], spec["data"]["source"]
        config = replace(
            plain,
            protocol=protocol,
            precision=None if spec["precision"] == dataset.images["precision"] else spec["precision"],
            pretraining_seed=_pretraining_seed(spec),
            data={} if source == dataset.images["source"]["kind"] else {images: {"kind": "recorded", "name": source}},
        )
        if dataset.holds == "texts" and spec["backbone"]["name"] != dataset.images["backbone"]["name"]:
            config = replace(config, sentence_encoder=spec["backbone"])
        key = canonical(asdict(config))
        return self._studies.setdefault(key, Study(config, self.catalog))


def _pretraining_seed(spec: Mapping[str, Any]) -> int | None:
    seeds = (stretch.get("parent_seed") for stretch in spec["lineage"])
    return next((seed for seed in seeds if seed is not None), None)


def finished_cells() -> Iterator[Run]:
    """Every finished training of the results of which something was measured, whether or not its weights are kept."""
    for run in layout.finished_phases():
        if any(True for _ in _metric_files(run)):
            yield run


def _metric_files(run: Run) -> Iterator[tuple[str, tuple[str, str, str, str]]]:
    """The metric files of a training, each with its features, split, readout and scorer; no hidden file is one."""
    for path in sorted(Path(run.folder).glob("*/*/metrics/*/[!.]*.parquet")):
        features, split, _, readout, _ = path.relative_to(run.folder).parts
        if readout == "network":  # the time that it takes is the machine's, and no training is needed to have it again
            continue
        yield str(path), (features, split, readout, path.stem)


def specification(run: Run) -> dict[str, Any]:
    """What a run's folder says that was trained.

    Raises:
        Refused: if that is not what the folder is called after.
        LongtailError: if it cannot be read.
    """
    spec = read_json(f"@{run.spec}", "The specification")
    try:
        fits = identity_of(spec) == spec["identity"] and spec["seed"] == run.seed
    except (KeyError, TypeError, AttributeError):
        fits = False
    if not fits or not run.name.endswith(f"-{spec['identity']}"):
        raise Refused(f"{run.spec} does not describe what its folder is called after; one of them was changed")
    return spec


def record_of(run: Run, spec: Mapping[str, Any], known: Catalogued, overlook: Sequence[str] = ()) -> Record:
    """The record of a finished cell.

    Args:
        run: the training that it measures.
        spec: its :func:`specification`.
        known: the catalogue.
        overlook: words of :data:`OVERLOOKED`.

    Raises:
        Refused: if the cell is not finished, or what is not overlooked keeps it from being a record.
        LongtailError: if one of its files is damaged.
    """
    noticed: list[Refused] = []
    origin = known.find(run.cut, spec)
    if origin is None:
        noticed.append(Refused("the catalogue trains nothing like it, or no longer", "unknown"))
    elif origin.study.config.budget.name != "paper":
        noticed.append(Refused(f"it is of {origin.study.config.budget.label}", "budget"))
    behind = _behind(run, spec, origin)
    trainings, curves = zip(*(_training(each) for each in behind), strict=True)
    measured, values, revisions = _measured(run, spec)
    if origin is not None and not _own_readout(origin) & {each.readout for each in measured}:
        noticed.append(Refused(f"it is not measured by {' or '.join(sorted(_own_readout(origin)))}", "partial"))
    made = [*(training["revision"] for training in trainings), *revisions]
    unclean = next((revision for revision in made if revision.endswith("-dirty") or revision == "unknown"), None)
    if unclean is not None:
        noticed.append(Refused(f"the code that made it ({unclean}) is no commit", "dirty"))
    for refusal in noticed:
        if refusal.word not in overlook:
            raise refusal
    return Record(
        cut=run.cut,
        spec=spec,
        methods=tuple(
            {"method": method, "settings": settings, "backbone": backbone}
            for method, settings, backbone in (origin.methods if origin else ())
        ),
        label=origin.study.label({spec["data"]["dataset"]}) if origin else "",
        overlooked=tuple(refusal.word for refusal in noticed),
        trainings=trainings,
        measured=measured,
        revisions=tuple(sorted(set(revisions))),
        lines=pa.concat_tables([*curves, values]),
    )


def _own_readout(origin: Origin) -> set[str]:
    return {origin.study.catalog.method(method).readout for method, _, _ in origin.methods}


def _behind(run: Run, spec: Mapping[str, Any], origin: Origin | None) -> list[Run]:
    """The runs whose jobs trained the networks of this one, the earliest first; itself alone without an origin."""
    if origin is None:
        return [run]
    chain, seed = [run], run.seed
    here = origin.study.phase(run.cut, origin.phase.name)
    while (parent := origin.study.parent(here.cut, here.name)) is not None:
        seed, here = here.parent_seed(seed), parent
        chain.append(Run(run.kind, run.cut, replace(here, data=canonical(spec["data"])).name, seed))
    return chain[::-1]


def _training(run: Run) -> tuple[dict[str, Any], pa.Table]:
    """How a job trained, and its curves."""
    if not Path(run.history).exists():
        raise Refused(f"{run.folder} has no history.parquet, so its training is not finished or not all here")
    history, facts = read_with_provenance(run.history)
    lacking = [name for name in (*MADE, *CODE) if name not in facts]
    if lacking:
        raise Refused(f"{run.history} does not say its {', '.join(lacking)}: it is of an older version")
    columns = [name for name in history.column_names if name not in ("epoch", *PACE)]
    points = [
        {"training": run.name, "epoch": epoch, "metric": name, "value": float(f"{value:.6g}")}
        for name in columns
        for epoch, value in zip(history["epoch"].to_pylist(), history[name].to_pylist(), strict=True)
        if value is not None
    ]
    told = {"training": run.name, "seed": run.seed, **{name: facts[name] for name in (*MADE, *CODE)}}
    return told, pa.Table.from_pylist(points, schema=SCHEMA)


def _measured(run: Run, spec: Mapping[str, Any]) -> tuple[tuple[Measured, ...], pa.Table, list[str]]:
    """What was measured, by which settings, the values, and the revisions of the code that did."""
    measured, tables, revisions = [], [], []
    for path, place in _metric_files(run):
        table, facts = read_with_provenance(path)
        scored = facts["scored"]
        embedded = scored.get("embeddings", scored)
        if (embedded.get("identity"), embedded.get("seed")) != (spec["identity"], run.seed):
            raise Refused(f"{path} was not measured of this training, but of {embedded.get('identity')}")
        tested = scored.get("corrupted", {"source": OF_THE_CATALOGUE})
        if tested["source"] != OF_THE_CATALOGUE:
            raise Refused(
                f"{path} was measured on other {tested['name']} images than the published ones: {tested['source']}"
            )
        readout = scored.get("clusterer", scored.get("classifier"))
        measured.append(Measured(*place, canonical({"readout": readout, "scorer": facts["scorer"]})))
        revisions += [str(made.get("revision")) for made in (facts, scored, embedded)]
        of = dict(zip(("features", "split", "readout", "scorer"), place, strict=True))
        columns = {name: table[name] for name in table.column_names} | {
            name: pa.array([value] * len(table), pa.string()) for name, value in of.items()
        }
        whole = {name: columns.get(name, pa.nulls(len(table), SCHEMA.field(name).type)) for name in SCHEMA.names}
        tables.append(pa.table(whole, schema=SCHEMA))
    return tuple(measured), pa.concat_tables(tables), revisions


def asked_for(targets: Sequence[str], config: Mapping[str, Any]) -> set[tuple[str, str, int]]:
    """Split, kinship and seed of the cells of papers, tables, figures or files of cells.

    Raises:
        LongtailError: for a name that is none of these.
    """
    study = load_study({"targets": ["digits"], **config, "partial": False})
    found: set[tuple[str, str, int]] = set()
    for target in targets:
        within = layout.within_view(target, ("cells",))
        if within is not None and len(within[2]) == 3:
            method, cut, file = within[2]
            measurements = study.cell_measurements(method, cut, int(Path(file).stem.removeprefix("seed")))
        else:
            measurements = [m for paper, _, name in study.artefacts(target) for m in study.measurements(paper, name)]
        for measurement in measurements:
            if measurement.run.kind == "phases":
                seed = measurement.keys["seed"]
                phase = study.trained(measurement.cell, seed)
                found.add((phase.cut, phase.kin, seed))
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = "Exits with 1 if nothing was recorded, or a cell that was asked for by name was refused."
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help="papers, tables, figures or files of cells; all that is finished"
    )
    parser.add_argument("--config", default="{}", help="the run's configuration as JSON, or @FILE with that JSON")
    parser.add_argument("--results", default="results", metavar="FOLDER", help="where all results lie")
    parser.add_argument("--records", metavar="FOLDER", help="where records go (results/records)")
    listed = "; ".join(f"{word}: {reason}" for word, reason in OVERLOOKED.items())
    parser.add_argument(
        "--overlook", nargs="+", default=(), choices=OVERLOOKED, metavar="WORD", help=f"record all the same ({listed})"
    )


def run(arguments: argparse.Namespace) -> int:
    """Record what is finished, and say what is not and why."""
    layout.move(arguments.results)
    folder = arguments.records or layout.records_folder()
    config = read_json(arguments.config, "--config")
    wanted = asked_for(arguments.targets, config) if arguments.targets else None
    known = Catalogued(own=own_catalogs({"targets": ["digits"], **config}))
    written, seen = 0, set()
    refused: dict[tuple[str, str], list[str]] = {}
    for cell in finished_cells():
        try:
            spec = specification(cell)
            key = (cell.cut, kinship(spec), cell.seed)
            if wanted is not None and key not in wanted:
                continue
            seen.add(key)
            record = record_of(cell, spec, known, arguments.overlook)
        except Refused as refusal:
            refused.setdefault((str(refusal), refusal.word), []).append(cell.folder)
        except LongtailError as error:  # a file of this cell is damaged; the others are none the worse for it
            refused.setdefault((str(error).removesuffix("."), ""), []).append(cell.folder)
        else:
            written += 1
            print(f"recorded: {record.write(folder)}")
    missing = len(wanted - seen) if wanted is not None else 0
    begun = len(layout.saved_states())
    for (reason, word), folders in refused.items():
        way_out = f" To record all the same: --overlook {word}." if word else ""
        print(f"refused: {reason}.{way_out}", *folders, sep="\n  ", file=sys.stderr)
    number = sum(map(len, refused.values()))
    print(f"{written} recorded, {number} refused" + (f", {begun} trainings not finished" if begun else ""))
    if missing:
        print(f"{missing} of the cells asked for are not finished; `snakemake status` says what they lack.")
    return 1 if not written or (wanted is not None and refused) else 0
