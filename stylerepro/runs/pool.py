"""The local executor: every task in a process of its own, which ends with its work or with the command."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any


class LocalExecutor(ThreadPoolExecutor):
    """At most `jobs` tasks at once, each in a fresh process: one that dies takes no other with it.

    When the command ends, even by `kill -9`, the processes notice, and end with all that they started.
    """

    def __init__(self, jobs: int) -> None:
        super().__init__(jobs, thread_name_prefix="run")
        self._context = multiprocessing.get_context("spawn")
        self._lines: set[Connection] = set()
        self._stopped = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As every executor's; `fn` and its arguments must be picklable."""
        return super().submit(self._apart, fn, args, kwargs)

    def _apart(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # Nothing is ever sent on this line: that its end closes, as it does when this process dies, is the message.
        theirs, ours = self._context.Pipe(duplex=False)
        self._lines.add(ours)
        try:
            if self._stopped:
                raise CancelledError
            with ProcessPoolExecutor(1, mp_context=self._context, initializer=_prepare, initargs=(theirs,)) as pool:
                return pool.submit(fn, *args, **kwargs).result()
        finally:
            self._lines.discard(ours)
            ours.close()
            theirs.close()

    def stop(self) -> None:
        """End all tasks now, and wait until their processes are gone."""
        self._stopped = True
        for line in tuple(self._lines):
            line.close()
        self.shutdown(wait=True, cancel_futures=True)


def _prepare(line: Connection) -> None:
    # Ctrl-C reaches the whole group of processes; only the command decides what it means. Not SIG_IGN: that would be
    # inherited by the kernel, which is interrupted by this signal when a cell takes too long.
    signal.signal(signal.SIGINT, lambda *_: None)
    threading.Thread(target=_watch, args=(line,), daemon=True).start()


def _watch(line: Connection) -> None:
    """Wait for the other end to close, then end."""
    wait([line])
    end()


def end() -> None:
    """End this process and all that it started, now."""
    import psutil  # type: ignore[import-untyped,unused-ignore]

    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    for folder in Path(tempfile.gettempdir()).glob(f"{own_prefix()}*"):
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def own_prefix() -> str:
    """What the names of this process's temporary folders begin with."""
    return f"stylerepro-{os.getpid()}-"
