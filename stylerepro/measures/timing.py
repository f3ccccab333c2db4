"""Time and memory: the timing protocol, peak memory in a process of its own, and a description of the hardware.

Protocol: warm-up calls that are not counted, the device synchronised before each look at the clock, median and
quartiles over the repeats. Two things are compared by calling them in turn, since a machine's speed drifts.
"""

import gc
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import psutil  # type: ignore[import-untyped,unused-ignore]
import torch

from stylerepro.errors import ParameterError
from stylerepro.networks.precision import processor

_EVERY = 0.0005  # seconds between two looks at the process's memory


@dataclass(frozen=True)
class Timing:
    """Seconds a call: median, lower and upper quartile over `repeats` calls."""

    median: float
    lower: float
    upper: float
    repeats: int

    @classmethod
    def of(cls, seconds: list[float]) -> "Timing":
        """Summary of single calls' seconds."""
        lower, median, upper = np.quantile(seconds, [0.25, 0.5, 0.75])
        return cls(float(median), float(lower), float(upper), len(seconds))


@dataclass(frozen=True)
class Comparison:
    """Two functions timed in turn. ratio: median over the pairs of second ÷ first, with its quartiles."""

    first: Timing
    second: Timing
    ratio: float
    lower: float
    upper: float


def measure(function: Callable[[], object], *, repeats: int = 5, device: str | torch.device = "cpu") -> Timing:
    """Time `function` by the protocol; its result is thrown away. Raises `ParameterError` for no repeats."""
    return Timing.of([seconds for (seconds,) in _rounds([function], repeats, device)])


def compare(
    first: Callable[[], object],
    second: Callable[[], object],
    *,
    repeats: int = 5,
    device: str | torch.device = "cpu",
) -> Comparison:
    """Time two functions in alternation, the order swapped from pair to pair, and give the median ratio."""
    pairs = _rounds([first, second], repeats, device)
    lower, ratio, upper = np.quantile([b / max(a, 1e-12) for a, b in pairs], [0.25, 0.5, 0.75])
    seconds_of_first, seconds_of_second = (Timing.of([pair[place] for pair in pairs]) for place in (0, 1))
    return Comparison(seconds_of_first, seconds_of_second, float(ratio), float(lower), float(upper))


def in_turn(
    functions: Mapping[str, Callable[[], object]], repeats: int = 5, device: str | torch.device = "cpu"
) -> pd.DataFrame:
    """Time functions in turn, the order swapped from round to round.

    A row each, indexed by name: seconds (median), lower and upper (quartiles), repeats. Raises `ParameterError` for no
    repeats.
    """
    rounds = _rounds(list(functions.values()), repeats, device)
    timings = [Timing.of([seconds[place] for seconds in rounds]) for place in range(len(functions))]
    table = pd.DataFrame(map(vars, timings), index=list(functions), columns=["median", "lower", "upper", "repeats"])
    return table.rename(columns={"median": "seconds"})


def hardware() -> dict[str, Any]:
    """Describe what a time was measured on: processor, cores, threads, memory, accelerator, versions; no name, no path.

    cores: that this process may use; a container often gives fewer than the machine has.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpu = "Apple MPS" if torch.backends.mps.is_available() else None
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_name()
    return {
        "cpu": processor(),
        "architecture": platform.machine(),
        "cores": cores,
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": gpu,
        "platform": f"{platform.system()} {platform.release()}".strip(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
    }


def synchronise(device: str | torch.device) -> None:
    """Wait until the device has done what it was given."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


def _seconds(function: Callable[[], object], device: str | torch.device) -> float:
    synchronise(device)
    start = time.perf_counter()
    function()
    synchronise(device)
    return time.perf_counter() - start


def _rounds(functions: Sequence[Callable[[], object]], repeats: int, device: str | torch.device) -> list[list[float]]:
    """Call each function once without counting, then give the seconds of each, every other round from last to first."""
    if repeats < 1:
        raise ParameterError(f"Timing needs at least 1 repeat, got {repeats}.")
    for function in functions:
        function()
    rounds = []
    for turn in range(repeats):
        order = range(len(functions))[:: 1 if turn % 2 == 0 else -1]
        seconds = {place: _seconds(functions[place], device) for place in order}
        rounds.append([seconds[place] for place in range(len(functions))])
    return rounds


def peak_memory(
    prepare: Callable[..., Callable[[], object]], *arguments: object, warm: tuple[object, ...] | None = None
) -> int:
    """Bytes that a call needs at its peak beyond what the process holds before it, on the CPU.

    prepare: a function of a module (it is named to the new process, not copied), called there with `arguments`; it
    gives the function that is measured. What `prepare` itself allocates, such as weights, is counted too, since the
    call cannot do without it; Python and its libraries are not. warm: smaller arguments, with which the same is done
    once before, so that what the libraries set up at their first call is not counted either.
    """
    # By default glibc keeps what was freed, by a rule that shifts with use: that hides tens of megabytes from a look at
    # the process's memory. Other systems' allocators do not know these variables.
    at_once = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), "65536")
    with mock.patch.dict(os.environ, at_once), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, prepare, arguments, warm).result()


def _measured(
    prepare: Callable[..., Callable[[], object]], arguments: tuple[object, ...], warm: tuple[object, ...] | None
) -> int:
    process = psutil.Process()
    if warm is not None:
        prepare(*warm)()
    gc.collect()
    before = peak = process.memory_info().rss
    done = threading.Event()

    def look() -> None:
        nonlocal peak
        while not done.wait(_EVERY):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        prepare(*arguments)()
    finally:
        done.set()
        watcher.join()
    return max(peak, process.memory_info().rss) - before
