"""Leases by real locks between real processes, and a stand-in for NVIDIA's driver: no GPU is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.devices import driver, gpus, precision
from longtail.devices.gpus import Gpu, Pool
from longtail.devices.precision import prepare_device
from longtail.errors import LongtailError

ROOT = Path(__file__).parents[2]
PAIR = (Gpu("GPU-a", "Model A"), Gpu("GPU-b", "Model B"))

HOLDER = """
import os, sys, time
from longtail.devices import gpus
names, gpus.FOLDER, gpus.PAUSE = sys.argv[2:], gpus.Path(sys.argv[1]), 0.02
gpus.pool = lambda: gpus.Pool(tuple(gpus.Gpu(name, "Model") for name in names))
(taken,) = gpus.lease(per_gpu=int(os.environ.get("SHARERS", "1"))).gpus
assert "torch" not in sys.modules
print(taken.uuid, os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
%s
sys.stdin.read()
"""

CHILD = "import subprocess as s; print(s.Popen(['sleep', '60'], stdout=-3, stderr=-3).pid, flush=True)"


def fake(number: int) -> Gpu:
    """What the stand-in's device looks like."""
    byte = f"a{number}"
    return Gpu(f"GPU-{byte * 4}-{byte * 2}-{byte * 2}-{byte * 2}-{byte * 6}", f"Fake {number}")


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    """No lease, no scheduler and no pool from outside; locks in a folder of the test."""
    for name in ("SLURM_JOB_ID", *gpus.SLURM_GPUS, "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.setenv(name, "")  # so that what a lease sets is undone
        monkeypatch.delenv(name)
    monkeypatch.setattr(gpus, "_leased", [])
    monkeypatch.setattr(gpus, "FOLDER", tmp_path / "locks")
    monkeypatch.setattr(gpus, "PAUSE", 0.02)


@pytest.fixture
def shown(libcuda, monkeypatch):
    """The GPUs of the stand-in. It is loaded in processes of its own only, as the library would be here for good."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(libcuda.parent))
    monkeypatch.setattr(driver, "library", lambda: "there")


@pytest.fixture
def hold():
    """Start a process that leases one of the named GPUs; its standard output says which."""
    started = []

    def start(*names, then="", sharers=1):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER % then, str(gpus.FOLDER), *names],
            env={**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "SHARERS": str(sharers)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def taken(process) -> str:
    """Waits until the process has a GPU; returns which."""
    return process.stdout.readline().split()[0]


def test_every_process_gets_a_gpu_of_its_own(hold):
    names = ("GPU-a", "GPU-b", "GPU-c", "GPU-d")
    processes = [hold(*names) for _ in names]
    assert sorted(map(taken, processes)) == sorted(names)


def test_two_studies_share_what_their_pools_have_in_common(hold):
    assert taken(hold("GPU-b")) == "GPU-b"
    assert taken(hold("GPU-b", "GPU-a")) == "GPU-a"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_frees_its_gpu_and_who_waits_gets_it(hold, number):
    first = hold("GPU-a")
    assert taken(first) == "GPU-a"
    second = hold("GPU-a")
    waiting = second.stderr.readline()
    assert "Waiting for a GPU" in waiting
    assert str(first.pid) in waiting
    first.send_signal(number)
    assert taken(second) == "GPU-a"
    assert first.wait() == -number
    assert (gpus.FOLDER / "GPU-a.lock").read_text().split() == [str(second.pid)]


def test_a_process_without_a_gpu_can_be_stopped_while_it_waits(hold):
    first = hold("GPU-a")
    taken(first)
    second = hold("GPU-a")
    second.stderr.readline()
    second.terminate()
    assert second.wait() == -signal.SIGTERM
    assert first.poll() is None


def test_what_the_holder_started_does_not_hold_the_gpu_after_it(hold):
    first = hold("GPU-a", then=CHILD)
    taken(first)
    child = int(first.stdout.readline())
    first.kill()
    first.wait()
    try:
        assert taken(hold("GPU-a")) == "GPU-a"
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_lock_file_that_was_removed_is_not_mistaken_for_the_lock(hold, monkeypatch):
    """Somebody who cleans up /tmp between another process's opening and locking of the file."""
    gpus.FOLDER.mkdir()
    real = gpus.fcntl.lockf

    def lockf(*arguments):
        (gpus.FOLDER / "GPU-a.lock").unlink(missing_ok=True)
        monkeypatch.setattr(gpus.fcntl, "lockf", real)
        real(*arguments)

    monkeypatch.setattr(gpus.fcntl, "lockf", lockf)
    assert not gpus._lock(gpus.FOLDER / "GPU-a.lock")
    assert taken(hold("GPU-a")) == "GPU-a"


def test_cuda_is_shown_the_leased_gpu_alone_by_its_uuid(hold):
    taken(hold("GPU-a", "GPU-b"))
    assert hold("GPU-a", "GPU-b").stdout.readline().split() == ["GPU-b", "GPU-b"]


def test_the_only_gpu_keeps_the_name_by_which_it_is_visible(hold):
    assert hold("GPU-a").stdout.readline().split() == ["GPU-a", "None"]


def test_a_second_lease_of_a_process_is_the_first(monkeypatch):
    monkeypatch.setattr(gpus, "pool", lambda: Pool(PAIR))
    assert gpus.lease() == gpus.lease() == Pool(PAIR[:1])


def test_without_a_gpu_there_is_no_folder_of_locks(monkeypatch):
    monkeypatch.setattr(gpus, "pool", lambda: Pool((), "No driver."))
    assert gpus.lease() == Pool((), "No driver.")
    assert not gpus.FOLDER.exists()


@pytest.mark.parametrize("obstacle", ["file", "link", "stranger"])
def test_a_folder_that_cannot_be_used_is_named(monkeypatch, tmp_path, obstacle):
    monkeypatch.setattr(gpus, "pool", lambda: Pool(PAIR))
    if obstacle == "file":
        gpus.FOLDER.touch()
    elif obstacle == "link":
        (tmp_path / "elsewhere").mkdir()
        gpus.FOLDER.symlink_to(tmp_path / "elsewhere")
    else:
        monkeypatch.setattr(gpus.os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(LongtailError, match=str(gpus.FOLDER)):
        gpus.lease()
    assert not list(tmp_path.rglob("*.lock"))


def test_the_only_gpu_of_a_slurm_job_is_taken_without_a_lock(hold, monkeypatch):
    taken(hold("GPU-a"))
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(gpus, "pool", lambda: Pool(PAIR[:1]))
    assert gpus.lease() == Pool(PAIR[:1])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_several_gpus_of_a_slurm_job_are_shared_out_within_it(hold, monkeypatch):
    taken(hold("GPU-a"))
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(gpus, "pool", lambda: Pool(PAIR))
    assert gpus.lease() == Pool(PAIR[1:])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-b"


@pytest.mark.parametrize(
    ("environment", "given"),
    [
        ({}, False),
        ({"CUDA_VISIBLE_DEVICES": "0"}, False),
        ({"SLURM_JOB_ID": "1"}, False),
        ({"SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "0"}, True),
        ({"SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "NoDevFiles"}, False),
        ({"SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": ""}, False),
        ({"SLURM_JOB_ID": "1", "SLURM_JOB_GPUS": "2"}, True),
        ({"SLURM_JOB_ID": "1", "SLURM_STEP_GPUS": "2"}, True),
    ],
)
def test_whether_slurm_has_given_a_gpu(monkeypatch, environment, given):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert gpus.assigned_by_slurm() is given


def test_the_driver_lists_what_cuda_shows_in_its_order(shown):
    assert gpus.pool() == Pool((fake(2), fake(1), fake(0)))


def test_a_pool_of_the_user_is_read_as_cuda_reads_it(shown, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "02")
    assert gpus.pool() == Pool((fake(0), fake(2)))


def test_a_pool_that_is_empty(shown, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus.pool() == Pool(())


def test_the_problem_of_a_driver_is_passed_on(shown, monkeypatch):
    monkeypatch.setenv("BROKEN", "1")
    assert gpus.pool() == Pool((), "NVIDIA's driver says: unknown error.")


def test_a_driver_that_crashes_is_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(driver, "library", lambda: "there")
    (tmp_path / "driver.py").write_text("import os; os.abort()")
    monkeypatch.setattr(driver, "__file__", str(tmp_path / "driver.py"))
    assert "does not answer" in gpus.pool().problem


def test_a_machine_without_a_driver(monkeypatch):
    monkeypatch.setattr(driver, "LIBRARY", "libthere-is-none.so.1")
    assert gpus.pool() == Pool((), "No NVIDIA driver is installed.")


@pytest.mark.parametrize(
    ("environment", "numbers", "uuids"),
    [
        ({"SLURM_JOB_GPUS": "1"}, [1], 1),  # all are visible: the numbers choose, in the order of the bus
        ({"SLURM_JOB_GPUS": "0,2"}, [0, 2], 2),
        ({"SLURM_JOB_GPUS": "0,2", "SLURM_STEP_GPUS": "2"}, [2], 1),
        ({"SLURM_JOB_GPUS": "5,6,7"}, [0, 1, 2], 0),  # a control group hides the others
        ({"SLURM_JOB_GPUS": "0,1,2"}, [0, 1, 2], 0),
        ({"SLURM_JOB_GPUS": "5", "CUDA_VISIBLE_DEVICES": "1"}, [1], 0),  # Slurm has chosen already
    ],
)
def test_a_slurm_job_keeps_to_what_it_was_given(shown, monkeypatch, environment, numbers, uuids):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert gpus.pool() == Pool(tuple(map(fake, numbers)))
    if uuids:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(fake(number).uuid for number in numbers)
    else:
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == environment.get("CUDA_VISIBLE_DEVICES")


@pytest.fixture
def device_settings(monkeypatch):
    """torch without a GPU, whose settings are put back."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


def test_a_job_that_asks_for_no_gpu_asks_nobody(device_settings, monkeypatch):
    monkeypatch.setattr(gpus, "pool", lambda: pytest.fail("it looked for GPUs"))
    assert prepare_device(None, gpus=0).type == "cpu"


def test_a_job_that_does_not_care_falls_back_on_the_cpu(device_settings, monkeypatch):
    monkeypatch.setattr(gpus, "pool", lambda: Pool((), "No driver."))
    assert prepare_device(None).type == "cpu"


@pytest.mark.parametrize(
    ("found", "environment", "words"),
    [
        (Pool((), "No NVIDIA driver is installed."), {}, ["No NVIDIA driver", "--resources gpu=0"]),
        (Pool(()), {"CUDA_VISIBLE_DEVICES": "7"}, ["CUDA_VISIBLE_DEVICES='7'", "--resources gpu=0"]),
        (Pool(()), {"SLURM_JOB_ID": "1"}, ["partition", "--set-resources train:gpu=0"]),
        (Pool(PAIR[:1]), {}, ["PyTorch", "cannot use the Model A", "--resources gpu=0"]),
    ],
)
def test_a_job_that_asks_for_a_gpu_says_why_there_is_none(device_settings, monkeypatch, found, environment, words):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(gpus, "pool", lambda: found)
    with pytest.raises(LongtailError) as caught:
        prepare_device(None, gpus=1)
    for word in ("asks for a GPU", *words):
        assert word in str(caught.value)


def test_a_training_that_asks_for_a_gpu_ends_with_the_message(desk, tools, monkeypatch, capsys):
    monkeypatch.setattr(gpus, "pool", lambda: Pool((), "No NVIDIA driver is installed."))
    assert desk.train(tools.spec(), gpus=1) == 1
    assert capsys.readouterr().err.startswith("error: This job asks for a GPU")
    assert not (desk.folder / "run").exists()


def test_several_gpus_are_taken_at_once_or_not_at_all(monkeypatch, hold, capsys):
    """Who holds some and waits for more would let others wait for ever, who do the same."""
    holder = hold("GPU-a")
    assert taken(holder) == "GPU-a"
    monkeypatch.setattr(gpus, "pool", lambda: Pool(PAIR))

    def between_two_looks(_):
        other = hold("GPU-b")
        assert taken(other) == "GPU-b"
        for process in (holder, other):
            process.kill()
            process.wait()

    monkeypatch.setattr(gpus.time, "sleep", between_two_looks)
    assert gpus.lease(2) == Pool(PAIR)
    assert "Waiting for 2 GPUs: other jobs of yours use some" in capsys.readouterr().err


def test_a_lease_of_several_is_shown_to_cuda_and_shared_out(monkeypatch):
    monkeypatch.setattr(gpus, "pool", lambda: Pool((*PAIR, Gpu("GPU-c", "Model C"))))
    assert gpus.lease(2) == Pool(PAIR)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a,GPU-b"
    monkeypatch.setattr(gpus, "_leased", [])
    monkeypatch.setattr(gpus, "visible", lambda: Pool(PAIR))
    gpus.adopt(1)
    assert gpus.lease() == Pool(PAIR[1:])  # without waiting for the lock that the first process holds
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-b"


@given(per_gpu=st.integers(1, 100))
def test_shares_cover_the_gpu_once_and_are_equal_but_for_a_byte(per_gpu):
    shares = [gpus.share(number, per_gpu) for number in range(per_gpu)]
    covered = [byte for start, length in shares for byte in range(start, start + length)]
    assert covered == list(range(gpus.WIDTH))
    assert max(length for _, length in shares) - min(length for _, length in shares) <= 1
    assert min(length for _, length in shares) > len(str(2**22))  # the largest process id, and a line's end


LOCKER = """
import sys
from longtail.devices import gpus
for line in sys.stdin:
    uuid, number, per_gpu = line.split()
    handle = gpus._lock(gpus.Path(sys.argv[1]) / f"{uuid}.lock", *gpus.share(int(number), int(per_gpu)))
    print(int(handle is not None), flush=True)
"""


@settings(max_examples=8)
@given(wishes=st.lists(st.integers(1, 9).flatmap(lambda k: st.tuples(st.integers(0, k - 1), st.just(k))), max_size=6))
def test_shares_that_are_held_at_once_never_add_up_to_more_than_the_gpu(tmp_path_factory, wishes):
    """Every wish is that of a process of its own, as a process has no quarrel with itself."""
    command = [sys.executable, "-c", LOCKER, str(tmp_path_factory.mktemp("locks"))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    held, processes = [], []
    try:
        for number, per_gpu in wishes:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            processes.append(process)
            process.stdin.write(f"GPU-a {number} {per_gpu}\n")
            process.stdin.flush()
            start, length = gpus.share(number, per_gpu)
            free = all(start >= end or start + length <= begin for begin, end in held)
            assert process.stdout.readline().strip() == str(int(free))
            if free:
                held.append((start, start + length))
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert sum(end - start for start, end in held) <= gpus.WIDTH


def test_a_gpu_is_shared_by_so_many_and_who_waits_gets_the_share_of_one_that_ends(hold):
    first, second = hold("GPU-a", sharers=2), hold("GPU-a", sharers=2)
    assert taken(first) == taken(second) == "GPU-a"
    third = hold("GPU-a", sharers=2)
    waiting = third.stderr.readline()
    assert str(first.pid) in waiting
    assert str(second.pid) in waiting
    second.kill()
    assert taken(third) == "GPU-a"
    fourth = hold("GPU-a", sharers=2)
    waiting = fourth.stderr.readline()
    assert str(third.pid) in waiting
    assert str(second.pid) not in waiting


def test_trainings_are_spread_before_they_share(hold):
    found = []
    for _ in range(4):
        found.append(taken(hold("GPU-a", "GPU-b", sharers=2)))
    assert found == ["GPU-a", "GPU-b", "GPU-a", "GPU-b"]


def test_shares_of_other_sizes_and_whole_gpus_keep_out_of_each_other_s_way(hold):
    assert taken(hold("GPU-a", sharers=2)) == "GPU-a"  # the first half
    assert taken(hold("GPU-a", sharers=3)) == "GPU-a"  # the last third
    assert "Waiting for a GPU" in hold("GPU-a", sharers=3).stderr.readline()
    assert "Waiting for a GPU" in hold("GPU-a").stderr.readline()
    assert taken(hold("GPU-a", "GPU-b")) == "GPU-b"


def test_a_share_of_slurm_s_is_taken_without_a_lock(hold, monkeypatch):
    taken(hold("GPU-a"))
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(gpus, "pool", lambda: Pool(PAIR[:1]))
    assert gpus.lease(per_gpu=8) == Pool(PAIR[:1])


@pytest.mark.parametrize("per_gpu", [1, 8])
def test_memory_is_divided_among_those_that_share_a_gpu(device_settings, monkeypatch, per_gpu):
    divided = []
    monkeypatch.setattr(gpus, "pool", lambda: Pool(PAIR[:1]))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(precision, "divide", lambda sharers, device: divided.append((sharers, device.index)))
    for name in ("allow_tf32", "benchmark"):
        monkeypatch.setattr(torch.backends.cudnn, name, False)
    assert prepare_device(None, 1, per_gpu).type == "cuda"
    assert divided == [(8, 0)][: per_gpu - 1]


def test_fewer_gpus_than_wanted_are_left_alone(monkeypatch):
    monkeypatch.setattr(gpus, "pool", lambda: Pool(PAIR))
    assert gpus.lease(4) == Pool(PAIR)
    assert gpus._leased == []
    assert not gpus.FOLDER.exists()
