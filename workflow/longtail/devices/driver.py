"""The GPUs that CUDA shows to a process, asked of NVIDIA's driver. Imports nothing but the standard library.

Run as a program: CUDA reads CUDA_VISIBLE_DEVICES once, so a process that has asked can no longer choose. The driver is
asked and not nvidia-smi, because only CUDA itself knows what that variable, CUDA_DEVICE_ORDER, a container and Slurm's
control group leave over, and in which order.
"""

from __future__ import annotations

import ctypes
import json
from typing import Any

LIBRARY = "libcuda.so.1"
NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE: there is no GPU, or CUDA_VISIBLE_DEVICES names none."""


def library() -> Any:
    """The driver's library; None where no driver is installed."""
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError:
        return None


def gpus() -> dict[str, Any]:
    """What CUDA shows: ``gpus``, a list of ``uuid`` ("GPU-...") and ``name`` in its order, and ``problem``, a text."""
    cuda = library()
    if cuda is None:
        return {"gpus": [], "problem": "No NVIDIA driver is installed."}
    status = cuda.cuInit(0)
    if status:
        return {"gpus": [], "problem": "" if status == NO_DEVICE else f"NVIDIA's driver says: {_text(cuda, status)}."}
    count = ctypes.c_int()
    cuda.cuDeviceGetCount(ctypes.byref(count))
    return {"gpus": [_gpu(cuda, number) for number in range(count.value)], "problem": ""}


def _gpu(cuda: Any, number: int) -> dict[str, str]:
    device, raw, name = ctypes.c_int(), (ctypes.c_ubyte * 16)(), ctypes.create_string_buffer(256)
    cuda.cuDeviceGet(ctypes.byref(device), number)
    cuda.cuDeviceGetName(name, len(name), device)
    # The second version, of CUDA 11.4, gives a MIG instance its own.
    identify = getattr(cuda, "cuDeviceGetUuid_v2", None) or cuda.cuDeviceGetUuid
    identify(raw, device)
    digits = bytes(raw).hex()
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return {"uuid": f"GPU-{'-'.join(parts)}", "name": name.value.decode(errors="replace")}


def _text(cuda: Any, status: int) -> str:
    text = ctypes.c_char_p()
    cuda.cuGetErrorString(status, ctypes.byref(text))
    return (text.value or b"error %d" % status).decode(errors="replace")


if __name__ == "__main__":
    print(json.dumps(gpus()))
