"""A real Slurm on this machine, from Debian's packages, and runs of the workflow on it.

munged, slurmctld and slurmd run from a folder of their own, on ports of their own, without systemd, and are stopped by
their own process ids. The node claims more than the machine has, so that the profile's requests fit unchanged.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "srun", "squeue", "sacct", "scancel", "sinfo", "scontrol", "sacctmgr", "sshare")
PATIENCE = 600  # seconds for anything to happen; enough for cores that are busy with something else
# `python -m snakemake` that looks at its jobs every two seconds instead of every 40 to 180
IMPATIENT = """\
import asyncio, sys
from snakemake.cli import main
sleep = asyncio.sleep
asyncio.sleep = lambda seconds, *result: sleep(min(seconds, 2), *result)
sys.exit(main())
"""
GPUS = ("null", "zero")  # below /dev: Slurm wants a file for each
SHARDS_PER_GPU = 2

# Urgent jobs end those of the default partition, which Slurm does not queue anew. Jobs die when they use more memory
# than they asked for, but are not bound to cores, which may be busy with something else. What has ended is remembered
# until the end of the test. A command notices within four seconds that the controller is away, and a job that is queued
# anew starts after ten.
CONFIGURATION = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
{loopback}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={root}/munge.socket,cred_expire=10
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=1,sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
MessageTimeout=4
GresTypes=gpu,shard
NodeName=localhost NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 Gres=gpu:{gpus},shard:{shards} State=UNKNOWN
PartitionName=cpu Nodes=localhost Default=YES MaxTime=1440 DefaultTime=10 PriorityTier=1 State=UP
PartitionName=urgent Nodes=localhost MaxTime=1440 DefaultTime=10 PriorityTier=2 PreemptMode=OFF State=UP
"""


@dataclass(frozen=True)
class Job:
    """What Slurm knows of a job."""

    id: str
    name: str
    state: str
    comment: str
    account: str
    partition: str
    restarts: int
    minutes: int
    cpus: int
    memory: str
    gpus: int
    shards: int


