"""Stop it however and whenever you like: what is finished is kept, and the rest ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

import psutil
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image

CELL = "results/custom/cells/conmix/digits-ir10/seed0.parquet"
PACE = ["images_per_second", "seconds"]


def folder(workflow, objective):
    """The folder of a phase, of which there is one per objective."""
    (found,) = (workflow.folder / "results/phases/digits-ir10").glob(f"{objective}-*/seed0")
    return found


def relative(workflow, path):
    return str(path.relative_to(workflow.folder))


def log(workflow, objective):
    """What the last training of an objective has said so far."""
    return "".join(path.read_text() for path in workflow.files(f"logs/train/digits-ir10/{objective}-*.log"))


def states(workflow):
    return sorted(path.name for path in workflow.files("state/**/*.pt") if not path.name.startswith("."))


def outputs_of(workflow, objective):
    """The outputs of a phase so far."""
    return [
        path
        for name in ("checkpoint.pt", "history.parquet", "spec.json")
        for path in workflow.files(f"phases/digits-ir10/{objective}-*/seed0/{name}")
    ]


def wait_until(condition, process):
    """Wait for something that ``process`` is about to do."""
    for _ in range(6000):
        if condition():
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    raise AssertionError("It did not happen within two minutes.")


def hold(workflow, objective, epoch=0):
    """Have a training wait for a signal, from an epoch on; what is returned tells whether it does."""
    said = workflow.folder / f"held-{objective}"
    said.unlink(missing_ok=True)
    (workflow.folder / f"hold-{objective}").write_text(str(epoch))
    return said.exists


def let_go(workflow, objective):
    """Have it wait no longer."""
    (workflow.folder / f"hold-{objective}").unlink()


def start_and_wait_for(workflow, objective):
    """Start the workflow and come back in the middle of a training, which waits for a signal."""
    for path in workflow.files(f"logs/train/*/{objective}-*.log"):
        path.unlink()  # of an earlier start
    waits = hold(workflow, objective, epoch=2)
    process = workflow.start(CELL)
    wait_until(waits, process)
    return process


def end_of(process):
    """What it said, after it has ended without success."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0, output
    return output


def is_training(process):
    """Whether a process trains; one that has just ended, or is no program yet, does not."""
    with contextlib.suppress(psutil.Error):
        program, *arguments = process.cmdline() or [""]
        return "python" in program and arguments[:4] == ["-m", "longtail", "job", "train"]
    return False


def training_of(process):
    """The training that a running workflow waits for, without what it has started itself."""
    trainings = list(filter(is_training, psutil.Process(process.pid).children(recursive=True)))
    (found,) = [training for training in trainings if training.ppid() not in {other.pid for other in trainings}]
    return found


def assert_as_if_nothing_had_happened(workflow, straight, *objectives):
    for objective in objectives:
        ours, theirs = folder(workflow, objective), folder(straight, objective)
        assert ours.parent.name == theirs.parent.name
        found, expected = (torch.load(path / "checkpoint.pt", weights_only=True) for path in (ours, theirs))
        assert same(found, expected)
        history, whole = (pq.read_table(path / "history.parquet").drop_columns(PACE) for path in (ours, theirs))
        stretch = found["spec"]["lineage"][-1]
        assert history["epoch"].to_pylist() == list(range(stretch["first_epoch"] + 1, stretch["last_epoch"] + 1))
        assert history.equals(whole)
    assert not workflow.files("state/**/*")


def assert_same_metrics(workflow, straight):
    assert pq.read_table(workflow.folder / CELL).equals(pq.read_table(straight.folder / CELL))


