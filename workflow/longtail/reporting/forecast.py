"""``python -m longtail plan``: what there is to do before anything runs, what it takes, and what sharing saves."""

from __future__ import annotations

import argparse
import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from longtail.reporting import finished, overview
from longtail.reporting.attempts import saved_epoch
from longtail.reporting.estimate import DECODED_PER_CORE, Estimate
from longtail.study import layout
from longtail.study.counting import Work, works
from longtail.study.jobs import DECODING_THREADS, RULES, Job, Jobs
from longtail.study.phases import Phase

DEVICES = ("GPU", "CPU")
GIGABYTE = 1e9


@dataclass(frozen=True)
class Hours:
    """The estimated length of some trainings.

    Attributes:
        known: hours of those whose pace is known, each as many times as it takes GPUs.
        unknown: how many others there are.
        clock: the hours of the former by the clock, one training after the other.
        gpus: the most that one of them takes.
    """

    known: float = 0.0
    unknown: int = 0
    clock: float = 0.0
    gpus: int = 0

    def __str__(self) -> str:
        return "?" if self.unknown and not self.known else _amount(self.known, more=self.unknown)


@dataclass(frozen=True)
class Cost:
    """What one target takes, in numbers.

    Attributes:
        work: the jobs.
        left: hours of the trainings that have to run, less the epochs of saved states; by device asked for. Those of
            GPUs are hours times GPUs.
        whole: hours of all its trainings.
        apart: hours of all its trainings if nothing were shared.
        bytes: what the missing files will take on disk.
        unsized: how many files of unknown size are not among the bytes.
        decoded: photographs whose pixels will be stored.
        decoding: hours that takes.
        gpus: the most GPUs that one of the trainings asks for, whether or not its pace is known.
    """

    work: Work
    left: Mapping[str, Hours]
    whole: Mapping[str, Hours]
    apart: Mapping[str, Hours]
    bytes: float
    unsized: int
    decoded: int
    decoding: float
    gpus: int


def cost(work: Work, estimate: Estimate) -> Cost:
    """Hours and bytes of a target's jobs."""
    sizes = [estimate.size(job) for job in work.missing]
    decoding = [estimate.decoding(job) for job in work.left]
    return Cost(
        work=work,
        left=hours_of([(job.phase, epochs_left(job)) for job in work.trainings_left if job.phase], estimate),
        whole=hours_of([(job.phase, job.phase.epochs) for job in work.trainings if job.phase], estimate),
        apart=hours_of([(job.phase, job.phase.epochs) for job in work.apart if job.phase], estimate),
        bytes=sum(size for size in sizes if size is not None),
        unsized=sizes.count(None),
        decoded=sum(photographs for photographs, _ in decoding),
        decoding=math.fsum(hours for _, hours in decoding),
        gpus=max((estimate.gpus(job.phase) for job in work.trainings if job.phase), default=0),
    )


def epochs_left(job: Job) -> int:
    """Epochs that a training has before it, from its saved state or from its beginning; 0 for other jobs."""
    if job.phase is None:
        return 0
    saved = saved_epoch(job)
    return job.phase.epochs if saved is None else job.phase.lineage[-1].last_epoch - saved


def hours_of(trainings: Iterable[tuple[Phase, int]], estimate: Estimate) -> dict[str, Hours]:
    """The estimated length of some numbers of epochs, by device asked for."""
    known: defaultdict[str, list[tuple[float, float, int]]] = defaultdict(list)
    unknown: Counter[str] = Counter()
    for phase, epochs in trainings:
        device, basis = "GPU" if estimate.wants_gpu(phase) else "CPU", estimate.basis(phase)
        if basis.hours_per_epoch is None or basis.device_hours_per_epoch is None:
            unknown[device] += 1
        else:
            known[device].append((basis.device_hours_per_epoch * epochs, basis.hours_per_epoch * epochs, basis.gpus))
    return {
        device: Hours(
            math.fsum(hours for hours, _, _ in known[device]),
            unknown[device],
            math.fsum(clock for _, clock, _ in known[device]),
            max((gpus for _, _, gpus in known[device]), default=0),
        )
        for device in DEVICES
    }