class Cluster:
    """A cluster of one node. ``environment`` holds the variables with which its commands are found."""

    def __init__(self) -> None:
        # Paths of sockets end at 107 bytes, so this cannot lie below pytest's folders.
        self.root = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        self.root.chmod(0o755)
        self.log = self.root / "log"
        self.calls = self.root / "calls"
        self.configuration = self.root / "slurm.conf"
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("bin", "log", "munge", "state", "spool"):
            (self.root / name).mkdir()
        (self.root / "munge").chmod(0o700)
        key = self.root / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        self.configuration.write_text(
            CONFIGURATION.format(
                root=self.root,
                user=self.user,
                gpus=len(GPUS),
                shards=SHARDS_PER_GPU * len(GPUS),
                controller_port=free_port(),
                node_port=free_port(),
                loopback="CommunicationParameters=NoInAddrAny,NoCtldInAddrAny" if named_loopback() else "",
            )
        )
        gpus = [f"NodeName=localhost Name=gpu File=/dev/{device}\n" for device in GPUS]
        shards = f"NodeName=localhost Name=shard Count={SHARDS_PER_GPU * len(GPUS)}\n"  # as many of each GPU
        (self.root / "gres.conf").write_text("".join(gpus) + shards)
        for name in COMMANDS:
            # The executor clears SLURM_* before it calls srun in a job; what is found on the PATH is left alone. Every
            # call leaves a line with its exit status, and a slow one waits, once it is told that it is waited for.
            script = self.root / "bin" / name
            script.write_text(
                f"#!/bin/sh\nif [ -e {self.root}/slow-{name} ]; then touch {self.root}/waits-{name}; sleep 5; fi\n"
                f'SLURM_CONF={self.configuration} {shutil.which(name, path=SYSTEM_PATH)} "$@"\nstatus=$?\n'
                f'echo "{name} $status" >> {self.calls}\nexit $status\n'
            )
            script.chmod(0o755)
        self.calls.touch()

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.root}/bin:{SYSTEM_PATH}"}

    def start(self, *command: str) -> None:
        """Start a daemon in the foreground, so that the process id is its own; it does not outlive the tests."""
        with (self.log / f"{command[0]}.out").open("ab") as output:
            self.daemons[command[0]] = subprocess.Popen(
                ["setpriv", "--pdeathsig=TERM", *command],
                env={**os.environ, "PATH": SYSTEM_PATH, "SLURM_CONF": str(self.configuration)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def stop(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def start_controller(self) -> None:
        self.start("slurmctld", "-D")
        ready = {"idle", "mixed", "completing"}
        self.wait_until(lambda: ready.issuperset(self.command("sinfo", "--noheader", "--format=%T").split() or ["-"]))

    def start_all(self) -> None:
        munge = self.root / "munge"
        self.start(
            "munged",
            "--foreground",
            "--num-threads=2",
            f"--key-file={munge}/key",
            f"--seed-file={munge}/seed",
            f"--pid-file={munge}/pid",
            f"--log-file={self.log}/munged.log",
            f"--socket={self.root}/munge.socket",
        )
        self.wait_until((self.root / "munge.socket").exists)
        self.start("slurmd", "-D", "-N", "localhost")
        self.start_controller()
        return self

    def stop_all(self) -> None:
        with contextlib.suppress(AssertionError):
            self.command("scancel", "--user", self.user)
            self.wait_until(lambda: not self.command("squeue", "--noheader").strip())
        for name in [*self.daemons][::-1]:
            self.stop(name)
        self.kill_what_is_left()
        shutil.rmtree(self.root, ignore_errors=True)

    def processes(self) -> Iterator[psutil.Process]:
        """What runs in jobs, also what lost its parent, which Slurm finds by control groups only, and not here."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if f"{self.root}/bin" in process.environ().get("PATH", "") and "SLURM_JOB_ID" in process.environ():
                    yield process

    def kill_what_is_left(self) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()

    def lose_node(self) -> None:
        """Lose the node, and what runs there at once: no process lives to see another one die."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.suspend()
        self.command("scontrol", "update", "NodeName=localhost", "State=DOWN", "Reason=lost")
        self.wait_until(lambda: not self.command("squeue", "--noheader", "--states=running,completing").strip())
        self.kill_what_is_left()

    def command(self, *arguments: str) -> str:
        """What a command of Slurm prints; nothing when it fails."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False).stdout

    def wait_until(self, condition: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
        """Wait for something to happen, as long as the daemons, and ``process``, are alive."""
        end = time.monotonic() + PATIENCE
        while not condition():
            ended = [name for name, daemon in self.daemons.items() if daemon.poll() is not None]
            assert not ended, f"{ended} ended: {self.said()}"
            assert process is None or process.poll() is None, "The process ended before it happened."
            assert time.monotonic() < end, f"It did not happen: {self.said()}"
            time.sleep(0.1)

    def said(self) -> str:
        """The ends of the daemons' logs."""
        return "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in sorted(self.log.iterdir()))

    def jobs(self) -> list[Job]:
        """All jobs that were ever submitted, in that order."""
        found = []
        for line in self.command("scontrol", "show", "job", "--oneliner").splitlines():
            facts = dict(re.findall(r"(\S+?)=(\S*)", line))
            if "JobId" in facts:
                hours, minutes, _ = facts["TimeLimit"].split(":")
                gpus = re.search(r"TresPer\w+=gres:gpu:(\d+)", line)
                shards = re.search(r"TresPer\w+=gres:shard:(\d+)", line)
                memory = re.search(r"mem=(\w+)", facts["TRES"])
                found.append(
                    Job(
                        id=facts["JobId"],
                        name=facts["JobName"],
                        state=facts["JobState"],
                        comment=facts.get("Comment", ""),
                        account=facts["Account"],
                        partition=facts["Partition"],
                        restarts=int(facts["Restarts"]),
                        minutes=60 * int(hours) + int(minutes),
                        cpus=int(facts["NumCPUs"]),
                        memory=memory[1] if memory else "",
                        gpus=int(gpus[1]) if gpus else 0,
                        shards=int(shards[1]) if shards else 0,
                    )
                )
        return sorted(found, key=lambda job: int(job.id))

    @contextlib.contextmanager
    def slow(self, name: str) -> Iterator[Callable[[], bool]]:
        """Have a command take seconds; yields a function that tells whether one is under way."""
        slow, waits = self.root / f"slow-{name}", self.root / f"waits-{name}"
        slow.touch()
        try:
            yield waits.exists
        finally:
            slow.unlink()
            waits.unlink(missing_ok=True)

    def failures(self, name: str) -> int:
        """How often a command has failed so far."""
        return len(re.findall(rf"^{name} [1-9]", self.calls.read_text(), re.M))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def named_loopback() -> bool:
    """Whether the machine's name is one of 127.0.0.1; otherwise Slurm cannot be told to listen there only."""
    try:
        return socket.gethostbyname(socket.gethostname()) == "127.0.0.1"
    except OSError:
        return False


class Run:
    """The workflow while it works on a cluster, as `snakemake --cores all --profile slurm` in its folder."""

    def __init__(self, cluster: Cluster, workflow: Any, arguments: Sequence[str], cpus: Iterable[int] | None) -> None:
        self.cluster = cluster
        self.written = workflow.folder / "said"
        site = ["--default-resources", "slurm_account=group", "slurm_partition=cpu"]
        python, _, _, *options = workflow.command(*arguments, "--cores", "all", "--profile", "slurm", *site)
        with self.written.open("wb") as output:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", python, "-c", IMPATIENT, *options],
                cwd=workflow.folder,
                env={**workflow.environment, **cluster.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=None if cpus is None else lambda: os.sched_setaffinity(0, cpus),
            )

    def said(self) -> str:
        return self.written.read_text()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        try:
            self.cluster.wait_until(condition, self.process)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()[-6000:]}") from None

    def succeed(self) -> str:
        """Wait for its end, and return what it has said."""
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"It does not end.\n{self.said()[-6000:]}\n{self.cluster.said()}") from None
        assert status == 0, self.said()[-6000:]
        return self.said()

    def interrupt(self) -> str:
        """Press Ctrl-C, and return what it has said at its end."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(PATIENCE) != 0, self.said()[-6000:]
        return self.said()

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def cluster():
    """A cluster with nothing to do."""
    missing = [name for name in (*DAEMONS, *COMMANDS, "setpriv") if shutil.which(name, path=SYSTEM_PATH) is None]
    if missing:
        pytest.skip(f"Slurm is not installed (no {', '.join(missing)}); on Debian, .ci/install-slurm does it")
    running = Cluster()
    try:
        running.start_all()
        yield running
    finally:
        running.stop_all()


@pytest.fixture
def submit(cluster):
    """Start the workflow on the cluster: ``submit(workflow, *arguments, cpus={0})``."""
    runs: list[Run] = []

    def start(workflow: Any, *arguments: str, cpus: Iterable[int] | None = None) -> Run:
        runs.append(Run(cluster, workflow, arguments, cpus))
        return runs[-1]

    yield start
    for run in runs:
        run.stop()
