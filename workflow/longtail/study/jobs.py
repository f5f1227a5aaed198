"""The jobs behind a study's cells, and which of them are left to do.

Snakemake decides what runs, and it alone sees what has changed; this is the same chain of stages as data, for what
people want to know about it: how much there is to do, and where a missing cell got stuck.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from longtail.study import layout
from longtail.study.cells import Measurement
from longtail.study.layout import Run
from longtail.study.phases import Phase
from longtail.study.study import Study

RULES = (
    "fetch_encoder", "fetch_weights", "store", "index", "tokenize", "split", "train", "embed", "embed_control",
    "corruptions", "infer_time", "cluster", "classify", "score", "project", "merge", "table", "figure",
)  # fmt: skip
"""The rules of the workflow that make something, from the first stage to the last."""

DECODING_THREADS = 4
"""Of the jobs `store` and `index`, which decode images."""

FEATURES_OF = {"train": "training_features", "val": "validation_features"}
"""What a readout ``needs`` that reads the features of another split besides."""


@dataclass(frozen=True, eq=False)
class Job:
    """One job of the workflow.

    Attributes:
        rule: the rule it is a job of, one of :data:`RULES`, or ``cell``.
        outputs: its files that other jobs read, or all there are if none does.
        log: its log.
        needs: the jobs whose outputs it reads, the earliest stage first.
        images: image set and part that it reads (``store``, ``index``).
        run: the run that it trains or embeds, or whose embeddings it reads.
        phase: what it trains (``train``).
        embedded: features and split (``embed``, ``embed_control``).
        corrupted: the dataset whose corrupted test images it reads (``corruptions``).
        names: what the rule's wildcards stand for in it, those of its run apart.
    """

    rule: str
    outputs: tuple[str, ...]
    log: str
    needs: tuple[Job, ...] = field(default=(), repr=False)
    images: tuple[str, str] | None = None
    run: Run | None = None
    phase: Phase | None = None
    embedded: tuple[str, str] | None = None
    corrupted: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The rule, and what tells the job from the rule's others: what its log is called."""
        _, _, log = self.log.partition("/logs/")
        return f"{self.rule} {log.partition('/')[2].removesuffix('.log')}"


