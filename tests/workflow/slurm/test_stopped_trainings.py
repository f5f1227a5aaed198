"""Slurm ends a training before its time: the next attempt goes on where it was, and ends with the same numbers."""

from __future__ import annotations

import re
import shutil

import pyarrow.parquet as pq
import pytest
import torch

from tests.workflow.conftest import change

CELL = "results/custom/cells/conmix/digits-ir10/seed0.parquet"


def numbers(pattern, text):
    (found,) = re.findall(pattern, text)
    return tuple(map(int, found))


HELD = """\
import time
def hold(signals):
    while Path({hold!r}).exists() and signals.received is None:
        time.sleep(0.05)
"""


@pytest.fixture
def hold(tmp_path):
    """While this file is there, a training waits after each save for a signal: it cannot end before one comes."""
    file = tmp_path / "hold"
    file.touch()
    yield file
    file.unlink(missing_ok=True)


@pytest.fixture
def untrained(straight, checkout, hold):
    """The uninterrupted run without ConMix's training and what follows from it, in a checkout that always saves."""
    workflow = straight.copy(checkout.folder.parent / "work")
    workflow.checkout = checkout.folder
    changes = {
        "default=300.0": "default=0.0",  # seconds between the periodic saves
        "folder.save(saved_state(spec, now))": "(folder.save(saved_state(spec, now)), hold(signals))",
        "STOPPED = 75\n": f"{HELD.format(hold=str(hold))}\nSTOPPED = 75\n",
    }
    change(checkout.folder / "workflow/longtail/training/train.py", changes)
    shutil.rmtree(conmix(workflow))
    for path in [workflow.folder / CELL, *workflow.files("logs/train/digits-ir10/conmix-*.log")]:
        path.unlink()
    return workflow


def conmix(workflow):
    (folder,) = (workflow.folder / "results/phases/digits-ir10").glob("conmix-*")
    return folder / "seed0"


def test_a_training_that_is_stopped_in_four_ways_ends_as_if_nothing_had_happened(
    cluster, submit, untrained, hold, straight
):
    def attempts():
        """The jobs in which ConMix was trained so far."""
        return [job for job in cluster.jobs() if job.comment.startswith("rule_train_wildcards_digits-ir10_conmix-")]

    def log():
        """What the current attempt says: Snakemake removes the log of the one before."""
        return "".join(path.read_text() for path in untrained.files("logs/train/digits-ir10/conmix-*.log"))

    def saved():
        """The last epoch and step at which the training was saved."""
        names = [path.stem for path in untrained.files("state/**/[!.]*.pt")]
        return max((numbers(r"-epoch(\d+)-step(\d+)$", name) for name in names), default=(0, 0))

    def went_on():
        """The epoch and step at which the current attempt went on, as far as it has said so."""
        found = re.findall(r"Going on from epoch (\d+), step (\d+)\.", log())
        return max((tuple(map(int, one)) for one in found), default=(0, 0))

    def goes_on_after(before):
        """Where the next attempt goes on: beyond ``before``, where the last one did; it then saves once, and waits."""
        run.wait_until(lambda: went_on() > before)
        found = went_on()
        run.wait_until(lambda: saved() > found)
        return found

    # Ctrl-C cancels what is queued and running, also while its state is being asked for, and leaves no lock.
    run = submit(untrained, CELL)
    run.wait_until(lambda: saved() > (0, 0))
    with cluster.slow("squeue") as asks:
        run.wait_until(asks)
        assert "Traceback" not in run.interrupt()
    cluster.wait_until(lambda: attempts()[0].state == "CANCELLED")
    cancelled = saved()

    # An urgent job takes the whole node, at once.
    run = submit(untrained, CELL)
    run.wait_until(lambda: saved() > cancelled)
    assert went_on() == cancelled
    cluster.command("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true")
    run.wait_until(lambda: attempts()[1].state == "PREEMPTED")

    # Slurm announces the end, as it does before a time limit and where preemption leaves time.
    preempted = goes_on_after(cancelled)
    cluster.command("scancel", "--signal=TERM", attempts()[2].id)
    run.wait_until(lambda: attempts()[2].state == "FAILED")

    # The node is lost: SIGKILL for what ran there. When it is back, Slurm starts the same job anew.
    terminated = goes_on_after(preempted)
    cluster.lose_node()
    run.wait_until(lambda: attempts()[3].restarts == 1)
    assert "Stopped by" not in log()
    cluster.command("scontrol", "update", "NodeName=localhost", "State=RESUME")
    hold.unlink()
    output = run.succeed()

    assert went_on() > terminated
    assert [job.state for job in attempts()] == ["CANCELLED", "PREEMPTED", "FAILED", "COMPLETED"]
    assert [job.memory for job in attempts()] == ["2000M", "2000M", "4000M", "6000M"]
    assert [job.minutes for job in attempts()] == [30, 30, 60, 90]
    assert output.count("Stopped by SIGTERM: saved in results/state/") == 2
    told = re.findall(r"Stopped by SIGTERM: .* The next run goes on from epoch (\d+), step (\d+)\.", output)
    assert [tuple(map(int, one)) for one in told] == [preempted, terminated]
    kept = untrained.files("logs/slurm/rule_train/digits-ir10_conmix-*/*.log")
    assert [path.stem for path in kept] == [job.id for job in attempts()[:3]]

    assert pq.read_table(untrained.folder / CELL).equals(pq.read_table(straight.folder / CELL))
    found, expected = (torch.load(conmix(w) / "checkpoint.pt", weights_only=True) for w in (untrained, straight))
    assert found["objective"].keys() == expected["objective"].keys()
    assert all(torch.equal(found["objective"][name], expected["objective"][name]) for name in expected["objective"])
    assert not untrained.files("state/**/*")
