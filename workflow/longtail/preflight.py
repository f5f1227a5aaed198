"""What can be known before the first job, said before it. Imports no torch, and what costs time only when it is needed.

The Snakefile asks :func:`raw_data` of every set that a target rests on, before it decides what to run, and
:func:`look_ahead` and :func:`gpus_for` of the jobs that will run. Only the process that a person started asks; so does
``longtail.interface`` before jobs of its own.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longtail.errors import LongtailError
from longtail.splits import FILES, LONG_TAILS
from longtail.study.jobs import Job, Jobs
from longtail.study.layout import Run
from longtail.study.phases import canonical
from longtail.study.study import Study

LARGE, SMALL = 1_000_000_000, 20_000_000
"""Bytes that no checkpoint or embedding exceeds, and none of the small network. A disk with so much room will do."""


def raw_data(output: str, inputs: Callable[[], list[Path]], title: str, benchmark: str) -> tuple[bool, str]:
    """Whether raw data have to be read again because they are not those that were decoded, and a word on it.

    Args:
        output: a file of what is made from them.
        inputs: tells the files that would be read now.
        title: what messages call the data.
        benchmark: of the job that reads them: it is there if they were read, even if the output has been deleted.

    Returns:
        Whether to read them again, and what to say; nothing where all is as it was.
    """
    folder = Path(output).parent
    if not (folder / "raw.json").exists() and not Path(benchmark).exists():
        return False, ""
    from longtail.data.watch import NOTE, Raw, state

    try:
        paths = inputs()
        found = state(folder, paths)
    except LongtailError as error:
        return False, f"The raw data of {title} cannot be looked at, so what was made from them is used. {error}"
    if found is Raw.GONE:
        places = ", ".join(map(str, paths[:2])) or "no file"
        return False, f"Raw data of {title} are no longer there ({places}); what was made from them is used."
    if found is Raw.CHANGED:
        return True, f"The raw data of {title} are not those that were read: they are read again, and all is redone."
    if found is Raw.UNKNOWN and paths:
        return False, (
            f"Which raw data of {title} were read is not known, as {folder / NOTE} is missing or broken: until "
            f"they are read again, nothing tells whether they are exchanged. To have that done, and all redone that "
            f"rests on them, add after the targets: --forcerun {output}"
        )
    return False, ""


def inputs_of(spec: Mapping[str, Any], part: str) -> list[Path]:
    """What a part of a set would be read from, see :func:`longtail.data.raw.inputs`."""
    from longtail.data import raw

    return raw.inputs(spec, part)


def encoder_inputs(folder: str | None) -> list[Path]:
    """The folder that a sentence encoder would be read from, see :func:`longtail.data.encoder.inputs`."""
    from longtail.data import encoder

    return encoder.inputs(folder)


# --- Before the first job ---------------------------------------------------------------------------------------------


@dataclass
class Findings:
    """What is known before the first job: ``errors``, in spite of which it would be begun in vain, and ``words``."""

    errors: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Take an error of the block as one of several, each of them once."""
        try:
            yield
        except LongtailError as error:
            if str(error) not in self.errors:
                self.errors.append(str(error))

    def message(self) -> str:
        """All errors as one."""
        if len(self.errors) == 1:
            return self.errors[0]
        return "\n".join(
            [f"{len(self.errors)} things stand in the way of the first job:", *(f"  * {text}" for text in self.errors)]
        )


def job_of(jobs: Jobs, wildcards: Mapping[str, str]) -> Job | None:
    """The job behind a job of Snakemake, by its wildcards; None if it reads no raw data, trains or embeds nothing."""
    for name in ("image_set", "streamed_set", "text_set"):
        if name in wildcards:
            return jobs.store(wildcards[name], wildcards["part"])
    if "encoder" in wildcards:
        return jobs.encoder(str(jobs.study.encoders()[wildcards["encoder"]]["name"]))
    if "published" in wildcards:
        return jobs.weights(wildcards["published"])
    if not {"phase", "control"} & set(wildcards):
        return None
    kind, name = ("phases", wildcards["phase"]) if "phase" in wildcards else ("controls", wildcards["control"])
    run = Run(kind, wildcards["cut"], name, int(wildcards["seed"]))
    if "features" in wildcards and "split" not in wildcards:
        return jobs.corruptions(run, wildcards["features"])
    if "features" in wildcards:
        return jobs.embed(run, wildcards["features"], wildcards["split"])
    return jobs.train(run)


