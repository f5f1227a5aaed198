"""Which trainings start from published weights, and what has to be fetched for them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from longtail.errors import LongtailError
from longtail.study import catalog as catalogue
from longtail.study import layout
from longtail.study.config import parse
from longtail.study.jobs import Jobs, behind
from longtail.study.study import Study, load_study

CUT = "places_lt-ir996"
FOLDER = "resnet152-imagenet1k_v1"


def study(**config):
    return load_study({"targets": ["digits"], **config})


def trained(of, method, cut=CUT):
    (measured,) = of.cell_measurements(method, cut, 0)
    return of.phase(cut, measured.run.name)


def backbone(phase):
    return json.loads(phase.backbone)


def test_the_dataset_s_own_network_starts_from_its_weights_and_no_other_does():
    assert backbone(trained(study(), "rescom")) == {"name": "resnet152", "stem": "imagenet", "weights": "IMAGENET1K_V1"}
    assert backbone(trained(study(), "rescom", "imagenet_lt-ir256")) == {"name": "resnet50", "stem": "imagenet"}
    of = study(budget={"backbone": "resnet18"})
    assert backbone(trained(of, "rescom")) == {"name": "resnet18", "stem": "imagenet"}


def test_where_the_file_is_changes_no_training():
    own = study(image_weights={"resnet152": "/models/mine.pth"})
    assert trained(own, "rescom").identity == trained(study(), "rescom").identity
    url = "https://download.pytorch.org/models/resnet152-394f9c45.pth"
    assert study().image_weights() == {FOLDER: {"url": url, "file": None}}
    assert own.image_weights() == {FOLDER: {"url": url, "file": "/models/mine.pth"}}
    with pytest.raises(
        LongtailError, match=r"backbone with published weights .* 'resnet15'\. Did you mean 'resnet152'"
    ):
        study(image_weights={"resnet15": "/models/mine.pth"}).image_weights()


def test_weights_that_the_network_does_not_have_are_refused():
    catalog = catalogue.load()
    dataset = catalog.dataset("places_lt")
    wrong = {**dataset.images, "backbone": {**dataset.images["backbone"], "weights": "IMAGENET1K_V2"}}
    changed = replace(catalog, datasets={**catalog.datasets, "places_lt": replace(dataset, images=wrong)})
    of = Study(parse({"targets": ["digits"]}, catalog.budgets), changed)
    with pytest.raises(LongtailError, match=r"weights of resnet152 .* 'IMAGENET1K_V2'\. Did you mean 'IMAGENET1K_V1'"):
        trained(of, "rescom")


def test_they_are_fetched_once_and_before_whatever_makes_networks():
    of = study()
    jobs = Jobs(of)
    (measured,) = of.cell_measurements("mislas", CUT, 0)
    order = behind([jobs.cell(measured)])
    assert [job.rule for job in order].count("fetch_weights") == 1
    (fetch,) = [job for job in order if job.rule == "fetch_weights"]
    assert fetch.outputs == (layout.image_weights(FOLDER),) == (f"results/weights/{FOLDER}/model.safetensors",)
    readers = [job for job in order if fetch in job.needs]
    assert [job.rule for job in readers] == ["train", "train"]  # a transfer may make a new network, as DiVE's student
    assert all(of.starts_from(CUT, job.run.name) == FOLDER for job in readers)


def test_what_goes_on_from_a_checkpoint_needs_none():
    of = study()
    last = trained(of, "ce-drw")
    assert last.lineage[-1].start == "continue"
    assert of.starts_from(CUT, last.name) is None
    assert of.starts_from(CUT, last.parent.name) == FOLDER
    assert of.starts_from("imagenet_lt-ir256", trained(of, "rescom", "imagenet_lt-ir256").name) is None