def same(one, other):
    """Whether two trees of dictionaries and lists hold the same, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_the_comparison_sees_a_difference(straight):
    checkpoint = torch.load(folder(straight, "conmix") / "checkpoint.pt", weights_only=True)
    again = torch.load(folder(straight, "conmix") / "checkpoint.pt", weights_only=True)
    assert same(checkpoint, again)
    weight = next(value for value in again["objective"].values() if value.is_floating_point())
    weight.view(-1)[0] += 1e-6 + weight.view(-1)[0].abs() * 1e-6
    assert not same(checkpoint, again)


def test_ctrl_c_and_then_a_power_cut(longer, straight):
    workflow = longer
    process = start_and_wait_for(workflow, "conmix")
    os.killpg(process.pid, signal.SIGINT)
    output = end_of(process)
    assert "Traceback" not in output
    assert "failed" not in output
    assert "  interrupted: train conmix to epoch " in output
    assert "    | Stopped by SIGINT: saved in results/state/" in output
    assert f"To go on: snakemake --snakefile {workflow.checkout / 'Snakefile'} {CELL} --cores 2\n" in output
    assert "Stopped by SIGINT: saved in results/state/" in log(workflow, "conmix")
    (stopped,) = re.findall(r"goes on from epoch (\d+), step (\d+)", log(workflow, "conmix"))
    assert not outputs_of(workflow, "conmix")
    assert len(states(workflow)) == 1
    warmup = (folder(workflow, "sdclr") / "checkpoint.pt").stat().st_mtime_ns

    # A lock does not outlive Ctrl-C: the same command goes on, until the power fails.
    process = start_and_wait_for(workflow, "conmix")
    os.killpg(process.pid, signal.SIGKILL)
    end_of(process)
    let_go(workflow, "conmix")
    assert f"Going on from epoch {stopped[0]}, step {stopped[1]}." in log(workflow, "conmix")
    assert len(states(workflow)) == 1

    output = workflow.fail(CELL)
    assert "--unlock" in output
    assert "Traceback" not in output
    workflow.succeed("--unlock")
    workflow.succeed(CELL)
    assert f"Going on from epoch {stopped[0]}, step {stopped[1]}." in log(workflow, "conmix")
    assert (folder(workflow, "sdclr") / "checkpoint.pt").stat().st_mtime_ns == warmup
    assert_as_if_nothing_had_happened(workflow, straight, "sdclr", "conmix")
    assert_same_metrics(workflow, straight)
    assert not workflow.leftovers()


def test_a_training_that_is_terminated_says_where_it_goes_on(longer, straight):
    workflow = longer
    process = start_and_wait_for(workflow, "sdclr")
    training_of(process).terminate()
    output = end_of(process)
    let_go(workflow, "sdclr")
    assert "1 job failed, and " in output
    assert "  train sdclr to epoch " in output
    assert "Stopped by SIGTERM: saved in results/state/" in output
    assert "The next run goes on from epoch" in output
    assert "Traceback" not in output
    assert not outputs_of(workflow, "sdclr")
    assert len(states(workflow)) == 1
    workflow.succeed(relative(straight, folder(straight, "sdclr") / "checkpoint.pt"))
    assert "Going on from epoch" in log(workflow, "sdclr")
    assert_as_if_nothing_had_happened(workflow, straight, "sdclr")
    assert not workflow.leftovers()


def kill_in_mid_training(workflow, command):
    """Run a training that saves after every update, and kill it after epoch 12."""
    waits = hold(workflow, "conmix", epoch=13)
    process = subprocess.Popen(
        [*command, "--checkpoint-seconds", "0"],
        cwd=workflow.folder,
        env=workflow.job_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_until(waits, process)
    process.kill()
    process.communicate()
    let_go(workflow, "conmix")
    assert process.returncode == -signal.SIGKILL


def test_a_training_that_is_killed_goes_on_from_its_last_save(held, straight, tmp_path):
    workflow = straight.copy(tmp_path / "work", held)
    phase = folder(workflow, "conmix")
    command = workflow.job(relative(workflow, phase / "checkpoint.pt"))
    shutil.rmtree(phase)
    (workflow.folder / CELL).unlink()
    kill_in_mid_training(workflow, command)
    assert not phase.exists()

    # What writers leave behind that are killed in the middle of a file
    newest = workflow.files("state/**/*.pt")[-1]
    half = newest.read_bytes()[:1000]
    newest.with_name(f".{newest.stem}-abc.tmp.pt").write_bytes(half)
    litter = [phase / ".checkpoint-abc.tmp.pt", phase / "projection/train/.embeddings-abc.tmp.parquet"]
    for path in litter:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(half)

    workflow.succeed(CELL)
    (epoch,) = re.findall(r"Going on from epoch (\d+),", log(workflow, "conmix"))
    assert int(epoch) >= 12
    assert_as_if_nothing_had_happened(workflow, straight, "conmix")
    assert_same_metrics(workflow, straight)
    assert workflow.leftovers() == litter


def test_jobs_do_not_outlive_a_workflow_that_is_killed(longer, straight):
    workflow = longer
    process = start_and_wait_for(workflow, "conmix")
    training = training_of(process)
    process.kill()
    end_of(process)
    assert not psutil.wait_procs([training], timeout=120)[1]
    let_go(workflow, "conmix")
    assert "has ended without its jobs" in log(workflow, "conmix")
    (stopped,) = re.findall(r"goes on from epoch (\d+), step (\d+)", log(workflow, "conmix"))
    assert not outputs_of(workflow, "conmix")
    assert len(states(workflow)) == 1
    workflow.succeed("--unlock")
    workflow.succeed(CELL)
    assert f"Going on from epoch {stopped[0]}, step {stopped[1]}." in log(workflow, "conmix")
    assert_as_if_nothing_had_happened(workflow, straight, "sdclr", "conmix")
    assert_same_metrics(workflow, straight)
    assert not workflow.leftovers()


def test_a_second_workflow_is_refused_and_the_first_finishes_its_job_when_it_is_terminated(longer, elsewhere, straight):
    workflow = longer
    process = start_and_wait_for(workflow, "sdclr")
    output = workflow.fail(CELL)
    assert "cannot be locked" in output
    assert "Traceback" not in output

    message = elsewhere.refusal(CELL)
    for word in (str(workflow.folder / "results"), f"process {process.pid} on ", f"started in {workflow.folder}"):
        assert word in message

    process.terminate()
    let_go(workflow, "sdclr")
    output = end_of(process)
    assert output.count("Asked to stop: 1 running job will be finished, and no more are started.") == 1
    assert "Stopped as asked after " in output
    assert "To go on: snakemake " in output
    assert "Traceback" not in output
    assert_as_if_nothing_had_happened(workflow, straight, "sdclr")
    assert not log(workflow, "conmix")
    warmup = (folder(workflow, "sdclr") / "checkpoint.pt").stat()
    workflow.succeed(CELL)
    again = (folder(workflow, "sdclr") / "checkpoint.pt").stat()
    assert (again.st_ino, again.st_mtime_ns) == (warmup.st_ino, warmup.st_mtime_ns)
    assert_same_metrics(workflow, straight)


def test_a_damaged_state_falls_back_to_the_one_before(held, straight, tmp_path):
    workflow = straight.copy(tmp_path / "work", held)
    phase = folder(workflow, "conmix")
    command = workflow.job(relative(workflow, phase / "checkpoint.pt"))
    shutil.rmtree(phase)
    kill_in_mid_training(workflow, command)
    before, newest = [path for path in workflow.files("state/**/*.pt") if not path.name.startswith(".")][-2:]
    newest.write_bytes(newest.read_bytes()[:1000])
    (epoch, step) = re.findall(r"-epoch(\d+)-step(\d+)", before.name)[0]
    ended = workflow.by_hand(command)
    assert ended.returncode == 0
    assert f"Passing over a saved state: {relative(workflow, newest)} is truncated" in ended.stderr
    assert f"Going on from epoch {int(epoch)}, step {int(step)}." in ended.stderr
    assert_as_if_nothing_had_happened(workflow, straight, "conmix")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_trains_nothing_cleans_up_when_it_is_stopped(workflow, number):
    classes = [workflow.folder / "images" / f"class {number}" for number in range(10)]
    for images in classes:
        images.mkdir(parents=True)
    Image.new("L", (2000, 2000)).save(classes[0] / "0.png")  # takes some time to decode, 1,797 times
    for image in range(1, 1797):
        os.link(classes[0] / "0.png", classes[image % 10] / f"{image}.png")
    source = {"kind": "imagefolder", "name": "large images", "folders": {"train": "images"}, "resize": 8}
    config = {"targets": ["digits"], "budget": "smoke", "data_root": ".", "data": {"digits": source}}
    (workflow.folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = workflow.job("results/datasets/digits/train/images.npy")
    process = subprocess.Popen(
        command, cwd=workflow.folder, env=workflow.job_environment, stderr=subprocess.PIPE, text=True
    )
    wait_until(workflow.leftovers, process)
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert message.startswith(f"error: stopped by {number.name}")
    assert message.count("\n") == 1
    assert not workflow.files("datasets/**/*")
