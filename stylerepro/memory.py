"""Peak memory of a computation, measured in a process of its own, where nothing else allocates."""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import psutil  # type: ignore[import-untyped,unused-ignore]

_EVERY = 0.0005  # seconds between two looks at the process's memory


def peak_memory(
    prepare: Callable[..., Callable[[], object]], *arguments: object, warm: tuple[object, ...] | None = None
) -> int:
    """Bytes that a call needs at its peak beyond what the process holds before it, on the CPU.

    prepare: a function of a module (it is named to the new process, not copied), called there with `arguments`; it
    gives the function that is measured. What `prepare` itself allocates, such as weights, is counted too, since the
    call cannot do without it; Python and its libraries are not. warm: smaller arguments, with which the same is done
    once before, so that what the libraries set up at their first call is not counted either.
    """
    with _returned_memory(), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
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


@contextmanager
def _returned_memory() -> Iterator[None]:
    """Processes started meanwhile give freed memory back to the system at once.

    By default glibc keeps what was freed, by a rule that shifts with use: that hides tens of megabytes from a look at
    the process's memory. Other systems' allocators do not know these variables.
    """
    names = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "65536"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
