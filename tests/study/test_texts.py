"""Texts in the plan: which methods read them, by which encoder, and where that comes from."""

from __future__ import annotations

import pytest

from longtail.errors import LongtailError
from longtail.study import layout
from longtail.study.jobs import Jobs, behind
from longtail.study.study import load_study

DISTILBERT = "sentence-transformers/distilbert-base-nli-stsb-mean-tokens"
OWN = {"name": "all-MiniLM-L6-v2", "folder": "/encoders/minilm"}


def study(**config):
    return load_study({"targets": ["miniclustering_table10"], **config})


def final(of, method, cut="agnews-ir10"):
    (measurement,) = of.cell_measurements(method, cut, 0)
    return of.phase(measurement.run.cut, measurement.run.name)


def test_every_value_of_table_10_has_a_cell():
    plan = study().table("miniclustering", "table10")
    assert len(plan.entries) == 32
    assert all(entry.cell is not None for entry in plan.entries)
    trained = {m.run for m in study().measurements("miniclustering", "table10") if m.run.kind == "phases"}
    assert len(trained) == 6


def test_a_phase_of_texts_says_what_is_read_and_by_what():
    spec = final(study(), "text-miniclustering").spec(0)
    assert spec["backbone"] == {"name": DISTILBERT}
    assert spec["data"]["max_tokens"] == 32
    assert {"image_size", "channels", "test_transform"}.isdisjoint(spec["data"])
    (stretch,) = spec["lineage"]
    assert stretch["start"] == "fresh"
    assert stretch["settings"]["augmentation"] == {"replaced": 0.2}
    assert stretch["settings"]["mini_clusters"] == 8
    assert "normalization" not in stretch["settings"]


def test_the_encoder_is_part_of_the_identity_and_its_folder_is_not():
    usual, own = final(study(), "text-conmix"), final(study(sentence_encoder=OWN), "text-conmix")
    moved = final(study(sentence_encoder={**OWN, "folder": "/elsewhere"}), "text-conmix")
    local = final(study(sentence_encoder={**OWN, "name": DISTILBERT}), "text-conmix")
    assert own.identity == moved.identity != usual.identity == local.identity
    images = [of.phases_of("digits-ir10").keys() for of in (study(), study(sentence_encoder=OWN))]
    assert images[0] == images[1]


def test_tables_say_whose_encoder_it_is():
    assert study(sentence_encoder=OWN).table("miniclustering", "table10").label == "sentence encoder all-MiniLM-L6-v2"
    assert study(sentence_encoder=OWN).table("miniclustering", "table3").label == ""
    assert "AgNews texts: parquet." in study().table("miniclustering", "table10").footnotes


def test_a_smaller_backbone_for_images_does_not_replace_an_encoder():
    phase = final(study(budget="smoke"), "text-miniclustering", "agnews-h100-ir10")
    assert phase.spec(0)["backbone"] == {"name": DISTILBERT}


@pytest.mark.parametrize(
    ("method", "cut", "message"),
    [
        ("conmix", "agnews-ir10", "'conmix' is one for images, but 'agnews' holds texts"),
        ("text-conmix", "cifar10-ir10", "'text-conmix' is one for texts, but 'cifar10' holds images"),
        ("pixels", "agnews-ir10", "'pixels' is one for images"),
        ("text-baseline", "digits-ir10", "'text-baseline' is one for texts"),
    ],
)
def test_a_method_of_the_other_kind_is_refused(method, cut, message):
    with pytest.raises(LongtailError, match=message):
        study().cell_measurements(method, cut, 0)


def test_the_encoder_is_fetched_once_and_comes_first():
    jobs = Jobs(study())
    found = behind([jobs.artefact("miniclustering", "tables", "table10")])
    assert [job.rule for job in found].count("fetch_encoder") == 1
    assert found[0].rule == "fetch_encoder"
    assert found[0].outputs[0] == (
        "results/encoders/sentence-transformers-distilbert-base-nli-stsb-mean-tokens/config.json"
    )
    readers = {job.rule for job in found if found[0] in job.needs}
    assert readers == {"tokenize", "train", "embed", "embed_control"}


def test_what_jobs_are_told():
    of = study(sentence_encoder=OWN, data_root="/raw")
    assert of.encoders() == {"all-minilm-l6-v2": OWN}
    spec = of.store_spec("stackoverflow")
    assert spec["texts"] == "stackoverflow"
    assert spec["source"]["root"] == "/raw"
    assert spec["max_tokens"] == 32
    assert layout.texts("agnews", "train") == "results/datasets/agnews/train/tokens.npz"
