"""What the resources of Snakemake's command line and profiles tell a job of GPUs, beside a stand-in driver."""

from __future__ import annotations

import re

import pytest

CIFAR = "results/smoke/cells/simclr/cifar10-h100-ir10/seed0.parquet"
IMAGENET = "results/smoke/cells/simclr/imagenet_lt-ir256/seed0.parquet"
DIGITS = "results/smoke/cells/simclr/digits-h100-ir10/seed0.parquet"


@pytest.fixture
def driver(workflow, libcuda, monkeypatch):
    """A workflow on a machine that seems to have four GPUs."""
    for name in ("SLURM_JOB_ID", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS"):
        monkeypatch.delenv(name, raising=False)
    workflow.settings |= {"LD_LIBRARY_PATH": str(libcuda.parent), "CUDA_VISIBLE_DEVICES": "0123"}
    return workflow


def asked(said, command):
    """The numbers of GPUs that the jobs of a command are given."""
    lines = re.findall(rf"python -m longtail {command} .*", said)
    return {tuple(re.findall(r"--gpus (\S+)", line)) for line in lines}


@pytest.mark.parametrize(
    ("options", "wanted"), [((), "1"), (("--resources", "gpu=0"), "0"), (("--resources", "gpu=4"), "1")]
)
def test_a_training_asks_for_one_gpu_unless_there_are_to_be_none(driver, options, wanted):
    said = driver.succeed(CIFAR, "--dry-run", "--printshellcmds", *options)
    assert asked(said, "train") == asked(said, "embed") == {(wanted,)}
    assert "No GPU" not in said


@pytest.mark.parametrize(
    ("options", "train", "embed"),
    [((), "1", "1"), (("--resources", "gpu=0"), "0", "0"), (("--resources", "gpu=2"), "2", "1")],
)
def test_a_training_on_imagenet_takes_as_many_gpus_as_there_are_up_to_four(driver, options, train, embed):
    said = driver.succeed(IMAGENET, "--dry-run", "--printshellcmds", *options)
    assert asked(said, "train") == {(train,)}
    assert asked(said, "embed") == {(embed,)}


@pytest.mark.parametrize(("options", "at_a_time"), [((), 1), (("--resources", "gpu=4"), 4)])
def test_one_job_uses_a_gpu_at_a_time_unless_there_are_more_to_share(driver, options, at_a_time):
    said = driver.succeed("results/smoke/cells/pixels/digits-h100-ir10/seed0.parquet", *options)
    assert f'gpu=Resource("gpu", {at_a_time})' in said  # what Snakemake hands out


def test_without_a_gpu_all_is_computed_on_the_cpu_which_is_said_once(workflow):
    workflow.settings["CUDA_VISIBLE_DEVICES"] = ""
    said = workflow.succeed(CIFAR, "--dry-run", "--printshellcmds")
    assert asked(said, "train") == asked(said, "embed") == {("0",)}
    assert len(re.findall("^No GPU: .*computed on the CPU", said, re.M)) == 1


def test_a_study_that_wants_no_gpu_hears_nothing_of_them(workflow):
    workflow.settings["CUDA_VISIBLE_DEVICES"] = ""
    assert "GPU" not in workflow.succeed(DIGITS, "--dry-run")


@pytest.mark.parametrize("options", [("--set-resources", "train:gpu=1"), ("--resources", "gpu=1")])
def test_who_asks_for_a_gpu_that_is_not_there_is_told_before_the_first_job(workflow, options):
    workflow.settings["CUDA_VISIBLE_DEVICES"] = ""
    target = DIGITS if options[0] == "--set-resources" else IMAGENET
    done = workflow.run(target, *options)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Jobs ask for a GPU, and there is none. CUDA_VISIBLE_DEVICES='' leaves none over." in said
    assert "--resources gpu=0" in said
    assert not workflow.files("phases/**/*")
    assert not workflow.files("datasets/**/*")


def test_computing_activations_again_redoes_nothing(trained):
    target = "results/smoke/cells/conmix/digits-h100-ir10/seed0.parquet"
    said = trained.succeed(target, "--dry-run", "--set-resources", "train:recompute_activations=1")
    assert "Nothing to be done" in said


def test_activations_are_computed_again_on_demand(workflow):
    said = workflow.succeed(DIGITS, "--dry-run", "--printshellcmds", "--set-resources", "train:recompute_activations=1")
    assert "--recompute-activations 1" in said


SHARED = ("--config", "trainings_per_gpu=8")


def flags(said, command, name):
    """What the jobs of a command are told by an option."""
    return set(re.findall(rf"python -m longtail {command} .*--{name} (\S+)", said))


def test_trainings_may_share_gpus(driver):
    said = driver.succeed(CIFAR, "--dry-run", "--printshellcmds", "--resources", "gpu=2", *SHARED)
    for command in ("train", "embed"):
        assert flags(said, command, "trainings-per-gpu") == {"8"}
        assert asked(said, command) == {("1",)}
    assert flags(said, "train", "threads") == {"1"}
    said = driver.succeed("results/smoke/cells/pixels/digits-h100-ir10/seed0.parquet", "--resources", "gpu=2", *SHARED)
    for name in ("gpu", "gpu_slots"):
        assert f'{name}=Resource("{name}", 16)' in said


def test_on_a_cluster_a_share_of_a_gpu_is_a_shard(driver):
    said = driver.succeed(CIFAR, "--dry-run", "--printshellcmds", "--profile", "slurm", *SHARED)
    jobs = re.findall(r"^ *rule (train|embed):\n(?: +.*\n)*? +resources: (.*)$", said, re.M)
    assert {rule for rule, _ in jobs} == {"train", "embed"}
    for _, resources in jobs:
        assert {"gpu=0", "gres=shard:1", "trainings_per_gpu=8"} <= set(resources.split(", "))
    assert flags(said, "train", "trainings-per-gpu") == flags(said, "embed", "trainings-per-gpu") == {"8"}


def test_a_training_on_several_gpus_has_them_alone(driver):
    said = driver.succeed(IMAGENET, "--dry-run", "--printshellcmds", "--resources", "gpu=2", *SHARED)
    assert asked(said, "train") == {("2",)}
    assert flags(said, "train", "trainings-per-gpu") == {"1"}
    assert "gpu_slots=16" in said


def test_without_a_gpu_there_is_nothing_to_share(workflow):
    workflow.settings["CUDA_VISIBLE_DEVICES"] = ""
    plain, shared = (workflow.succeed(CIFAR, "--dry-run", "--printshellcmds", *config) for config in ((), SHARED))
    commands = [re.findall(r"python -m longtail (?:train|embed) .*", said) for said in (plain, shared)]
    assert commands[0]
    assert commands[0] == commands[1]


def test_sharing_a_gpu_redoes_nothing(trained):
    target = "results/smoke/cells/conmix/digits-h100-ir10/seed0.parquet"
    assert "Nothing to be done" in trained.succeed(target, "--dry-run", *SHARED)
