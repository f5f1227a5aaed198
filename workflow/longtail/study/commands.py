"""The command behind each job of a cell: what its rule would run, for whoever runs jobs without Snakemake.

Rules say what Snakemake has to know (inputs, outputs, resources); this says the same to a process of one's own. Each
names what the study tells, and a test holds every command against that of its rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from longtail.study import layout
from longtail.study.jobs import DECODING_THREADS, FEATURES_OF, Job
from longtail.study.layout import Run
from longtail.study.phases import canonical
from longtail.study.study import Study


class Commands:
    """The commands of a study's jobs, in one process after the other."""

    def __init__(self, study: Study, document: Mapping[str, Any], cores: int, gpus: int = 0) -> None:
        """What all jobs have in common.

        Args:
            study: whose jobs they are.
            document: its configuration as plain data, for jobs that ask the study themselves.
            cores: threads that no job has more of.
            gpus: GPUs that no training has more of.
        """
        self.study, self.document, self.cores, self.gpus = study, document, cores, gpus

    def of(self, job: Job) -> list[str]:
        """The words after ``longtail``, beginning with ``job``.

        Args:
            job: of any rule but those that render tables and figures.
        """
        name, words = getattr(self, f"_{job.rule}")(job)
        return ["job", name, *map(str, words)]

    def _resources(self, cut: str) -> Mapping[str, Any]:
        dataset, _ = self.study.dataset_of(cut)
        return {"gpu": 0, **dataset.images["resources"]}

    def _threads(self, cut: str) -> tuple[Any, ...]:
        return "--threads", min(self._resources(cut)["threads"], self.cores)

    def _gpus(self, cut: str, most: int) -> tuple[Any, ...]:
        return "--gpus", min(self._resources(cut)["gpu"], self.gpus, most)

    def _images(self, cut: str, split: str) -> tuple[str, ...]:
        dataset, _ = self.study.dataset_of(cut)
        parts = self.study.parts(cut, split)
        return "--images", *(f"{part}={self.study.stored(dataset, part)}" for part in parts)

    def _encoder(self, cut: str) -> tuple[Any, ...]:
        dataset, _ = self.study.dataset_of(cut)
        return () if dataset.holds == "images" else self._encoder_of(dataset.images["name"])

    def _encoder_of(self, text_set: str) -> tuple[Any, ...]:
        name = str(self.study.encoder(text_set)["name"])
        return "--encoder", Path(layout.encoder_files(name)[0]).parent

    def _read_besides(self, needs: Iterable[str], run: Run, features: str, split: str) -> tuple[str, ...]:
        """What a classifier or a projection reads besides the embeddings of a split."""
        words: tuple[str, ...] = ("--weights", run.weights(features, split)) if "weights" in needs else ()
        for option, other in (("--training", "train"), ("--validation", "val")):
            if FEATURES_OF[other] in needs:
                words = *words, option, run.embeddings(features, other)
        return words

    def _fetch_encoder(self, job: Job) -> tuple[str, list[Any]]:
        encoder = self.study.encoders()[job.names["encoder"]]
        told = [word for key in ("name", "folder") if encoder[key] for word in (f"--{key}", encoder[key])]
        return "fetch", [*told, "--out", Path(job.outputs[0]).parent]

    def _fetch_weights(self, job: Job) -> tuple[str, list[Any]]:
        weights = self.study.image_weights()[job.names["published"]]
        told = [word for key in ("url", "file") if weights[key] for word in (f"--{key}", weights[key])]
        return "weights", [*told, "--out", job.outputs[0]]

    def _store(self, job: Job) -> tuple[str, list[Any]]:
        images, labels = job.outputs
        threads = min(DECODING_THREADS, self.cores)
        return "store", [*self._part(job), "--images", images, "--labels", labels, "--threads", threads]

    def _index(self, job: Job) -> tuple[str, list[Any]]:
        files, labels = job.outputs
        encoded = layout.encoded(job.names["set"], job.names["part"])
        threads = min(DECODING_THREADS, self.cores)
        return "index", [
            *self._part(job), "--files", files, "--encoded", encoded, "--labels", labels, "--threads", threads,
        ]  # fmt: skip

    def _tokenize(self, job: Job) -> tuple[str, list[Any]]:
        tokens, labels = job.outputs
        wordnet = ["--wordnet", self.study.config.wordnet] if self.study.config.wordnet else []
        encoder = self._encoder_of(job.names["set"])
        return "tokenize", [*self._part(job), *encoder, *wordnet, "--tokens", tokens, "--labels", labels]

    def _part(self, job: Job) -> list[Any]:
        return ["--spec", canonical(self.study.store_spec(job.names["set"])), "--part", job.names["part"]]

    def _split(self, job: Job) -> tuple[str, list[Any]]:
        cut, split = job.names["cut"], job.names["split"]
        dataset, _ = self.study.dataset_of(cut)
        parts = dict.fromkeys([*self.study.parts(cut, "train"), *self.study.parts(cut, split)])
        labels = [f"{part}={layout.labels(dataset.images['name'], part)}" for part in parts]
        spec = canonical(self.study.split_spec(cut))
        return "split", ["--spec", spec, "--split", split, "--labels", *labels, "--out", job.outputs[0]]

    def _train(self, job: Job) -> tuple[str, list[Any]]:
        run, phase = job.run, job.phase
        assert run is not None
        assert phase is not None
        folder, parent = self.study.starts_from(run.cut, run.name), self.study.parent_run(run)
        return "train", [
            "--spec", canonical(phase.spec(run.seed)), "--split", layout.split(run.cut, "train"),
            *self._images(run.cut, "train"),
            *(self._encoder(run.cut) if folder is None else ("--weights", layout.image_weights(folder))),
            *(() if parent is None else ("--parent", parent.checkpoint)),
            "--state", run.state, *self._threads(run.cut), *self._gpus(run.cut, self.gpus),
            "--trainings-per-gpu", 1, "--recompute-activations", 0,
            "--checkpoint", run.checkpoint, "--history", run.history, "--spec-out", run.spec,
        ]  # fmt: skip

    def _embed(self, job: Job) -> tuple[str, list[Any]]:
        run, features, split = self._embedded(job)
        return "embed", [
            "--spec", run.spec, "--checkpoint", run.checkpoint, "--features", features,
            "--split", layout.split(run.cut, split), *self._images(run.cut, split), *self._encoder(run.cut),
            *self._threads(run.cut), *self._gpus(run.cut, 1), "--trainings-per-gpu", 1,
            "--out", run.embeddings(features, split), "--weights", run.weights(features, split),
        ]  # fmt: skip

    def _embed_control(self, job: Job) -> tuple[str, list[Any]]:
        run, features, split = self._embedded(job)
        data = canonical(self.study.data_spec(*self.study.dataset_of(run.cut)))
        return "embed", [
            "--control", run.name, "--data", data, "--seed", run.seed, "--features", features,
            "--split", layout.split(run.cut, split), *self._images(run.cut, split), *self._encoder(run.cut),
            "--out", job.outputs[0],
        ]  # fmt: skip

    def _corruptions(self, job: Job) -> tuple[str, list[Any]]:
        run = job.run
        assert run is not None
        dataset, _ = self.study.dataset_of(run.cut)
        return "corruptions", [
            "--spec", run.spec, "--checkpoint", run.checkpoint, "--features", job.names["features"],
            "--set", canonical(self.study.corruptions_spec(dataset)), *self._threads(run.cut),
            *self._gpus(run.cut, 1), "--trainings-per-gpu", 1, "--out", job.outputs[0],
        ]  # fmt: skip

    def _infer_time(self, job: Job) -> tuple[str, list[Any]]:
        run = job.run
        assert run is not None
        spec = canonical(self.study.phase(run.cut, run.name).spec(run.seed))
        return "infer-time", [
            "--spec", spec, "--features", job.names["features"], "--scorer", self._scorer(job),
            *self._threads(run.cut), *self._gpus(run.cut, 1), "--out", job.outputs[0],
        ]  # fmt: skip

    def _cluster(self, job: Job) -> tuple[str, list[Any]]:
        run, features, split = self._embedded(job)
        dataset, _ = self.study.dataset_of(run.cut)
        return "cluster", [
            "--embeddings", run.embeddings(features, split),
            "--clusterer", canonical(self.study.catalog.clusterers[job.names["clusterer"]]),
            "--classes", dataset.images["classes"], *self._threads(run.cut), "--out", job.outputs[0],
        ]  # fmt: skip

    def _classify(self, job: Job) -> tuple[str, list[Any]]:
        run, _, split = self._embedded(job)
        dataset, _ = self.study.dataset_of(run.cut)
        classifier = self.study.classifier(job.names["classifier"], dataset, split)
        return "classify", self._reading("--classifier", classifier, job)

    def _project(self, job: Job) -> tuple[str, list[Any]]:
        return "project", self._reading("--projection", self.study.catalog.projections[job.names["projection"]], job)

    def _reading(self, option: str, entry: Mapping[str, Any], job: Job) -> list[Any]:
        """What a classifier or a projection, the ``entry`` of the catalogue, is told."""
        run, features, split = self._embedded(job)
        return [
            "--embeddings", run.embeddings(features, split),
            *self._read_besides(entry.get("needs", ()), run, features, split),
            "--split", layout.split(run.cut, split), option, canonical(entry), "--out", job.outputs[0],
        ]  # fmt: skip

    def _score(self, job: Job) -> tuple[str, list[Any]]:
        run, features, split = self._embedded(job)
        scored = self.study.scored(run, features, split, job.names["readout"])
        return "score", [
            "--scored", scored, "--split", layout.split(run.cut, split), "--scorer", self._scorer(job),
            "--out", job.outputs[0],
        ]  # fmt: skip

    def _cell(self, job: Job) -> tuple[str, list[Any]]:
        return "merge", [
            "--config", canonical(self.document), "--cell", *(job.names[name] for name in ("method", "cut", "seed")),
            "--results", layout.RESULTS, "--out", job.outputs[0],
        ]  # fmt: skip

    def _scorer(self, job: Job) -> str:
        return canonical(self.study.catalog.scorers[job.names["scorer"]])

    @staticmethod
    def _embedded(job: Job) -> tuple[Run, str, str]:
        assert job.run is not None
        return job.run, job.names["features"], job.names["split"]