def look_ahead(study: Study, jobs: Iterable[Job], results: str, free: int | None = None) -> Findings:
    """What can be known about data, network, batches and disk before the jobs are run.

    Args:
        study: of the jobs.
        jobs: those that will run; of what others need, nothing has to be there.
        results: the folder of the results.
        free: bytes on its disk; None asks the system.
    """
    found, chosen = Findings(), list(jobs)
    sites = _check_data(found, study, chosen)
    if sites:
        from longtail.data.downloads import unreachable

        for site, reason in unreachable(sites).items():
            found.errors.append(
                f"{' and '.join(dict.fromkeys(sites[site]))} must be downloaded from {site}, which cannot be reached "
                f"({reason}). Connect, or get the files elsewhere and name them in the configuration "
                f"(docs/raw-data.md)."
            )
    _check_cuts(found, study, chosen)
    if not found.errors:
        _check_classes(found, study, chosen)
    _check_trainings(found, study, chosen)
    place = Path(results).absolute()
    _check_disk(found, study, chosen, place, shutil.disk_usage(_existing(place)).free if free is None else free)
    return found


def _existing(place: Path) -> Path:
    while not place.exists():
        place = place.parent
    return place


def _check_data(found: Findings, study: Study, jobs: list[Job]) -> dict[str, list[str]]:
    """Check files of raw data; returns the sites to download from, with what."""
    sites: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        if job.rule == "fetch_encoder":
            encoder = study.encoders()[Path(job.outputs[0]).parent.name]
            from longtail.data.downloads import site_of_encoder
            from longtail.data.encoder import local_folder

            with found.noting():
                local_folder(encoder["folder"])
            if not encoder["folder"] and (site := site_of_encoder(str(encoder["name"]))):
                sites[site].append(str(encoder["name"]))
        elif job.rule == "fetch_weights":
            weights = study.image_weights()[Path(job.outputs[0]).parent.name]
            from longtail.data.downloads import site_of_weights
            from longtail.data.image_weights import local_file

            with found.noting():
                local_file(weights["file"])
            if not weights["file"] and (site := site_of_weights(str(weights["url"]))):
                sites[site].append(str(weights["url"]).rpartition("/")[2])
        elif job.rule in ("store", "index", "tokenize"):
            *_, name, part, _ = Path(job.outputs[0]).parts
            spec = study.store_spec(name)
            if spec["source"].get("kind") == "sklearn":  # comes with the package, and needs no look
                continue
            from longtail.data import raw

            with found.noting():
                raw.check(spec, part)
                if site := raw.site(spec, part):
                    sites[site].append(name)
            if job.rule == "tokenize":
                with found.noting():
                    _check_dictionaries(study.config.wordnet)
    for dataset in dict.fromkeys(job.corrupted for job in jobs if job.corrupted is not None):
        from longtail.data.corruptions import CorruptedSet, check

        with found.noting():
            check(CorruptedSet.from_json(canonical(study.corruptions_spec(study.catalog.dataset(dataset)))))
    return sites


def _check_dictionaries(named: str | None) -> None:
    """Check that there is a WordNet; its reader, which takes seconds to import, is asked only if it is not plain."""
    place = named or os.environ.get("WNSEARCHDIR") or "/usr/share/wordnet"
    if not Path(place, "data.noun").is_file():
        from longtail.data.wordnet import dictionaries

        dictionaries(named)


