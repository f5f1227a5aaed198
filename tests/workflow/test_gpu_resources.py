"""What the resources of Snakemake's command line and profiles tell a job about GPUs."""

from __future__ import annotations

import re

import pytest

CIFAR = "results/smoke/cells/simclr/cifar10-h100-ir10/seed0.parquet"
IMAGENET = "results/smoke/cells/simclr/imagenet_lt-ir256/seed0.parquet"
DIGITS = "results/smoke/cells/simclr/digits-h100-ir10/seed0.parquet"


@pytest.mark.parametrize(
    ("options", "asked"), [((), "1"), (("--resources", "gpu=0"), "0"), (("--resources", "gpu=4"), "1")]
)
def test_a_training_asks_for_one_gpu_unless_there_are_to_be_none(workflow, options, asked):
    said = workflow.succeed(CIFAR, "--dry-run", "--printshellcmds", *options)
    for command in ("train", "embed"):
        lines = re.findall(rf"python -m longtail {command} .*", said)
        assert {tuple(re.findall(r"--gpus (\S+)", line)) for line in lines} == {(asked,)}


@pytest.mark.parametrize(
    ("options", "train", "embed"),
    [((), "1", "1"), (("--resources", "gpu=0"), "0", "0"), (("--resources", "gpu=2"), "2", "1")],
)
def test_a_training_on_imagenet_takes_as_many_gpus_as_there_are_up_to_four(workflow, options, train, embed):
    said = workflow.succeed(IMAGENET, "--dry-run", "--printshellcmds", *options)
    for command, asked in (("train", train), ("embed", embed)):
        lines = re.findall(rf"python -m longtail {command} .*", said)
        assert {tuple(re.findall(r"--gpus (\S+)", line)) for line in lines} == {(asked,)}


def test_a_missing_gpu_ends_the_job_with_the_way_out(workflow, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    said = workflow.refusal(DIGITS, "--set-resources", "train:gpu=1")
    assert said.startswith("error: This job asks for a GPU, and there is none.")
    assert "--resources gpu=0" in said


def test_computing_activations_again_redoes_nothing(trained):
    target = "results/smoke/cells/conmix/digits-h100-ir10/seed0.parquet"
    said = trained.succeed(target, "--dry-run", "--set-resources", "train:recompute_activations=1")
    assert "Nothing to be done" in said


def test_activations_are_computed_again_on_demand(workflow):
    said = workflow.succeed(DIGITS, "--dry-run", "--printshellcmds", "--set-resources", "train:recompute_activations=1")
    assert "--recompute-activations 1" in said
