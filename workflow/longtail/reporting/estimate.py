"""How long the jobs of a study will take, and how much disk: estimates, each of which says what it rests on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from longtail.reporting.finished import Finished, input_size, pace_key
from longtail.study.jobs import DECODING_THREADS, Job
from longtail.study.layout import Run
from longtail.study.phases import Phase
from longtail.study.study import Study

INDEX_LINE = 150
"""Bytes of an index for an image that stays a file: mostly its path, twice."""

DECODED_PER_CORE = 890
"""JPEG photographs of 500x375 pixels and 90 KB that a core decodes in a second, measured on one of an AMD EPYC.
`python -m benchmarks.decode` measures it anew."""

SENTENCE_WIDTH = 768
"""Width of the features of the sentence encoders that are in the catalogue."""

CHECKPOINT_WEIGHTS = 12
"""No checkpoint is larger than this many times its backbone: up to three networks, two moments of one, heads.

What a method holds for each class comes on top.
"""

CHECKPOINT_CLASS_VECTORS = 24
"""Vectors of a feature's width that a checkpoint holds for each class, at most: RSG has fifteen centres and a map."""

NOT_KNOWN = "not known: none has finished, and the catalogue names no minutes_per_epoch"


@dataclass(frozen=True)
class Basis:
    """What the length of a training is estimated from.

    Attributes:
        objective: what is minimised.
        images: image set and backbone.
        source: where the pace comes from, as plans print it.
        hours_per_epoch: on the split that is trained on, by the clock; None where nothing is known.
        gpus: how many GPUs are busy meanwhile; 0 for a training on a CPU.
    """

    objective: str
    images: str
    source: str
    hours_per_epoch: float | None
    gpus: int = 0

    @property
    def device_hours_per_epoch(self) -> float | None:
        """Hours of an epoch times the GPUs that they take, or hours of a CPU."""
        return None if self.hours_per_epoch is None else self.hours_per_epoch * max(self.gpus, 1)


def devices(name: str) -> int:
    """How many GPUs histories speak of that call the device so: ``4 × NVIDIA H200`` of four."""
    number, times, _ = name.partition(" × ")
    return int(number) if times and number.isdecimal() else 1


