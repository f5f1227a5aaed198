"""Which number format a training computes in, on which device."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from longtail.errors import unknown
from longtail.training.allocator import keep_freed_memory

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
    return torch.bfloat16 if native else torch.float32


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """A context in which operations that allow it compute in ``dtype``; nothing changes for float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)


def prepare_device(threads: int | None) -> torch.device:
    """Choose CUDA where there is one, else the CPU, and make the CPU deterministic and sparing with page faults.

    Convolutions and matrix products in float32 stay float32 on CUDA (no TF32): ``float32`` means what it says.

    Args:
        threads: CPU threads of torch; None leaves its default.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        return torch.device("cuda")
    keep_freed_memory()
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which first imports the compiler
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return torch.device("cpu")