def _check_cuts(found: Findings, study: Study, jobs: list[Job]) -> None:
    """Check that the long tails which runs rest on can be cut, as far as the catalogue tells the sizes of classes."""
    from longtail.data.longtail import class_sizes, shot_groups

    for cut in dict.fromkeys(job.run.cut for job in jobs if job.run is not None):
        spec = study.split_spec(cut)
        if spec["construction"] in LONG_TAILS:
            with found.noting():
                tail = (spec["head_class_rows"], spec["classes"], spec["ratio"], spec["construction"])
                shot_groups(class_sizes(*tail), spec["shots"])


def _check_classes(found: Findings, study: Study, jobs: list[Job]) -> None:
    """Check that classes are as large as splits want them, of images that are not decoded yet and tell their labels."""
    import numpy as np

    from longtail.data import raw
    from longtail.data.split import SplitSpec, make_split

    to_decode = {job.images for job in jobs if job.images is not None}
    for cut in dict.fromkeys(job.run.cut for job in jobs if job.run is not None):
        dataset, _ = study.dataset_of(cut)
        name, labels, names = dataset.images["name"], {}, []
        if not all((name, part) in to_decode for part in dataset.pool):
            continue
        with found.noting():
            for part in dataset.pool:
                if (known := raw.labels(study.store_spec(name), part)) is None:
                    break
                labels[part], names = np.array(known[0], dtype=np.int64), known[1]
            else:
                make_split(SplitSpec(**study.split_spec(cut)), "train", labels, names)


def _check_trainings(found: Findings, study: Study, jobs: list[Job]) -> None:
    """Check that each training understands its settings, and that the rows of its split can be cut into its batches."""
    from longtail.training.batches import batches_of
    from longtail.training.specification import parse

    padded: dict[str, dict[str, int]] = defaultdict(dict)
    for phase in dict.fromkeys(job.phase for job in jobs if job.phase is not None):
        rows = study.rows(phase.cut, "train")
        with found.noting():
            stretch = parse(phase.spec(seed=0)).last
            chosen = stretch.settings
            batches_of(stretch.objective, rows, chosen.batch_size, chosen.drop_last, stretch.own)
            for pad in (views["pad"] for views in chosen.augmentations if "pad" in views):
                padded[study.dataset_of(phase.cut)[0].name][stretch.objective] = pad
    for name, objectives in padded.items():
        _check_windows(found, study, name, objectives)


LARGE_SIDE = 128
"""Pixels of a side from which on an image is no small one."""


def _check_windows(found: Findings, study: Study, dataset: str, pads: Mapping[str, int]) -> None:
    """Check that windows of padded images, which are made for small ones, suit the images of a dataset.

    Args:
        found: where to say so.
        study: of the dataset.
        dataset: its name.
        pads: of the objectives that cut windows, by name.
    """
    from longtail.data.rows import listed

    images = study.catalog.dataset(dataset).images
    size, crop = images["image_size"], study.store_spec(images["name"])["source"].get("crop")
    who = f"{listed(sorted(pads))} on {dataset}"
    way_out = f"Add `trained_as: imagenet_lt` to {dataset}, which takes crops and other settings for large images"

    if images["name"] in study.streamed() and not crop:
        found.errors.append(
            f"Images of {dataset} stay files of any size, and have no windows of one size as small images have, which "
            f"are padded: {who}. {way_out}, or give the source `resize` and `crop`."
        )
    elif size >= LARGE_SIDE and (crop or size) == size:
        found.words.append(
            f"Images of {size} pixels are moved by {max(pads.values())} at most while networks train, as if they were "
            f"small: {who}. {way_out}."
        )


