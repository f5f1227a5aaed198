"""``longtail.train``: one cell from raw images to metrics, in this process and without Snakemake.

Its jobs are those that the workflow would run, with the same commands, files, logs and values. So each can go on with
what the other has finished, an interrupted training included.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from longtail import preflight
from longtail.__main__ import execute
from longtail.errors import LongtailError
from longtail.files import read_table
from longtail.interface.asked import Asked, Settings, results_in
from longtail.processes import claim
from longtail.study.commands import Commands
from longtail.study.jobs import Job, Jobs, to_run
from longtail.study.study import Study

EVALUATING = ("split", "infer_time", "cluster", "classify", "score", "project", "cell")
"""Rules of whose jobs nothing has to be known ahead."""


def train(
    method: str,
    dataset: str,
    ratio: int,
    seed: int = 0,
    *,
    budget: str | Mapping[str, Any] | None = None,
    protocol: str | None = None,
    results: str | os.PathLike[str] = "results",
    config: Settings | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train and measure one cell, as far as it is not there; everything is kept in ``results``.

    An interruption (Ctrl-C, or a notebook's stop button) ends the update in progress, saves and raises
    ``KeyboardInterrupt``; the same call goes on from there, with the result of a training that was never interrupted.
    Raw data that have been exchanged since they were read are noticed by the workflow alone.

    Args:
        method: of the catalogue, such as ``"conmix"``.
        dataset: likewise, such as ``"digits"``.
        ratio: the imbalance, images of the largest class over those of the smallest.
        seed: of the training, a whole number from 0 on.
        budget: how much of the paper's training is done: ``"paper"``, ``"tenth"``, ``"smoke"``, or numbers of your own
            such as ``{"epochs": 0.1}``; the configuration's if None.
        protocol: ``"official"`` or ``"paper"``; the configuration's if None.
        results: the folder of all results.
        config: of the study; ``config.yaml`` of the working directory if None, or the default study without one.
        threads: most threads that a job computes with; as many as this process has processors if None.
        progress: whether bars show how far it is.

    Returns:
        The metrics, a line per value: ``metric``, ``value``, ``unit``, ``class`` (of which class, if of one), ``trial``
        (of the readout), and the keys of the cell.

    Raises:
        LongtailError: for unknown names, a wrong configuration, data that are not there, a workflow that is at work on
            the same results, or a job that fails.
        KeyboardInterrupt: when it is interrupted.
    """
    if threads is not None and threads < 1:
        raise LongtailError(f"threads is {threads}; it must be 1 or more, or None for as many as there are processors.")
    asked = Asked(config, budget, protocol)
    with results_in(results) as folder:
        cut, _ = asked.measurement(method, dataset, ratio, seed)
        cell = Jobs(asked.study).asked_cell(method, cut, seed)
        left = to_run([cell])
        if left:
            with contextlib.closing(claim(folder)):
                left = to_run([cell])  # what another workflow has made meanwhile is there
                _look_ahead(asked.study, left, folder)
                commands = Commands(asked.study, asked.document, threads or _processors(), _gpus(asked.study, cut))
                _run_all(left, commands, progress)
        return read_table(cell.outputs[0]).to_pandas()


def _look_ahead(study: Study, jobs: Sequence[Job], folder: str) -> None:
    found = preflight.look_ahead(study, [job for job in jobs if job.rule not in EVALUATING], folder)
    for word in found.words:
        warnings.warn(word, stacklevel=3)
    if found.errors:
        raise LongtailError(found.message())


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus(study: Study, cut: str) -> int:
    """One where the dataset asks for any and this machine has one."""
    dataset, _ = study.dataset_of(cut)
    if not dataset.images["resources"].get("gpu", 0) or not preflight.may_have_gpu():
        return 0
    there, word = preflight.gpus_for(1, asked=False)
    if not there:
        warnings.warn(word, stacklevel=3)
    return int(there)


def _run_all(jobs: Sequence[Job], commands: Commands, shown: bool) -> None:
    tqdm = _bars()
    with tqdm(total=len(jobs), unit="job", disable=not shown) as bar:
        for job in jobs:
            bar.set_description(job.rule)
            watching = _bar_of_updates(shown) if job.rule == "train" else contextlib.nullcontext()
            with watching:
                _run(job, commands.of(job))
            bar.update()


def _bars() -> Any:
    """Bars of a notebook, or of a terminal; the latter, too, in a notebook that lacks what draws them."""
    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)
        from tqdm.auto import tqdm
    return tqdm


@contextlib.contextmanager
def _bar_of_updates(shown: bool) -> Iterator[None]:
    """Shows the updates of a training."""
    from longtail.training.progress import Update, watched

    with _bars()(unit="update", leave=False, disable=not shown) as bar:

        def tell(now: Update) -> None:
            if bar.total is None:
                bar.reset(total=now.done + now.remaining)
            bar.set_description(f"epoch {now.epoch}/{now.epochs}", refresh=False)
            if now.loss is not None:
                bar.set_postfix(loss=f"{now.loss:z.4f}", refresh=False)
            bar.update()

        with watched(tell):
            yield


def _run(job: Job, words: list[str], run: Callable[[list[str]], int] = execute) -> None:
    """Run one job; what it says goes to its log, as in the workflow.

    Raises:
        LongtailError: if it fails.
        KeyboardInterrupt: if it was interrupted, after saving.
    """
    log = Path(job.log)
    try:
        for path in (log, *map(Path, job.outputs)):
            path.parent.mkdir(parents=True, exist_ok=True)
        said = log.open("w", encoding="utf-8", buffering=1)
    except OSError as error:
        raise LongtailError(f"Cannot write {log}: {error.strerror or error}. Check its folder.") from error
    with said, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = run(words)
        except LongtailError as error:
            print(f"error: {error}")
            raise
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
    if status == os.EX_TEMPFAIL:  # a training that saved and stopped
        raise KeyboardInterrupt(f"{job.name} is saved; the same call goes on from there.")
    if status:
        raise LongtailError(f"{job.name} failed with status {status}; its log is {log}.")