def _amount(number: float, *, more: int = 0) -> str:
    """One decimal; ``more`` adds a plus for what is not in the number."""
    return ("<0.1" if 0 < number < 0.05 else f"{number:z,.1f}") + ("+" if more else "")


def table(costs: Sequence[Cost]) -> pa.Table:
    """One line per target, the last one for all together; hours and bytes are estimates."""
    return pa.Table.from_pylist(
        [
            {
                "target": each.work.target,
                "values": _values(each.work),
                "cells": len(each.work.cells),
                "cells_missing": len(each.work.cells_missing),
                "phases": len(each.work.trainings),
                "phases_left": len(each.work.trainings_left),
                "phases_apart": len(each.work.apart),
                **{
                    f"{device.lower()}_hours{suffix}": hours[device].known
                    for device in DEVICES
                    for suffix, hours in (("_left", each.left), ("", each.whole), ("_apart", each.apart))
                },
                "clock_hours_left": math.fsum(hours.clock for hours in each.left.values()),
                "decoding_hours_left": each.decoding,
                "gpus": each.gpus,
                "phases_left_of_unknown_pace": sum(hours.unknown for hours in each.left.values()),
                "bytes_missing": each.bytes,
                "files_missing_of_unknown_size": each.unsized,
                "jobs": len(each.work.jobs),
                "jobs_left": len(each.work.left),
                **{f"{rule}_left": each.work.by_rule[rule] for rule in RULES},
            }
            for each in costs
        ]
    )


def page(costs: Sequence[Cost], estimate: Estimate) -> str:
    """The plan as people read it."""
    hours = [f"{device}-hours" for device in DEVICES]
    header = ["target", "values", "cells", "missing", "phases", "to train", "unshared", "GPUs", *hours, "GB", "jobs"]
    return "\n".join(
        [
            *overview.heading(estimate.study, "Plan"),
            "",
            *_summary(costs[-1]),
            "",
            overview.listing(header, map(_line, costs)),
            "",
            "Each line stands for its target alone, `all` for all of them together, with what they share. Phases are "
            "counted per seed; unshared is their number if every method trained all of its own. GPUs are the most that "
            "one training asks for, and GPU-hours are hours times GPUs. Hours, GB and jobs are what is left to do.",
            "",
            *_jobs(costs),
            "",
            *_bases(costs[-1], estimate),
            "",
        ]
    )


def _summary(total: Cost) -> list[str]:
    work = total.work
    cells, phases, apart = len(work.cells), len(work.trainings), len(work.apart)
    missing, left = set(work.missing), work.trainings_left
    again = sum(job not in missing for job in left)
    resumed = sum(saved_epoch(job) is not None for job in left)
    training = [
        f"{len(left)} have to be trained",
        f"{again} of them again, since what they were made from is missing" if again else "",
        f"{resumed} of them from a saved state on" if resumed else "",
    ]
    return [
        f"- Cells: {cells}, of which {cells - len(work.cells_missing)} are there and {len(work.cells_missing)} are "
        "missing.",
        f"- Phases: {phases} distinct ones, of which {', '.join(filter(None, training))}.",
        f"- Sharing: {apart} trainings if every method trained all of its own; {apart - phases} are saved"
        + "".join(_saved(device, total.apart[device], total.whole[device]) for device in DEVICES)
        + ".",
        f"- Time, estimated: {_time(total.left)}, one training after the other{_clock(total.left)}.",
        *_decoding(total),
        f"- Disk, estimated: {_amount(total.bytes / GIGABYTE, more=total.unsized)} GB more of checkpoints, embeddings "
        f"and images; {_amount(shutil.disk_usage('.').free / GIGABYTE)} GB are free here.",
        f"- Jobs: {len(work.left)}.",
    ]


def _values(work: Work) -> int:
    """How many values can be computed."""
    return sum(map(bool, work.values))