def _check_disk(found: Findings, study: Study, jobs: list[Job], place: Path, free: int) -> None:
    """Compare what jobs will write with what is free: images are counted exactly, what is learned is bounded."""
    images = sum(_store_bytes(study, *job.images) for job in jobs if job.images is not None)
    if images > free:
        found.errors.append(
            f"The decoded images take {_shown(images)}, and only {_shown(free)} are free for "
            f"{place}. Make free space there, or let it be a link to a larger disk."
        )
        return
    learned = [job for job in jobs if job.run is not None]
    if images + sum(SMALL if job.phase and "resnet_small" in job.phase.backbone else LARGE for job in learned) < free:
        return
    from longtail.reporting import finished
    from longtail.reporting.estimate import Estimate

    estimate = Estimate(study, finished.read())
    sizes = [estimate.size(job) for job in learned]
    needed = images + sum(size for size in sizes if size is not None)
    if needed > free:
        found.words.append(
            f"What is to be computed may take up to {_shown(needed)}, and {_shown(free)} are free for "
            f"{place}. What does not fit ends the job that writes it; `plan` has the numbers."
        )
    elif None in sizes:
        found.words.append(
            f"{_shown(needed)} are needed, and {sizes.count(None)} files of unknown size; {_shown(free)} are "
            f"free for {place}."
        )


def _shown(size: float) -> str:
    """A number of bytes for people."""
    return f"{size / 1e9:z.1f} GB" if size >= 10**8 else f"{size / 1e6:z.1f} MB"


def _store_bytes(study: Study, image_set: str, part: str) -> int:
    spec = study.store_spec(image_set)
    if spec.get("storage") == FILES:  # an index of a hundred bytes an image
        return 0
    side = spec["source"].get("crop") or spec["image_size"]
    return int(spec["parts"].get(part, 0) * side**2 * spec["channels"])


# --- GPUs -------------------------------------------------------------------------------------------------------------


def may_have_gpu() -> bool:
    """Whether a look at the driver is worth while: there is one, and CUDA_VISIBLE_DEVICES does not hide all GPUs."""
    from longtail.devices import driver

    return os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1", "NoDevFiles") and driver.library() is not None


def gpus_for(wanted: int, asked: bool) -> tuple[bool, str]:
    """Whether jobs can have the GPUs that they want on this machine, and a word if they compute on the CPU instead.

    Args:
        wanted: the most that one job asks for, 1 or more.
        asked: whether a person has asked for GPUs, by ``--resources gpu=N``, a profile or ``--set-resources``.

    Returns:
        False where the jobs have to be told to compute on the CPU, which is not what anybody asked against.

    Raises:
        LongtailError: if a person asked, or Slurm gave this machine, and there are fewer; or if there is a driver that
            does not work, or a PyTorch without CUDA, as whoever has a GPU will want to know.
    """
    from longtail.devices import gpus

    pool = gpus.pool()
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    without_cuda = pool.gpus and _torch_without_cuda()
    if len(pool.gpus) >= wanted and not without_cuda:
        return True, ""
    on_cpu = "To compute on the CPU, say --resources gpu=0."
    if pool.gpus and not without_cuda:
        raise LongtailError(
            f"A job asks for {wanted} GPUs, and CUDA shows {len(pool.gpus)} here. Ask for as many, which gives the "
            f"same result: --set-resources train:gpu={len(pool.gpus)}. {on_cpu}"
        )
    reason = pool.problem or "CUDA shows none."
    if hidden is not None:
        reason = f"CUDA_VISIBLE_DEVICES={hidden!r} leaves none over."
    if without_cuda:
        reason = f"PyTorch is built without CUDA and cannot use the {pool.gpus[0].name} that the driver shows."
    if "SLURM_JOB_ID" in os.environ:
        raise LongtailError(
            f"Jobs ask for a GPU, and there is none. {reason} Choose a partition with GPUs, or the way of asking for "
            f"one that yours knows (slurm/profile.yaml). {on_cpu}"
        )
    broken = bool(pool.problem) and may_have_gpu()
    if asked or without_cuda or broken:
        raise LongtailError(f"Jobs ask for a GPU, and there is none. {reason} Run them on a machine with one. {on_cpu}")
    return False, f"No GPU: {reason} Trainings are computed on the CPU, with the same result up to rounding."


def _torch_without_cuda() -> bool:
    """Whether the installed PyTorch is built without CUDA, told from its version without importing it."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    try:
        text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return False
    return re.search(r"^cuda\b[^=\n]*= None", text, re.M) is not None
