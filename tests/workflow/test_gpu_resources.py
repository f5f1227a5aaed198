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
    lines = re.findall(rf"python -m longtail job {command} .*", said)
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
    said = driver.succeed("results/smoke/cells/pixels/digits-h100-ir10/seed0.parquet", "--verbose", *options)
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


SHARED = ("--config", "trainings_per_gpu=4")


def said_to(said, command):
    """Threads, GPUs and trainings per GPU that the jobs of a command are told."""
    lines = re.findall(rf"python -m longtail job {command} .*?--spec-out|python -m longtail job {command} .*", said)
    pattern = r"--threads (\d+) --gpus (\d+) --trainings-per-gpu (\d+)"
    return {tuple(map(int, re.search(pattern, line).groups())) for line in lines}


@pytest.mark.parametrize(
    ("target", "options", "train", "embed"),
    [
        (CIFAR, (), (2, 1, 4), (2, 1, 4)),  # a fourth of the 8 threads, too
        (CIFAR, ("--resources", "gpu=2"), (2, 1, 4), (2, 1, 4)),
        (CIFAR, ("--resources", "gpu=0"), (8, 0, 1), (8, 0, 1)),
        (IMAGENET, ("--resources", "gpu=2"), (16, 2, 1), (16, 1, 1)),  # it asks for several, and has them alone
        (IMAGENET, (), (16, 1, 1), (16, 1, 1)),
    ],
)
def test_what_a_training_that_may_share_a_gpu_is_told(driver, target, options, train, embed):
    done = driver.run(target, "--dry-run", "--printshellcmds", *options, *SHARED, cores=16)
    assert said_to(done.stdout + done.stderr, "train") == {train}
    assert said_to(done.stdout + done.stderr, "embed") == {embed}


@pytest.mark.parametrize(("options", "at_a_time"), [((), 4), (("--resources", "gpu=2"), 8)])
def test_so_many_trainings_run_at_a_time_on_each_gpu(driver, options, at_a_time):
    said = driver.succeed("results/smoke/cells/pixels/digits-h100-ir10/seed0.parquet", "--verbose", *options, *SHARED)
    assert f'gpu=Resource("gpu", {at_a_time})' in said
    assert f'gpu_slots=Resource("gpu_slots", {at_a_time})' in said


def test_a_training_that_has_its_gpus_alone_takes_all_their_slots(driver):
    said = driver.run(IMAGENET, "--dry-run", "--printshellcmds", "--resources", "gpu=4", *SHARED, cores=16)
    assert re.search(r"gpu=4, gpu_slots=16, nodes=1", said.stdout + said.stderr)


def test_more_gpus_than_there_are_is_said_in_gpus_where_they_are_shared(driver):
    said = driver.run(IMAGENET, "--resources", "gpu=9", "--set-resources", "train:gpu=9", *SHARED, cores=16)
    assert "A job asks for 9 GPUs, and CUDA shows 4 here." in said.stdout + said.stderr


def test_without_a_gpu_sharing_one_changes_nothing(workflow):
    workflow.settings["CUDA_VISIBLE_DEVICES"] = ""
    said = workflow.succeed(CIFAR, "--dry-run", "--printshellcmds", *SHARED, cores=16)
    assert said_to(said, "train") == said_to(said, "embed") == {(8, 0, 1)}


def test_sharing_gpus_redoes_nothing(trained):
    target = "results/smoke/cells/conmix/digits-h100-ir10/seed0.parquet"
    assert "Nothing to be done" in trained.succeed(target, "--dry-run", *SHARED)


SLURM = ("--profile", "slurm", "--default-resources", "slurm_account=group", "slurm_partition=gpu")


@pytest.mark.parametrize(
    ("target", "options", "resources"),
    [
        (CIFAR, SHARED, r"gpu=0, gpu_slots=1, gres=shard:1, nodes=1.* trainings_per_gpu=4, cpus_per_task=2,"),
        (CIFAR, (), r"gpu=1, gpu_slots=1, nodes=1.* trainings_per_gpu=1, cpus_per_task=8,"),
        (IMAGENET, SHARED, r"gpu=4, gpu_slots=1, nodes=1.* trainings_per_gpu=1, cpus_per_task=16,"),
        (IMAGENET, (), r"gpu=4, gpu_slots=1, nodes=1.* trainings_per_gpu=1, cpus_per_task=16,"),
    ],
)
def test_what_slurm_is_asked_for(driver, target, options, resources):
    done = driver.run(target, "--dry-run", "--printshellcmds", *SLURM, *options, cores=16)
    said = done.stdout + done.stderr
    (asked_for,) = {re.search(r"gpu=.*trainings_per_gpu=\d+, cpus_per_task=\d+,", text)[0] for text in trainings(said)}
    assert re.fullmatch(resources, asked_for)


def trainings(said):
    """What is printed of each training's resources."""
    return re.findall(r"^rule train:\n(?:    .*\n)*?    resources: (.*)$", said, re.M)