class Jobs:
    """The jobs of a study. One job is one object, however many cells need it."""

    def __init__(self, study: Study) -> None:
        self.study = study

    @functools.cache  # noqa: B019 - lives as long as its process
    def encoder(self, name: str) -> Job:
        """Get the files of a sentence encoder."""
        folder = layout.encoder_folder(name)
        log = layout.log("fetch_encoder", folder)
        return Job("fetch_encoder", tuple(layout.encoder_files(name)), log, names={"encoder": folder})

    @functools.cache  # noqa: B019
    def weights(self, folder: str) -> Job:
        """Get the published weights of a network for images."""
        log = layout.log("fetch_weights", folder)
        return Job("fetch_weights", (layout.image_weights(folder),), log, names={"published": folder})

    @functools.cache  # noqa: B019
    def store(self, images: str, part: str) -> Job:
        """Decode a part of an image set, note where its images are, or cut a part of a text set into words."""
        names = {"set": images, "part": part}
        if images in self.study.sets("texts"):
            files = (layout.texts(images, part), layout.labels(images, part))
            needs = (self.encoder(str(self.study.encoder(images)["name"])),)
            return Job("tokenize", files, layout.log("tokenize", f"{images}-{part}"), needs, names=names)
        rule, place = ("index", layout.index) if self.study.stay_files(images) else ("store", layout.images)
        files = (place(images, part), layout.labels(images, part))
        return Job(rule, files, layout.log(rule, f"{images}-{part}"), images=(images, part), names=names)

    def _stores(self, cut: str, *splits: str) -> tuple[Job, ...]:
        dataset, _ = self.study.dataset_of(cut)
        parts = dict.fromkeys(part for split in splits for part in self.study.parts(cut, split))
        return tuple(self.store(dataset.images["name"], part) for part in parts)

    def _encoders(self, cut: str) -> tuple[Job, ...]:
        """The sentence encoder that reads a dataset; none for images."""
        dataset, _ = self.study.dataset_of(cut)
        if dataset.holds == "images":
            return ()
        return (self.encoder(str(self.study.encoder(dataset.images["name"])["name"])),)

    @functools.cache  # noqa: B019
    def split(self, cut: str, split: str) -> Job:
        """Cut a dataset; a test split speaks of the class sizes of its train split, too."""
        needs = self._stores(cut, "train", split)
        names = {"cut": cut, "split": split}
        return Job("split", (layout.split(cut, split),), layout.log("split", f"{cut}-{split}"), needs, names=names)

    @functools.cache  # noqa: B019
    def train(self, run: Run) -> Job:
        """Train the last stretch of a phase."""
        parent = self.study.parent_run(run)
        needs = [*self._encoders(run.cut), *self._stores(run.cut, "train"), self.split(run.cut, "train")]
        if (folder := self.study.starts_from(run.cut, run.name)) is not None:
            needs.insert(0, self.weights(folder))
        if parent is not None:
            needs.append(self.train(parent))
        phase = self.study.phase(run.cut, run.name)
        return Job("train", (run.checkpoint, run.spec), run.log("train"), tuple(needs), run=run, phase=phase)

    def lineage(self, run: Run) -> Iterator[Job]:
        """The trainings that lead to a phase, the first one first; none for a control."""
        if run.kind == "phases":
            parent = self.study.parent_run(run)
            if parent is not None:
                yield from self.lineage(parent)
            yield self.train(run)

    @functools.cache  # noqa: B019
    def embed(self, run: Run, features: str, split: str) -> Job:
        """Embed a split with a trained phase or a control."""
        needs = [*self._encoders(run.cut), *self._stores(run.cut, split), self.split(run.cut, split)]
        if run.kind == "phases":
            needs.append(self.train(run))
        return Job(
            "embed" if run.kind == "phases" else "embed_control",
            (run.embeddings(features, split), run.weights(features, split))
            if run.kind == "phases"
            else (run.embeddings(features, split),),
            run.log("embed", features, split),
            tuple(needs),
            run=run,
            embedded=(features, split),
            names={"features": features, "split": split},
        )

    @functools.cache  # noqa: B019
    def corruptions(self, run: Run, features: str) -> Job:
        """Count the corrupted test images that the classifier behind the features gets right; no store has them."""
        return Job(
            "corruptions",
            (run.corrupted(features),),
            run.log("corruptions", features),
            (self.train(run),),
            run=run,
            corrupted=self.study.dataset_of(run.cut)[0].name,
            names={"features": features},
        )

    @functools.cache  # noqa: B019
    def cluster(self, run: Run, features: str, split: str, clusterer: str) -> Job:
        """Cluster embeddings."""
        outputs = (run.assignments(features, split, clusterer),)
        log = run.log("cluster", features, split, clusterer)
        names = {"features": features, "split": split, "clusterer": clusterer}
        return Job("cluster", outputs, log, (self.embed(run, features, split),), run=run, names=names)

    @functools.cache  # noqa: B019
    def classify(self, run: Run, features: str, split: str, classifier: str) -> Job:
        """Predict the classes of embeddings."""
        dataset, _ = self.study.dataset_of(run.cut)
        needs = self._read_by(self.study.classifier(classifier, dataset, split), run, features, split)
        outputs = (run.predictions(features, split, classifier),)
        names = {"features": features, "split": split, "classifier": classifier}
        return Job("classify", outputs, run.log("classify", features, split, classifier), needs, run=run, names=names)

    def _read_by(self, entry: Mapping[str, Any], run: Run, features: str, split: str) -> tuple[Job, ...]:
        """The jobs whose outputs a classifier or a projection reads; weights are written with the embeddings."""
        needs = entry.get("needs", ())
        others = [other for other, kind in FEATURES_OF.items() if kind in needs]
        splits = dict.fromkeys([split, *others])
        return (self.split(run.cut, split), *(self.embed(run, features, each) for each in splits))

    @functools.cache  # noqa: B019
    def _score(self, run: Run, features: str, split: str, readout: str, scorer: str) -> Job:
        make = {"assignments": self.cluster, "predictions": self.classify}
        outputs = (run.metrics(features, split, readout, scorer),)
        names = {"features": features, "split": split, "readout": readout, "scorer": scorer}
        if readout == "network":
            return Job("infer_time", outputs, run.log("infer_time", features, split, scorer), run=run, names=names)
        if readout == "history":
            scored = self.train(run)
        elif readout == "corruptions":
            scored = self.corruptions(run, features)
        elif readout in ("embeddings", "weights"):
            scored = self.embed(run, features, split)
        else:
            scored = make[self.study.made_by(readout)](run, features, split, readout)
        log = run.log("score", features, split, readout, scorer)
        return Job("score", outputs, log, (self.split(run.cut, split), scored), run=run, names=names)

    @functools.cache  # noqa: B019
    def _project(self, run: Run, features: str, split: str, projection: str) -> Job:
        outputs, log = (run.projection(features, split, projection),), run.log("project", features, split, projection)
        needs = self._read_by(self.study.catalog.projections[projection], run, features, split)
        names = {"features": features, "split": split, "projection": projection}
        return Job("project", outputs, log, needs, run=run, names=names)

    def cell(self, measurement: Measurement) -> Job:
        """The job that makes the file of a cell."""
        features, split = measurement.keys["features"], measurement.keys["split"]
        if measurement.projection is not None:
            return self._project(measurement.run, features, split, measurement.projection)
        return self._score(measurement.run, features, split, measurement.keys["readout"], measurement.keys["scorer"])

    def asked_cell(self, method: str, cut: str, seed: int) -> Job:
        """The job that merges one cell asked for by name."""
        view = self.study.config.view
        outputs = (layout.cell(view, method, cut, seed),)
        needs = tuple(map(self.cell, self.study.cell_measurements(method, cut, seed)))
        names = {"method": method, "cut": cut, "seed": str(seed)}
        return Job("cell", outputs, layout.log("cell", f"{method}-{cut}-seed{seed}", view), needs, names=names)

    @functools.cache  # noqa: B019
    def artefact(self, paper: str, kind: str, name: str) -> Job:
        """The job that renders a table or figure out of its merged cells."""
        view, job = self.study.config.view, f"{paper}-{name}"
        cells = tuple(dict.fromkeys(map(self.cell, self.study.measurements(paper, name))))
        merge = Job("merge", (layout.merged(view, paper, name),), layout.log("merge", job, view), cells)
        rule, files = ("table", layout.table) if kind == "tables" else ("figure", layout.figure)
        return Job(rule, tuple(files(view, paper, name)), layout.log(rule, job, view), (merge,))