def _saved(device: str, apart: Hours, whole: Hours) -> str:
    """What sharing saves, where enough is known to say so."""
    if apart.unknown or not apart.known:
        return ""
    return f", an estimated {_amount(apart.known - whole.known)} of {_amount(apart.known)} {device}-hours"


def _time(left: Mapping[str, Hours]) -> str:
    known = [f"{_amount(hours.known)} {device}-hours" for device, hours in left.items() if hours.known]
    unknown = sum(hours.unknown for hours in left.values())
    return " and ".join([*known, *([f"{unknown} trainings of unknown pace"] if unknown else [])]) or "none"


def _clock(left: Mapping[str, Hours]) -> str:
    """How long that is by the clock, where trainings take several GPUs at once."""
    gpus = max(hours.gpus for hours in left.values())
    clock = _amount(math.fsum(hours.clock for hours in left.values()))
    return f" ({clock} hours by the clock, on up to {gpus} GPUs each)" if gpus > 1 else ""


def _decoding(total: Cost) -> list[str]:
    if not total.decoded:
        return []
    minutes = _amount(60 * total.decoding)
    return [
        f"- Decoding, estimated: {minutes} minutes on {DECODING_THREADS} cores, once, "
        f"for {total.decoded:,} photographs."
    ]


def _line(each: Cost) -> list[str]:
    work = each.work
    return [
        work.target,
        str(_values(work)),
        *(str(len(jobs)) for jobs in (work.cells, work.cells_missing, work.trainings, work.trainings_left, work.apart)),
        str(each.gpus),
        *(str(each.left[device]) for device in DEVICES),
        _amount(each.bytes / GIGABYTE, more=each.unsized),
        str(len(work.left)),
    ]


def _jobs(costs: Sequence[Cost]) -> list[str]:
    """Jobs left by rule; rules of which there are none are left out."""
    rules = [rule for rule in RULES if costs[-1].work.by_rule[rule]]
    if not rules:
        return ["Nothing is left to do."]
    rows = [[each.work.target, *(str(each.work.by_rule[rule]) for rule in rules)] for each in costs]
    return ["## Jobs", "", overview.listing(["target", *rules], rows)]


def _bases(total: Cost, estimate: Estimate) -> list[str]:
    """Where the hours come from; what rests on the same stands in one line."""
    found: defaultdict[tuple[str, str, int], list[tuple[str, int]]] = defaultdict(list)
    for job in total.work.trainings:
        if job.phase is not None:
            basis = estimate.basis(job.phase)
            found[basis.images, basis.source, basis.gpus].append((basis.objective, job.phase.epochs))
    rows = [
        [images, _few(sorted({name for name, _ in trainings})), source, str(gpus), str(len(trainings)),
         str(sum(epochs for _, epochs in trainings))]
        for (images, source, gpus), trainings in sorted(found.items())
    ]  # fmt: skip
    return [
        "## What the estimates rest on",
        "",
        overview.listing(["images", "objectives", "pace", "GPUs", "phases", "epochs"], rows, texts=3),
        "",
        "Hours are those of training; embedding, clustering and scoring come on top. The catalogue's minutes are those "
        "of an RTX 4090 for CIFAR and STL-10, as ConMix tells them, and guesses otherwise. An epoch on images that "
        f"stay files takes as long as the slower of computing and decoding, at {DECODED_PER_CORE} photographs of about "
        "500x400 pixels per second and core, measured. Checkpoints and embeddings are taken to be as large as finished "
        "ones of their kind, and where there are none, as large as they can be. A file that exists counts as done; "
        "what has to be redone after a change, `snakemake --dry-run` tells.",
        *(f"The records in {folder} are damaged and left out." for folder in estimate.finished.unreadable),
    ]


def _few(names: Sequence[str], most: int = 4) -> str:
    """The first of many names, so that a line stays one."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    overview.add_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the plan and write it."""
    study = overview.study_of(arguments)
    estimate = Estimate(study, finished.read())
    costs = [cost(work, estimate) for work in works(Jobs(study))]
    text = page(costs, estimate)
    overview.write(
        arguments.out or layout.plan(study.config.view), text, table(costs), targets=list(study.config.targets)
    )
    print(text)
