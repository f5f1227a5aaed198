"""What finished jobs tell, and what is estimated from it or without it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import nn

from longtail.data.longtail import class_sizes
from longtail.errors import LongtailError
from longtail.files import write_table
from longtail.models.backbones import BACKBONES, STEMS, new_backbone
from longtail.reporting import finished
from longtail.reporting.estimate import CHECKPOINT_CLASS_VECTORS, CHECKPOINT_WEIGHTS, NOT_KNOWN, Estimate
from longtail.reporting.finished import Finished, Pace
from longtail.reporting.forecast import epochs_left
from longtail.study.jobs import Job, Jobs, behind
from longtail.study.study import load_study
from longtail.training.build import build
from longtail.training.specification import parse


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.chdir(tmp_path)
    return Jobs(load_study({"targets": ["digits"]}))


def training(jobs: Jobs, method: str, cut: str = "digits-ir10", seed: int = 0) -> Job:
    (measurement,) = jobs.study.cell_measurements(method, cut, seed)
    return jobs.train(measurement.run)


def finish(
    job: Job, *, seconds: float = 2.0, pace: float | None = 100.0, device: str = "a CPU", size: int = 1000
) -> None:
    """What a training leaves behind."""
    assert job.run is not None
    assert job.phase is not None
    write_table(job.run.history, pa.table({"epoch": [1]}), device=device, seconds=seconds, images_per_second=pace)
    Path(job.run.spec).write_text(json.dumps(job.phase.spec(job.run.seed)))
    Path(job.run.checkpoint).write_bytes(bytes(size))


def embed(job: Job, features: str, rows: int) -> Path:
    """An embedding that takes 40 bytes per row, and the file around it."""
    assert job.run is not None
    path = Path(job.run.embeddings(features, "train"))
    write_table(path, pa.table({"row": list(range(rows))}))
    return path


# --- Records ----------------------------------------------------------------------------------------------------------


def test_nothing_is_known_at_first(jobs: Jobs) -> None:
    assert finished.read() == Finished()


def test_paces_are_averaged_over_the_images_of_trainings_on_one_device(jobs: Jobs) -> None:
    finish(training(jobs, "simclr"), seconds=30, pace=100)
    finish(training(jobs, "simclr", "digits-ir5"), seconds=10, pace=300)
    finish(training(jobs, "simclr", seed=1), seconds=20, pace=5000, device="a GPU")
    finish(training(jobs, "moco"), seconds=1, pace=7, device="a GPU")
    paces = finished.read().paces
    assert paces["simclr", "resnet_small/cifar", 8, "float32"] == Pace(150.0, "a CPU", 2)
    assert paces["moco", "resnet_small/cifar", 8, "float32"] == Pace(7.0, "a GPU", 1)
    assert len(paces) == 2


def test_a_training_without_a_pace_tells_its_size_only(jobs: Jobs) -> None:
    finish(training(jobs, "simclr"), pace=None, size=500)
    finish(training(jobs, "simclr", seed=1), pace=None, size=700)
    found = finished.read()
    assert found.paces == {}
    assert found.checkpoint_bytes == {("simclr", "resnet_small"): 600}


def test_embeddings_are_measured_per_row(jobs: Jobs) -> None:
    finish(training(jobs, "simclr"))
    path = embed(training(jobs, "simclr"), "projection", 50)
    assert finished.read().row_bytes == {("resnet_small", "projection"): path.stat().st_size / 50}


@pytest.mark.parametrize("damage", ["spec", "history", "embeddings"])
def test_damaged_records_are_named_and_left_out(jobs: Jobs, damage: str) -> None:
    good, bad = training(jobs, "simclr"), training(jobs, "moco")
    for job in (good, bad):
        finish(job)
        embed(job, "projection", 5)
    assert bad.run is not None
    path = bad.run.embeddings("projection", "train") if damage == "embeddings" else getattr(bad.run, damage)
    Path(path).write_bytes(b"{}")
    found = finished.read()
    assert found.unreadable == (bad.run.folder,)
    assert "simclr" in {objective for objective, *_ in found.paces}


# --- Estimates --------------------------------------------------------------------------------------------------------


def phase(job: Job):
    assert job.phase is not None
    return job.phase


@pytest.mark.parametrize(
    ("cut", "head", "classes"), [("cifar10-ir10", 5000, 10), ("cifar20-ir100", 2500, 20), ("stl10-ir1", 1300, 10)]
)
def test_the_rows_are_those_of_the_split(jobs: Jobs, cut: str, head: int, classes: int) -> None:
    ratio = int(cut.rsplit("ir", 1)[1])
    assert Estimate(jobs.study, Finished()).rows(cut, "train") == class_sizes(head, classes, ratio).sum()


def test_the_rows_of_a_list_and_of_a_test_split_are_those_of_their_parts(jobs: Jobs) -> None:
    estimate = Estimate(jobs.study, Finished())
    assert estimate.rows("imagenet_lt-ir256", "train") == 115846
    assert estimate.rows("cifar10-ir10", "test") == 10000


def test_recorded_paces_come_first(jobs: Jobs) -> None:
    job = training(jobs, "simclr")
    finish(training(jobs, "simclr", "digits-ir5"), pace=500, device="some CPU")
    estimate = Estimate(jobs.study, finished.read())
    basis = estimate.basis(phase(job))
    assert basis.source == "500 images/s, measured over 1 training on some CPU"
    assert basis.hours_per_epoch == pytest.approx(class_sizes(174, 10, 10).sum() / 500 / 3600)
    # another objective, another backbone, another precision are other paces
    for other in (
        training(jobs, "moco"),
        training(jobs, "simclr", "cifar10-ir10"),
        training(Jobs(load_study({"targets": ["digits"], "precision": "mixed"})), "simclr"),
    ):
        assert "measured" not in estimate.basis(phase(other)).source


@pytest.fixture
def resources(jobs: Jobs) -> Iterator[dict[str, Any]]:
    """What the catalogue says that the digits ask for, to be changed."""
    found = jobs.study.catalog.datasets["digits"].images["resources"]
    before = dict(found)
    yield found
    found.clear()
    found.update(before)


def test_then_comes_what_the_catalogue_states(jobs: Jobs, resources: dict[str, Any]) -> None:
    resources.update(gpu=1, minutes_per_epoch=3)
    estimate, simclr = Estimate(jobs.study, Finished()), phase(training(jobs, "simclr"))
    assert estimate.basis(simclr).source == "3 minutes per epoch, the catalogue's for time limits"
    assert estimate.basis(simclr).hours_per_epoch == 0.05
    assert estimate.wants_gpu(simclr)


def test_otherwise_nothing_is_said(jobs: Jobs, resources: dict[str, Any]) -> None:
    for key in ("gpu", "minutes_per_epoch"):
        resources.pop(key, None)
    estimate, simclr = Estimate(jobs.study, Finished()), phase(training(jobs, "simclr"))
    assert estimate.basis(simclr).hours_per_epoch is None
    assert estimate.basis(simclr).source == NOT_KNOWN
    assert not estimate.wants_gpu(simclr)


def test_saved_epochs_need_no_training(jobs: Jobs) -> None:
    job = training(jobs, "conmix")
    assert job.run is not None
    last = phase(job).lineage[-1]
    assert epochs_left(job) == phase(job).epochs == last.last_epoch - last.first_epoch
    folder = Path(job.run.state)
    folder.mkdir(parents=True)
    (folder / f"{phase(job).identity}-seed0-epoch{last.last_epoch - 2:06}-step000000.pt").touch()
    assert epochs_left(job) == 2
    shutil.rmtree(folder)
    assert epochs_left(job) == phase(job).epochs


def test_images_are_counted_exactly(jobs: Jobs) -> None:
    estimate = Estimate(jobs.study, Finished())
    assert estimate.size(jobs.store("cifar10", "train")) == 50000 * 32 * 32 * 3


def test_files_are_as_large_as_finished_ones_of_their_kind(jobs: Jobs) -> None:
    job = training(jobs, "simclr")
    finish(training(jobs, "simclr", "digits-ir5"), size=12345)
    path = embed(training(jobs, "simclr", "digits-ir5"), "projection", 10)
    estimate = Estimate(jobs.study, finished.read())
    assert estimate.size(job) == 12345
    assert job.run is not None
    embedding = estimate.size(jobs.embed(job.run, "projection", "train"))
    assert embedding == pytest.approx(path.stat().st_size / 10 * class_sizes(174, 10, 10).sum())


def test_without_any_a_bound_comes_from_the_backbone(jobs: Jobs) -> None:
    estimate = Estimate(jobs.study, Finished())
    job = training(jobs, "simclr", "cifar10-ir10")
    assert job.run is not None
    assert estimate.size(job) == 4 * (CHECKPOINT_WEIGHTS * 11_200_000 + CHECKPOINT_CLASS_VECTORS * 512 * 10)
    rows = class_sizes(5000, 10, 10).sum()
    assert estimate.size(jobs.embed(job.run, "projection", "train")) == 4 * (512 + 10) * rows
    (pixels,) = jobs.study.cell_measurements("pixels", "digits-ir10", 0)
    assert estimate.size(jobs.embed(pixels.run, "pixels", "train")) == 4 * (64 + 10) * class_sizes(174, 10, 10).sum()


def test_a_sentence_encoder_has_no_bound(jobs: Jobs) -> None:
    of = Jobs(load_study({"targets": ["digits"]}))
    job = training(of, "text-conmix", "agnews-ir10")
    assert job.run is not None
    estimate = Estimate(of.study, Finished())
    assert estimate.size(job) is None
    assert estimate.size(of.embed(job.run, "projection", "train")) is None


def test_what_is_small_is_not_counted(jobs: Jobs) -> None:
    small = {"split", "cluster", "classify", "score", "project", "merge", "table", "figure"}
    order = behind(jobs.artefact(*artefact) for artefact in jobs.study.artefacts("digits"))
    sizes = {job.rule: Estimate(jobs.study, Finished()).size(job) for job in order}
    assert {rule for rule, size in sizes.items() if size == 0} == small


def test_the_catalogue_has_every_backbone(jobs: Jobs) -> None:
    assert set(jobs.study.catalog.backbones) == set(BACKBONES)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_backbones_are_as_stated(name: str, jobs: Jobs) -> None:
    stated = jobs.study.catalog.backbones[name]
    network = new_backbone(name, "cifar", 3)
    assert sum(weights.numel() for weights in network.parameters()) == pytest.approx(stated["parameters"], rel=0.05)
    assert network.width == stated["width"]
    for stem in STEMS:
        with nullcontext() if stem in stated["stems"] else pytest.raises(LongtailError, match="no stem"):
            new_backbone(name, stem, 3)


def with_weights_undrawn(name: str, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """The jobs on a backbone whose weights are not drawn, as only shapes are looked at."""
    for initialise in ("kaiming_normal_", "kaiming_uniform_", "xavier_uniform_"):
        monkeypatch.setattr(nn.init, initialise, lambda weights, *_, **__: weights.detach().zero_())
    return Jobs(load_study({"targets": ["digits"], "budget": {"backbone": name}}))


@pytest.mark.parametrize("name", BACKBONES)
def test_no_features_are_wider_than_their_bound(name: str, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What every method of the catalogue embeds, of a built network, with the settings of CIFAR."""
    jobs = with_weights_undrawn(name, monkeypatch)
    estimate, seen = Estimate(jobs.study, Finished()), set()
    for method in jobs.study.catalog.methods.values():
        if not method.recipe or method.reads != "images":
            continue
        supervised = method.readout in jobs.study.catalog.classifiers
        cut, classes = ("cifar100-lt-ir100", 100) if supervised else ("cifar20-ir10", 20)
        job = training(jobs, method.name, cut)
        kind = (phase(job).lineage[-1].implementation, method.features, estimate.width(phase(job)))
        if kind in seen:
            continue
        seen.add(kind)
        spec = parse(phase(job).spec(0)).with_rows(2 * classes, [2] * classes)
        objective = build(spec, build(spec.before(-1))) if spec.last.start == "transfer" else build(spec)
        found = objective.encoder("projection" if method.features == "memory" else method.features)
        with torch.no_grad():
            made = found.eval()(torch.zeros(2, 3, 8, 8))
        width = made[0].shape[1] if isinstance(made, tuple) else made.shape[1]
        assert width <= estimate.width(phase(job)), f"{method.name}: give its objective `branches`"
    assert len(seen) > 40


def test_no_checkpoint_is_larger_than_its_bound(jobs: Jobs) -> None:
    """The networks, and one moment of what is trained, or two under Adam, of every method of the catalogue."""
    estimate = Estimate(jobs.study, Finished())
    for name, method in jobs.study.catalog.methods.items():
        if method.recipe and method.reads == "images":
            supervised = method.readout in jobs.study.catalog.classifiers
            job = training(jobs, name, "digits-lt-ir10" if supervised else "digits-ir10")
            spec = parse(phase(job).spec(0)).with_rows(10, [1] * 10)
            objective = build(spec, build(spec.before(-1))) if spec.last.start == "transfer" else build(spec)
            trained = sum(weights.numel() for weights in objective.parameters() if weights.requires_grad)
            state = sum(value.nbytes for value in objective.state_dict().values())
            moments = 2 if "adam" in spec.last.settings.optimizer else 1
            assert state + moments * 4 * trained <= estimate.size(job), name
