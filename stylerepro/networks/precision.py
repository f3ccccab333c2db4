"""Precision: the names of the number formats, and bfloat16 where this machine's processor is measured to gain by it."""

import json
import platform
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import nn

from stylerepro.errors import NetworkError, StyleReproError
from stylerepro.files import hash_of, write_json
from stylerepro.networks.loss_network import convolve
from stylerepro.pictures.assets import cache_root

DTYPES = MappingProxyType({"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16})
LEAST_GAIN = 1.3
"""Times as fast as float32 that bfloat16 has to be before "auto" takes it: less is not worth its eight bits."""
_HOPELESS = 0.5
_CHANNELS, _SIDE, _ROUNDS = 128, 64, 5  # of the convolution that is timed: the middle of a VGG at 128 px


def pick_dtype(dtype: str, device: str | torch.device = "cpu") -> torch.dtype:
    """Return the number format of that name for the loss network's convolutions on `device`.

    "auto": bfloat16 where `gain` is at least `LEAST_GAIN`, else float32. Raises `NetworkError` for an unknown name.
    """
    if dtype == "auto":
        return torch.bfloat16 if gain(torch.device(device).type) >= LEAST_GAIN else torch.float32
    if dtype not in DTYPES:
        raise NetworkError(f"Unknown dtype {dtype!r}; expected one of {', '.join(DTYPES)}, or auto.")
    return DTYPES[dtype]


def gain(device: str = "cpu") -> float:
    """Return how many times as fast as in float32 a convolution is in bfloat16, forwards and backwards.

    Measured once in a fraction of a second for a processor, PyTorch and number of threads, and kept in the folder of
    downloads as `precision-….json`; where that cannot be written, once a process.
    """
    return _gain(device, processor() if device == "cpu" else device, torch.get_num_threads())


@lru_cache(maxsize=8)
def _gain(device: str, model: str, threads: int) -> float:
    key = {"processor": model, "torch": torch.__version__, "threads": threads}
    file = cache_root() / f"precision-{hash_of(key)[:12]}.json"
    with suppress(OSError, ValueError, LookupError, TypeError):
        return float(json.loads(file.read_text(encoding="utf-8"))["gain"])
    measured = _measure(device)
    with suppress(OSError, StyleReproError):
        write_json(file, key | {"gain": measured})
    return measured


def _measure(device: str) -> float:
    """Median of the ratios of float32's seconds to bfloat16's, the two called in turn."""
    calls = [_call(device, dtype) for dtype in (torch.float32, torch.bfloat16)]
    for call in calls:
        call()  # the first call sets up, and is not counted
    ratios: list[float] = []
    while len(ratios) < _ROUNDS:
        ratios.append(calls[0]() / calls[1]())
        if ratios[0] < _HOPELESS:  # a processor without bfloat16 would take seconds over the rest
            break
    return float(np.median(ratios))


def _call(device: str, dtype: torch.dtype) -> Callable[[], float]:
    layer = nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1).requires_grad_(False)
    layer.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = (1, _CHANNELS, _SIDE, _SIDE)
    features = torch.ones(shape, device=device, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()

    def call() -> float:
        start = time.perf_counter()
        (gradient,) = torch.autograd.grad(convolve(layer, features).sum(), features)
        float(gradient.sum())  # waits for an accelerator
        return time.perf_counter() - start

    return call


def processor() -> str:
    """Return the processor's name as the system states it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.split(":", 1)[1].strip()
    if platform.system() == "Darwin":
        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or platform.machine() or "unknown"
