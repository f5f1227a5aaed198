"""Which number format a training computes in, on which device."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

import torch

from longtail.devices.allocator import keep_freed_memory
from longtail.devices.gpus import Pool, assigned_by_slurm, lease
from longtail.devices.memory import divide
from longtail.errors import LongtailError, unknown

PRECISIONS = ("mixed", "float32")


def computing_type(precision: str, device: torch.device) -> torch.dtype:
    """bfloat16 or float32.

    ``mixed`` is bfloat16 autocast on CUDA devices that compute it natively, and on CPUs with AMX tiles or AVX512-BF16,
    where a training step of a CIFAR ResNet-18 takes half the time of float32 or less. Elsewhere it is float32.

    Args:
        precision: ``mixed`` or ``float32``.
        device: where the training runs.
    """
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if precision == "float32":
        return torch.float32
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        native = any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))
        native &= torch.backends.cpu.get_cpu_capability() == "AVX512"  # ATEN_CPU_CAPABILITY may forbid what there is
    return torch.bfloat16 if native else torch.float32


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """A context in which operations that allow it compute in ``dtype``; nothing changes for float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)


def prepare_device(threads: int | None, gpus: int | None = None, per_gpu: int = 1) -> torch.device:
    """Take a GPU or the CPU, and make the CPU deterministic and sparing with page faults.

    A GPU, or a share of one, is leased for the life of the process (:mod:`longtail.devices.gpus`). Convolutions and
    matrix products in float32 stay float32 on it (no TF32): ``float32`` means what it says.

    Args:
        threads: CPU threads of torch; None leaves its default.
        gpus: 0 takes the CPU, 1 a GPU; None a GPU if there is one. A Slurm job that was given a GPU takes it anyhow.
        per_gpu: processes among which a GPU and its memory are divided.

    Raises:
        LongtailError: if a GPU is asked for and none can be used, or if it has too little memory to be divided so.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if gpus != 0 or assigned_by_slurm():
        leased = lease(per_gpu=per_gpu)
        if torch.cuda.is_available():
            if per_gpu > 1:
                divide(per_gpu, torch.device("cuda", 0))
            torch.backends.cudnn.benchmark = True
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
            return torch.device("cuda")
        if gpus:
            raise no_gpu(leased)
    keep_freed_memory()
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which first imports the compiler
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return torch.device("cpu")


def no_gpu(found: Pool, wanted: int = 1) -> LongtailError:
    """The error for a job that asks for ``wanted`` GPUs where torch can use fewer, or none, of those ``found``."""
    if 0 < len(found.gpus) < wanted:
        return LongtailError(
            f"This job asks for {wanted} GPUs, but CUDA shows only {len(found.gpus)} to it. Train on as many, which "
            f"gives the same result: --set-resources train:gpu={len(found.gpus)}."
        )
    if found.gpus:
        needs = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is built without CUDA"
        reason = f"PyTorch {torch.__version__} {needs} and cannot use the {found.gpus[0].name} that the driver shows."
    else:
        reason = found.problem
        if not reason and "CUDA_VISIBLE_DEVICES" in os.environ:
            reason = f"CUDA_VISIBLE_DEVICES={os.environ['CUDA_VISIBLE_DEVICES']!r} leaves none over."
    if "SLURM_JOB_ID" in os.environ:
        way_out = (
            "Choose a partition with GPUs, or the way of asking for one that yours knows (slurm/profile.yaml); to "
            "compute on CPUs, say --set-resources train:gpu=0 embed:gpu=0 to Snakemake."
        )
    else:
        way_out = "Run it on a machine with one; to compute on the CPU, say --resources gpu=0 to Snakemake."
    return LongtailError(" ".join(filter(None, ("This job asks for a GPU, and there is none.", reason, way_out))))