def behind(goals: Iterable[Job]) -> list[Job]:
    """The goals and all jobs they rest on, each once, none before what it needs."""
    found: dict[Job, None] = {}

    def visit(job: Job) -> None:
        if job not in found:
            for need in job.needs:
                visit(need)
            found[job] = None

    for goal in goals:
        visit(goal)
    return list(found)


def missing(goals: Iterable[Job], exists: Callable[[str], bool] = os.path.exists) -> list[Job]:
    """The jobs whose files are missing until the goals are there, with all that they are merged from.

    What lies before a file that is there may have been deleted; it is not missing unless another job waits for it.

    Args:
        goals: jobs that are wanted: tables and figures, or cells.
        exists: whether a file is there.

    Returns:
        The jobs in the order of :func:`behind`.
    """
    found: set[Job] = set()

    def require(job: Job) -> None:
        if job not in found and not all(map(exists, job.outputs)):
            found.add(job)
            for need in job.needs:
                require(need)

    chain = behind(goals)
    for goal in goals:
        for job in (goal, *cells_of(goal)):
            require(job)
    return [job for job in chain if job in found]


def to_run(goals: Iterable[Job], exists: Callable[[str], bool] = os.path.exists) -> list[Job]:
    """The jobs that have to run until the goals are there: the missing ones, and all that is made from what they make.

    So a store that was deleted, and that one new embedding needs, has everything run again that came from it, as
    Snakemake would. What was made under another version of the code counts as there. Arguments and order are those of
    :func:`missing`.
    """
    found = set(missing(goals, exists))
    chain = behind(goals)
    while again := [job for job in chain if job not in found and not found.isdisjoint(job.needs)]:
        found.update(again)
        found.update(missing([need for job in again for need in job.needs], exists))
    return [job for job in chain if job in found]


def cells_of(job: Job) -> tuple[Job, ...]:
    """The jobs that make the cells of a table or figure; none for other jobs."""
    return tuple(cell for merge in job.needs if merge.rule == "merge" for cell in merge.needs)


def first_missing(job: Job, found: Collection[Job]) -> Job:
    """The job that a missing one waits for in the end: one of the ``found`` missing ones, whose needs are all there."""
    while (before := next((need for need in job.needs if need in found), None)) is not None:
        job = before
    return job
