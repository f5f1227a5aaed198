from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

import longtail

PACKAGE = Path(longtail.__file__).parent

PROGRAM = """
import resource
import numpy as np
{prepare}
faults = []
for step in range(3):
    activations = [np.ones(2**23, dtype=np.float32) for _ in range(4)]
    del activations
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[2] - faults[1])
"""


def faults_of_a_step(prepare: str) -> int:
    program = PROGRAM.format(prepare=prepare)
    environment = {"PYTHONPATH": str(PACKAGE.parent), "NUMPY_MADVISE_HUGEPAGE": "0"}
    done = subprocess.run([sys.executable, "-c", program], check=True, env=environment, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, whose allocator is told so")
def test_a_step_reuses_the_memory_of_the_one_before() -> None:
    assert faults_of_a_step("") > 10_000
    assert faults_of_a_step("from longtail.devices.allocator import keep_freed_memory; keep_freed_memory()") < 100


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, whose allocator is told so")
def test_training_on_a_cpu_does_so() -> None:
    prepare = (
        "import torch; torch.cuda.is_available = lambda: False\n"
        "from longtail.devices.precision import prepare_device; prepare_device(1)"
    )
    assert faults_of_a_step(prepare) < 100
