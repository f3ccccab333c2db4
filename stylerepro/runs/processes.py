"""Calls in processes of their own, which end with their work or with who asked; the executor of this machine."""

import contextlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from stylerepro.errors import RunError

_LOOK = 0.5  # seconds


class LocalExecutor(ThreadPoolExecutor):
    """At most `jobs` tasks at once, each in a fresh process: one that dies takes no other with it."""

    def __init__(self, jobs: int) -> None:
        super().__init__(jobs, thread_name_prefix="run")
        self._stopped = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit as to every executor; `fn`, its arguments and what it gives must be picklable."""
        return super().submit(call_apart, partial(fn, *args, **kwargs), lambda: self._stopped)

    def stop(self) -> None:
        """End all tasks now, and wait until their processes are gone."""
        self._stopped = True
        self.shutdown(wait=True, cancel_futures=True)

    def __exit__(self, *_: object) -> None:
        self.stop()


def call_apart(call: Callable[[], Any], stopped: Callable[[], bool] = lambda: False, where: str = "") -> Any:
    """Return what `call` gives, or raise what it raises, in a fresh process that ends with this one, even by kill -9.

    stopped: asked now and then. where: said of the process in errors. What is printed there is printed here at its end,
    on the stream for errors. Raises `RunError` where the process dies or is stopped.
    """
    code = f"import sys; sys.path[:] = {sys.path!r}; from stylerepro.runs.processes import main; main()"
    with (
        tempfile.TemporaryDirectory(prefix=own_prefix(), ignore_cleanup_errors=True) as name,
        tempfile.TemporaryFile() as log,
    ):
        folder = Path(name)
        (folder / "call").write_bytes(pickle.dumps(call))
        # Nothing is ever sent on its standard input: that it closes, as it does when this process dies, is the
        # message. Not multiprocessing, which Dask's workers may not use.
        command = [sys.executable, "-c", code, name]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)
        assert process.stdin is not None
        while process.poll() is None and not stopped():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK)
        process.stdin.close()
        status = process.wait()
        log.seek(0)
        said = log.read().decode("utf-8", errors="replace").strip()
        if not (folder / "given").is_file():
            raise RunError(f"its process{where} ended with status {status}: {''.join(said.splitlines()[-1:])}")
        if said:
            print(said, file=sys.stderr)
        error, given = pickle.loads((folder / "given").read_bytes())
    if error is not None:
        raise error
    return given


def main() -> None:
    """Do the call that lies in the folder that the argument names, and leave there what it gives."""
    folder = Path(sys.argv[1])
    # Ctrl-C reaches the whole group of processes; only the command decides what it means. Not SIG_IGN: that would be
    # inherited by the kernel, which is interrupted by this signal when a cell takes too long.
    signal.signal(signal.SIGINT, lambda *_: None)
    threading.Thread(target=_end_with_the_asker, args=(folder,), daemon=True).start()
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    given: tuple[Exception | None, Any]
    try:
        given = None, pickle.loads((folder / "call").read_bytes())()
    except Exception as error:
        given = error, None
    (folder / "unfinished").write_bytes(pickle.dumps(given))
    (folder / "unfinished").rename(folder / "given")


def _end_with_the_asker(folder: Path) -> None:
    """Wait until standard input closes, then end this process and all that it started, now."""
    import psutil  # type: ignore[import-untyped,unused-ignore]

    os.read(0, 1)
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    for left in (folder, *Path(tempfile.gettempdir()).glob(f"{own_prefix()}*")):
        shutil.rmtree(left, ignore_errors=True)
    os._exit(1)


def own_prefix() -> str:
    """Return what the names of this process's temporary folders begin with."""
    return f"stylerepro-{os.getpid()}-"