class Estimate:
    """Estimates for the jobs of one study."""

    def __init__(self, study: Study, finished: Finished) -> None:
        self.study = study
        self.finished = finished

    def rows(self, cut: str, split: str) -> int:
        """Images of a split, as the catalogue describes it."""
        return self.study.rows(cut, split)

    def basis(self, phase: Phase) -> Basis:
        """What is known about the pace of a training.

        Finished trainings of the objective with the same backbone and image size come first, then the catalogue's
        ``minutes_per_epoch``, which is made for time limits and is rather too long.
        """
        objective = phase.lineage[-1].objective
        images, backbone = self._images(phase.cut), json.loads(phase.backbone)
        title, gpus = f"{images['title']} ({backbone['name']})", self.gpus(phase)
        pace = self.finished.paces.get(pace_key(objective, backbone, input_size(images), phase.precision))
        if pace is not None:
            trainings = "1 training" if pace.trainings == 1 else f"{pace.trainings} trainings"
            source = f"{pace.images_per_second:z,.0f} images/s, measured over {trainings} on {pace.device}"
            hours = self.rows(phase.cut, "train") / pace.images_per_second / 3600
            return Basis(objective, title, source, hours, devices(pace.device) if gpus else 0)
        minutes = images["resources"].get("minutes_per_epoch")
        if minutes is None:
            return Basis(objective, title, NOT_KNOWN, None, gpus)
        at_once = f" on {gpus} GPUs" if gpus > 1 else ""
        source = f"{minutes:g} minutes per epoch{at_once}, the catalogue's for time limits"
        if self.study.stay_files(images["name"]):
            cores = max(1, images["resources"]["threads"] - gpus)  # each process of a GPU keeps one for its loop
            decoding = self.rows(phase.cut, "train") / (DECODED_PER_CORE * cores) / 60
            source += f"; {'more' if decoding > minutes else 'less'} for decoding, {decoding:z.1f} on {cores} cores"
            minutes = max(minutes, decoding)
        return Basis(objective, title, source, minutes / 60, gpus)

    def gpus(self, phase: Phase) -> int:
        """How many GPUs a training of a phase asks for."""
        return int(self._images(phase.cut)["resources"].get("gpu", 0))

    def decoding(self, job: Job) -> tuple[int, float]:
        """How many photographs a job decodes, to store their pixels or to see that it can, and the hours that takes.

        Of pixels only those are counted that are stored smaller than they are: small images take no time.
        """
        if job.images is None:
            return 0, 0.0
        spec, stay_files = self.study.store_spec(job.images[0]), self.study.stay_files(job.images[0])
        photographs = spec["parts"][job.images[1]] if stay_files or spec["source"].get("resize") else 0
        return photographs, photographs / (DECODED_PER_CORE * DECODING_THREADS) / 3600

    def wants_gpu(self, phase: Phase) -> bool:
        """Whether the trainings of a phase ask for a GPU."""
        return self.gpus(phase) > 0

    def size(self, job: Job) -> float | None:
        """Bytes of what a job leaves, None where nothing is known; 0 for what is small (assignments, metrics, tables).

        Images are counted exactly. Checkpoints and embeddings are as large as finished ones of their kind; where there
        is none, a bound is computed from the backbone.
        """
        if job.images is not None:
            return self._store(*job.images)
        if job.phase is not None:
            return self._checkpoint(job.phase)
        if job.run is not None and job.embedded is not None:
            return self._embeddings(job.run, *job.embedded)
        return 0

    def _images(self, cut: str) -> Mapping[str, Any]:
        return self.study.dataset_of(cut)[0].images

    def _store(self, image_set: str, part: str) -> float:
        images = next(d.images for d in self.study.catalog.datasets.values() if d.images["name"] == image_set)
        if self.study.stay_files(image_set):
            return INDEX_LINE * images["parts"][part]
        source = self.study.store_spec(image_set)["source"]
        side = source.get("crop") or images["image_size"]
        return images["parts"][part] * side**2 * images["channels"]

    def _checkpoint(self, phase: Phase) -> float | None:
        backbone = json.loads(phase.backbone)["name"]
        known = self.finished.checkpoint_bytes.get((phase.lineage[-1].objective, backbone))
        if known is None and backbone in self.study.catalog.backbones:
            network, classes = self.study.catalog.backbones[backbone], self._images(phase.cut)["classes"]
            per_class = CHECKPOINT_CLASS_VECTORS * network["width"] * classes
            return 4 * (CHECKPOINT_WEIGHTS * network["parameters"] + per_class)
        return known

    def _embeddings(self, run: Run, features: str, split: str) -> float | None:
        images, rows = self._images(run.cut), self.rows(run.cut, split)
        if run.kind == "controls":
            width = images["image_size"] ** 2 * images["channels"] if "image_size" in images else SENTENCE_WIDTH
            return 4 * (width + images["classes"]) * rows
        phase = self.study.phase(run.cut, run.name)
        known = self.finished.row_bytes.get((json.loads(phase.backbone)["name"], features))
        if known is None and (width := self.width(phase)) is not None:
            known = 4 * (width + images["classes"])
        return None if known is None else known * rows

    def width(self, phase: Phase) -> int | None:
        """No features of a phase are wider than this, apart from logits; None where nothing is known of its backbone.

        Features are as wide as the backbone, or as several of them side by side, or as the widest head of its lineage.
        """
        backbone = json.loads(phase.backbone)["name"]
        if backbone not in self.study.catalog.backbones:
            return None
        branches = self.study.catalog.objectives[phase.lineage[-1].objective].branches
        heads = [json.loads(stretch.settings).get("projection_width", 0) for stretch in phase.lineage]
        return max(branches * int(self.study.catalog.backbones[backbone]["width"]), *heads)
